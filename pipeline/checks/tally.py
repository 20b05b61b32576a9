"""Findings as they come, batch after batch: the same one is counted, its first examples are kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.checks.result import Example, Finding, shown
from pipeline.config.grades import Severity


@dataclass(frozen=True)
class Rule:
    """One demand: what is looked at, how grave it is where it is not kept, and what it demands."""

    check: str
    where: str
    severity: Severity
    expected: str


@dataclass
class _Counted:
    rule: Rule
    noun: str
    count: int = 0
    of: int = 0
    examples: list[Example] = field(default_factory=list)


class Tally:
    """The findings about one object, in the order in which they first came."""

    def __init__(self, examples: int) -> None:
        self._most = examples
        self._single: list[Finding] = []
        self._counted: dict[Rule, _Counted] = {}

    def note(self, rule: Rule, found: object) -> None:
        """Add a finding about the object, a column, a band as a whole."""
        finding = Finding(rule.check, rule.where, rule.severity, shown(found), rule.expected)
        if finding not in self._single:
            self._single.append(finding)

    def count(self, rule: Rule, noun: str, count: int, examples: Iterable[tuple[str, object]] = ()) -> None:
        """Add so many values that do not keep a rule; what they are called comes into the text: `3 of 7 values`."""
        if not count:
            return
        known = self._counted.setdefault(rule, _Counted(rule, noun))
        known.count += count
        for at, value in examples:
            if len(known.examples) >= self._most:
                break
            known.examples.append(Example(at, shown(value)))

    def take(self, other: Tally) -> None:
        """Add what another noted of the object as a whole."""
        self._single += [finding for finding in other.findings() if finding not in self._single]

    def counted(self, rule: Rule) -> int:
        """How many do not keep a rule so far."""
        return self._counted[rule].count if rule in self._counted else 0

    def total(self, rule: Rule, of: int) -> None:
        """Say how many values were looked at for a rule, where any were counted."""
        if rule in self._counted:
            self._counted[rule].of = of

    def findings(self, looked_at: int = 0) -> tuple[Finding, ...]:
        """All of them; looked_at: how many values a count is of that does not say so itself."""
        return (*self._single, *(_told(each, each.of or looked_at) for each in self._counted.values()))


def _told(each: _Counted, of: int) -> Finding:
    rule = each.rule
    return Finding(
        rule.check,
        rule.where,
        rule.severity,
        f"{each.count:,} of {of:,} {each.noun}",
        rule.expected,
        each.count,
        of,
        tuple(each.examples),
    )
