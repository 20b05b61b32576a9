"""The last word on each job of a run, kept on disk, and what it adds up to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pipeline.execute.listen import Silent
from pipeline.types import Outcome, Status
from pipeline.types.spooled import Spooled


class Outcomes(Silent):
    """A listener that keeps the last outcome of each job, however many there are, in little memory."""

    def __init__(self) -> None:
        self.counts = Counter[Status]()
        """Jobs by what became of them."""
        self.quality = Counter[str]()
        """Tiles that were finished, by how they compare with the limits; one that fails by them is not committed."""
        self.made = set[str]()
        """Products of which a job was done."""
        self._final = Spooled[Outcome]()
        self._claimed: dict[str, Outcome] = {}

    def ended(self, outcome: Outcome) -> None:
        if outcome.status is Status.CLAIMED:
            self._claimed[outcome.job_id] = outcome
        elif outcome.status is not Status.RETRY:
            self._claimed.pop(outcome.job_id, None)
            self._keep(outcome)

    def all(self) -> Sequence[Outcome]:
        """Every job once; to be called when all is over."""
        for outcome in self._claimed.values():
            self._keep(outcome)
        self._claimed.clear()
        return self._final

    def _keep(self, outcome: Outcome) -> None:
        self.counts[outcome.status] += 1
        if outcome.status is Status.DONE:
            self.made.add(outcome.job_id.partition("/")[0])
        if outcome.quality is not None:
            self.quality[outcome.quality.status] += 1
        self._final.append(outcome)
