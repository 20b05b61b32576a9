"""What a run is likely to take and to cost, and what it took and cost, as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipeline.report.text import size
from pipeline.types import Actual, Estimate, Place, Range, Row

_MINUTE, _HOUR = 60.0, 3600.0
_CENT = 0.005


def render_estimate(estimate: Estimate, budget_usd: float | None = None) -> str:
    """A line for each product and region, one for each cluster, what is not known, and the sum."""
    lines = []
    if estimate.rows:
        lines.append(
            f"{'estimate':<24} {'region':<16} {'jobs':>7} {'tasks':>7} {'to read':>10} {'requests':>9} {'between':>10} "
            f"{'to write':>10} {'peak memory':>12}  time of workers' threads"
        )
    lines += [_line(row) for row in estimate.rows]
    lines += [f"cluster {place.region}: {cluster_line(place)}" for place in estimate.places]
    lines += [f"note: {note}" for note in estimate.notes]
    lines.append(estimate_line(estimate))
    if budget_usd is not None:
        lines += _budget(estimate, budget_usd)
    return "\n".join(lines)


def estimate_line(estimate: Estimate) -> str:
    """Hours and dollars of the whole, and what they are told from."""
    usd = estimate.usd
    parts = (
        f" (clusters {estimate.usd_clusters.mid:.2f}, requests {estimate.usd_requests:.2f}, bytes between regions "
        f"{estimate.usd_egress:.2f})"
    )
    return (
        f"estimate: {_times(estimate.hours * _HOUR)}, {_dollars(usd)}{parts if usd.high >= _CENT else ''}; "
        f"{estimate.basis}"
    )


def _line(row: Row) -> str:
    return (
        f"{row.product:<24} {row.region:<16} {row.jobs:>7} {row.tasks:>7} {size(row.read_bytes):>10} {row.requests:>9} "
        f"{size(row.egress_bytes):>10} {size(row.written_bytes):>10} {size(row.peak_bytes):>12}  {_times(row.job_s)}"
    )


def cluster_line(place: Place) -> str:
    """One cluster: what it is, how long it is needed, what it costs."""
    workers = f"{_many(place.workers, 'worker')} of {_many(place.threads, 'thread')}"
    if place.shards > 1:
        workers += f" in {place.shards} clusters"
    if place.usd is None:
        return f"{place.backend}, {workers}, {_times(place.hours * _HOUR)}, no price: {place.price}"
    machine = f" ({place.machine})" if place.machine and place.backend != "local" else ""
    return f"{place.backend}, {workers}{machine}, {_times(place.hours * _HOUR)}, {_dollars(place.usd)}: {place.price}"


def _budget(estimate: Estimate, budget_usd: float) -> Iterator[str]:
    usd, unpriced = estimate.usd, [place.region for place in estimate.places if place.usd is None]
    if unpriced:
        named = ", ".join(unpriced)
        yield f"warning: run.budget_usd does not count what the clusters of {named} cost: no price is known"
    if usd.mid > budget_usd:
        yield f"warning: that is more than run.budget_usd: {budget_usd:g}; the run will not start"
    elif usd.high > budget_usd:
        yield f"warning: it may come to more than run.budget_usd: {budget_usd:g}; the run is ended near it"


def render_actual(estimate: Estimate, actual: Actual) -> str:
    """What was told before the run beside what it came to."""
    lines = [f"{'estimate against actual':<24} {'told':>30} {'came to':>12} {'actual / told':>14}"]
    told = {(row.product, row.region): row for row in estimate.rows}
    for taken in actual.rows:
        row = told.get((taken.product, taken.region))
        if row is not None and taken.jobs:
            # A run that ended early is compared by what it made.
            lines.append(_beside(taken.product, row.job_s * (taken.jobs / row.jobs), taken.seconds))
    lines.append(_beside("time of the run", estimate.hours * _HOUR, actual.hours * _HOUR))
    usd = estimate.usd
    if usd.mid >= _CENT or actual.usd >= _CENT:
        ratio = f"{actual.usd / usd.mid:.2f}" if usd.mid > 0 else "-"
        lines.append(f"{'dollars':<24} {_dollars(usd):>30} {actual.usd:>8.2f} USD {ratio:>14}")
    return "\n".join(lines)


def _beside(name: str, told: Range, seconds: float) -> str:
    ratio = f"{seconds / told.mid:.2f}" if told.mid > 0 else "-"
    return f"{name:<24} {_times(told):>30} {_time(seconds):>12} {ratio:>14}"


def spending_question(estimate: Estimate, paid_sources: Sequence[str] = ()) -> str | None:
    """What has to be agreed to before money is spent; None where nothing is known to cost.

    paid_sources: those whose requests and bytes are charged to this account.
    """
    usd, parts = estimate.usd, []
    if usd.high >= _CENT:
        parts.append(f"The run is likely to cost {_dollars(usd)}.")
    # Pods and clusters that are there already may cost nothing more; machines of Coiled always do.
    if any(place.usd is None and place.backend == "coiled" for place in estimate.places):
        parts.append("Machines are rented of which no price is known (coiled).")
    if paid_sources:
        names = ", ".join(sorted(paid_sources))
        parts.append(f"Requests to and bytes out of {names} are charged to your account (requester pays).")
    return " ".join(parts) or None


def _dollars(usd: Range) -> str:
    if usd.high < _CENT:
        return "0 USD"
    return f"{usd.mid:.2f} USD ({usd.low:.2f} to {usd.high:.2f})"


def _many(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"


def _times(seconds: Range) -> str:
    return f"{_time(seconds.mid)} ({_time(seconds.low)} to {_time(seconds.high)})"


def _time(seconds: float) -> str:
    """For people: 4.2 s, 3.1 min, 5.6 h."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / _MINUTE:.1f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"
