"""What a sweep has found: counted, the first of each kind by name, and never more than that in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b

import numpy as np

SHOWN = 100
"""Of each cause, so many are named; and so many notes are kept."""


class Cause(Enum):
    """Why something is to be done that no event asks for any more."""

    EVENT = "its event never came"
    REMOVAL = "it is gone, and no event told so"
    JOB = "it is known, and has neither a job nor a result, as where its rule is new"
    RESULT = "it was done, and its result is gone"
    PLAN = "its run has not made it"


@dataclass(frozen=True)
class Missed:
    """One thing that was missed."""

    cause: Cause
    what: str
    """`s3://BUCKET/KEY`, or the target of a rule."""
    rules: tuple[str, ...]


@dataclass
class Swept:
    """What was looked at, what of that was missed, and what could not be looked at."""

    objects: int = 0
    jobs: int = 0
    """Of the plans of runs, committed or not."""
    counts: Counter[Cause] = field(default_factory=Counter)
    named: list[Missed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    noted: int = 0
    """Notes that there were, kept or not."""
    faults: list[str] = field(default_factory=list)

    def miss(self, cause: Cause, what: str, rules: Iterable[str]) -> None:
        """Count one, and keep its name where it is among the first."""
        self.counts[cause] += 1
        if self.counts[cause] <= SHOWN:
            self.named.append(Missed(cause, what, tuple(rules)))

    def note(self, text: str) -> None:
        """Count one, and keep it where it is among the first."""
        self.noted += 1
        if self.noted <= SHOWN:
            self.notes.append(text)


class Names:
    """A set of texts in eight bytes each: a text that is not in it is taken for one that is once in 10^12."""

    def __init__(self) -> None:
        self._digests = array("Q")
        self._sorted: np.ndarray[tuple[int], np.dtype[np.uint64]] | None = None

    def add(self, name: str) -> None:
        """All names come before the first question."""
        self._digests.append(_digest(name))

    def __contains__(self, name: str) -> bool:
        if self._sorted is None:
            self._sorted = np.sort(np.frombuffer(self._digests, np.uint64)) if self._digests else np.zeros(0, np.uint64)
        place = int(np.searchsorted(self._sorted, np.uint64(_digest(name))))
        return place < len(self._sorted) and int(self._sorted[place]) == _digest(name)


def _digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest())
