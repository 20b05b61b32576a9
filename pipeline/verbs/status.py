"""`groundswell status`: how far a run has come, on whatever machine it is at work; once, or until it has ended."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from pipeline.errors import EXIT_DONE, EXIT_INTERRUPTED, EXIT_JOBS_FAILED, PreflightError, StoreError
from pipeline.execute.progress.words import line_of, rows_of, span, table_of
from pipeline.execute.records.follow import Following, Progress
from pipeline.execute.records.history import State, list_runs
from pipeline.execute.records.tally import stood
from pipeline.types import Json
from pipeline.types.causes import Causes
from pipeline.verbs._answer import Answer
from pipeline.verbs._output import open_output

FORMAT = 1
_OPEN = {State.LIVE: "in flight or waiting", State.FINISHED: "unknown", State.INTERRUPTED: "not started"}
_NAMED = 20
"""Failed jobs that are told one by one; more are told by cause."""
_MISSES = 6
"""Looks in a row that may fail before following gives up."""


def run(options: argparse.Namespace) -> Answer:
    """The newest run, or `options.run`; what its plan and journal in the output say of it, and nothing else.

    Raises PreflightError where there is no such run.
    """
    store = open_output(options)
    runs = {run.id: run for run in list_runs(store)}
    chosen = options.run or max(runs, default=None)
    if chosen not in runs:
        newest = ", ".join(sorted(runs, reverse=True)[:5]) or "none"
        raise PreflightError(f"{store.uri}: found no run {chosen or ''}; its newest runs: {newest}")
    following = Following(store, chosen)
    progress, code = following.look(), EXIT_DONE
    if options.follow:
        progress, code = _follow(following, progress, options)
    if options.json:
        indent = None if options.follow else 2
        return Answer(json.dumps({"format": FORMAT, **progress.document()}, indent=indent), code)
    return Answer("\n".join(render(progress)), code)


def render(progress: Progress) -> Iterator[str]:
    """One run as plain lines; every failed job with its cause, or every cause where there are many."""
    yield _head(progress)
    words = _OPEN.get(progress.state, "unknown")
    parts = [
        f"{progress.done} done",
        f"{len(progress.failed)} failed",
        *([f"{len(progress.blocked)} blocked"] if progress.blocked else []),
        *([f"{progress.cancelled} not started"] if progress.cancelled else []),
        *([f"{progress.open} {words}"] if progress.open else []),
        *([f"{progress.claimed} of them being made by another run"] if progress.claimed else []),
    ]
    yield f"{progress.planned} jobs planned: {', '.join(parts)}; {progress.retried} attempts were repeated"
    if progress.view is not None:
        yield from rows_of(progress.view if progress.state is State.LIVE else stood(progress.view))
    yield from _clusters(progress)
    for reason, count in sorted(progress.skipped.items()):
        yield f"{count} jobs skipped: {reason}"
    for state, jobs in (("failed", progress.failed), ("blocked", progress.blocked)):
        yield from _failures(state, jobs)
    for what, marked in (("quality", progress.marked), ("quality of what was committed before", progress.before)):
        for one in marked:
            yield f"{what}: {one['level']}: {one['job']}: {one['flag']}: {one['text']}"
    for fault in progress.faults[:_NAMED]:
        yield f"warning: {fault}"
    if progress.reason:
        yield f"it ended early: {progress.reason}"
    if progress.state in (State.DEAD, State.INTERRUPTED):
        yield "run the same command again to resume"


def _head(progress: Progress) -> str:
    owner = progress.owner
    where = f" (process {owner.pid} on {owner.host})" if owner and progress.state is not State.FINISHED else ""
    heard = "" if progress.silent_s is None else f", last heard of {span(progress.silent_s)} ago"
    took = f" after {span(progress.elapsed_s)}" if progress.elapsed_s else ""
    return f"run {progress.run}: {progress.state}{took}{where}{heard}"


def _clusters(progress: Progress) -> Iterator[str]:
    if progress.state is not State.LIVE:
        return
    for one in progress.clusters:
        shard = f" {one.shard}" if any(e.shard for e in progress.clusters if e.region == one.region) else ""
        kind = f"{one.backend} cluster{shard}" if one.backend else f"cluster{shard}"
        up = one.state in {"up", "workers"}
        page = f", dashboard: {one.dashboard}" if up and one.dashboard else ""
        state = f"{one.workers} worker{'s' * (one.workers != 1)}{page}" if up else f"{one.state} {one.note or ''}"
        yield f"{one.region}: {kind}: {state.rstrip()}"


def _failures(state: str, jobs: Sequence[Json]) -> Iterator[str]:
    if len(jobs) <= _NAMED:
        for one in jobs:
            yield f"{state}: {one['job']}: {one['error']}: {one['cause']}"
        return
    causes = Causes()
    for one in jobs:
        causes.add(one["job"], one["error"], one["cause"])
    for cause in causes.groups():
        yield f"{state}: {cause.count} jobs by {cause.error}, such as {cause.jobs[0]}: {cause.example}"
    yield f"every job that {state}: --json, or `groundswell report`"


def _follow(following: Following, progress: Progress, options: argparse.Namespace) -> tuple[Progress, int]:
    """Look again and again until the run is no longer at work; the last look, and the exit code that it means."""
    misses, code = 0, 0
    with _screen(options) as show:
        try:
            show(progress)
            while progress.state is State.LIVE:
                time.sleep(max(0.1, options.every))
                try:
                    progress, misses = following.look(), 0
                except StoreError:
                    misses += 1
                    if misses == _MISSES:
                        raise
                else:
                    show(progress)
        except KeyboardInterrupt:
            code = EXIT_INTERRUPTED
    return progress, code or (EXIT_DONE if progress.well else EXIT_JOBS_FAILED)


@contextmanager
def _screen(options: argparse.Namespace) -> Iterator[Callable[[Progress], None]]:
    """Shows each look: in a terminal in the same place, else as a line; with --json a record a line."""
    from rich.console import Group  # noqa: PLC0415 (only to follow)
    from rich.live import Live  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from pipeline.execute.progress.live import RunConsole  # noqa: PLC0415

    console = RunConsole()
    if options.json:
        brief = {"failed": len, "blocked": len, "marked": len, "before": len}
        yield lambda one: _say(json.dumps(_brief(one, brief)))
        return
    if not console.is_terminal:
        yield lambda one: _say(f"{one.state}: {_line(one)}")
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(one: Progress) -> None:
            head = Text("\n".join([_head(one), *_clusters(one)]), no_wrap=True, overflow="ellipsis")
            below = Text(_line(one)) if one.view is None else table_of(one.view, one.elapsed_s, console.size)
            live.update(Group(head, below), refresh=True)

        yield show


def _say(line: str) -> None:
    """At once, also into a pipe."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _brief(progress: Progress, told: dict[str, Callable[[Json], Json]]) -> Json:
    """A look without what grows with the run: of lists their lengths."""
    document = {"format": FORMAT, "time": round(time.time(), 3), **progress.document()}
    return {key: told[key](value) if key in told else value for key, value in document.items()}


def _line(progress: Progress) -> str:
    heard = "" if progress.silent_s is None else f"; last heard of {span(progress.silent_s)} ago"
    if progress.view is not None:
        return line_of(progress.view) + heard
    return f"{progress.planned - progress.open}/{progress.planned} jobs{heard}"
