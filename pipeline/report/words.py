"""Numbers for people: bytes, durations, counts, dollars."""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "\N{EN DASH}"


def size(count: float) -> str:
    """Bytes: 12.3 MB."""
    count = int(count)
    if count < 1000:
        return f"{count} B"
    power = min(4, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.1f} {' kMGT'[power]}B"


def duration(seconds: float) -> str:
    """0.42 s, 12.3 s, 4 min 10 s, 3 h 12 min, 2 d 4 h."""
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    days, hours = divmod(round(seconds / 3600), 24)
    return f"{days} d {hours} h"


def count(number: int, one: str, many: str = "") -> str:
    """1 job, 2,000 jobs."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def dollars(usd: float | None) -> str:
    """US dollars, to the cent below a thousand; an en dash where nobody knows."""
    if usd is None:
        return UNKNOWN
    if 0 < usd < 0.01:
        return "< $0.01"
    return f"${usd:,.2f}" if usd < 1000 else f"${usd:,.0f}"


def share(part: float, whole: float) -> str:
    """Per cent; never 100 % nor 0 % of what is not all or nothing."""
    if not whole:
        return UNKNOWN
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %" if percent not in {0, 100} else f"{percent:.0f} %"


def moment(time_s: float) -> str:
    """UTC to the second; an en dash for a time that was not written down."""
    return f"{datetime.fromtimestamp(time_s, UTC):%Y-%m-%d %H:%M:%S} UTC" if time_s else UNKNOWN
