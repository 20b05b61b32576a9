"""What `verify --repair` does: it withdraws what is wrong, so that the next run makes exactly that again.

Nothing is mended in place. A commit that is not what it was goes with its item: until its job is made again, readers
find nothing there instead of wrong numbers.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from pipeline.errors import ClaimedError
from pipeline.execute.records.history import list_runs
from pipeline.execute.records.lease import LOCKS, Lease, is_held
from pipeline.execute.records.runs import current_by_product, note_removal
from pipeline.plan.adopted import is_adopted, keys_adopted_beside
from pipeline.verbs._output import name_of
from pipeline.write.catalog import write_catalog
from pipeline.write.partition import is_partition
from pipeline.write.sound import Fault, Remedy
from pipeline.write.store import Store

Told = tuple[list[str], list[Fault]]
"""What was done, a line each; and the faults that are left."""
_ITEMS, _MANIFEST = "items/", "-manifest.json"


@contextmanager
def repairing(store: Store) -> Iterator[Callable[[Sequence[Fault]], Told]]:
    """While it is open nobody else is at work on the output: a run that begins waits for its end.

    Raises ClaimedError where a run or a clean-up is at work already: what it counts on is not taken from under it.
    """
    with Lease(store, f"{LOCKS}repair-{uuid.uuid4().hex}.json") as lock:
        held = [entry.key for entry in store.list_entries(LOCKS) if entry.key != lock.key and is_held(store, entry)]
        held += [f"runs/{run.id}/" for run in list_runs(store) if run.live]
        if held:
            raise ClaimedError(
                f"{store.uri}: found {', '.join(held)} at work; expected nobody: repair when it has ended"
            )

        def repair(faults: Sequence[Fault]) -> Told:
            if faults and not lock.held:
                raise ClaimedError(f"{store.uri}, key {lock.key}: the lock was not renewed in time; repair again")
            return _repair(store, faults)

        yield repair


def _repair(store: Store, faults: Sequence[Fault]) -> Told:
    told: list[str] = []
    left = [fault for fault in faults if fault.remedy in {Remedy.RUN, Remedy.READ}]
    for fault in faults:
        if fault.remedy is Remedy.REMOVE:
            store.delete(fault.key)
            told.append(f"removed: {fault.key}")
    withdrawn = [fault for fault in faults if fault.remedy is Remedy.WITHDRAW]
    if withdrawn:
        note_removal(store)
    places = sorted({fault.place for fault in withdrawn})
    # What was adopted there before this was made does not stand for it again; beside what was adopted it may stand.
    made = [place for place in places if not is_adopted(place.rpartition("_")[2])]
    listed = (store.list_keys(folder) for folder in sorted({f"{place.rpartition('/')[0]}/" for place in made}))
    for older in keys_adopted_beside(list(chain.from_iterable(listed)), made):
        store.delete(older)
        told.append(f"withdrawn: {older}; it was adopted before what is withdrawn was made in its place")
    for place in places:
        store.delete(place)
        told.append(f"withdrawn: {place}; the next run of its config makes it again")
    # No row is taken over from a damaged table; the other tables keep counting its generations.
    for key in sorted({fault.key for fault in withdrawn if is_partition(fault.key)}):
        store.delete(key)
        told.append(f"removed: {key}; its files are read again")
    for place in sorted({fault.place for fault in faults if fault.remedy is Remedy.REPAINT}):
        _remove_mosaic(store, place)
        told.append(f"removed: {place}; the next run of its config makes the mosaic anew")
    rebuild = [fault for fault in faults if fault.remedy is Remedy.REBUILD]
    if any(fault.remedy is Remedy.READ or fault.place.startswith("runs/") for fault in left):
        return told, left + rebuild  # what is current is not known for sure, or cannot be read
    if told or rebuild:
        count = write_catalog(store, name_of(store), current_by_product(store))
        told.append(f"rebuilt: pages and table of {count} items")
    return told, left


def _remove_mosaic(store: Store, place: str) -> None:
    """A plain one with the list of its objects, which goes first: by it others know that there is one."""
    folder = place
    if place.endswith(_MANIFEST):
        folder = f"{place.removesuffix(_MANIFEST)}.zarr"
        store.delete(place)
    for key in [key for key, _ in store.list_objects(f"{folder}/")]:
        store.delete(key)
