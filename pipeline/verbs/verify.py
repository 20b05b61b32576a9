"""`groundswell verify`: whether everything that was committed is still there, as it was, to the byte."""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
from pyarrow import ArrowException, BufferReader

from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED, ConfigError, StoreError
from pipeline.execute.records.runs import FINISHED, current_by_product, read_finished
from pipeline.verbs._answer import Answer
from pipeline.verbs._output import open_output
from pipeline.verbs._repair import repairing
from pipeline.write.catalog import READS_AT_ONCE, TABLE_DIGEST, TABLE_KEY, derive_catalog
from pipeline.write.files import json_bytes
from pipeline.write.sound import FOLDER_SUFFIX, Fault, Listing, Remedy, check_folder, check_item, check_links
from pipeline.write.stac import ROOT_KEY
from pipeline.write.store import Store

_MANIFEST = "-manifest.json"
_REPOSITORY = ".icechunk/"


@dataclass(frozen=True)
class Scope:
    """What is verified."""

    product: str | None = None
    """Only this product's items: no pages, table and records of runs."""
    everything: bool = False
    """Also items that are not current."""
    quick: bool = False
    """Names and sizes only: no data is read, and no page is made again."""


def run(options: argparse.Namespace) -> Answer:
    """Every fault on a line, with item, asset, key, what was found and expected, and what to do; exit code 1 then.

    With `repair`, what can be put right is, and the exit code tells of what is left. Raises StoreError where the output
    cannot be read, and ClaimedError where a run is at work on what is to be repaired.
    """
    store = open_output(options)
    scope = Scope(options.product, options.all, options.quick)
    with repairing(store) if options.repair else nullcontext() as repair:
        count, faults = verify(store, scope)
        lines = [f"fault: {fault}" for fault in faults]
        what = "names and sizes" if options.quick else "every byte"
        lines.append(f"verify: {count} items, {what}: {len(faults) or 'no'} faults in {store.uri}")
        left = faults
        if repair is not None:
            told, left = repair(faults)
            lines += told
    return Answer("\n".join(lines), EXIT_JOBS_FAILED if left else EXIT_DONE)


def verify(store: Store, scope: Scope) -> tuple[int, list[Fault]]:
    """How many items were looked at, and every fault. Raises ConfigError for an unknown product.

    A run may end, and a vacuum remove, between one look and the next: a fault counts when it is found twice.
    """
    count, faults = _look(store, scope)
    if faults:
        count, again = _look(store, scope)
        faults = [fault for fault in again if fault in faults]
    return count, faults


def _look(store: Store, scope: Scope) -> tuple[int, list[Fault]]:
    faults: list[Fault] = []
    try:
        current = current_by_product(store)
    except StoreError as error:
        faults.append(Fault("runs/", "", "runs/", str(error), "the plans of finished runs", Remedy.RUN))
        current = {}
    listing = Listing(store.list_objects())
    if not current and not faults and listing.under("items/"):
        faults.append(Fault("runs/", "", "runs/", "no finished run", "the one that made the items", Remedy.RUN))
    keys = _chosen(listing, current, scope)

    def check(key: str) -> list[Fault]:
        return check_item(store, key, listing, quick=scope.quick)

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        faults += [fault for found in pool.map(check, keys) for fault in found]
    faults += _check_pages(store, listing, scope)
    faults += _check_mosaics(store, listing, scope)
    if scope.product is None:
        faults += _check_runs(store, listing, quick=scope.quick)
        if not scope.quick and not faults:  # a page is made of sound items, or of nothing
            faults += _check_catalog(store, listing, current)
    return len(keys), faults


def _chosen(listing: Listing, current: Mapping[str, Collection[str]], scope: Scope) -> list[str]:
    items = [key for key in listing.under("items/") if key.endswith(".json")]
    keys = items if scope.everything else sorted(key for found in current.values() for key in found)
    if scope.product is None:
        return keys
    products = {key.split("/")[1] for key in items}
    if scope.product not in products:
        raise ConfigError(f"--product {scope.product}: found no item of it; products: {', '.join(sorted(products))}")
    return [key for key in keys if key.split("/")[1] == scope.product]


def _check_pages(store: Store, listing: Listing, scope: Scope) -> Iterator[Fault]:
    """Every page can be read, and its links lead somewhere."""
    folder = f"collections/{scope.product}/" if scope.product else "collections/"
    for key in [*listing.under(folder), *([] if scope.product else [ROOT_KEY])]:
        try:
            yield from check_links(key, json.loads(store.get_bytes(key)), listing)
        except (StoreError, ValueError, AttributeError) as error:
            yield Fault(key, "", key, f"no page ({error})", "a STAC catalogue", Remedy.REBUILD)


