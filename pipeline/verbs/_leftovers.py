"""What lies in an output and belongs to nothing: found here, removed by `vacuum`."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import StoreError
from pipeline.execute.records.claims import dead_claims
from pipeline.execute.records.history import Run, list_runs, planned_fingerprints
from pipeline.execute.records.lease import LOCKS, RUN_LEASE, dead_scratch, is_held
from pipeline.execute.records.runs import current_items
from pipeline.write.catalog import READS_AT_ONCE
from pipeline.write.commit import fingerprint_of
from pipeline.write.partition import is_partition
from pipeline.write.sound import named_keys, read_item
from pipeline.write.store import Entry, Store, Unfinished

DAY_S = 86_400.0
_DATA = re.compile(r"data/[^/]+/[^/]+/[^/]+/[^/]+_([0-9a-f]{12}|adopted-[0-9a-f]{4})_[0-9a-f]{12}(?:\.[^/]*)?(?:/.+)?")
"""Names that a commit gives; whatever else lies under data/ is somebody's, and is left alone."""
_FOLDERS = "checks|claims|collections|data|indexes|items|locks|mosaics|runs"
_ADOPTED = re.compile(r"_adopted-[0-9a-f]{4}_[0-9a-f]{12}[^/]*$")
_TEMPORARY = re.compile(rf"(?:(?:{_FOLDERS})/.*|)\.tmp-[0-9a-f]{{32}}")


@dataclass(frozen=True)
class Rules:
    """What may go."""

    older_than_s: float = DAY_S
    """Nothing younger goes; 0 takes all, whatever its age."""
    superseded: bool = False
    """Also items that are not current, where another item of their product, tile and period is; but for those that an
    item which stays is made from."""


@dataclass
class Leftovers:
    """What can go."""

    items: list[Entry] = field(default_factory=list)
    """Superseded."""
    data: list[Entry] = field(default_factory=list)
    records: list[Entry] = field(default_factory=list)
    """Of dead unfinished runs; and leases and locks of processes that are no more."""
    claims: list[Entry] = field(default_factory=list)
    """Of runs that are not at work."""
    unfinished: list[Unfinished] = field(default_factory=list)
    scratch: list[Path] = field(default_factory=list)
    """Temporary folders on this machine."""
    notes: list[str] = field(default_factory=list)
    """What was left alone although it may belong to nothing, and why."""


