"""A run's report, written beside its records, and wherever else it is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipeline.report.page import render_page
from pipeline.report.replay import replay_lines, replay_name
from pipeline.report.tables import csv_bytes, json_text, text
from pipeline.types.account import Account
from pipeline.types.causes import Cause
from pipeline.write.store import Store, open_store

PAGE = "index.html"


def write_report(account: Account, store: Store, *, copy: str | None = None, plots: bool = False) -> None:
    """Put the report under `runs/<id>/report/` and, in the same way, into the folder or s3:// address `copy`.

    plots: PNG too, for which matplotlib is loaded. Raises StoreError where a place cannot be written.
    """
    places = [(store, f"runs/{account.run}/report/")]
    if copy is not None:
        places.append((_store_at(copy, store), ""))
    put_files(report_files(account, plots=plots), places)


def put_files(files: Iterable[tuple[str, bytes]], places: Sequence[tuple[Store, str]]) -> None:
    """Put every file under each prefix of a store; the page comes last, so that what it links to is there."""
    for name, data in files:
        for store, prefix in places:
            store.put_bytes(data, f"{prefix}{name}")


def _store_at(uri: str, beside: Store) -> Store:
    """A store at an address; on S3 with the endpoint and credentials of the output, where that is on S3 too."""
    return open_store(uri, endpoint=getattr(beside, "endpoint", None), profile=getattr(beside, "profile", None))


def report_files(account: Account, *, plots: bool) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of every file of the report."""
    yield "jobs.csv", csv_bytes(account)
    yield "report.json", json_text(account)
    yield "report.txt", text(account).encode()
    for cause in _replayed(account):
        yield replay_name(cause), replay_lines(account, cause)
    if plots:
        from pipeline.report.plots import draw_plots  # noqa: PLC0415 (matplotlib, and only where pictures are wanted)

        yield from draw_plots(account)
    yield PAGE, render_page(account).encode()


def _replayed(account: Account) -> tuple[Cause | None, ...]:
    """Every cause, and all of them together."""
    return (*account.causes, None) if account.causes else ()
