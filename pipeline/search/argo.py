"""Argo floats by a GDAC's index: which files are asked for, as an item a float. How files are had is the caller's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.config import SourceConfig, mask_credentials
from pipeline.plan.argo_index import INDEX_SCHEMA, ArgoIndex, parse_index
from pipeline.plan.argo_multi import Held
from pipeline.plan.argo_names import INDEX_FILES, WEEK_FILE, bucket_of
from pipeline.plan.argo_select import BBox, Selection, select
from pipeline.types import Asset, Item, Json

COLLECTION = "argo"
_SHOWN = 5


class Library(Protocol):
    """Where index and files are: a GDAC, or a local copy of one."""

    @property
    def roots(self) -> tuple[str, ...]:
        """Addresses or folders that hold `dac/`, the preferred one first."""

    def index(self, name: str) -> ArgoIndex:
        """An index, gzipped or not, from the first place that has all of it. Raises CatalogError."""

    def copies(self) -> pa.Table | None:
        """Of a local copy: path below `dac/` and version of every file that it holds. None: as the index says."""

    def strays(self, listed: pa.Table, selection: Selection) -> pa.Table:
        """Profile files of the selected floats that are there and not in the index: path and version."""


@dataclass(frozen=True)
class FloatSearch:
    """What was asked for and is listed."""

    items: tuple[Item, ...]
    """One a float; assets by path below `dac/`, with the version as checksum; also those that lose against another.

    Its `argo:complete` is as `complete`, of its bucket: a file that cannot be had leaves others' buckets as they are.
    The first of a bucket has in `argo:beside` what the index lists of the bucket and nobody asked for now, a path a
    line: what a partition has of these stays.
    """
    table: pa.Table
    """Of INDEX_SCHEMA, and `current` (False: another file of the same cycle counts) and `href`; sorted by path."""
    notes: tuple[str, ...]
    updated: Mapping[str, str]
    """By kind, the date of the index: 14 digits."""
    complete: bool
    """Whether what is not listed is not there: not so of a week's index, with a limit, of single floats, or where a
    copy lacks files."""
    project: str
    """As the index says: `ARGO`."""


@dataclass(frozen=True)
class Listed:
    """The indices of all kinds that are needed."""

    table: pa.Table
    updated: dict[str, str] = field(default_factory=dict)
    project: str = ""
    notes: list[str] = field(default_factory=list)


def selection_of(
    source: SourceConfig,
    boxes: Sequence[BBox] = (),
    *,
    shapes: Sequence[object] = (),
    start: datetime | None = None,
    end: datetime | None = None,
) -> Selection:
    """What a source asks for, within an area and a span of time."""
    return Selection(
        dac=source.dac,
        floats=source.floats,
        kinds=source.kinds,
        parameters=source.parameters,
        boxes=tuple(boxes),
        shapes=tuple(shapes),  # type: ignore[arg-type] # shapely has no types
        start=start,
        end=end,
        multi_profile=source.multi_profile,
        limit=source.limit,
    )


def find_floats(name: str, source: SourceConfig, selection: Selection, library: Library) -> FloatSearch:
    """The files that a selection asks for, as the index has them, and as far as a local copy holds them.

    name: of the source. Raises CatalogError where an index cannot be had whole.
    """
    listed = read_listed(source, selection, library)
    notes, table = list(listed.notes), listed.table
    # Beside a week's index nearly every file is unlisted.
    strays = library.strays(table, selection) if source.index == "global" else table.slice(0, 0)
    if len(strays):
        read = source.unlisted == "read"
        notes.append(
            _told(f"not in the index{', read too' if read else ''} (unlisted: {source.unlisted})", strays["path"])
        )
        table = pa.concat_tables([table, as_rows(strays, name)]) if read else table
    copies = library.copies()
    table, more = select(table, selection, None if copies is None else held_multi(copies))
    notes += more
    asked, lacking = table, frozenset[str]()
    if copies is not None:
        table, more = _as_copied(asked, copies)
        notes += more
        gone = asked.filter(pc.invert(pc.is_in(asked["path"], table["path"].combine_chunks())))["wmo"]
        lacking = frozenset(bucket_of(wmo) for wmo in pc.unique(gone).to_pylist())
    root = mask_credentials(library.roots[0])
    table = table.append_column("href", pc.binary_join_element_wise(f"{root.rstrip('/')}/dac/", table["path"], ""))
    # A bucket has floats that nobody named, and files that could not be copied today: neither may take rows away.
    chosen = selection.limit is not None or bool(selection.floats)
    complete = source.index == "global" and not chosen
    whole = len(pc.unique(listed.table["wmo"])) == len(pc.unique(asked["wmo"]))
    properties = {
        "argo:index": min(listed.updated.values(), default=""),
        "argo:complete": complete,
        "argo:whole": complete and whole,
        "argo:roots": [mask_credentials(one) for one in library.roots],
        "argo:project": listed.project,
    }
    beside = _beside(listed.table, asked, selection) if complete else {}
    items = tuple(_told_of(item, lacking, beside) for item in float_items(table, name, properties))
    return FloatSearch(items, table, tuple(notes), listed.updated, complete and not lacking, listed.project)


def _beside(listed: pa.Table, asked: pa.Table, selection: Selection) -> dict[str, str]:
    """By bucket, the files of its floats that the index lists and that are left out now, a path a line.

    Area, time, data centre and parameters choose among what there is; they do not say that the rest is gone.
    """
    rows = listed.filter(pa.array(np.isin(_tens(listed), np.unique(_tens(asked)))))
    # A file of a whole float has all its profiles, whoever asked for which of them.
    multi = pc.unique(asked.filter(pc.ends_with(asked["path"], "_prof.nc"))["wmo"])
    left = pc.or_(pc.is_in(rows["path"], asked["path"].combine_chunks()), pc.is_in(rows["wmo"], multi))
    rows = rows.filter(pc.and_(pc.is_in(rows["kind"], pa.array(selection.listed_kinds)), pc.invert(left)))
    rows = rows.sort_by([("wmo", "ascending"), ("path", "ascending")])
    tens, paths = _tens(rows), rows["path"].to_pylist()
    bounds = [*np.flatnonzero(np.diff(tens, prepend=-1)).tolist(), len(paths)]
    return {bucket_of(10 * int(tens[first])): "\n".join(paths[first:last]) for first, last in pairwise(bounds)}


def _tens(table: pa.Table) -> NDArray[np.int32]:
    """What the WMO numbers of a bucket have in common."""
    tens: NDArray[np.int32] = table["wmo"].to_numpy() // 10
    return tens


def _told_of(item: Item, lacking: Collection[str], beside: dict[str, str]) -> Item:
    """With what is to be known of its bucket; the first of a bucket takes the text."""
    bucket = bucket_of(int(item.id))
    more: dict[str, Json] = {"argo:complete": False} if bucket in lacking else {}
    if bucket in beside:
        more["argo:beside"] = beside.pop(bucket)
    return replace(item, properties={**item.properties, **more}) if more else item


def index_files(source: SourceConfig, selection: Selection) -> dict[str, str]:
    """By kind, the index that a selection needs; that of a week is of core files only."""
    week = {"core": WEEK_FILE} if source.index == "week" else {}
    return {kind: (INDEX_FILES | week)[kind] for kind in selection.listed_kinds}


def read_listed(source: SourceConfig, selection: Selection, library: Library) -> Listed:
    """All rows of the indices that a selection needs. Raises CatalogError where one cannot be had whole."""
    tables, listed = [], Listed(INDEX_SCHEMA.empty_table())
    for kind, name in index_files(source, selection).items():
        found = library.index(name)
        tables.append(found.table)
        listed.updated[kind] = found.updated
        listed.notes.extend(found.notes)
    return Listed(pa.concat_tables(tables), listed.updated, found.project, listed.notes)


def held_multi(copies: pa.Table) -> Held:
    """Versions of the `_prof.nc` files of a local copy, by WMO number."""
    multi = copies.filter(pc.match_substring_regex(copies["path"], r"^[a-z]+/[0-9]+/[0-9]+_prof\.nc$"))
    wmo = pc.struct_field(pc.extract_regex(multi["path"], r"^[a-z]+/(?P<wmo>[0-9]+)/").combine_chunks(), "wmo")
    return dict(zip(pc.cast(wmo, pa.int32()).to_pylist(), multi["version"].to_pylist(), strict=True))


def as_rows(files: pa.Table, place: str) -> pa.Table:
    """Files that no index lists as rows of one: without position and time."""
    lines = [
        f"{path},,,,{version}\n"
        for path, version in zip(files["path"].to_pylist(), files["version"].to_pylist(), strict=True)
    ]
    return parse_index(("file,date,latitude,longitude,date_update\n" + "".join(lines)).encode(), place).table


def float_items(table: pa.Table, name: str, properties: Mapping[str, Json]) -> tuple[Item, ...]:
    """The files of a table with `href` as one item a float, sorted by WMO number.

    The version of each file stands as its checksum; an item's time is that of its latest profile, its geometry the box
    of its positions, or None.
    """
    table = table.sort_by([("wmo", "ascending"), ("path", "ascending")]).combine_chunks()
    wmo = table["wmo"].to_numpy()
    bounds = [*np.flatnonzero(np.diff(wmo, prepend=-1)).tolist(), len(table)]
    return tuple(_item(table.slice(first, last - first), name, properties) for first, last in pairwise(bounds))


def _item(files: pa.Table, name: str, properties: Mapping[str, Json]) -> Item:
    columns = (files[key].to_pylist() for key in ("path", "href", "version"))
    assets = {path: Asset(path, href, checksum=version) for path, href, version in zip(*columns, strict=True)}
    newest = pc.max(files["version"]).as_py()
    time = pc.max(files["time"]).as_py() or datetime.strptime(newest, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return Item(
        id=str(files["wmo"][0].as_py()),
        collection=COLLECTION,
        source=name,
        time=time.astimezone(UTC),
        solar_day=time.date(),
        geometry=_box(files),
        assets=assets,
        updated=newest,
        properties={"argo:dac": files["dac"][0].as_py(), **properties},
    )


def _box(files: pa.Table) -> Json:
    """The box of all positions as GeoJSON, the shorter way around; None without any."""
    longitude, latitude = (files[key].drop_null().to_numpy() for key in ("longitude", "latitude"))
    if not len(latitude):
        return None
    other = np.where(longitude < 0, longitude + 360, longitude)
    west, east = min(((x.min(), x.max()) for x in (longitude, other)), key=lambda ends: ends[1] - ends[0])
    south, north = latitude.min(), latitude.max()
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [[[float(x), float(y)] for x, y in ring]]}


def _as_copied(table: pa.Table, copies: pa.Table) -> tuple[pa.Table, list[str]]:
    """Only files that the copy holds, with the versions that it holds, and those that lose; and notes of the others."""
    place = pc.index_in(table["path"], copies["path"].combine_chunks())
    there = pc.is_valid(place)
    absent = table.filter(pc.and_(pc.invert(there), table["current"]))
    version = pc.coalesce(pc.take(copies["version"], place), table["version"])
    older = table.filter(pc.and_(pc.not_equal(version, table["version"]), table["current"]))
    table = table.set_column(table.column_names.index("version"), "version", version)
    table = table.filter(pc.or_(there, pc.invert(table["current"])))
    notes = [_told("not in the local copy and left out; run `groundswell sync`", absent["path"])] if len(absent) else []
    notes += [_told("of another version in the local copy than in the index", older["path"])] if len(older) else []
    return table, notes


def _told(what: str, paths: pa.ChunkedArray) -> str:
    shown = ", ".join(paths.slice(0, _SHOWN).to_pylist())
    return f"{len(paths)} files {what}: {shown}{', …' if len(paths) > _SHOWN else ''}"