class Named:
    """What items name; each is read once, and again when it was put again."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[Entry, frozenset[str] | None] = {}

    def of(self, items: Iterable[Entry]) -> tuple[set[str], set[str]]:
        """Keys that these items name, and the keys of items that cannot be read, of which nobody knows."""
        wanted = list(items)
        new = [entry for entry in wanted if entry not in self._read]
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            self._read.update(zip(new, pool.map(self._names, new), strict=True))
        known = [(entry.key, self._read[entry]) for entry in wanted]
        return {name for _, names in known for name in names or ()}, {key for key, names in known if names is None}

    def _names(self, entry: Entry) -> frozenset[str] | None:
        try:
            return frozenset(named_keys(entry.key, read_item(self._store.get_bytes(entry.key))))
        except StoreError:
            return None


def find_leftovers(store: Store, rules: Rules, named: Named, own_lock: str | None = None) -> Leftovers:
    """Everything that can go by these rules; data is listed before items, so that no commit falls between.

    own_lock: the caller's, which stays. Raises StoreError where the output cannot be read.
    """
    found, now_s = Leftovers(), store.now_s()

    def old(modified_s: float) -> bool:
        return not rules.older_than_s or now_s - modified_s >= rules.older_than_s

    unfinished = [one for one in store.list_unfinished() if one.token or _TEMPORARY.fullmatch(one.name)]
    data = [entry for entry in store.list_entries("data/") if old(entry.modified_s)]
    runs = list_runs(store)
    live = [run for run in runs if run.live]
    if any(not run.planned for run in live):  # an adoption says what it has adopted when all is committed
        data = [entry for entry in data if not _ADOPTED.search(entry.key)]
    kept = {fingerprint for run in live for fingerprint in planned_fingerprints(store, run)}
    items = [entry for entry in store.list_entries("items/") if fingerprint_of(entry.key)]
    if rules.superseded:
        gone = superseded(items, current_items(store), kept)
        found.items = [entry for entry in items if entry.key in gone and old(entry.modified_s)]
    names, unreadable = _kept_names(items, found, named)
    found.notes += [f"{key} cannot be read, so what it may name is kept: see verify" for key in sorted(unreadable)]
    kept |= {str(fingerprint_of(key)) for key in unreadable}
    found.data = list(orphans(data, names, {fingerprint[:12] for fingerprint in kept}, found.notes))
    for run in runs:
        found.records += _records(run, old)
    locks = [entry for entry in store.list_entries(LOCKS) if entry.key != own_lock]
    found.records += [entry for entry in locks if not is_held(store, entry)]
    found.claims = [entry for entry in dead_claims(store) if old(entry.modified_s)]
    # An unfinished put has no owner in its name: while a run is at work, one may be its.
    too_long = max(rules.older_than_s, DAY_S)
    found.unfinished = [
        one for one in unfinished if (now_s - one.modified_s >= too_long if live else old(one.modified_s))
    ]
    found.scratch = list(_scratch(rules.older_than_s))
    return found


def _kept_names(items: Sequence[Entry], found: Leftovers, named: Named) -> tuple[set[str], set[str]]:
    """What `Named.of` says of the items that stay; what those are made from, over any number of steps, stays too."""
    while True:
        going = {entry.key for entry in found.items}
        names, unreadable = named.of(entry for entry in items if entry.key not in going)
        if not going & names:
            return names, unreadable
        found.items = [entry for entry in found.items if entry.key not in names]


def superseded(items: Iterable[Entry], current: Mapping[str, str], kept: set[str]) -> set[str]:
    """Keys of items in whose place another one is current; not those that a live run counts on."""
    places = {_place(key): key for key in current.values()}
    return {
        entry.key
        for entry in items
        if _place(entry.key) in places
        and places[_place(entry.key)] != entry.key
        and fingerprint_of(entry.key) not in kept
    }


def orphans(data: Iterable[Entry], names: set[str], kept: set[str], notes: list[str]) -> Iterator[Entry]:
    """Data that no item names. kept: first 12 digits of fingerprints whose data is not judged."""
    foreign = []
    for entry in data:
        match = _DATA.fullmatch(entry.key)
        if match is None:
            # A partition is a commit by itself: an item that would name it may be on its way, or lost.
            foreign += [] if is_partition(entry.key) else [entry.key]
        elif match[1] not in kept and not _is_named(entry.key, names):
            yield entry
    if foreign:
        notes.append(f"{len(foreign)} objects under data/ have no name of this project and are kept: {foreign[0]} ...")


def _is_named(key: str, names: set[str]) -> bool:
    """Named itself, or in a folder that is."""
    while key:
        if key in names:
            return True
        key = key.rpartition("/")[0]
    return False


def _place(key: str) -> str:
    """An item's key without its fingerprint: product, tile and period."""
    return key.rpartition("_")[0]


def _records(run: Run, old: Callable[[float], bool]) -> list[Entry]:
    if run.live:
        return []
    if run.finished:
        return [run.objects[RUN_LEASE]] if RUN_LEASE in run.objects else []
    entries = list(run.objects.values())
    return entries if old(max(entry.modified_s for entry in entries)) else []


def _scratch(older_than_s: float) -> Iterator[Path]:
    for path in dead_scratch(Path(tempfile.gettempdir())):
        try:
            age_s = time.time() - path.stat().st_mtime
        except OSError:  # removed meanwhile
            continue
        if not older_than_s or age_s >= older_than_s:
            yield path
