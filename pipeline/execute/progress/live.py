"""Live progress, a row per region and product: bars where somebody looks, plain lines or JSON in a log, records."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict

from rich.console import Console
from rich.live import Live

from pipeline.execute.listen import Listener, Listeners, Silent
from pipeline.execute.progress.notebook import display_of, show_notebook
from pipeline.execute.progress.words import line_of, table_of
from pipeline.execute.records.lease import repeated
from pipeline.execute.records.tally import Tally
from pipeline.types import ClusterEvent, Json, Outcome, Status

EVERY_S = 10.0
"""Between two lines, and between two records of the journal."""
_FRAMES_PER_S = 2
_ALIKE = 20
"""Failures of one product in one region with one class of error that have a line each."""
_LOUD = ("warning:", "error:", "failed:", "stopping:", "stopped:", "interrupted:")
"""How texts begin that are told also where only failures are wanted."""


class RunConsole(Console):
    """Standard output for what may take days: bars only where somebody looks, and no run ends since nobody reads it."""

    def __init__(self) -> None:
        # Programs that keep logs ask for colours by FORCE_COLOR; bars in a file are nothing but their control codes.
        # In a notebook text is text: Rich would make a page of each line.
        super().__init__(soft_wrap=True, highlight=False, force_terminal=sys.stdout.isatty(), force_jupyter=False)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")

    def on_broken_pipe(self) -> None:
        """From now on nothing is said: the reader is gone, or the log's disk is full."""
        self.quiet = True
        with suppress(OSError, ValueError):  # else the interpreter would fail at its end by what is left to write
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def show_progress(console: Console, mode: str, tally: Tally, every_s: float = EVERY_S) -> Iterator[Listener]:
    """A listener that draws how far a run is, for as long as it is open.

    mode: as `run.progress`. tally: of the same run, told of everything before this listener is.
    """
    if mode == "json":
        records = _Records(console)
        with repeated(lambda: records.tell("progress", tally.view().written()), every_s):
            yield records
            records.tell("progress", tally.view().written())
    elif mode == "quiet":
        yield _Failures(console)
    elif mode in {"auto", "bars"} and (display := display_of()) is not None:
        with show_notebook(display, tally) as clusters:
            yield Listeners([clusters, _Failures(console)])
    elif mode == "bars" or (mode == "auto" and console.is_terminal and not console.is_dumb_terminal):
        since = time.monotonic()
        live = Live(
            get_renderable=lambda: table_of(tally.view(), time.monotonic() - since, console.size),
            console=console,
            refresh_per_second=_FRAMES_PER_S,
        )
        with live:
            yield _Failures(console)
    else:
        with repeated(lambda: plainly(console, f"progress: {line_of(tally.view())}"), every_s):
            yield _Failures(console)


def speaker(console: Console, mode: str) -> Callable[[str], None]:
    """How a run says what is not progress: plainly, as records of JSON, or only what went wrong."""
    if mode == "json":
        records = _Records(console)
        return lambda text: records.tell("message", {"text": text})
    if mode == "quiet":
        return lambda text: plainly(console, text) if text.startswith(_LOUD) else None
    return lambda text: plainly(console, text)


@contextmanager
def progress_records(write: Callable[[Json], None], tally: Tally, every_s: float = EVERY_S) -> Iterator[None]:
    """While it is open, a record of how far the run is goes to its journal now and then, and a last one at the end.

    write: of the journal; called by a thread of its own, so it has to be safe for that.
    """

    def record() -> None:
        write({"event": "progress", **tally.view().written()})

    record()
    with repeated(record, every_s):
        try:
            yield
        finally:
            record()


def plainly(console: Console, text: str) -> None:
    """One text as it is, whatever it contains, above bars where there are some."""
    try:
        console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)
    except OSError:
        if not isinstance(console, RunConsole):
            raise
        console.on_broken_pipe()


class _Failures(Silent):
    """A line for each job that fails; of many that fail alike the first few, and one for all that could not begin."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._told = Counter[tuple[str, str, str | None]]()
        self._causes = set[tuple[str, str | None, str | None]]()

    def ended(self, outcome: Outcome) -> None:
        if outcome.status is not Status.FAILED:
            return
        if not outcome.attempts:
            cause = outcome.region, outcome.error, outcome.cause
            if cause in self._causes:
                return
            self._causes.add(cause)
        product = outcome.job_id.partition("/")[0]
        kind = outcome.region, product, outcome.error
        self._told[kind] += 1
        if self._told[kind] <= _ALIKE:
            plainly(self._console, f"failed: {outcome.job_id}: {outcome.error}: {outcome.cause}")
        elif self._told[kind] == _ALIKE + 1:
            more = f"failed: more jobs of {product} in {outcome.region} fail by {outcome.error}: from here on"
            plainly(self._console, f"{more} they are counted, and named by `groundswell status` and the report")


class _Records(Silent):
    """A line of JSON for each thing that happens, for programs that read a log."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = threading.RLock()  # a signal's message may come while the same thread writes one

    def cluster(self, event: ClusterEvent) -> None:
        self.tell("cluster", asdict(event))

    def ended(self, outcome: Outcome) -> None:
        if outcome.status in {Status.RETRY, Status.CLAIMED}:
            return
        known = {
            "job": outcome.job_id,
            "region": outcome.region,
            "status": outcome.status,
            "seconds": round(outcome.seconds, 3),
            "attempts": outcome.attempts,
            "read_bytes": outcome.read_bytes,
            "written_bytes": outcome.written_bytes,
        }
        why = {"error": outcome.error, "cause": outcome.cause} if outcome.error else {}
        self.tell("job", known | why)

    def tell(self, event: str, record: Json) -> None:
        """Put one record, whole, on a line of its own."""
        line = json.dumps({"event": event, "time": round(time.time(), 3), **record}, ensure_ascii=False)
        with self._lock:
            plainly(self._console, line)
