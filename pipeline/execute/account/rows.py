"""Jobs of an account: rows of the plan, and what the journal says of each."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Json, Status
from pipeline.types.account import (
    BLOCKED,
    CANCELLED,
    CLAIMED,
    DONE,
    FAILED,
    NONE,
    OPEN,
    SKIPPED,
    VERDICTS,
    Flag,
    Jobs,
    Lost,
)
from pipeline.types.causes import Cause, Causes, shape_of

MOST_FLAGS = 32
MOST_LOST = 500
NAMED = 3
_STATES = {
    Status.DONE: DONE,
    Status.FAILED: FAILED,
    Status.BLOCKED: BLOCKED,
    Status.CANCELLED: CANCELLED,
    Status.CLAIMED: CLAIMED,
    Status.RETRY: OPEN,
}
_NOWHERE = (math.nan,) * 4
_MOST = {"attempts": 2**16 - 1, "store_retries": 2**32 - 1}
"""What a column holds."""


class Names:
    """Words in the order in which they came, each by its number."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.words: list[str] = []

    def number(self, word: str) -> int:
        found = self._numbers.setdefault(word, len(self.words))
        if found == len(self.words):
            self.words.append(word)
        return found


class Planned:
    """The rows of a plan, as they are read."""

    def __init__(self) -> None:
        self.product, self.period, self.region = array("H"), array("H"), array("H")
        self.tile, self.state, self.read_bytes = array("I"), array("B"), array("q")
        self.bounds = array("d")
        self.products, self.tiles, self.periods, self.regions = Names(), Names(), Names(), Names()
        self.fingerprints: list[str] = []
        self.rows: dict[str, int] = {}
        self.reasons: Counter[str] = Counter()

    def add(self, line: Json) -> None:
        """Take one line of the plan in; a job that was planned twice keeps its first line."""
        job_id = line["job"]
        if job_id in self.rows:
            return
        self.rows[job_id] = len(self.state)
        product, _, rest = job_id.partition("/")
        tile, _, period = rest.rpartition("/")
        self.product.append(self.products.number(product))
        self.period.append(self.periods.number(period))
        self.region.append(self.regions.number(line.get("region") or ""))
        number, bounds = self.tiles.number(tile), line.get("bbox")
        if number * 4 == len(self.bounds):
            self.bounds.extend(_NOWHERE)
        if bounds:
            self.bounds[number * 4 : number * 4 + 4] = array("d", bounds)
        self.tile.append(number)
        self.read_bytes.append(line.get("read_bytes") or 0)
        self.fingerprints.append(line["fingerprint"])
        waits = line["state"] == "run"
        self.state.append(OPEN if waits else SKIPPED)
        if not waits:
            self.reasons[line["state"]] += 1


