"""What became of runs, from the output alone: any machine can follow a run, and tell a live one from a dead one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from pipeline.execute.records.lease import RUN_LEASE, is_held
from pipeline.execute.records.runs import FINISHED, read_plan
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


def list_runs(store: Store) -> list[Run]:
    """Every run that left anything, oldest first; one listing, and a look at each lease."""
    found: dict[str, dict[str, Entry]] = {}
    for entry in store.list_entries("runs/"):
        _, run_id, *rest = entry.key.split("/")
        if rest:
            found.setdefault(run_id, {})["/".join(rest)] = entry
    return [Run(run_id, objects, is_held(store, objects.get(RUN_LEASE))) for run_id, objects in sorted(found.items())]


def planned_fingerprints(store: Store, run: Run) -> set[str]:
    """Everything a run planned, also what it found done. Raises StoreError where the plan cannot be read."""
    return {line["fingerprint"] for line in read_plan(store, run.id)} if run.planned else set()
