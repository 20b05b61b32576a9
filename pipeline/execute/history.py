"""What became of runs, from the output alone: any machine can follow a run, and tell a live one from a dead one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.execute.lease import RUN_LEASE, Owner, is_held, read_owner
from pipeline.execute.records import FINISHED, read_lines, read_plan
from pipeline.types import Json, Status
from pipeline.write.store import Entry, Store

COMMITTED_BEFORE = "committed_before"
"""Event of a journal: the quality of a skipped job's tile, where it does not simply pass."""


class State(StrEnum):
    """What became of a run."""

    FINISHED = "finished"
    LIVE = "live"
    INTERRUPTED = "interrupted"
    """It was asked to end, or an error ended it, and it said so."""
    DEAD = "dead"
    """Neither finished nor at work: killed, or its machine is gone."""


@dataclass(frozen=True)
class Run:
    """One run as it lies in the output."""

    id: str
    objects: Mapping[str, Entry]
    """By name, below `runs/<id>/`."""
    live: bool
    """Its process is at work, be it only at the catalogue pages."""

    @property
    def finished(self) -> bool:
        return FINISHED in self.objects

    @property
    def planned(self) -> bool:
        return "plan.jsonl" in self.objects


@dataclass(frozen=True)
class Progress:
    """How far a run has come, as far as it has been written down."""

    run: str
    state: State
    owner: Owner | None
    planned: int
    """Jobs to be done."""
    skipped: Mapping[str, int]
    """Jobs that need no work, by reason."""
    done: int
    cancelled: int
    failed: tuple[Json, ...]
    """`job`, `error`, `cause` of each."""
    retried: int
    """Failed attempts of jobs that were tried again."""
    blocked: tuple[Json, ...] = ()
    """The same of those that were never begun, since what they are made from was not made."""
    marked: tuple[Json, ...] = ()
    """`job`, `level`, `flag`, `text` of each limit that the tile of a done job does not keep."""
    before: tuple[Json, ...] = ()
    """The same of the tiles of skipped jobs, by the limits of this run."""

    @property
    def open(self) -> int:
        """Jobs of which nothing final is known."""
        ended = self.done + self.cancelled + len(self.failed) + len(self.blocked)
        return self.planned - ended


def list_runs(store: Store) -> list[Run]:
    """Every run that left anything, oldest first; one listing, and a look at each lease."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in store.list_entries("runs/"):
        _, run_id, *rest = entry.key.split("/")
        if rest:
            found.setdefault(run_id, {})["/".join(rest)] = entry
    return [Run(run_id, objects, is_held(store, objects.get(RUN_LEASE))) for run_id, objects in sorted(found.items())]


def read_progress(store: Store, run: Run) -> Progress:
    """How far a run has come, from its plan and its journal. Raises StoreError where they cannot be read."""
    plan = list(read_plan(store, run.id)) if run.planned else []
    waiting = {line["job"] for line in plan if line["state"] == "run"}
    last: dict[str, Json] = {}
    before: dict[str, Json] = {}
    retried, ended = 0, False
    for name in sorted(name for name in run.objects if name.startswith("journal-")):
        for record in read_lines(store, f"runs/{run.id}/{name}", ("event",)):
            ended = ended or record["event"] == "end"
            if record["event"] == COMMITTED_BEFORE:
                before[record["job_id"]] = record
            if record["event"] == "job" and record["job_id"] in waiting:
                retried += record["status"] == Status.RETRY
                last[record["job_id"]] = record
    counts = Counter(record["status"] for record in last.values())
    named: dict[Status, list[Json]] = {Status.FAILED: [], Status.BLOCKED: []}
    for job_id, record in sorted(last.items()):
        if record["status"] in named:
            one = {"job": job_id, "error": record["error"], "cause": record["cause"]}
            named[Status(record["status"])].append(one)
    return Progress(
        run=run.id,
        state=_state(run, ended=ended),
        owner=read_owner(store, run.objects.get(RUN_LEASE)),
        planned=len(waiting),
        skipped=dict(Counter(line["state"] for line in plan if line["state"] != "run")),
        done=counts[Status.DONE],
        cancelled=counts[Status.CANCELLED],
        failed=tuple(named[Status.FAILED]),
        blocked=tuple(named[Status.BLOCKED]),
        retried=retried,
        marked=tuple(_marked({job: one for job, one in last.items() if one["status"] == Status.DONE})),
        before=tuple(_marked(before)),
    )


def _marked(records: Mapping[str, Json]) -> Iterator[Json]:
    for job_id, record in sorted(records.items()):
        for one in (record.get("quality") or {}).get("found", ()):
            yield {"job": job_id, **one}


def _state(run: Run, *, ended: bool) -> State:
    if run.finished:
        return State.FINISHED
    if run.live:
        return State.LIVE
    return State.INTERRUPTED if ended else State.DEAD


def planned_fingerprints(store: Store, run: Run) -> set[str]:
    """Everything a run planned, also what it found done. Raises StoreError where the plan cannot be read."""
    return {line["fingerprint"] for line in read_plan(store, run.id)} if run.planned else set()
