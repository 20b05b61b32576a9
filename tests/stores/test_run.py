"""The end of a run: the databases hold what it committed, or it says, without a password, that they do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config.stores import StoresConfig
from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session
from pipeline.stores.partition import list_partitions
from pipeline.stores.postgres import Connection
from pipeline.terminal import run_config
from pipeline.types import Status
from tests.results.made import finish
from tests.stores.held import differences, documents

pytestmark = pytest.mark.long

CONFIG = """\
name: floats
output: {output}
period: {{start: 2024-06-01, end: 2024-08-01, every: span}}
sources:
  argo: {{gdac: {gdac}, kinds: [core]}}
products:
  - {{product: argo, source: argo, parameters: [PRES, TEMP, PSAL]}}
stores:
  postgres: {{dsn: "${{DATABASE_URL}}", schema_name: {name}}}
  redis: {{url: "${{REDIS_URL}}", prefix: {name}}}
"""


def test_a_run_brings_the_databases_up_to_date_and_says_where_it_cannot(
    demo_world: Path,
    tmp_path: Path,
    stores: StoresConfig,
    database: Connection,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert stores.redis is not None
    output, config = tmp_path / "out", tmp_path / "run.yaml"
    name = stores.postgres.schema_name
    config.write_text(CONFIG.format(output=output, gdac=demo_world / "argo", name=name))
    monkeypatch.setenv("REDIS_URL", stores.redis.url.get_secret_value())
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hunter2@127.0.0.1:9/argo")
    session = open_session(Options(config))
    assignments = session.assignments()
    for job in session.plan.jobs:
        assert run_job(job, assignments[job.product], 99).status is Status.DONE
    finish(session.prepared.store, session.plan)

    assert run_config(Options(config)) == 1
    said = capsys.readouterr()
    assert "error: the databases are not up to date: stores.postgres: cannot connect" in said.out
    assert f"{len(session.plan.jobs)} skipped" in said.out
    assert "hunter2" not in said.out + said.err
    assert [file for file in output.rglob("*") if file.is_file() and b"hunter2" in file.read_bytes()] == []

    monkeypatch.setenv("DATABASE_URL", stores.postgres.dsn.get_secret_value())
    for loaded in (len(session.plan.jobs), 0):
        assert run_config(Options(config)) == 0
        assert f"stores: {loaded} of {len(session.plan.jobs)} partitions loaded" in capsys.readouterr().out
    store = session.prepared.store
    assert [fault for one in list_partitions(store, "argo") for fault in differences(database, store, one.bucket)] == []
    floats = [str(target) for (target,) in database.execute("SELECT 'float:' || wmo FROM floats")]
    assert floats and set(documents(stores)) == set(floats)

    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:9")
    database.execute("INSERT INTO pending (target) VALUES (%s)", (floats[0],))
    assert run_config(Options(config)) == 1
    said = capsys.readouterr()
    assert "stores: warning: Redis: ConnectionError" in said.out and "hunter2" not in said.out + said.err
