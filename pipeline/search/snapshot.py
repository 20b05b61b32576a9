"""The run's catalogue: searched once, kept as stac-geoparquet, replayed without a network."""

from __future__ import annotations

import gc
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import stac_geoparquet.arrow as geoparquet

from pipeline.config import SourceConfig
from pipeline.errors import AssetError, CatalogError
from pipeline.search.canonical import FACTS, canonical
from pipeline.search.catalog import Query, raw_items
from pipeline.search.hrefs import preferred
from pipeline.search.normalise import to_item, wanted_keys
from pipeline.search.query import meets, within_limits
from pipeline.search.transfer import THREADS
from pipeline.search.versions import keep_newest
from pipeline.types import Asset, Grid, Item, Json

HeaderReader = Callable[[str, Asset], Grid]
"""(source name, asset) → the grid in the file's own header; raises AssetError."""
_SHOWN = 5


@dataclass(frozen=True)
class Snapshot:
    """Every input the run may use: canonical STAC items with absolute, unsigned hrefs, and what was noticed."""

    items: tuple[Json, ...]
    notes: tuple[str, ...] = ()
    file: tuple[Path, int] | None = field(default=None, compare=False)
    """Where it was read from, and when that was last changed, in nanoseconds."""


def search(
    sources: Mapping[str, SourceConfig],
    query: Query | Mapping[str, Query],
    read_header: HeaderReader,
    wanted: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
) -> Snapshot:
    """The items of every source that meet area, time and limits, each searched once; a bad one costs itself and a note.

    query: one for all sources, or one for each by its name.

    Where an item does not say its grids, one header per such asset is read, of those that are wanted (source name →
    logical band → names that mean it; None: all). Of a scene processed again only the newest version stays.
    Raises CatalogError when a catalogue itself cannot be read.
    """
    found: dict[tuple[str, str, str], Json] = {}
    notes: list[str] = []
    for name, source in sources.items():
        asked = query if isinstance(query, Query) else query[name]
        raw, more = raw_items(source, asked)
        notes += more
        losses: Counter[str] = Counter()
        others: set[str] = set()
        for one in raw:
            try:
                item, repaired = canonical(one, name)
            except CatalogError as error:
                notes.append(f"source {name}: {error}; the item is left out")
                losses["cannot be used"] += 1
                continue
            notes += repaired
            if source.collection and item["collection"] not in source.collection:
                losses["are of other collections"] += 1
                others.add(item["collection"])
            elif not meets(item, asked):
                losses["outside area or period"] += 1
            elif not within_limits({**json.loads(item["properties"][FACTS]), **one["properties"]}, source.query):
                losses["miss its query"] += 1
            else:
                _merge(found, (name, item["collection"], item["id"]), item)
        ignored = losses["miss its query"] if source.stac is not None else 0
        if ignored:
            notes.append(f"source {name}: {ignored} items left out that the server gave although they miss its query")
        if raw and losses.total() == len(raw):
            notes.append(_nothing_left(name, losses, sorted(others)))
    items, replaced = keep_newest([found[key] for key in sorted(found)])
    notes += replaced
    notes += _fill_grids(items, sources, read_header, wanted)
    return Snapshot(tuple(items), tuple(notes))


def select_items(
    snapshot: Snapshot,
    aliases: Mapping[str, Mapping[str, Sequence[str]]],
    sources: Mapping[str, SourceConfig] | None = None,
) -> tuple[Item, ...]:
    """The snapshot as frozen items; aliases: source name → logical band → names that mean it.

    sources: which address of a file each source reads, where an item gives several; without it, the item's own.
    """
    with _unswept():
        return tuple(
            to_item(item, aliases[name], (sources or {}).get(name))
            for item in snapshot.items
            if (name := item["properties"]["groundswell:source"]) in aliases
        )


@contextmanager
def _unswept() -> Iterator[None]:
    """What is made meanwhile stays, and holds no cycles: looking for some takes as long as making it."""
    sweeps = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if sweeps:
            gc.enable()


