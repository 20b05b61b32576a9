"""Whether a committed item is what it was when it was committed: itself, and every object that it names."""

from __future__ import annotations

import json
import posixpath
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.errors import StoreError
from pipeline.write.commit import fingerprint_of
from pipeline.write.files import document_digest, json_bytes
from pipeline.write.manifest import expected_objects
from pipeline.write.partition import generation_of, is_partition
from pipeline.write.stac import FORMAT, ITEM_DIGEST, OWN_PREFIX
from pipeline.write.store import Store

FOLDER_SUFFIX = ".zarr"
"""Ends the href of an asset that is a folder of objects; the asset `<asset>-manifest` lists them."""
Document = dict[str, Any]


class Remedy(StrEnum):
    """What puts a fault right, in words; `verify --repair` does what it can of it."""

    WITHDRAW = "put back the object that was there, or `groundswell verify --repair` and run its config again"
    """The item goes, so that the next run makes its job again."""
    REMOVE = "`groundswell verify --repair` removes it: readers may take it for data"
    REBUILD = "run `groundswell catalog`"
    REPAINT = "`groundswell verify --repair` and run the config again: a mosaic is made from the items anew"
    RUN = "run its config again"
    READ = "verify again; what never can be read again: delete its item and run its config again"
    """Nothing is known to be wrong: the store did not answer, or a newer version wrote it."""


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it was committed."""

    place: str
    """Key of the item or page that says what is expected."""
    asset: str
    """Empty where the fault is in the item or page itself."""
    key: str
    found: str
    expected: str
    remedy: Remedy

    def __str__(self) -> str:
        where = f"{self.place}: asset {self.asset}: {self.key}" if self.asset else self.place
        return f"{where}: found {self.found}, expected {self.expected}; {self.remedy}"


class NewerError(StoreError):
    """A newer version wrote it: what it means is not known here."""


class Listing:
    """What lies in an output, from one listing."""

    def __init__(self, objects: Iterable[tuple[str, int]]) -> None:
        self.sizes = dict(objects)
        """Bytes by key."""
        self._keys = sorted(self.sizes)

    def under(self, prefix: str) -> list[str]:
        """Keys that begin with a prefix, sorted."""
        first = bisect_left(self._keys, prefix)
        return self._keys[first : bisect_left(self._keys, prefix[:-1] + chr(ord(prefix[-1]) + 1))]


def resolve(key: str, href: str) -> str:
    """The key that a relative href in the object `key` leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(key), href))


def read_item(data: bytes) -> Document:
    """An item's document; StoreError saying what is wrong with it. What this version does not know, it refuses."""
    try:
        item = json.loads(data)
        properties = item["properties"]
        known = {name: value for name, value in properties.items() if name != ITEM_DIGEST}
        if properties[f"{OWN_PREFIX}:format"] > FORMAT:
            raise NewerError(f"format {properties[f'{OWN_PREFIX}:format']}, which a newer version wrote")
        if properties[ITEM_DIGEST] != document_digest({**item, "properties": known}) or json_bytes(item) != data:
            raise StoreError("another text than the one that was committed")
        for asset in item["assets"].values():
            if not asset["href"].endswith(FOLDER_SUFFIX):
                _ = asset["file:size"] + 0, asset["file:checksum"].split()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise StoreError(f"no item ({type(error).__name__}: {error})") from error
    return dict(item)


def get_item(store: Store, key: str) -> Document:
    """The item at a key. Raises StoreError naming it where it is missing, or not what was committed."""
    data = store.get_bytes(key)
    try:
        return read_item(data)
    except StoreError as error:
        raise StoreError(f"{store.uri}, key {key}: found {error}; {Remedy.WITHDRAW}") from error


def named_keys(key: str, item: Document) -> Iterator[str]:
    """Keys of everything that an item names under the output: files, and folders without a slash at their end.

    Also the items that it is made from.
    """
    for asset in item["assets"].values():
        yield resolve(key, asset["href"])
    for link in item["links"]:
        if link["rel"] == "derived_from" and link["href"].startswith("."):
            yield resolve(key, link["href"])


