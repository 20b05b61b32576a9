"""One small output of the demo world, served on loopback by the server that `groundswell browse` uses."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import uvicorn

from pipeline.browse.app import make_app
from pipeline.browse.shelf import Shelf
from pipeline.execute.worker.task import run_job
from pipeline.session import Options, open_session
from pipeline.types import Status
from pipeline.write.store import Store, open_store
from tests.results.made import finish
from tests.verbs.making import BOTH_STORES, make_world

START_TIMEOUT_S = 30
MATMUL = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
"""rio-tiler 9.4 multiplies transforms as affine 2 did."""
CONFIG = """\
name: browsed
output: {folder}/output
area: {{bbox: [11.942, 44.8615, 12.036, 44.9015]}}
grid: {{kind: utm, tile_px: 512, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-08-01, every: month}}
sources:
  s2: {{items: {world}/s2/collection.json}}
  dem: {{items: {world}/dem/collection.json}}
  argo: {{gdac: {world}/argo}}
products:
  - {{product: sentinel2, source: s2, bands: [blue, green, red, nir], indices: [ndvi]}}
  - {{product: dem, source: dem, layers: [elevation, slope], write: {{zarr: {{}}}}}}
  - {{product: argo, source: argo}}
run: {{missing_assets: {{max_fraction: 0.9}}}}
"""


@dataclass(frozen=True)
class Client:
    """Asks one server."""

    address: str

    def ask(self, path: str, method: str = "GET", headers: dict[str, str] | None = None, **asked: Any) -> Any:
        """The answer, whatever its status."""
        return requests.request(method, self.address + path, params=asked, headers=headers, timeout=60)

    def json(self, path: str, **asked: Any) -> Any:
        """What a good answer says."""
        answer = self.ask(path, **asked)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def serving(store: Store, origins: Sequence[str] = ()) -> Iterator[Client]:
    """A server that answers when the block begins and is gone after it."""
    app, listener = make_app(Shelf(store), origins, ["127.0.0.1"]), socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    ends = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        assert thread.is_alive() and time.monotonic() < ends, "the server did not start"
        time.sleep(0.01)
    try:
        yield Client(f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)
        listener.close()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One tile of 128 px, red of June and of July, of which an input is lost; COG and Zarr; never written to."""
    _, config = make_world(tmp_path_factory.mktemp("tiny"), **BOTH_STORES)
    return commit(config)


@pytest.fixture(scope="session")
def tiny_client(tiny: Path) -> Iterator[Client]:
    """The server over it."""
    with serving(open_store(str(tiny))) as client:
        yield client


@pytest.fixture(scope="session")
def output(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentinel-2 of two months on tiles of two UTM zones as COG, heights as Zarr, and floats; never written to."""
    folder = tmp_path_factory.mktemp("browsed")
    config = folder / "browsed.yaml"
    config.write_text(CONFIG.format(folder=folder, world=demo_world), encoding="utf-8")
    return commit(config)


@pytest.fixture(scope="session")
def client(output: Path) -> Iterator[Client]:
    """The server over that output."""
    with serving(open_store(str(output))) as client:
        yield client


def commit(config: Path) -> Path:
    """Every job of a config, here and now, and what a run leaves at its end; gives the output."""
    session = open_session(Options(config))
    assignments = session.assignments()
    for job in session.plan.jobs:
        outcome = run_job(job, assignments[job.product], 1)
        assert outcome.status is Status.DONE, outcome.cause
    finish(session.prepared.store, session.plan)
    return Path(session.prepared.store.uri)
