"""The product as it is: a config is read, planned, run on a local Dask cluster and committed, tile by tile."""

from __future__ import annotations

import io
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from distributed.diagnostics.plugin import SchedulerPlugin
from rich.console import Console

from pipeline import campaign as joined
from pipeline.execute.driver.fleet import Fleet
from pipeline.opening import open_clusters
from pipeline.session import Options, open_session
from pipeline.types import Status
from tests.benchmarks.jobs import Square, write_config, write_neighbours_config


class _Tasks(SchedulerPlugin):
    """Counts what the scheduler is asked to do."""

    def __init__(self) -> None:
        self.count = 0

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        self.count += start == "released" and finish == "waiting"


class Ours:
    """Runs of one config after another on one cluster, so that start-up is paid once."""

    def __init__(self, folder: Path, items: str, source: Mapping[str, Any], *, neighbours: bool = False) -> None:
        """neighbours: the tiles are one grid's, so that the planner may group them."""
        self._write = write_neighbours_config if neighbours else write_config
        self._folder, self._items, self._source = folder, items, source
        self._stack = ExitStack()
        self._fleet: Fleet | None = None
        self._tasks = _Tasks()

    def run(self, tiles: Sequence[Square]) -> dict[str, Any]:
        """One run of the whole command path; every tile must come to its commit."""
        config, output = self._folder / "bench.yaml", self._folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        self._write(config, self._items, str(output), tiles, self._source)
        session = open_session(Options(config))
        quiet = Console(file=io.StringIO())
        object.__setattr__(session, "console", quiet)
        before, names = self._tasks.count, {tile.name for tile in tiles}
        with self._kept_clusters():
            result = session.run([job for job in session.plan.jobs if names & {job.tile.id, job.product}])
        bad = [outcome for outcome in result.outcomes if outcome.status is not Status.DONE or outcome.losses]
        if bad or len(result.outcomes) != len(tiles):
            raise RuntimeError(f"{len(result.outcomes)} of {len(tiles)} tiles; not whole: {bad}")
        return {"tasks": self._tasks.count - before, "output": str(output)}

    @contextmanager
    def _kept_clusters(self) -> Iterator[None]:
        """The session's clusters stay open from its first run to the last."""

        @contextmanager
        def kept(specs: Any, say: Any, stop: threading.Event, check: Any, _watch: Any) -> Iterator[Fleet]:
            if self._fleet is None:
                self._fleet = self._stack.enter_context(open_clusters(specs, say, stop, check))
                for openings in self._fleet.openings.values():
                    cluster: Any = openings[0].result()[0].cluster
                    cluster.scheduler.add_plugin(self._tasks)
            yield self._fleet

        with patch.object(joined, "open_clusters", kept):
            yield

    def close(self) -> None:
        self._stack.close()
