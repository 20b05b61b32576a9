"""`groundswell load` and `groundswell serve`, as somebody types them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from pipeline.cli import main
from pipeline.config.stores import StoresConfig
from pipeline.write.store import open_store
from tests.servers.weed import free_ports
from tests.stores.held import documents
from tests.stores.partitions import cycles, put_partition

pytestmark = pytest.mark.long

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path, stores: StoresConfig, monkeypatch: pytest.MonkeyPatch) -> Written:
    """A config file whose addresses come from the environment; its output is `out` beside it."""
    assert stores.redis is not None
    monkeypatch.setenv("DATABASE_URL", stores.postgres.dsn.get_secret_value())
    monkeypatch.setenv("REDIS_URL", stores.redis.url.get_secret_value())
    name = stores.postgres.schema_name

    def write(**further: object) -> Path:
        postgres = {"dsn": "${DATABASE_URL}", "schema_name": name}
        section = {"postgres": postgres, "redis": {"url": "${REDIS_URL}", "prefix": name}, **further}
        document = {
            "name": "argo",
            "output": str(tmp_path / "out"),
            "area": {"bbox": [50, 5, 78, 26]},
            "period": {"start": "2024-01-01", "end": "2024-02-01"},
            "sources": {"argo": {"gdac": str(tmp_path)}},
            "products": [{"product": "argo", "source": "argo"}],
            "stores": section,
        }
        path = tmp_path / "argo.yaml"
        path.write_text(json.dumps(document))
        return path

    return write


def test_load_brings_the_databases_up_to_date_and_says_so(
    tmp_path: Path, written: Written, stores: StoresConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    put_partition(open_store(str(tmp_path / "out")), cycles(2), 1)
    path = str(written())
    assert main(["load", path]) == 0
    assert "1 of 1 partitions loaded: 2 profiles new" in capsys.readouterr().out
    assert main(["load", path, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert (again["partitions"], again["loaded"], again["inserted"]) == (1, 0, 0)
    before = documents(stores)
    assert main(["load", path, "--rebuild-redis"]) == 0
    assert "documents in Redis made anew" in capsys.readouterr().out
    assert documents(stores) == before
    assert main(["load", path, "--anew"]) == 0
    assert "2 profiles new" in capsys.readouterr().out


def test_what_was_not_done_is_exit_1_by_name(
    tmp_path: Path, written: Written, capsys: pytest.CaptureFixture[str]
) -> None:
    put_partition(open_store(str(tmp_path / "out")), cycles(1), 1)
    assert main(["load", str(written(redis={"url": "unix:///nowhere"}))]) == 1
    assert "1 profiles new" in (said := capsys.readouterr().out) and "warning: Redis: ConnectionError" in said


@pytest.mark.parametrize(
    ("further", "code", "cause"),
    [
        ({"postgres": {"dsn": "postgresql:///x?host=/nowhere&user=hunter2"}}, 3, "stores.postgres: cannot connect"),
        ({"product": "grids"}, 2, "stores.product: found grids; expected one of argo"),
        ({"regions": {"pole": [0, 80, 0, 90]}}, 2, "west > east crosses the 180th meridian"),
    ],
)
def test_a_config_that_cannot_work_is_told(
    tmp_path: Path,
    written: Written,
    capsys: pytest.CaptureFixture[str],
    further: dict[str, object],
    code: int,
    cause: str,
) -> None:
    put_partition(open_store(str(tmp_path / "out")), cycles(1), 1)
    assert main(["load", str(written(**further))]) == code
    assert cause in capsys.readouterr().err


def test_serve_answers_until_it_is_interrupted(tmp_path: Path, written: Written) -> None:
    put_partition(open_store(str(tmp_path / "out")), cycles(2), 1)
    path = str(written())
    assert main(["load", path]) == 0
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "pipeline.cli", "serve", path, "--port", str(port)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], env=os.environ) as server:
        try:
            deadline = time.monotonic() + 60
            while True:
                try:
                    answer = requests.get(f"http://127.0.0.1:{port}/floats", timeout=10)
                    break
                except requests.ConnectionError:
                    assert server.poll() is None and time.monotonic() < deadline
                    time.sleep(0.1)
        finally:
            server.send_signal(signal.SIGINT)
    assert [one["wmo"] for one in answer.json()["items"]] == [2902269]
    assert server.returncode == 0
