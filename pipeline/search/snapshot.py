"""The run's catalogue: searched once, kept as stac-geoparquet, replayed without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
import stac_geoparquet.arrow as geoparquet
from shapely.geometry import shape as to_geometry

from pipeline.errors import AssetError, CatalogError
from pipeline.search.canonical import canonical, instant
from pipeline.search.catalog import Query, read_static, search_api
from pipeline.search.normalise import to_item
from pipeline.types import Asset, Grid, Item, Json

HeaderReader = Callable[[str, Asset], Grid]
"""(source name, asset) → the grid in the file's own header; raises AssetError."""
_THREADS = 16


class Source(Protocol):
    """What of a configured source a search needs."""

    @property
    def stac(self) -> str | None: ...
    @property
    def items(self) -> str | None: ...
    @property
    def collection(self) -> str | None: ...


@dataclass(frozen=True)
class Snapshot:
    """Every input the run may use: canonical STAC items with absolute, unsigned hrefs, and what was noticed."""

    items: tuple[Json, ...]
    notes: tuple[str, ...] = ()


def search(sources: Mapping[str, Source], query: Query, read_header: HeaderReader) -> Snapshot:
    """The items of every source that meet area and time, each searched once; one bad item costs itself and a note.

    Where an item does not say its grids, one header per such asset is read. Raises CatalogError when a catalogue
    itself cannot be read.
    """
    found: dict[tuple[str, str, str], Json] = {}
    notes: list[str] = []
    for name, source in sources.items():
        if source.stac is not None:
            raw = search_api(source.stac, source.collection or "", query)
        else:
            raw, more = read_static(source.items or "")
            notes += more
        for one in raw:
            try:
                item, repaired = canonical(one, name)
            except CatalogError as error:
                notes.append(f"source {name}: {error}; the item is left out")
                continue
            notes += repaired
            if (not source.collection or item["collection"] == source.collection) and _meets(item, query):
                _keep_newest(found, (name, item["collection"], item["id"]), item)
    items = [found[key] for key in sorted(found)]
    notes += _fill_grids(items, read_header)
    return Snapshot(tuple(items), tuple(notes))


def select_items(snapshot: Snapshot, aliases: Mapping[str, Mapping[str, Sequence[str]]]) -> tuple[Item, ...]:
    """The snapshot as frozen items; aliases: source name → logical band → names that mean it."""
    return tuple(
        to_item(item, aliases[item["properties"]["groundswell:source"]])
        for item in snapshot.items
        if item["properties"]["groundswell:source"] in aliases
    )


def write_snapshot(snapshot: Snapshot, path: Path) -> None:
    """The snapshot as one stac-geoparquet file; `read_snapshot` gives the same items back."""
    if snapshot.items:
        geoparquet.to_parquet(geoparquet.parse_stac_items_to_arrow(list(snapshot.items)), path)


def read_snapshot(path: Path) -> Snapshot:
    """A snapshot from its file. Raises CatalogError when the file is missing or is not one."""
    try:
        items = list(geoparquet.stac_table_to_items(pq.read_table(path)))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        raise CatalogError(f"{path}: not a snapshot (stac-geoparquet): {error}") from None
    if not all("groundswell:source" in item["properties"] for item in items):
        raise CatalogError(f"{path}: a geoparquet file, but not a run's snapshot: no groundswell:source column")
    return Snapshot(tuple(_tidy(item) for item in items))


def _tidy(item: Json) -> Json:
    """What a table cannot say: an asset that one item has and another has not is a row of nulls."""
    return {**item, "assets": {key: asset for key, asset in item["assets"].items() if asset and asset.get("href")}}


def _meets(item: Json, query: Query) -> bool:
    time = instant(item["properties"]["datetime"])
    if time is None or not query.start <= time < query.end:
        return False
    west, south, east, north = query.bbox
    boxes = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    footprint = to_geometry(item["geometry"])
    return any(footprint.intersects(shapely.box(left, south, right, north)) for left, right in boxes)


def _keep_newest(found: dict[tuple[str, str, str], Json], key: tuple[str, str, str], item: Json) -> None:
    """Servers return an item twice when pages shift; of two versions the later `updated` stays."""
    known = found.get(key)
    if known is None or (known["properties"]["updated"] or "") < (item["properties"]["updated"] or ""):
        found[key] = item


def _fill_grids(items: Sequence[Json], read_header: HeaderReader) -> list[str]:
    """Grids from headers, for raster assets whose item declares none; what cannot be read is left to the job."""
    missing = [
        (item, key, asset)
        for item in items
        for key, asset in item["assets"].items()
        if not asset["proj:shape"] and _is_raster(asset)
    ]

    def fill(entry: tuple[Json, str, Json]) -> str | None:
        item, key, asset = entry
        try:
            grid = read_header(item["properties"]["groundswell:source"], Asset(key=key, href=asset["href"]))
        except AssetError as error:
            return f"item {item['id']}, asset {key}: grid unknown: {error}"
        asset.update({"proj:code": grid.crs, "proj:shape": list(grid.shape), "proj:transform": list(grid.transform)})
        return None

    with ThreadPoolExecutor(_THREADS) as pool:
        return [note for note in pool.map(fill, missing) if note]


def _is_raster(asset: Json) -> bool:
    return any(mark in asset["type"] for mark in ("tiff", "jp2")) or asset["href"].lower().endswith(
        (".tif", ".tiff", ".jp2")
    )