def write_snapshot(snapshot: Snapshot, path: Path) -> None:
    """The snapshot as one stac-geoparquet file; `read_snapshot` gives the same items back.

    One that was read from a file is copied from there, as long as nobody changed that.
    """
    if snapshot.file is not None and _changed_ns(snapshot.file[0]) == snapshot.file[1]:
        shutil.copyfile(snapshot.file[0], path)
    elif snapshot.items:
        geoparquet.to_parquet(geoparquet.parse_stac_items_to_arrow(list(snapshot.items)), path)


def read_snapshot(path: Path) -> Snapshot:
    """A snapshot from its file. Raises CatalogError when the file is missing or is not one."""
    changed = _changed_ns(path)
    try:
        with _unswept():
            items = list(geoparquet.stac_table_to_items(pq.read_table(path)))
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        why = error if path.exists() else "found no such file"
        raise CatalogError(
            f"{path}: not a snapshot (stac-geoparquet): {why}; give runs/<id>/items.parquet of a run's output"
        ) from None
    if not all("groundswell:source" in item["properties"] for item in items):
        raise CatalogError(f"{path}: a geoparquet file, but not a run's snapshot: no groundswell:source column")
    return Snapshot(tuple(_tidy(item) for item in items), file=None if changed is None else (path, changed))


def _changed_ns(path: Path) -> int | None:
    """When a file was last changed; None where there is none."""
    return path.stat().st_mtime_ns if path.is_file() else None


def _tidy(item: Json) -> Json:
    """What a table cannot say: an asset that one item has and another has not is a row of nulls."""
    return {**item, "assets": {key: asset for key, asset in item["assets"].items() if asset and asset.get("href")}}


def _nothing_left(name: str, losses: Mapping[str, int], others: Sequence[str]) -> str:
    """Why none of a source's items remains: without it, a slip in `collection` looks like an empty catalogue."""
    shown = f" ({', '.join(others[:_SHOWN])}{', …' if len(others) > _SHOWN else ''})"
    reasons = [
        f"{count} {reason}{shown if reason == 'are of other collections' else ''}"
        for reason, count in losses.items()
        if count
    ]
    return f"source {name}: of {sum(losses.values())} items, {', '.join(reasons)}"


def _merge(found: dict[tuple[str, str, str], Json], key: tuple[str, str, str], item: Json) -> None:
    """Servers return an item twice when pages shift; of two versions the later `updated` stays."""
    known = found.get(key)
    if known is None or (known["properties"]["updated"] or "") < (item["properties"]["updated"] or ""):
        found[key] = item


def _fill_grids(
    items: Sequence[Json],
    sources: Mapping[str, SourceConfig],
    read_header: HeaderReader,
    wanted: Mapping[str, Mapping[str, Sequence[str]]] | None,
) -> list[str]:
    """Grids from headers, for raster assets whose item declares none; what cannot be read is left to the job."""
    missing = []
    for item in items:
        source = item["properties"]["groundswell:source"]
        keys = item["assets"].keys() if wanted is None else wanted_keys(item, wanted.get(source, {}))
        missing += [
            (item["id"], source, key, asset)
            for key, asset in item["assets"].items()
            if key in keys and not asset["proj:shape"] and _is_raster(asset)
        ]

    def fill(entry: tuple[str, str, str, Json]) -> str | None:
        name, source, key, asset = entry
        try:
            grid = read_header(source, Asset(key=key, href=preferred(asset, sources[source])))
        except AssetError as error:
            return f"item {name}, asset {key}: grid unknown: {error}"
        asset.update({"proj:code": grid.crs, "proj:shape": list(grid.shape), "proj:transform": list(grid.transform)})
        return None

    with ThreadPoolExecutor(THREADS) as pool:
        return [note for note in pool.map(fill, missing) if note]


def _is_raster(asset: Json) -> bool:
    return any(mark in asset["type"] for mark in ("tiff", "jp2")) or asset["href"].lower().endswith(
        (".tif", ".tiff", ".jp2")
    )
