"""The estimate that was stored before a run against what it came to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from html import escape

from pipeline.report.page_table import table
from pipeline.report.words import UNKNOWN, dollars, duration, share, size
from pipeline.types import Json
from pipeline.types.account import Account

_WIDTH = 320


def cost(account: Account) -> str:
    """Dollars, hours and bytes: a bar from low to high, a mark where it came out; then each product."""
    estimate, actual = account.estimate or {}, account.actual or {}
    if not estimate and not actual:
        return '<p class="none">This run wrote down neither an estimate nor what it came to.</p>'
    lines = [_line(name, told, estimate.get(key), actual.get(key)) for name, key, told in _WHOLE]
    parts = [f'<div class="ranges">{"".join(line for line in lines if line)}</div>']
    parts += [_spent(actual), _products(estimate, actual)]
    if estimate.get("basis"):
        parts.append(f'<p class="note">Estimate: {escape(str(estimate["basis"]))}.</p>')
    parts += [f'<p class="note">{escape(str(note))}</p>' for note in estimate.get("notes") or ()]
    return "".join(parts)


def _hours(value: float) -> str:
    return duration(value * 3600)


_WHOLE: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("Dollars", "usd", dollars),
    ("Wall time", "hours", _hours),
)


def _line(name: str, told: Callable[[float], str], expected: Json, came: Json) -> str:
    """One measure as a picture: its scale begins at 0."""
    low, mid, high = (_number(expected, key) for key in ("low", "mid", "high"))
    found = float(came) if isinstance(came, int | float) else None
    if mid is None and found is None:
        return ""
    top = max(value for value in (high, mid, found, 1e-12) if value is not None) * 1.08
    marks = []
    if low is not None and high is not None:
        x, width = low / top * _WIDTH, max(2.0, (high - low) / top * _WIDTH)
        marks.append(f'<rect class="span" x="{x:.1f}" y="8" width="{width:.1f}" height="12" rx="3"/>')
    if mid is not None:
        marks.append(f'<line class="mid" x1="{mid / top * _WIDTH:.1f}" x2="{mid / top * _WIDTH:.1f}" y1="5" y2="23"/>')
    if found is not None:
        marks.append(f'<circle class="came" cx="{found / top * _WIDTH:.1f}" cy="14" r="5.5"/>')
    between = f" ({told(low)} to {told(high)})" if low is not None and high is not None else ""
    expects = f"estimated {told(mid)}{between}" if mid is not None else "not estimated"
    came_to = f"came to {told(found)}" if found is not None else "not written down"
    off = f", {_off(found, mid)}" if found is not None and mid else ""
    text = escape(f"{expects}; {came_to}{off}")
    picture = f'<svg viewBox="0 0 {_WIDTH} 28" role="img" aria-label="{escape(name)}: {text}">'
    base = f'<line class="base" x1="0" x2="{_WIDTH}" y1="14" y2="14"/>'
    return f'<div class="range"><b>{escape(name)}</b>{picture}{base}{"".join(marks)}</svg><span>{text}</span></div>'


def _number(document: Json, key: str) -> float | None:
    value = document.get(key) if isinstance(document, dict) else None
    return float(value) if isinstance(value, int | float) else None


def _off(found: float, mid: float) -> str:
    percent = (found / mid - 1) * 100
    return f"{percent:+.0f} %" if abs(percent) >= 0.5 else "0 %"


def _spent(actual: Mapping[str, Json]) -> str:
    """What the dollars went to, and each region's worker-hours."""
    usd, regions = actual.get("usd"), actual.get("regions") or ()
    priced = [one["usd"] for one in regions if one.get("usd") is not None]
    kinds = (("clusters", sum(priced)), ("requests", actual.get("usd_requests")), ("egress", actual.get("usd_egress")))
    parts = []
    if usd:
        rows = [(name, dollars(value), share(value, usd)) for name, value in kinds if value is not None]
        parts.append(table(("spent on", "dollars", "share"), rows, numbers=(1, 2), name="Where the dollars went"))
    if regions:
        each = [_region(one) for one in sorted(regions, key=lambda one: str(one.get("region")))]
        head = ("region", "backend", "machine", "open", "workers' time", "dollars")
        parts.append(table(head, each, numbers=(3, 4, 5), name="By region"))
    return "".join(parts)


def _region(one: Mapping[str, Json]) -> tuple[str, ...]:
    hours = (_hours(one.get(key) or 0) for key in ("hours", "worker_hours"))
    named = (str(one.get(key) or UNKNOWN) for key in ("region", "backend", "machine"))
    return (*named, *hours, dollars(one.get("usd")))


def _products(estimate: Mapping[str, Json], actual: Mapping[str, Json]) -> str:
    """Seconds a job and bytes, by product and region."""
    expected = {(row.get("product"), row.get("region")): row for row in estimate.get("rows") or ()}
    came = {(row.get("product"), row.get("region")): row for row in actual.get("rows") or ()}
    rows = list(_compared(expected, came))
    if not rows:
        return ""
    head = ("product", "region", "jobs", "a job, estimated", "took", "", "read, estimated", "came to", "")
    return table(head, rows, numbers=range(2, 9), name="By product")


def _compared(
    expected: Mapping[tuple[Json, Json], Json], came: Mapping[tuple[Json, Json], Json]
) -> Iterator[tuple[str, ...]]:
    nothing: defaultdict[str, Json] = defaultdict(lambda: None)
    for key in sorted({*expected, *came}, key=str):
        before, after = expected.get(key, nothing), came.get(key, nothing)
        jobs = after.get("jobs") or 0
        all_s, expected_jobs = _number(before.get("job_s"), "mid"), before.get("jobs")
        job_s = all_s / expected_jobs if all_s is not None and expected_jobs else None
        took = (after.get("seconds") or 0) / jobs if jobs else None
        thought, read = before.get("read_bytes"), after.get("read_bytes")
        yield (
            str(key[0]),
            str(key[1]),
            f"{jobs or before.get('jobs') or 0:,}",
            duration(job_s) if job_s is not None else UNKNOWN,
            duration(took) if took is not None else UNKNOWN,
            _off(took, job_s) if took is not None and job_s else "",
            size(thought) if thought is not None else UNKNOWN,
            size(read) if jobs and read is not None else UNKNOWN,
            _off(read, thought) if jobs and read is not None and thought else "",
        )
