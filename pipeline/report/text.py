"""Plan and result as plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline.types import Outcome, Plan, Status

_SHOWN = 10


def render_plan(plan: Plan) -> str:
    """Jobs per product, region and period with what they read; what is skipped and why; what was noticed."""
    lines = []
    rows = Counter((job.product, job.region, job.period.id) for job in plan.jobs)
    if rows:
        lines.append(f"{'product':<24} {'region':<16} {'period':<24} {'jobs':>6} {'to read':>10} {'peak memory':>12}")
    for (product, region, period), count in sorted(rows.items()):
        jobs = [job for job in plan.jobs if (job.product, job.region, job.period.id) == (product, region, period)]
        read, peak = sum(job.read_bytes for job in jobs), max(job.memory.peak_bytes for job in jobs)
        lines.append(f"{product:<24} {region:<16} {period:<24} {count:>6} {size(read):>10} {size(peak):>12}")
    for reason, count in sorted(Counter(skip.reason for skip in plan.skipped).items()):
        lines.append(f"skipped: {count} jobs, {reason}")
    lines += [f"note: {note}" for note in _some(plan.notes)]
    lines.append(f"plan: {len(plan.jobs)} jobs to run, {len(plan.skipped)} skipped")
    return "\n".join(lines)


def render_summary(outcomes: Sequence[Outcome], skipped: int, seconds: float) -> str:
    """What became of every job: counts, every failure with its cause, every loss by name."""
    counts = Counter(outcome.status for outcome in outcomes)
    lines: list[str] = []
    losses = [(outcome, loss) for outcome in outcomes if outcome.status is Status.DONE for loss in outcome.losses]
    lines += _some(
        [f"warning: {one.job_id}: lost {loss.item}/{loss.asset} ({loss.href}): {loss.cause}" for one, loss in losses]
    )
    lines += _some([f"warning: {one.job_id}: {text}" for one in outcomes for text in one.warnings])
    lines += _some(
        [f"failed: {one.job_id}: {one.error}: {one.cause}" for one in outcomes if one.status is Status.FAILED]
    )
    written = sum(outcome.written_bytes for outcome in outcomes)
    lines.append(
        f"{counts[Status.DONE]} done, {skipped} skipped, {counts[Status.FAILED]} failed, "
        f"{counts[Status.CANCELLED]} not started; {size(written)} written in {seconds:.1f} s"
    )
    return "\n".join(lines)


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
