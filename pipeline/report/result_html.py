"""What a run came to as a notebook shows it, and as a table: outcomes, failures by cause, where everything lies."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import median

import pyarrow as pa

from pipeline.plan.narrow import parts
from pipeline.report.notebook import BLOCKED, DONE, FAILED, OTHER, chip, folded, framed, link, listed
from pipeline.report.page_table import table
from pipeline.report.words import count, duration, size
from pipeline.types import Outcome, Status
from pipeline.types.causes import Cause, Causes

SCHEMA = pa.schema(
    [
        ("product", pa.string()),
        ("tile", pa.string()),
        ("period", pa.string()),
        ("region", pa.string()),
        ("status", pa.string()),
        ("seconds", pa.float64()),
        ("attempts", pa.int64()),
        ("read_bytes", pa.int64()),
        ("written_bytes", pa.int64()),
        ("quality", pa.string()),
        ("flags", pa.list_(pa.string())),
        ("losses", pa.int64()),
        ("error", pa.string()),
        ("cause", pa.string()),
        ("worker", pa.string()),
        ("item", pa.string()),
        ("fingerprint", pa.string()),
        ("job", pa.string()),
    ]
)
_COLOURS = {Status.DONE: DONE, Status.FAILED: FAILED, Status.BLOCKED: BLOCKED}
_WORDS = {Status.CANCELLED: "not started", Status.CLAIMED: "left to another run"}
_CAUSES = 20


@dataclass(frozen=True)
class Ended:
    """What is told of a run that is over."""

    run: str
    outcomes: Sequence[Outcome]
    counts: Mapping[Status, int]
    skipped: int
    seconds: float
    reason: str | None
    """Why it ended early by itself."""
    report: str | None
    """Where its report lies."""


def outcome_table(outcomes: Iterable[Outcome]) -> pa.Table:
    """A row a job that was to be run, with the last word on it.

    seconds: of the last attempt, by the worker's clock. quality: pass, warn or fail by the limits of the config, None
    where nothing was finished; flags: why. losses: inputs that could not be read. error and cause: of what failed.
    item: key of the committed item below the output.
    """
    columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
    for one in outcomes:
        quality = (one.quality.status, list(one.quality.flags)) if one.quality is not None else (None, None)
        row = (
            *(*parts(one.job_id), one.region, one.status.value, one.seconds, one.attempts),
            *(one.read_bytes, one.written_bytes, *quality, len(one.losses), one.error, one.cause, one.worker),
            *(one.item_key, one.fingerprint, one.job_id),
        )
        for column, value in zip(columns.values(), row, strict=True):
            column.append(value)
    return pa.table(columns, SCHEMA)


@dataclass
class _Sum:
    """The jobs of one product in one region."""

    counts: Counter[Status] = field(default_factory=Counter)
    seconds: array[float] = field(default_factory=lambda: array("d"))
    read_bytes: int = 0
    written_bytes: int = 0
    losses: int = 0
    flagged: int = 0

    def add(self, one: Outcome) -> None:
        self.counts[one.status] += 1
        self.read_bytes += one.read_bytes
        self.written_bytes += one.written_bytes
        self.losses += len(one.losses)
        self.flagged += one.quality is not None and bool(one.quality.found)
        if one.status is Status.DONE:
            self.seconds.append(one.seconds)


def result_html(ended: Ended) -> str:
    """A run's outcomes as HTML of its own; goes through them once."""
    sums: dict[tuple[str, str], _Sum] = {}
    causes, warnings = Causes(), []
    for one in ended.outcomes:
        sums.setdefault((parts(one.job_id)[0], one.region), _Sum()).add(one)
        if one.status in {Status.FAILED, Status.BLOCKED}:
            causes.add(one.job_id, one.error, one.cause)
        warnings += [f"{one.job_id}: {text}" for text in one.warnings]
    return framed(
        _head(ended),
        f'<p style="color:{FAILED}">stopped: {escape(ended.reason)}; run again to resume</p>' if ended.reason else "",
        "".join(_cause(cause) for cause in causes.groups()[:_CAUSES]),
        _products(sums) if sums else "",
        folded(count(len(warnings), "warning"), listed(warnings)) if warnings else "",
        f"<p>report: {link(ended.report)}</p>" if ended.report else "",
    )


def _head(ended: Ended) -> str:
    chips = [
        chip(_COLOURS.get(status, OTHER), f"{number:,} {_WORDS.get(status, status.value)}")
        for status, number in ended.counts.items()
        if number
    ]
    chips += [chip(OTHER, f"{ended.skipped:,} committed before")] if ended.skipped else []
    return (
        f'<div class="top"><b>{"nothing to run" if not ended.outcomes else "run"}</b> {" ".join(chips)} '
        f'<span class="quiet">in {duration(ended.seconds)}</span> <code class="quiet">{escape(ended.run)}</code></div>'
    )


def _cause(cause: Cause) -> str:
    rest = cause.count - len(cause.jobs)
    jobs = ", ".join(cause.jobs) + (f" and {rest:,} more" if rest else "")
    return (
        f'<p style="border-left:3px solid {FAILED};padding-left:.6rem"><b>{cause.count:,} {escape(cause.error)}</b> '
        f'{escape(cause.example)}<br><span class="quiet">{escape(jobs)}</span></p>'
    )


def _products(sums: Mapping[tuple[str, str], _Sum]) -> str:
    head = (
        "product",
        "region",
        "done",
        "not done",
        "median",
        "work",
        "read",
        "written",
        "lost inputs",
        "quality flags",
    )
    rows = [
        (
            *names,
            f"{one.counts[Status.DONE]:,}",
            f"{one.counts.total() - one.counts[Status.DONE]:,}",
            duration(median(one.seconds)) if one.seconds else "",
            duration(sum(one.seconds)) if one.seconds else "",
            size(one.read_bytes),
            size(one.written_bytes),
            f"{one.losses:,}" if one.losses else "",
            count(one.flagged, "tile") if one.flagged else "",
        )
        for names, one in sums.items()
    ]
    return table(head, rows, numbers=range(2, 10))
