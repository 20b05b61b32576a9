"""A partition whose making ends at any point is made again, and is then what it would have been."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.demo.argo import mirror_files
from pipeline.execute.worker.task import run_job
from pipeline.session import Options, Session, open_session
from pipeline.types import Status
from pipeline.write.sound import Listing, check_item
from pipeline.write.store import FolderStore
from tests.faults.test_kills import KillAt, KilledError, commits

__all__ = ["commits"]

CONFIG = """\
name: floats
output: {output}
period: {{start: 2024-01-01, end: 2025-01-01, every: span}}
sources:
  argo: {{gdac: {gdac}, floats: [9900101], limit: {limit}}}
products:
  - {{product: argo, source: argo}}
"""
TABLES = ("levels", "profiles", "ledger")


@pytest.fixture
def gdac(tmp_path: Path) -> Path:
    for key, data in mirror_files().items():
        if "/9900101/" in key or "/" not in key:
            path = tmp_path / "gdac" / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return tmp_path / "gdac"


def planned(gdac: Path, output: Path, limit: int = 100) -> Session:
    config = output.with_suffix(".yaml")
    config.write_text(CONFIG.format(output=output, gdac=gdac, limit=limit))
    return open_session(Options(config))


def make(session: Session) -> None:
    """All of the plan, in this process."""
    assignments = session.assignments()
    for job in session.plan.jobs:
        outcome = run_job(job, assignments[job.product], 1)
        assert outcome.status is Status.DONE, outcome


def tables(output: Path) -> list[pa.Table]:
    """What readers see, whatever number of steps it took."""
    found = [pq.read_table(output / f"data/argo/990010x/static/{name}.parquet") for name in TABLES]
    return [table.replace_schema_metadata(None) for table in found]


@pytest.fixture
def every_step(commits: logging.Logger) -> list[str]:
    commits.handlers = [handler := KillAt(1000)]
    return handler.steps


@pytest.mark.long
def test_a_partition_ended_at_any_step_is_made_again(
    gdac: Path, tmp_path: Path, commits: logging.Logger, every_step: list[str]
) -> None:
    """From nothing, and from an older state: what the next run leaves is what a calm run leaves, and it is sound."""
    make(planned(gdac, tmp_path / "calm"))
    calm, steps = tables(tmp_path / "calm"), list(every_step)
    assert [step for step in steps if step.startswith("partition_put")] == [f"partition_put:{name}" for name in TABLES]
    for before in (0, 6):
        for number, step in enumerate(steps):
            output = tmp_path / f"from-{before}-{number}"
            commits.handlers = []
            if before:
                make(planned(gdac, output, before))
            commits.handlers = [KillAt(number)]
            with pytest.raises(KilledError, match=step):
                make(planned(gdac, output))
            commits.handlers = []
            again = planned(gdac, output)
            make(again)
            assert tables(output) == calm, (before, step)
            store = FolderStore(str(output))
            (item,) = [key for key, _ in store.list_objects("items/argo/")]
            assert check_item(store, item, Listing(store.list_objects()), links=False) == [], (before, step)
            assert planned(gdac, output).plan.jobs == ()


def test_of_two_runs_at_once_the_loser_reads_again(gdac: Path, tmp_path: Path) -> None:
    """One read the partition before the other replaced it: it merges with what is there now, and none is lost."""
    output = tmp_path / "out"
    early = planned(gdac, output, 5)
    (job,) = early.plan.jobs
    assignment = early.assignments()["argo"]
    make(planned(gdac, output, 3))

    class Late(FolderStore):
        """A store on which somebody else is faster, once."""

        def version_of(self, key: str) -> str | None:
            found = super().version_of(key)
            if key.endswith("levels.parquet") and not (tmp_path / "done").exists():
                (tmp_path / "done").touch()
                make(planned(gdac, output, 4))
            return found

    store = Late(str(output))
    context = replace(assignment.context, store=store)
    outcome = run_job(job, replace(assignment, store=store, context=context), 1)
    assert outcome.status is Status.DONE, outcome
    make(planned(gdac, tmp_path / "calm", 5))
    assert tables(output) == tables(tmp_path / "calm")