class Ended:
    """What the journal says of the jobs of a plan; the last word on each counts."""

    def __init__(self, planned: Planned) -> None:
        count = len(planned.state)
        self._planned = planned
        self._state = np.frombuffer(planned.state, dtype=np.uint8).copy()
        self._region = np.frombuffer(planned.region, dtype=np.uint16).copy()
        self._worker = np.full(count, NONE, dtype=np.uint16)
        self._numbers: dict[str, NDArray[Any]] = {
            "begun_s": np.zeros(count),
            "seconds": np.zeros(count, dtype=np.float32),
            "read_bytes": np.zeros(count, dtype=np.int64),
            "written_bytes": np.zeros(count, dtype=np.int64),
            "attempts": np.zeros(count, dtype=np.uint16),
            "store_retries": np.zeros(count, dtype=np.uint32),
        }
        self._losses = np.zeros(count, dtype=np.uint16)
        self._verdict = np.zeros(count, dtype=np.uint8)
        self._bits = np.zeros(count, dtype=np.uint32)
        self._workers = Names()
        self._marks: dict[tuple[str, str], list[Any]] = {}
        self._lost: dict[tuple[str, str, str], list[Any]] = {}
        self.messages: dict[int, str] = {}
        self.failures: dict[int, tuple[str, str]] = {}
        self.repeated, self.warnings = Causes(), Causes()

    def add(self, record: Json) -> None:
        """Take one record of an attempt, or of a skipped job's quality, in; of jobs that were not planned nothing."""
        row = self._planned.rows.get(record["job_id"])
        if row is None:
            return
        self._judge(row, record)
        if record["event"] != "job":
            return
        status = Status(record["status"])
        self._state[row] = _STATES[status]
        for name, column in self._numbers.items():
            column[row] = min(record.get(name) or 0, _MOST.get(name, math.inf))
        if not record.get("begun_s") and record.get("seconds"):
            self._numbers["begun_s"][row] = record["time"] - record["seconds"]
        if record.get("worker"):
            self._worker[row] = min(self._workers.number(record["worker"]), NONE)
        if record.get("region"):
            self._region[row] = self._planned.regions.number(record["region"])
        self._cause(row, record, status)
        if status is Status.DONE:
            self._inputs(row, record)

    def _cause(self, row: int, record: Json, status: Status) -> None:
        told = (record.get("error") or "", record.get("cause") or "")
        if status is Status.RETRY:
            self.repeated.add(record["job_id"], *told)
        if status in {Status.FAILED, Status.BLOCKED}:
            self.failures[row], self.messages[row] = told, f"{told[0]}: {told[1]}"
        else:
            self.failures.pop(row, None)
            self.messages.pop(row, None)

    def _judge(self, row: int, record: Json) -> None:
        quality = record.get("quality") or {}
        status = quality.get("status")
        self._verdict[row] = VERDICTS.index(status) if status in VERDICTS else 0
        self._bits[row] = 0
        for one in quality.get("found") or ():
            mark = self._marks.setdefault((one["flag"], one["level"]), [len(self._marks), one["text"]])
            if mark[0] < MOST_FLAGS:
                self._bits[row] |= np.uint32(1 << mark[0])

    def _inputs(self, row: int, record: Json) -> None:
        losses = record.get("losses") or ()
        self._losses[row] = min(len(losses), NONE)
        for one in losses:
            key = (one["asset"], one["error"], shape_of(one["cause"]))
            if key not in self._lost and len(self._lost) >= MOST_LOST:
                key = ("", "further causes", "")
            found = self._lost.setdefault(key, [0, f"{one['item']}: {one['href']}: {one['cause']}"])
            found[0] += 1
        for text in record.get("warnings") or ():
            self.warnings.add(record["job_id"], "warning", text)

    def flags(self) -> tuple[Flag, ...]:
        """Limits that are not kept, in the order of their bits."""
        made = []
        for (flag, level), (bit, text) in self._marks.items():
            rows = np.flatnonzero(self._bits & np.uint32(1 << bit)) if bit < MOST_FLAGS else np.empty(0, np.intp)
            named = tuple(self._id(int(row)) for row in rows[:NAMED])
            made.append(Flag(flag, level, len(rows), text, named))
        return tuple(made)

    def lost(self) -> tuple[Lost, ...]:
        """Inputs that could not be read, most first."""
        order = sorted(self._lost.items(), key=lambda one: (-one[1][0], one[0]))
        return tuple(Lost(*key, count, example) for key, (count, example) in order)

    def columns(self) -> tuple[Jobs, tuple[Cause, ...]]:
        """All rows, and the causes that their failures point into."""
        plan = self._planned
        column = np.full(len(self._state), NONE, dtype=np.uint16)
        causes = (*self._grouped(FAILED, column, 0),)
        causes = (*causes, *self._grouped(BLOCKED, column, len(causes)))
        jobs = Jobs(
            product=np.frombuffer(plan.product, dtype=np.uint16),
            tile=np.frombuffer(plan.tile, dtype=np.uint32),
            period=np.frombuffer(plan.period, dtype=np.uint16),
            region=self._region,
            worker=self._worker,
            state=self._state,
            cause=column,
            verdict=self._verdict,
            flags=self._bits,
            planned_bytes=np.frombuffer(plan.read_bytes, dtype=np.int64),
            losses=self._losses,
            products=tuple(plan.products.words),
            tiles=tuple(plan.tiles.words),
            periods=tuple(plan.periods.words),
            regions=tuple(plan.regions.words),
            workers=tuple(self._workers.words),
            bounds=np.frombuffer(plan.bounds, dtype=np.float64).reshape(-1, 4),
            fingerprints=tuple(plan.fingerprints),
            **self._numbers,
        )
        return jobs, causes

    def _grouped(self, state: int, column: NDArray[np.uint16], first: int) -> Iterator[Cause]:
        """Causes of the jobs of a state, numbered from `first`; the column takes the number of each job's."""
        causes = Causes()
        rows = [row for row in self.failures if self._state[row] == state]
        keys = [causes.add(self._id(row), *self.failures[row]) for row in rows]
        numbers = causes.numbers()
        column[rows] = [first + numbers[key] for key in keys]
        return (replace(one, number=first + one.number) for one in causes.groups())

    def _id(self, row: int) -> str:
        plan = self._planned
        parts = (plan.products.words, plan.product), (plan.tiles.words, plan.tile), (plan.periods.words, plan.period)
        return "/".join(names[column[row]] for names, column in parts)