def _check_mosaics(store: Store, listing: Listing, scope: Scope) -> Iterator[Fault]:
    """Plain mosaics are what their manifests list; of those in Icechunk everything can be read."""
    under = listing.under(f"mosaics/{scope.product}/" if scope.product else "mosaics/")
    folders = {key.partition(FOLDER_SUFFIX + "/")[0] for key in under if FOLDER_SUFFIX + "/" in key}
    for name in sorted(folders | {key.removesuffix(_MANIFEST) for key in under if key.endswith(_MANIFEST)}):
        place = f"{name}{_MANIFEST}", "mosaic", f"{name}{FOLDER_SUFFIX}"
        for fault in check_folder(store, place, place[0], listing, quick=scope.quick):
            yield replace(fault, remedy=Remedy.REPAINT) if fault.remedy is Remedy.WITHDRAW else fault
    repositories = sorted({key.partition(_REPOSITORY)[0] + _REPOSITORY[:-1] for key in under if _REPOSITORY in key})
    if scope.quick or not repositories or find_spec("icechunk") is None:
        return
    from pipeline.write.repository import unreadable  # noqa: PLC0415 (needs the extra)

    for key in repositories:
        for array, cause in unreadable(store, key):
            yield Fault(key, array, key, cause, "numbers", Remedy.REPAINT)


def _check_runs(store: Store, listing: Listing, *, quick: bool) -> Iterator[Fault]:
    """The records of finished runs, which decide what is current, are what they were at their end."""
    for key in [key for key in listing.under("runs/") if key.endswith(f"/{FINISHED}")]:
        try:
            files = read_finished(store.get_bytes(key))["files"]
        except StoreError as error:
            yield Fault(key, "", key, str(error), "the record of this run's end", Remedy.RUN)
            continue
        folder = key.removesuffix(FINISHED)
        for name, wanted in files.items():
            if (size := listing.sizes.get(folder + name)) != wanted["size"]:
                found = "nothing" if size is None else f"{size} bytes"
                yield Fault(key, "", folder + name, f"{found} at {folder}{name}", f"{wanted['size']} bytes", Remedy.RUN)
            elif not quick and (digest := store.digest(folder + name)[1]) != wanted["sha256"]:
                found = f"sha256 {digest} at {folder}{name}"
                yield Fault(key, "", folder + name, found, f"sha256 {wanted['sha256']}", Remedy.RUN)


def _check_catalog(store: Store, listing: Listing, current: Mapping[str, Collection[str]]) -> Iterator[Fault]:
    """Pages and table are what the current items give."""
    with tempfile.TemporaryDirectory() as folder:
        derived = derive_catalog(store, current, Path(folder))
        found = json.loads(store.get_bytes(ROOT_KEY))
        table = store.get_bytes(TABLE_KEY) if TABLE_KEY in listing.sizes else None
        digest = hashlib.sha256(table).hexdigest() if table is not None else None
        pages = {**derived.pages, ROOT_KEY: derived.root(str(found.get("id")), digest)}
        for key in sorted({*pages, *listing.under("collections/")}):
            if key not in pages:
                yield Fault(key, "", key, "a page", "none: the current items do not give it", Remedy.REBUILD)
            elif key not in listing.sizes:
                yield Fault(key, "", key, "nothing", "a page", Remedy.REBUILD)
            elif store.get_bytes(key) != json_bytes(pages[key]):
                said = found.get(TABLE_DIGEST)
                if key == ROOT_KEY and said != digest:
                    yield Fault(TABLE_KEY, "", TABLE_KEY, f"sha256 {digest}", f"sha256 {said}", Remedy.REBUILD)
                else:
                    yield Fault(key, "", key, "another page", "the page that the current items give", Remedy.REBUILD)
        # A table of another digest was named above; parsing damaged bytes would tell no more.
        if derived.table and table and found.get(TABLE_DIGEST) == digest and not _same_table(derived.table, table):
            yield Fault(TABLE_KEY, "", TABLE_KEY, "other rows", "the current items", Remedy.REBUILD)


def _same_table(expected: Path, found: bytes) -> bool:
    """Compared by content: another version of the writer may give other bytes. A nodata of NaN is equal to itself."""
    try:
        one, other = pq.read_table(expected), pq.read_table(BufferReader(found))
        return one.schema.equals(other.schema) and repr(one.to_pylist()) == repr(other.to_pylist())
    except (ArrowException, OSError):
        return False
