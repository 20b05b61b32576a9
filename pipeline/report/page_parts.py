"""Parts of the page that need no script: they are read, printed and mailed as they stand; what is told is escaped."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Sequence
from html import escape

from pipeline.report.page_head import has_failed
from pipeline.report.page_table import table
from pipeline.report.replay import command_for
from pipeline.report.sums import Sums, product_sums
from pipeline.report.words import UNKNOWN, count, duration, size
from pipeline.types import Json
from pipeline.types.account import DONE, SKIPPED, Account
from pipeline.types.causes import Cause

SHOWN = 200
"""Rows of a table that stand on the page; the files beside it have all."""
_AFTER = '<p class="note">Never begun. They are made after what they are made from: see all of them, below.</p>'


def causes(account: Account) -> str:
    """Every cause with its jobs, an example, and the command that makes exactly those jobs again."""
    if not account.causes:
        return '<p class="none">No job failed.</p>'
    shown = "".join(_cause(account, one) for one in account.causes[:SHOWN])
    more = len(account.causes) - SHOWN
    rest = (
        f'<p class="note">{more:,} further causes are in <a href="report.json">report.json</a>.</p>' if more > 0 else ""
    )
    every = command_for(account, None)
    whole = f'<div class="whole"><h3>All of them again</h3>{_command(every)}</div>' if len(account.causes) > 1 else ""
    return f'<ol class="causes">{shown}</ol>{rest}{whole}'


def _cause(account: Account, cause: Cause) -> str:
    failed = has_failed(account, cause)
    rest = cause.count - len(cause.jobs)
    named = ", ".join(cause.jobs) + (f" and {rest:,} more" if rest else "")
    again = _command(command_for(account, cause)) if failed else _AFTER
    return (
        f'<li class="cause{"" if failed else " blocked"}"><p class="what"><b class="number">{cause.count:,}</b> '
        f'<span class="error">{escape(cause.error)}</span> {escape(cause.text or "no message")}</p>'
        f'<p class="example"><span>For example</span> {escape(cause.example)}</p><p class="jobs">{escape(named)} '
        f'<button type="button" class="show" data-cause="{cause.number}" disabled>Show</button></p>{again}</li>'
    )


def _command(words: Sequence[str]) -> str:
    text = shlex.join(words)
    button = '<button type="button" class="copy" disabled>Copy</button>'
    return f'<div class="command"><pre><code>{escape(text)}</code></pre>{button}</div>'


def products(account: Account) -> str:
    """What the jobs of each product and region came to."""
    rows = [_sum_row(one) for one in product_sums(account)]
    head = ("product", "region", "done", "failed", "median", "90 %", "longest", "work", "read", "written")
    return table(head, rows, numbers=range(2, 10))


def _sum_row(one: Sums) -> tuple[str, ...]:
    times = tuple(duration(value) if one.done else UNKNOWN for value in (one.median_s, one.p90_s, one.longest_s))
    total = duration(one.seconds)
    return (
        one.product,
        one.region or UNKNOWN,
        f"{one.done:,}",
        f"{one.failed:,}",
        *times,
        total,
        size(one.read_bytes),
        size(one.written_bytes),
    )


def quality(account: Account) -> str:
    """Limits that tiles do not keep, and inputs that were lost."""
    parts = []
    if account.flags:
        rows = [(one.flag, one.level, f"{one.count:,}", one.example, ", ".join(one.jobs)) for one in account.flags]
        parts.append(
            table(("flag", "level", "tiles", "found", "such as"), rows[:SHOWN], numbers=(2,), name="Limits not kept")
        )
    if account.lost:
        rows = [(one.asset, one.error, f"{one.count:,}", one.text, one.example) for one in account.lost]
        parts.append(
            table(
                ("asset", "error", "times", "cause", "for example"),
                rows[:SHOWN],
                numbers=(2,),
                name="Inputs that could not be read",
            )
        )
    for name, group in (("Attempts that were repeated", account.repeated), ("Warnings", account.warnings)):
        if group:
            rows = [(one.error, f"{one.count:,}", one.text, one.example, ", ".join(one.jobs)) for one in group]
            parts.append(
                table(("class", "times", "text", "for example", "such as"), rows[:SHOWN], numbers=(1,), name=name)
            )
    return (
        "".join(parts) or '<p class="none">Every tile keeps its limits, no input was lost, no attempt was repeated.</p>'
    )


def pictures(account: Account) -> str:
    """Thumbnails, with what they are."""
    made = []
    for one in account.pictures:
        data = base64.b64encode(one.data).decode("ascii")
        told = f"<small>{escape(one.text)}</small>" if one.text else ""
        made.append(
            f'<figure><img src="data:{one.media_type};base64,{data}" alt="Thumbnail of {escape(one.job_id)}">'
            f"<figcaption>{escape(one.job_id)}{told}</figcaption></figure>"
        )
    if not made:
        return '<p class="none">No finished tile has a thumbnail.</p>'
    done = account.jobs.count(DONE) + account.jobs.count(SKIPPED)
    told = f"{count(len(made), 'tile')} of {done:,}, evenly chosen. Colours are stretched: for a look, not for numbers."
    return f'<p class="note">{told}</p><div class="pictures">{"".join(made)}</div>'


def environment(account: Account) -> str:
    """Versions and machine, clusters, config."""
    told = account.environment or {}
    rows = [(key.removesuffix("_bytes"), _plain(key, value)) for key, value in told.items() if key != "packages"]
    rows += sorted((told.get("packages") or {}).items())
    ups = {(one.event.region, one.event.shard): one.event for one in account.clusters if one.event.state == "up"}
    seen = [
        (
            region,
            str(shard),
            one.backend,
            one.machine or UNKNOWN,
            str(one.threads),
            size(one.worker_memory_bytes),
            "spot" if one.spot else UNKNOWN,
            one.located or UNKNOWN,
        )
        for (region, shard), one in sorted(ups.items())
    ]
    parts = [
        table(("what", "version"), rows) if rows else '<p class="none">Versions were not written down by this run.</p>'
    ]
    if seen:
        parts.append(
            table(
                ("region", "shard", "backend", "machine", "threads", "memory", "price", "stands in"),
                seen,
                numbers=(4, 5),
                name="Clusters",
            )
        )
    links = "".join(f'<li><a href="../{escape(name)}">{escape(name)}</a></li>' for name in account.pages)
    if links:
        parts.append(f"<h3>Dask's own reports</h3><ul>{links}</ul>")
    return "".join(parts)


def config(account: Account) -> str:
    """The config as the run took it, secrets masked."""
    if account.config is None:
        return '<p class="none">The config cannot be read.</p>'
    text = json.dumps(_said(account.config), indent=2, ensure_ascii=False)
    summary = "<summary>Config as the run took it: defaults filled in, secrets masked</summary>"
    return f"<details>{summary}<pre>{escape(text)}</pre></details>"


def _said(value: Json) -> Json:
    """Without keys that hold nothing."""
    if isinstance(value, dict):
        return {key: _said(each) for key, each in value.items() if each not in (None, {}, [])}
    return [_said(each) for each in value] if isinstance(value, list) else value


def _plain(key: str, value: Json) -> str:
    return size(value) if key.endswith("_bytes") and isinstance(value, int | float) else str(value)
