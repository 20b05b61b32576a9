"""The account of a run as CSV, JSON and plain text."""

from __future__ import annotations

import csv
import io
import math
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime

import numpy as np

from pipeline.report.page_head import ORDER, WORDS, has_failed, verdict
from pipeline.report.replay import command_for
from pipeline.report.sums import product_sums
from pipeline.report.words import UNKNOWN, count, dollars, duration, moment, size
from pipeline.types import Json
from pipeline.types.account import NONE, STATES, VERDICTS, Account
from pipeline.write.files import json_bytes

FORMAT = 1
_COLUMNS = (
    *("job", "product", "tile", "period", "region", "state", "begun", "seconds", "attempts", "worker"),
    *("read_bytes", "written_bytes", "planned_bytes", "quality", "flags", "losses", "store_retries"),
    *("west", "south", "east", "north", "fingerprint", "cause"),
)


def csv_bytes(account: Account) -> bytes:
    """A line a planned job, in the order of the plan; UTF-8, RFC 4180. Nothing is left out."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_rows(account))
    return text.getvalue().encode()


def _rows(account: Account) -> Iterator[tuple[object, ...]]:
    jobs = account.jobs
    columns = (jobs.product, jobs.tile, jobs.period, jobs.region, jobs.state, jobs.worker, jobs.verdict, jobs.flags)
    numbers = (jobs.begun_s, jobs.seconds, jobs.attempts, jobs.read_bytes, jobs.written_bytes, jobs.planned_bytes)
    bounds = [["" if math.isnan(value) else value for value in each] for each in np.round(jobs.bounds, 5).tolist()]
    codes = zip(*(column.tolist() for column in columns), strict=True)
    told = zip(*(column.tolist() for column in (*numbers, jobs.losses, jobs.store_retries)), strict=True)
    for row, (code, number) in enumerate(zip(codes, told, strict=True)):
        product, tile, period, region, state, worker, quality, flags = code
        begun, seconds, attempts, read, written, planned, losses, retries = number
        names = jobs.products[product], jobs.tiles[tile], jobs.periods[period]
        named = "" if worker == NONE else jobs.workers[worker]
        yield (
            *("/".join(names), *names, jobs.regions[region], STATES[state]),
            *(_time(begun), f"{seconds:.3f}", attempts, named),
            *(read, written, planned, VERDICTS[quality], _flags(account, flags), losses, retries),
            *(*bounds[tile], jobs.fingerprints[row], _safe(account.messages.get(row, ""))),
        )


def _time(begun_s: float) -> str:
    """UTC to the millisecond; nothing where it never began."""
    return datetime.fromtimestamp(begun_s, UTC).isoformat(timespec="milliseconds") if begun_s else ""


def _flags(account: Account, bits: int) -> str:
    return " ".join(one.flag for place, one in enumerate(account.flags[:32]) if bits >> place & 1) if bits else ""


def _safe(message: str) -> str:
    """A message that no spreadsheet takes for a formula."""
    return f"'{message}" if message[:1] in set("=+-@\t\r") else message


def document(account: Account) -> Json:
    """Everything but the single jobs, as JSON-shaped data."""
    jobs = account.jobs
    return {
        "format": FORMAT,
        "run": account.run,
        "name": account.name,
        "output": account.uri,
        "state": account.state,
        "code": account.code,
        "reason": account.reason,
        "begun": _time(account.begun_s) or None,
        "ended": _time(account.ended_s) or None,
        "seconds": round(account.seconds, 3),
        "jobs": {"planned": len(jobs), **{word: jobs.count(state) for state, word in enumerate(STATES)}},
        "skipped": dict(account.skipped),
        "tiles": len(jobs.tiles),
        "read_bytes": int(jobs.read_bytes.sum()),
        "written_bytes": int(jobs.written_bytes.sum()),
        "products": [asdict(one) for one in product_sums(account)],
        "failures": [{**asdict(one), "replay": list(command_for(account, one))} for one in account.causes],
        "repeated": [asdict(one) for one in account.repeated],
        "warnings": [asdict(one) for one in account.warnings],
        "quality": [asdict(one) for one in account.flags],
        "lost_inputs": [asdict(one) for one in account.lost],
        "clusters": [{"time": _time(one.time_s), **asdict(one.event)} for one in account.clusters],
        "estimate": account.estimate,
        "actual": account.actual,
        "notices_failed": account.notices_failed,
        "faults": list(account.faults),
        "command": list(account.command),
        "environment": account.environment,
        "config": account.config,
    }


def text(account: Account) -> str:
    """The same in words, for a terminal or a mail."""
    return "\n".join((*_head(account), *_causes(account), *_products(account), *_details(account), ""))


def _head(account: Account) -> Iterator[str]:
    jobs = account.jobs
    code = "" if account.code is None else f", exit {account.code}"
    yield f"{account.name}: run {account.run}: {account.state}{code}"
    yield f"{account.uri}; {moment(account.begun_s)}, {duration(account.seconds)}"
    if account.reason:
        yield account.reason
    yield from ("", verdict(account), "")
    yield from (f"{jobs.count(state):>9,} {WORDS[state]}" for state in ORDER if jobs.count(state))
    read, written = size(jobs.read_bytes.sum()), size(jobs.written_bytes.sum())
    yield f"{read} read, {written} written, {dollars(account.usd)} spent"


def _causes(account: Account) -> Iterator[str]:
    for one in account.causes:
        more = f" and {one.count - len(one.jobs):,} more" if one.count > len(one.jobs) else ""
        yield ""
        yield f"{one.count:,} x {one.error}: {one.text}"
        yield f"    such as {one.example}"
        yield f"    jobs {', '.join(one.jobs)}{more}"
        if has_failed(account, one):
            yield f"    again: {shlex.join(command_for(account, one))}"
    if account.causes:
        yield f"all of them again: {shlex.join(command_for(account, None))}"


def _products(account: Account) -> Iterator[str]:
    head = ("done", "failed", "median", "90 %", "read", "written")
    yield ""
    yield f"{'product':<24} {'region':<16} " + " ".join(f"{word:>12}" for word in head)
    for one in product_sums(account):
        counts, times = (
            (f"{one.done:,}", f"{one.failed:,}"),
            ((duration(value) if one.done else UNKNOWN) for value in (one.median_s, one.p90_s)),
        )
        cells = (*counts, *times, size(one.read_bytes), size(one.written_bytes))
        yield f"{one.product:<24} {one.region:<16} " + " ".join(f"{cell:>12}" for cell in cells)


def _details(account: Account) -> Iterator[str]:
    yield ""
    for flag in account.flags:
        yield f"quality: {flag.level}: {flag.flag}: {count(flag.count, 'tile')}, such as {', '.join(flag.jobs)}"
    for lost in account.lost:
        yield f"lost: {lost.asset}: {lost.error}: {lost.text}: {count(lost.count, 'time')}, such as {lost.example}"
    for one in account.repeated:
        yield f"repeated: {one.error}: {one.text}: {count(one.count, 'time')}"
    for one in account.warnings:
        yield f"warning: {one.text}: {count(one.count, 'time')}, such as {one.example}"
    yield from (f"records: {fault}" for fault in account.faults)
    if account.notices_failed:
        yield f"notices: {account.notices_failed:,} were not delivered"


def json_text(account: Account) -> bytes:
    """`document` as the bytes of a file."""
    return json_bytes(document(account))