def check_item(store: Store, key: str, listing: Listing, *, quick: bool = False, links: bool = True) -> list[Fault]:
    """Every fault of one item and of what it names; none for a sound one.

    quick: names and sizes only; nothing but the item (and the manifests of its folders) is read. links: also whether
    they lead somewhere.
    """
    if key not in listing.sizes:
        return [Fault(key, "", key, "nothing", "an item", Remedy.RUN)]
    remedy = Remedy.READ
    try:
        data = store.get_bytes(key)
        remedy = Remedy.WITHDRAW
        item = read_item(data)
    except StoreError as error:
        remedy = Remedy.READ if isinstance(error, NewerError) else remedy
        return [Fault(key, "", key, str(error), "the item as it was committed", remedy)]
    faults = [*_check_name(key, item), *(check_links(key, item, listing) if links else ())]
    for name, asset in item["assets"].items():
        where = resolve(key, asset["href"])
        if where.endswith(FOLDER_SUFFIX):
            manifest = item["assets"].get(f"{name}-manifest", {"href": "(none)"})
            faults += check_folder(store, (key, name, where), resolve(key, manifest["href"]), listing, quick=quick)
        else:
            wanted = asset["file:size"], asset["file:checksum"].removeprefix("1220")
            found = _check_object(store, (key, name, where), wanted, listing, quick=quick)
            # Of a partition the item follows: while it is behind, the partition's own footer is what counts.
            faults += [] if found and _moved_on(store, where, item) else found
    return faults


def _moved_on(store: Store, key: str, item: Document) -> bool:
    """Whether a partition is of a later state than its item."""
    return is_partition(key) and generation_of(store, key) > item["properties"].get(f"{OWN_PREFIX}:generation", 0)


def check_links(key: str, document: Mapping[str, Any], listing: Listing) -> Iterator[Fault]:
    """Relative links of an item or a page that lead nowhere; addresses elsewhere are not asked."""
    hrefs = {str(link.get("href")): link for link in reversed(document.get("links", ()))}  # each address once
    for href, link in reversed(hrefs.items()):
        if href.startswith(".") and (there := resolve(key, href)) not in listing.sizes:
            derived = "catalog.json" in there or "collections/" in f"{key} {there}"
            # What an item was made from is made again by itself; the item stays what it is.
            remedy = Remedy.REBUILD if derived else Remedy.RUN
            found = f"a link {link.get('rel')!r} to {there}, where nothing is"
            yield Fault(key, "", there, found, "an object", remedy)


def _check_name(key: str, item: Document) -> Iterator[Fault]:
    properties = item["properties"]
    fingerprint = properties.get(f"{OWN_PREFIX}:fingerprint")
    expected = f"items/{item.get('collection')}/{item.get('id', '').removeprefix(str(item.get('collection')) + '_')}"
    if key != f"{expected}_{fingerprint}.json" or fingerprint_of(key) != fingerprint:
        yield Fault(key, "", key, f"the item of {expected}_{fingerprint}", "an item of its own name", Remedy.WITHDRAW)


def _check_object(
    store: Store, where: tuple[str, str, str], wanted: tuple[int, str], listing: Listing, *, quick: bool
) -> list[Fault]:
    """where: (item, asset, key). wanted: (bytes, SHA-256)."""
    item, asset, key = where
    size = listing.sizes.get(key)
    if size is None:
        return [Fault(item, asset, key, "nothing", f"{wanted[0]} bytes", Remedy.WITHDRAW)]
    if size != wanted[0]:
        return [Fault(item, asset, key, f"{size} bytes", f"{wanted[0]} bytes", Remedy.WITHDRAW)]
    if not quick:
        try:
            _, digest = store.digest(key)
        except StoreError as error:
            return [Fault(item, asset, key, str(error), "an object that can be read", Remedy.READ)]
        if digest != wanted[1]:
            return [Fault(item, asset, key, f"sha256 {digest}", f"sha256 {wanted[1]}", Remedy.WITHDRAW)]
    return []


def check_folder(
    store: Store, place: tuple[str, str, str], manifest_key: str, listing: Listing, *, quick: bool
) -> Iterator[Fault]:
    """A folder is whole when it holds exactly what its manifest lists: readers take a missing chunk for no data.

    place: (key of what names it, asset, folder).
    """
    key, name, folder = place
    remedy = Remedy.READ if manifest_key in listing.sizes else Remedy.WITHDRAW
    try:
        data = store.get_bytes(manifest_key)
        remedy = Remedy.WITHDRAW
        expected = expected_objects(json.loads(data), folder)
    except (StoreError, ValueError) as error:
        yield Fault(key, name, folder, str(error), f"the list of its objects at {manifest_key}", remedy)
        return
    for one, wanted in expected.items():
        yield from _check_object(store, (key, name, one), (wanted.size_bytes, wanted.sha256), listing, quick=quick)
    for extra in [one for one in listing.under(f"{folder}/") if one not in expected]:
        unlisted = "nothing: the manifest does not list it"
        yield Fault(key, name, extra, f"{listing.sizes[extra]} bytes", unlisted, Remedy.REMOVE)
