"""`groundswell vacuum`: removes what no item names and no run is at work on.

It holds a lock under `locks/` while it works: a run that begins meanwhile waits for it, one that began before is seen
by its lease, and what it planned is kept. So nothing is taken from under a run, whatever the age that is asked for.
"""

from __future__ import annotations

import argparse
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TypeVar

from pipeline.errors import StoreError
from pipeline.execute.records.lease import LOCKS, Lease
from pipeline.execute.records.runs import current_by_product, note_removal
from pipeline.report.text import size
from pipeline.verbs._answer import Answer
from pipeline.verbs._leftovers import Leftovers, Named, Rules, find_leftovers, orphans
from pipeline.verbs._output import name_of, open_output
from pipeline.write.catalog import READS_AT_ONCE, catalog_is_current, write_catalog
from pipeline.write.entries import Entry
from pipeline.write.stac import ROOT_KEY
from pipeline.write.store import Store

BATCH = 1000
T = TypeVar("T")


def run(options: argparse.Namespace) -> Answer:
    """Remove what can go, or with `dry_run` say what would. Raises StoreError."""
    store = open_output(options, also=["checks/"])  # where events check objects, there may be no runs
    rules = Rules(options.older_than, options.superseded)
    found = vacuum(store, rules, dry_run=options.dry_run)
    return Answer("\n".join(render(found, dry_run=options.dry_run)))


def vacuum(store: Store, rules: Rules, *, dry_run: bool = False) -> Leftovers:
    """What could go by these rules, and is gone unless it is a dry run.

    Raises StoreError where the output fails; what is gone by then is what could go.
    """
    named = Named(store)
    named.of(store.list_entries("items/"))  # the long part, before runs have to wait
    lock = Lease(store, f"{LOCKS}vacuum-{uuid.uuid4().hex}.json")
    with nullcontext() if dry_run else lock:
        found = find_leftovers(store, rules, named, lock.key)
        if not dry_run:
            _renew_pages(store)
            _remove(store, found, named, lock)
    return found


def _renew_pages(store: Store) -> None:
    """A run killed after it had finished left pages and a table of the items before it: nothing goes that they name."""
    if not store.exists(ROOT_KEY):
        return
    current = current_by_product(store)
    if current and not catalog_is_current(store, current):
        write_catalog(store, name_of(store), current)


def _remove(store: Store, found: Leftovers, named: Named, lock: Lease) -> None:
    """Items before their data, so that none is ever torn; a clean-up that is killed leaves left-overs."""

    def held() -> None:
        if not lock.held:
            raise StoreError(f"{store.uri}, key {lock.key}: the lock was not renewed in time; run vacuum again")

    if found.items:
        note_removal(store)
    _each([entry.key for entry in found.items], store.delete, held)
    # Items once more: a worker that outlives its client may have put one since.
    names, _ = named.of(store.list_entries("items/"))
    found.data = list(orphans(found.data, names, set(), []))
    _each([entry.key for entry in found.data], store.delete, held)
    _each(found.unfinished, store.drop_unfinished, held)
    _each([entry.key for entry in found.records], store.delete, held)
    _each(found.claims, lambda entry: _drop_claim(store, entry), held)
    for path in found.scratch:
        shutil.rmtree(path, ignore_errors=True)


def _drop_claim(store: Store, entry: Entry) -> None:
    """Not one that a run has taken over meanwhile."""
    if store.entry_of(entry.key) == entry:
        store.delete(entry.key)


def _each(values: Sequence[T], remove: Callable[[T], None], check: Callable[[], None]) -> None:
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for first in range(0, len(values), BATCH):
            check()
            list(pool.map(remove, values[first : first + BATCH]))


def render(found: Leftovers, *, dry_run: bool) -> Iterator[str]:
    """A line a kind; in a dry run, also one for each thing."""
    kinds = {
        "superseded items": [entry.key for entry in found.items],
        "data objects": [entry.key for entry in found.data],
        "records of dead runs": [entry.key for entry in found.records],
        "claims of dead runs": [entry.key for entry in found.claims],
        "unfinished puts": [one.name for one in found.unfinished],
        "temporary folders": [str(path) for path in found.scratch],
    }
    if dry_run:
        yield from (f"would remove: {name}" for names in kinds.values() for name in names)
    yield from (f"note: {note}" for note in found.notes)
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items() if names) or "nothing"
    freed = sum(entry.size_bytes for entry in (*found.items, *found.data, *found.records, *found.claims))
    yield f"{'would remove' if dry_run else 'removed'}: {counts} ({size(freed)})"
