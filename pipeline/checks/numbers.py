"""What is counted of many numbers, block by block: how many there are, their range, and those that should not be."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.checks.columns import range_words
from pipeline.checks.result import listed
from pipeline.checks.tally import Rule, Tally
from pipeline.config.grades import Bounds, MostShare, Severity, Within
from pipeline.types import Json


class Limits(Protocol):
    """What a section demands of numbers."""

    @property
    def range(self) -> Within | None: ...

    @property
    def severity(self) -> Severity: ...


@dataclass
class Numbers:
    """The numbers of one band or variable."""

    where: str
    limits: Limits
    examples: int
    noun: str
    axes: tuple[str, ...] = ("row", "column")
    _all: int = 0
    _valid: int = 0
    _low: float = math.inf
    _high: float = -math.inf
    _rules: list[tuple[Rule, Bounds]] = field(default_factory=list)
    _allowed: tuple[Rule, NDArray[Any]] | None = None

    def __post_init__(self) -> None:
        graded = self.limits.range.graded(self.limits.severity) if self.limits.range is not None else ()
        self._rules = [(Rule("range", self.where, severity, range_words(pair)), pair) for severity, pair in graded]
        allowed = getattr(self.limits, "values", None)
        if allowed is not None:
            rule = Rule("values", self.where, self.limits.severity, f"one of {listed(_short(allowed))}")
            self._allowed = rule, np.asarray(allowed)

    def add(self, values: NDArray[Any], valid: NDArray[np.bool_], first: tuple[int, ...], tally: Tally) -> None:
        """Look at a block, which begins at the indices `first`; valid: where there is a number."""
        if values.dtype.kind in "fc":
            valid = valid & ~np.isnan(values)
        self._all += values.size
        count = int(np.count_nonzero(valid))
        self._valid += count
        if not count or values.dtype.kind not in "iufb":
            return
        numbers = values[valid]
        self._low, self._high = min(self._low, float(numbers.min())), max(self._high, float(numbers.max()))
        for rule, (low, high) in self._rules:
            bad = np.zeros(values.shape, bool)
            if low is not None:
                bad |= values < low
            if high is not None:
                bad |= values > high
            self._count(rule, bad & valid, values, first, tally)
        if self._allowed is not None:
            rule, allowed = self._allowed
            self._count(rule, ~np.isin(values, allowed) & valid, values, first, tally)

    def end(self, tally: Tally) -> None:
        """Compare what is only known of all of them."""
        rules = [rule for rule, _ in self._rules] + ([self._allowed[0]] if self._allowed else [])
        for rule in rules:
            tally.total(rule, self._valid)
        shares: MostShare | None = getattr(self.limits, "nodata_share", None) or getattr(self.limits, "nulls", None)
        if shares is not None and self._all:
            judge_share(
                Rule("nulls", self.where, self.limits.severity, self.noun),
                shares,
                (self._all - self._valid, self._all),
                tally,
            )

    def facts(self) -> dict[str, Json]:
        """For the result."""
        known = self._high >= self._low
        return {
            "valid": self._valid,
            "of": self._all,
            "min": number(self._low) if known else None,
            "max": number(self._high) if known else None,
        }

    def _count(
        self, rule: Rule, bad: NDArray[np.bool_], values: NDArray[Any], first: tuple[int, ...], tally: Tally
    ) -> None:
        count = int(np.count_nonzero(bad))
        if not count:
            return
        cases = []
        for flat in np.flatnonzero(bad)[: self.examples]:
            place = np.unravel_index(int(flat), bad.shape)
            at = tuple(int(index) + start for index, start in zip(place, first, strict=True))
            told = ", ".join(f"{axis} {index}" for axis, index in zip(self.axes, at, strict=False)) or "the only one"
            cases.append((told, values[place].item()))
        tally.count(rule, self.noun, count, cases)


def judge_share(rule: Rule, limits: MostShare, missing: tuple[int, int], tally: Tally) -> None:
    """Note a share of missing values that is too large, once.

    rule: its `expected` says what they are shares of, its severity that of a limit that does not say it.
    """
    count, of = missing
    broken = limits.broken_by(count / of, rule.severity)
    if broken is not None:
        severity, most = broken
        expected = f"at most {most:.4g} of the {rule.expected} without a value"
        tally.note(Rule(rule.check, rule.where, severity, expected), f"{count / of:.4g} ({count:,} of {of:,})")


@dataclass
class Band:
    """One band of a raster."""

    index: int
    dtype: str
    numbers: Numbers


def number(value: float) -> Json:
    """A number as JSON has it; a text for what JSON has none for."""
    if not math.isfinite(value):
        return str(value)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _short(values: tuple[float, ...]) -> list[str]:
    return [f"{value:.12g}" for value in values]
