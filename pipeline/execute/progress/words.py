"""How far a run is, in words: one line for logs, a table with bars for terminals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.execute.records.tally import Row, View

if TYPE_CHECKING:
    from rich.console import ConsoleDimensions, RenderableType
    from rich.table import Table
    from rich.text import Text

_WIDE, _MIDDLE = 136, 90
"""Columns of a terminal from which on there is room for bytes, and for longer bars."""


def line_of(view: View) -> str:
    """All of it on one line: `eu-central-1 dem 3/9, 1 failed, 0.2/s, 30 s left; …`."""
    parts = [
        ", ".join([f"{row.region} {row.product} {row.ended}/{row.total}", *_notes(row), *_pace(row)])
        for row in view.rows
    ]
    return "; ".join([*parts, ", ".join(_whole(view))])


def table_of(view: View, elapsed_s: float, room: ConsoleDimensions) -> Table:
    """A bar for each region and product, as many as there is room for, those with open jobs first; then all of it."""
    from rich.table import Table  # noqa: PLC0415 (only where there is a terminal)

    most = max(1, room.height - 3)
    shown = sorted(view.rows, key=lambda row: not row.open)[:most]
    table = Table.grid(padding=(0, 1), expand=False)
    rows = [_cells(row, room.width) for row in view.rows if row in shown]
    for column in range(max(map(len, rows), default=0)):
        # Names and counts are never cut for what stands behind them.
        least = max(len(str(row[column])) for row in rows) if column in {0, 1, 3} else None
        numbers = column in ({3, 4, 5} if room.width >= _MIDDLE else {3})
        table.add_column(no_wrap=True, overflow="ellipsis", justify="right" if numbers else "left", min_width=least)
    for row in rows:
        table.add_row(*row)
    hidden = len(view.rows) - len(shown)
    outer = Table.grid()
    outer.add_column(no_wrap=True, overflow="ellipsis")
    outer.add_row(table)
    more = [f"and {hidden} rows more"] if hidden > 0 else []
    outer.add_row(_styled(" · ".join([*more, *_whole(view), f"after {span(elapsed_s)}"]), "dim"))
    return outer


def _cells(row: Row, width: int) -> list[RenderableType]:
    """As many as there is room for."""
    from rich.progress_bar import ProgressBar  # noqa: PLC0415 (only where there is a terminal)

    bar = ProgressBar(
        max(1, row.total), row.ended if row.total else 1, width=30 if width >= _WIDE else 16 if width >= _MIDDLE else 10
    )
    pace = [
        rate(row.rate_per_s) if row.open and row.rate_per_s else "",
        f"{span(row.eta_s)} left" if row.open and row.eta_s is not None else "",
    ]
    notes = _styled(", ".join(_notes(row)), "red" if row.failed or row.blocked else "")
    read = f"{size(row.read_bytes)} read, {size(row.written_bytes)} written" if row.read_bytes else ""
    cells: list[RenderableType] = [row.region, row.product, bar, f"{row.ended:,}/{row.total:,}"]
    return [*cells, *(pace if width >= _MIDDLE else []), notes, *([read] if width >= _WIDE else [])]


def rows_of(view: View) -> Iterator[str]:
    """The same as plain lines in columns, for a page that nobody draws on."""
    region, product = (max((len(getattr(row, name)) for row in view.rows), default=0) for name in ("region", "product"))
    for row in view.rows:
        told = [f"{row.ended:,}/{row.total:,}", *_notes(row), *_pace(row)]
        told += [f"{size(row.read_bytes)} read, {size(row.written_bytes)} written"] if row.read_bytes else []
        yield f"  {row.region:<{region}}  {row.product:<{product}}  {', '.join(told)}"
    if whole := _whole(view):
        yield f"  {', '.join(whole)}"


def size(count: int) -> str:
    """Bytes for people: 12.3 MB."""
    power = min(5, (len(str(count)) - 1) // 3)
    return f"{count / 1000**power:.1f} {'kMGTP'[power - 1]}B" if power else f"{count} B"


def span(seconds: float | None) -> str:
    """A time for people, by its two largest units: 45 s, 12 min, 3 h 5 min, 2 d 4 h."""
    if seconds is None:
        return "?"
    whole = max(0, round(seconds))
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def rate(per_s: float) -> str:
    """Jobs in a time of which there is at least one: 2.1/s, 14/min, 3.5/h."""
    for unit, seconds in (("s", 1), ("min", 60)):
        if per_s * seconds >= 1:
            return f"{per_s * seconds:.3g}/{unit}"
    return f"{per_s * 3600:.2g}/h"


def _notes(row: Row) -> list[str]:
    counts = {
        "failed": row.failed,
        "blocked": row.blocked,
        "not started": row.cancelled,
        "elsewhere": row.claimed,
        "skipped": row.skipped,
    }
    return [f"{count:,} {what}" for what, count in counts.items() if count]


def _pace(row: Row) -> list[str]:
    if not row.open:
        return []
    parts = [rate(row.rate_per_s)] if row.rate_per_s else []
    return parts if row.eta_s is None else [*parts, f"{span(row.eta_s)} left"]


def _whole(view: View) -> list[str]:
    """What holds for all rows together."""
    sums = Counter[str]()
    for row in view.rows:
        sums.update(ended=row.ended, total=row.total, open=row.open, read=row.read_bytes, written=row.written_bytes)
    parts = [f"{sums['ended']:,}/{sums['total']:,} jobs"] if len(view.rows) != 1 else []
    workers = sum(view.workers.values())
    open_jobs = sums["open"] > 0
    parts += [f"{workers} worker{'s' * (workers != 1)}"] if view.workers and open_jobs else []
    parts += [f"${view.usd:,.2f}"] if view.usd is not None else []
    parts += [f"{span(view.eta_s)} left"] if open_jobs and view.eta_s is not None else []
    return [*parts, f"{size(sums['read'])} read", f"{size(sums['written'])} written"] if sums["read"] else parts


def _styled(text: str, style: str) -> Text:
    from rich.text import Text  # noqa: PLC0415

    return Text(text, style=style)
