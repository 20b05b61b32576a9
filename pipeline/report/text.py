"""Plan and result as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from types import MappingProxyType

from pipeline.types import Job, Outcome, Plan, Quality, Status

_SHOWN = 10


def render_plan(plan: Plan) -> str:
    """Jobs per product, region and period with what they read; what is skipped and why; what was noticed.

    Where jobs are made from what lies in another region, also how much of it has to cross.
    """
    lines = []
    rows: dict[tuple[str, str, str], list[Job]] = {}
    for job in plan.jobs:
        rows.setdefault((job.product, job.region, job.period.id), []).append(job)
    crossing = any(job.crossing_bytes for job in plan.jobs)
    if rows:
        head = f"{'product':<24} {'region':<16} {'period':<24} {'jobs':>6} {'to read':>10} {'peak memory':>12}"
        lines.append(f"{head} {'crossing':>10}" if crossing else head)
    for (product, region, period), jobs in sorted(rows.items()):
        read, peak = sum(job.read_bytes for job in jobs), max(job.memory.peak_bytes for job in jobs)
        row = f"{product:<24} {region:<16} {period:<24} {len(jobs):>6} {size(read):>10} {size(peak):>12}"
        lines.append(f"{row} {size(sum(job.crossing_bytes for job in jobs)):>10}" if crossing else row)
    for reason, count in sorted(Counter(skip.reason for skip in plan.skipped).items()):
        lines.append(f"skipped: {count} jobs, {reason}")
    lines += [f"note: {note}" for note in _some(plan.notes)]
    if crossing:
        lines.append(f"between regions: {size(sum(job.crossing_bytes for job in plan.jobs))}")
    lines.append(f"plan: {len(plan.jobs)} jobs to run, {len(plan.skipped)} skipped")
    return "\n".join(lines)


def render_summary(
    outcomes: Sequence[Outcome], skipped: int, seconds: float, before: Mapping[str, Quality] = MappingProxyType({})
) -> str:
    """What became of every job: counts, every failure with its cause, every loss by name, tiles by quality flag.

    before: by job id, the quality of skipped jobs' tiles by the limits of today.
    """
    counts = Counter(outcome.status for outcome in outcomes)
    lines: list[str] = []
    losses = [(outcome, loss) for outcome in outcomes if outcome.status is Status.DONE for loss in outcome.losses]
    lines += _some(
        [f"warning: {one.job_id}: lost {loss.item}/{loss.asset} ({loss.href}): {loss.cause}" for one, loss in losses]
    )
    lines += _some([f"warning: {one.job_id}: {text}" for one in outcomes for text in one.warnings])
    made = {one.job_id: one.quality for one in outcomes if one.status is Status.DONE and one.quality is not None}
    lines += _by_flag("quality", made)
    lines += _by_flag("quality of what was committed before", before)
    for status in (Status.FAILED, Status.BLOCKED):
        lines += _some(
            [f"{status}: {one.job_id}: {one.error}: {one.cause}" for one in outcomes if one.status is status]
        )
    lines += _durations([one for one in outcomes if one.status is Status.DONE])
    written = sum(outcome.written_bytes for outcome in outcomes)
    blocked = f"{counts[Status.BLOCKED]} blocked, " if counts[Status.BLOCKED] else ""
    lines.append(
        f"{counts[Status.DONE]} done, {skipped} skipped, {counts[Status.FAILED]} failed, {blocked}"
        f"{counts[Status.CANCELLED]} not started; {size(written)} written in {seconds:.1f} s"
    )
    return "\n".join(lines)


def _by_flag(what: str, found: Mapping[str, Quality]) -> Iterator[str]:
    """The tiles of each flag, those that fail and those that only warn apart."""
    jobs: dict[tuple[str, str], list[str]] = {}
    for job_id, quality in sorted(found.items()):
        for level, flag in {(one.level, one.flag) for one in quality.found}:
            jobs.setdefault((level, flag), []).append(job_id)
    for (level, flag), named in sorted(jobs.items()):
        shown = ", ".join(named[:_SHOWN]) + (f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else "")
        yield f"{what}: {level}: {flag}: {len(named)} tiles: {shown}"


def _durations(done: Sequence[Outcome]) -> Iterator[str]:
    """How long the jobs of each product took."""
    if done:
        yield f"{'product':<24} {'jobs':>6} {'median':>10} {'total':>10}"
    products = sorted({one.job_id.partition("/")[0] for one in done})
    for product in products:
        each = [one.seconds for one in done if one.job_id.partition("/")[0] == product]
        yield f"{product:<24} {len(each):>6} {median(each):>8.2f} s {sum(each):>8.1f} s"


def size(count: int) -> str:
    """Bytes for people: 12.3 MB."""
    if count < 1000:
        return f"{count} B"
    power = min(4, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.1f} {' kMGT'[power]}B"


def _some(lines: Sequence[str]) -> Iterator[str]:
    """The first ten; the report and the journal have them all."""
    yield from lines[:_SHOWN]
    if len(lines) > _SHOWN:
        yield f"... and {len(lines) - _SHOWN} more; the journal under runs/ has all of them"
