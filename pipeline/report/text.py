"""Plan and result as plain text."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from types import MappingProxyType

from pipeline.report.words import size
from pipeline.types import Job, Outcome, Plan, Quality, Status
from pipeline.types.causes import Causes

__all__ = ["render_plan", "render_summary", "size"]
_SHOWN = 10


def render_plan(plan: Plan) -> str:
    """Jobs per product, region and period with what they read; what is skipped and why; what was noticed.

    Where jobs are made from what lies in another region, also how much of it has to cross.
    """
    rows: dict[tuple[str, str, str], _Row] = {}
    for job in plan.jobs:  # made anew at each access: looked at once, and not kept
        rows.setdefault((job.product, job.region, job.period.id), _Row()).add(job)
    crossing = sum(row.crossing_bytes for row in rows.values())
    lines = []
    if rows:
        head = f"{'product':<24} {'region':<16} {'period':<24} {'jobs':>6} {'to read':>10} {'peak memory':>12}"
        lines.append(f"{head} {'crossing':>10}" if crossing else head)
    for (product, region, period), row in sorted(rows.items()):
        sizes = f"{size(row.read_bytes):>10} {size(row.peak_bytes):>12}"
        line = f"{product:<24} {region:<16} {period:<24} {row.jobs:>6} {sizes}"
        lines.append(f"{line} {size(row.crossing_bytes):>10}" if crossing else line)
    for reason, count in sorted(Counter(skip.reason for skip in plan.skipped).items()):
        lines.append(f"skipped: {count} jobs, {reason}")
    lines += [f"note: {note}" for note in _some(plan.notes)]
    if crossing:
        lines.append(f"between regions: {size(crossing)}")
    lines.append(f"plan: {len(plan.jobs)} jobs to run, {len(plan.skipped)} skipped")
    return "\n".join(lines)


@dataclass
class _Row:
    """Sums of the jobs of one product, region and period."""

    jobs: int = 0
    read_bytes: int = 0
    peak_bytes: int = 0
    crossing_bytes: int = 0

    def add(self, job: Job) -> None:
        self.jobs += 1
        self.read_bytes += job.read_bytes
        self.peak_bytes = max(self.peak_bytes, job.memory.peak_bytes)
        self.crossing_bytes += job.crossing_bytes


def render_summary(
    outcomes: Iterable[Outcome], skipped: int, seconds: float, before: Mapping[str, Quality] = MappingProxyType({})
) -> str:
    """What became of every job: counts, failures by cause, losses by name, tiles by quality flag; one pass.

    before: by job id, the quality of skipped jobs' tiles by the limits of today.
    """
    counts, written = Counter[Status](), 0
    losses, warnings = _First(), _First()
    made: dict[str, Quality] = {}
    each: dict[str, array[float]] = {}
    failures = {status: _Alike(str(status)) for status in (Status.FAILED, Status.BLOCKED)}
    for one in outcomes:
        counts[one.status] += 1
        written += one.written_bytes
        for text in one.warnings:
            warnings.add(f"warning: {one.job_id}: {text}")
        if one.status in failures:
            failures[one.status].add(one)
        if one.status is Status.DONE:
            for loss in one.losses:
                losses.add(f"warning: {one.job_id}: lost {loss.item}/{loss.asset} ({loss.href}): {loss.cause}")
            if one.quality is not None and one.quality.found:
                made[one.job_id] = one.quality
            each.setdefault(one.job_id.partition("/")[0], array("d")).append(one.seconds)
    claimed = f"{counts[Status.CLAIMED]} left to another run, " if counts[Status.CLAIMED] else ""
    blocked = f"{counts[Status.BLOCKED]} blocked, " if counts[Status.BLOCKED] else ""
    ended = f"{counts[Status.DONE]} done, {skipped} skipped, {counts[Status.FAILED]} failed, {blocked}{claimed}"
    return "\n".join([
        *losses.lines(),
        *warnings.lines(),
        *_by_flag("quality", made),
        *_by_flag("quality of what was committed before", before),
        *(line for alike in failures.values() for line in alike.lines()),
        *_durations(each),
        f"{ended}{counts[Status.CANCELLED]} not started; {size(written)} written in {seconds:.1f} s",
    ])  # fmt: skip


class _First:
    """The first ten of many lines; the report and the journal have them all."""

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._count = 0

    def add(self, line: str) -> None:
        self._count += 1
        if self._count <= _SHOWN:
            self._kept.append(line)

    def lines(self) -> Iterator[str]:
        yield from self._kept
        if self._count > _SHOWN:
            yield f"... and {self._count - _SHOWN} more; the report under runs/ has all of them"


class _Alike:
    """Failures by cause: up to three of a cause are told one by one, more of them by their number and an example."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._causes = Causes()
        self._messages: dict[str, str] = {}

    def add(self, one: Outcome) -> None:
        key = self._causes.add(one.job_id, one.error, one.cause)
        if one.job_id in self._causes.named(key):
            self._messages[one.job_id] = f"{one.error}: {one.cause}"

    def lines(self) -> Iterator[str]:
        groups = self._causes.groups()
        for group in groups[:_SHOWN]:
            if group.count <= len(group.jobs):
                yield from (f"{self._word}: {job}: {self._messages[job]}" for job in group.jobs)
            else:
                yield f"{self._word}: {group.count} jobs: {group.error}: {group.example}"
                yield f"    {', '.join(group.jobs)} and {group.count - len(group.jobs)} more"
        if len(groups) > _SHOWN:
            rest = sum(group.count for group in groups[_SHOWN:])
            yield f"... and {rest} jobs more of {len(groups) - _SHOWN} causes; the report under runs/ has all of them"


def _by_flag(what: str, found: Mapping[str, Quality]) -> Iterator[str]:
    """The tiles of each flag, those that fail and those that only warn apart."""
    jobs: dict[tuple[str, str], list[str]] = {}
    for job_id, quality in sorted(found.items()):
        for level, flag in {(one.level, one.flag) for one in quality.found}:
            jobs.setdefault((level, flag), []).append(job_id)
    for (level, flag), named in sorted(jobs.items()):
        shown = ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else "")
        yield f"{what}: {level}: {flag}: {len(named)} tiles: {shown}"


def _durations(done: Mapping[str, array[float]]) -> Iterator[str]:
    """How long the jobs of each product took."""
    if done:
        yield f"{'product':<24} {'jobs':>6} {'median':>10} {'total':>10}"
    for product, each in sorted(done.items()):
        yield f"{product:<24} {len(each):>6} {median(each):>8.2f} s {sum(each):>8.1f} s"


def _some(lines: Sequence[str]) -> Iterator[str]:
    """The first ten; the report and the journal have them all."""
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"... and {len(lines) - _SHOWN} more; the journal under runs/ has all of them"
