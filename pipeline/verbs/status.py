"""`groundswell status`: how far a run has come, on whatever machine it is at work."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict

from pipeline.errors import PreflightError
from pipeline.execute.history import Progress, State, list_runs, read_progress
from pipeline.verbs._answer import Answer
from pipeline.verbs._output import open_output

FORMAT = 1
_OPEN = {State.LIVE: "in flight or waiting", State.FINISHED: "unknown", State.INTERRUPTED: "not started"}


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
    progress = read_progress(store, runs[chosen])
    if options.json:
        return Answer(json.dumps({"format": FORMAT, **asdict(progress), "open": progress.open}, indent=2))
    return Answer("\n".join(render(progress)))


def render(progress: Progress) -> Iterator[str]:
    """One run as plain lines; every failed job with its cause."""
    owner = progress.owner
    where = f" (process {owner.pid} on {owner.host})" if owner and progress.state is not State.FINISHED else ""
    yield f"run {progress.run}: {progress.state}{where}"
    words = _OPEN.get(progress.state, "unknown")
    parts = [
        f"{progress.done} done",
        f"{len(progress.failed)} failed",
        *([f"{len(progress.blocked)} blocked"] if progress.blocked else []),
        *([f"{progress.cancelled} not started"] if progress.cancelled else []),
        *([f"{progress.open} {words}"] if progress.open else []),
    ]
    yield f"{progress.planned} jobs planned: {', '.join(parts)}; {progress.retried} attempts were repeated"
    for reason, count in sorted(progress.skipped.items()):
        yield f"{count} jobs skipped: {reason}"
    for state, jobs in (("failed", progress.failed), ("blocked", progress.blocked)):
        for one in jobs:
            yield f"{state}: {one['job']}: {one['error']}: {one['cause']}"
    for what, marked in (("quality", progress.marked), ("quality of what was committed before", progress.before)):
        for one in marked:
            yield f"{what}: {one['level']}: {one['job']}: {one['flag']}: {one['text']}"
    if progress.state in (State.DEAD, State.INTERRUPTED):
        yield "run the same command again to resume"
