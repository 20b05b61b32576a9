"""Pages and a table for readers, derived from the items that are current; rebuilt at run end, never by jobs.

Everything here can be deleted and made again. The root page is put last, pages that no longer belong are removed after
it, so a reader who starts at `catalog.json` finds what it links to.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.types import joined_attributions
from pipeline.write.edges import FIELD as EDGES
from pipeline.write.files import json_bytes
from pipeline.write.footprint import join_bboxes
from pipeline.write.sound import get_item
from pipeline.write.stac import ITEM_TYPE, JSON_TYPE, ROOT_KEY, STAC_VERSION, used_extensions
from pipeline.write.store import Store
from pipeline.write.table import DAY, as_row, write_table

PAGE_LINKS = 990
"""Children of one page; with root, parent and licence links a page stays within 1,000 links."""

READS_AT_ONCE = 16
BATCH_ITEMS = 2000
"""Items held in memory at once."""

TABLE_KEY = "items.parquet"
ITEMS_DIGEST = "groundswell:items"
"""Field of the root page: digest of the item keys that the pages were written for."""
TABLE_DIGEST = "groundswell:table"
"""Field of the root page: SHA-256 of `items.parquet`, null where there is none."""
Document = dict[str, Any]


@dataclass(frozen=True)
class Derived:
    """Everything that is derived from the current items, but for the root page."""

    pages: dict[str, Document]
    """By key, below `collections/`."""
    table: Path | None
    """`items.parquet`; None without items."""
    products: tuple[str, ...]
    items: str
    """Digest of the keys of the items."""
    count: int

    def root(self, name: str, table_sha256: str | None) -> Document:
        """The root page of an output, for a table with this digest."""
        return _root(name, self.products, {ITEMS_DIGEST: self.items, TABLE_DIGEST: table_sha256})


def derive_catalog(store: Store, current: Mapping[str, Collection[str]], folder: Path) -> Derived:
    """Pages and table for the given items, in the scratch `folder`; reads each item once, puts nothing.

    `current`: item keys by product, all under `items/<product>/`. Raises StoreError when an item named is not there.
    """
    collections = {product: Collected(product) for product in sorted(current)}

    def items() -> Iterator[Document]:
        for product, collected in collections.items():
            for key, item in _read_items(store, sorted(current[product])):
                collected.add(key, item)
                yield as_row(key, item)

    table = write_table(items(), folder / TABLE_KEY, BATCH_ITEMS)
    full = [collected for collected in collections.values() if collected.links]
    pages = {key: page for collected in full for key, page in render_pages(collected).items()}
    digest = _digest(key for keys in current.values() for key in keys)
    count = sum(len(collected.links) for collected in full)
    return Derived(pages, table, tuple(collected.product for collected in full), digest, count)


def write_catalog(store: Store, name: str, current: Mapping[str, Collection[str]]) -> int:
    """Write `catalog.json`, the collection pages and `items.parquet` for the given items; returns how many there were.

    Hrefs are relative everywhere; in `items.parquet` they are relative to the root of the output. Without any item
    the table is removed. Raises as `derive_catalog`.
    """
    with tempfile.TemporaryDirectory() as folder:
        derived = derive_catalog(store, current, Path(folder))
        table_sha256 = None
        if derived.table:
            store.put_file(derived.table, TABLE_KEY)
            table_sha256 = hashlib.sha256(derived.table.read_bytes()).hexdigest()
        else:
            store.delete(TABLE_KEY)
    for key, page in derived.pages.items():
        store.put_bytes(json_bytes(page), key)
    store.put_bytes(json_bytes(derived.root(name, table_sha256)), ROOT_KEY)
    for key in [key for key, _ in store.list_objects("collections/") if key not in derived.pages]:
        store.delete(key)
    return derived.count


def catalog_is_current(store: Store, current: Mapping[str, Collection[str]]) -> bool:
    """True when pages and table were last written for exactly these items; a run that made nothing then reads none.

    The table is looked at too: of two runs that write at once, one may put its table and the other the root page.
    """
    root = _root_page(store)
    table_sha256 = store.digest(TABLE_KEY)[1] if store.exists(TABLE_KEY) else None
    expected = {ITEMS_DIGEST: _digest(key for keys in current.values() for key in keys), TABLE_DIGEST: table_sha256}
    return root is not None and all(name in root and root[name] == value for name, value in expected.items())


def outdate_catalog(store: Store) -> None:
    """Let the next run that ends write all pages anew: this one replaces items, and their names will tell nothing."""
    if page := _root_page(store):
        page.pop(ITEMS_DIGEST, None)
        store.put_bytes(json_bytes(page), ROOT_KEY)


def _root_page(store: Store) -> Document | None:
    """None where it is missing, or damaged: then it is written anew."""
    try:
        return dict(json.loads(store.get_bytes(ROOT_KEY))) if store.exists(ROOT_KEY) else None
    except (ValueError, TypeError):
        return None


def _digest(keys: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(sorted(keys)).encode()).hexdigest()


@dataclass
class Collected:
    """What a collection says of its items, gathered one by one."""

    product: str
    links: list[Document] = field(default_factory=list)
    bboxes: list[list[float]] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    licenses: set[str] = field(default_factory=set)
    attributions: set[str] = field(default_factory=set)
    license_links: dict[str, Document] = field(default_factory=dict)
    providers: dict[str, Document] = field(default_factory=dict)
    item_assets: dict[str, Document] = field(default_factory=dict)
    summaries: dict[str, set[Any]] = field(default_factory=dict)

    def add(self, key: str, item: Document) -> None:
        properties = item["properties"]
        self.links.append({"rel": "item", "href": f"../../{key}", "type": ITEM_TYPE, "title": item["id"]})
        # Only the outline of all is kept, so that a hundred thousand items weigh little.
        self.bboxes = [join_bboxes([*self.bboxes, item["bbox"]])]
        times = [*self.times, properties["start_datetime"], properties["end_datetime"]]
        self.times = [min(times), max(times)]
        self.licenses.add(properties["license"])
        self.attributions.add(properties["attribution"])
        self.license_links |= {link["href"]: link for link in item["links"] if link["rel"] == "license"}
        self.providers |= {each["name"]: each for each in properties.get("providers", ())}
        for name, asset in item["assets"].items():
            if DAY not in asset:
                self.item_assets.setdefault(name, _common(asset))
            if asset.get("proj:code"):
                self.summaries.setdefault("proj:code", set()).add(asset["proj:code"])
            if "gsd" in asset:
                self.summaries.setdefault("gsd", set()).add(asset["gsd"])


def render_pages(collected: Collected) -> dict[str, Document]:
    """The pages of a collection by key: `collection.json`, and pages below it where its items need more than one."""
    folder = f"collections/{collected.product}"
    pages: dict[str, Document] = {}
    links, level = collected.links, 0
    while len(links) > PAGE_LINKS:
        level += 1
        groups, links = list(_batches(links, PAGE_LINKS)), []
        for number, group in enumerate(groups, start=1):
            name = f"page-{level}-{number:04d}"
            pages[f"{folder}/{name}.json"] = _page(collected.product, name, group)
            _adopt(pages, folder, group, f"{name}.json")
            links.append({"rel": "child", "href": f"./{name}.json", "type": JSON_TYPE, "title": name})
    pages[f"{folder}/collection.json"] = _collection(collected, links)
    _adopt(pages, folder, links, "collection.json")
    return pages


def _adopt(pages: dict[str, Document], folder: str, children: list[Document], parent: str) -> None:
    for link in children:
        if link["rel"] == "child":
            page = pages[posixpath.normpath(f"{folder}/{link['href']}")]
            page["links"].append({"rel": "parent", "href": f"./{parent}", "type": JSON_TYPE})


def _page(product: str, name: str, links: list[Document]) -> Document:
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": f"{product}-{name}",
        "description": f"Part of the items of {product}.",
        "links": [{"rel": "root", "href": f"../../{ROOT_KEY}", "type": JSON_TYPE}, *links],
    }


def _collection(collected: Collected, links: list[Document]) -> Document:
    item_assets = collected.item_assets
    summaries: Document = {name: sorted(values) for name, values in sorted(collected.summaries.items())}
    licenses = collected.licenses
    up = [{"rel": rel, "href": f"../../{ROOT_KEY}", "type": JSON_TYPE} for rel in ("root", "parent")]
    return {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": used_extensions([summaries, *item_assets.values()]),
        "id": collected.product,
        "title": collected.product,
        "description": f"Product {collected.product}: {len(collected.links)} items made by Groundswell.",
        "license": next(iter(licenses)) if len(licenses) == 1 else "other",
        "attribution": joined_attributions(collected.attributions),
        "providers": [collected.providers[name] for name in sorted(collected.providers)],
        "extent": {"spatial": {"bbox": collected.bboxes}, "temporal": {"interval": [collected.times]}},
        "summaries": summaries,
        "item_assets": item_assets,
        "links": [*up, *(collected.license_links[href] for href in sorted(collected.license_links)), *links],
    }


def _root(name: str, products: Iterable[str], digests: Document) -> Document:
    children = [
        {"rel": "child", "href": f"./collections/{product}/collection.json", "type": JSON_TYPE, "title": product}
        for product in products
    ]
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": name,
        "title": name,
        "description": f"What the run {name} and the runs before it on this output have made, product by product.",
        "links": [{"rel": "root", "href": f"./{ROOT_KEY}", "type": JSON_TYPE}, *children],
        **digests,
    }


def _common(asset: Document) -> Document:
    """What holds of this asset in every item of a collection."""
    own = ("href", "file:size", "file:checksum", "proj:code", "proj:wkt2", "proj:shape", "proj:transform", "proj:bbox")
    common = {name: value for name, value in asset.items() if name not in own}
    if "bands" in common:
        common["bands"] = [
            {n: v for n, v in band.items() if n not in ("statistics", "groundswell:days", EDGES)}
            for band in common["bands"]
        ]
    return common


def _read_items(store: Store, keys: Iterable[str]) -> Iterator[tuple[str, Document]]:
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        for batch in _batches(keys, BATCH_ITEMS):
            yield from zip(batch, pool.map(lambda key: get_item(store, key), batch), strict=True)


def _batches(values: Iterable[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch
