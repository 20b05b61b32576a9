"""From everything an index lists to the files that a run asks for; what is in doubt stays, what goes is counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from pipeline.plan.argo_multi import Held, as_multi

BBox = tuple[float, float, float, float]
Mask = NDArray[np.bool_]
_CYCLE = ["wmo", "cycle", "direction"]
IDENTITY = [*_CYCLE, "kind"]


@dataclass(frozen=True)
class Selection:
    """Which profile files are asked for; whatever is empty or None asks for all."""

    dac: tuple[str, ...] = ()
    floats: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ("core",)
    """Of core, bgc, synthetic. With bgc come the core files of the same cycles: B-files have no QC of pressure."""
    parameters: tuple[str, ...] = ()
    """Of bgc and synthetic files those with any of these."""
    boxes: tuple[BBox, ...] = ()
    """West, south, east, north in degrees; west > east crosses the antimeridian."""
    shapes: tuple[BaseGeometry, ...] = ()
    """Polygons in degrees; what lies in any box or shape is in the area."""
    start: datetime | None = None
    end: datetime | None = None
    """Aware; the end is excluded."""
    multi_profile: Literal["never", "auto", "always"] = "never"
    limit: int | None = None
    """At most so many cycles, the first by path: for trying out."""

    @property
    def listed_kinds(self) -> tuple[str, ...]:
        """Kinds whose index is needed."""
        return tuple(dict.fromkeys((*(("core",) if "bgc" in self.kinds else ()), *self.kinds)))


def select(index: pa.Table, selection: Selection, held: Held | None = None) -> tuple[pa.Table, list[str]]:
    """The rows that are asked for, sorted by path, with a column `current`; and notes.

    current is False where another file of the same float, cycle, direction and kind counts: the delayed one, then the
    newer one. Which counts is decided before area and time are looked at, so a profile that a correction moved away
    is not found where it was. A row without position or time is asked for where its float is, or may be, in area and
    time at all: its file knows more than the index.

    held: versions of `_prof.nc` files that are there already, by WMO number.
    """
    notes: list[str] = []
    table = _of_floats(index, selection, notes)
    table = table.append_column("current", pa.array(current_of(table)))
    everything = table
    table = _with_parameters(table, selection, notes)
    table = _in_place(table, selection, notes)
    table = _with_core(everything, table, selection)
    table = _limited(table, selection.limit, notes)
    if selection.multi_profile != "never":
        table, more = as_multi(everything, table, held or {}, always=selection.multi_profile == "always")
        notes += more
    return table.sort_by("path"), notes


def _of_floats(index: pa.Table, selection: Selection, notes: list[str]) -> pa.Table:
    table = index
    for column, asked, word in (("dac", selection.dac, "data centre"), ("wmo", selection.floats, "float")):
        if asked:
            there = set(pc.unique(table[column]).to_pylist())
            if absent := [str(one) for one in asked if one not in there]:
                known = f"; it has {', '.join(sorted(there))}" if column == "dac" else ""
                notes.append(f"the index lists no file of {word} {', '.join(absent)}{known}")
            table = table.filter(pc.is_in(table[column], pa.array(asked, table[column].type)))
    wanted = pc.is_in(table["kind"], pa.array(selection.listed_kinds))
    return table.filter(wanted)


def current_of(table: pa.Table) -> Mask:
    """Of each identity the one row that counts: D over R by name, then the newer one, then the path."""
    if not len(table):
        return np.zeros(0, bool)
    order = pc.sort_indices(
        table,
        [
            *((key, "ascending") for key in IDENTITY),
            ("delayed", "descending"),
            ("version", "descending"),
            ("path", "ascending"),
        ],
    ).to_numpy()
    keys = [pc.rank(table[key], tiebreaker="dense").to_numpy()[order] for key in IDENTITY]
    first = np.ones(len(order), bool)
    first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    current = np.zeros(len(order), bool)
    current[order[first]] = True
    return current


def _with_parameters(table: pa.Table, selection: Selection, notes: list[str]) -> pa.Table:
    """Kinds that are asked for, and of those that list parameters, files with any that is."""
    keep = pc.is_in(table["kind"], pa.array(selection.kinds))
    if selection.parameters:
        names = "|".join(selection.parameters)
        found = pc.match_substring_regex(table["parameters"], rf"(^| )({names})( |$)")
        if not pc.any(found, min_count=0).as_py():
            notes.append(f"the index lists no bgc or synthetic file with {', '.join(selection.parameters)}")
        other = pc.equal(table["kind"], "core")
        keep = pc.and_(keep, pc.or_(other, pc.fill_null(found, fill_value=False)))
    return table.filter(keep)


def _in_place(table: pa.Table, selection: Selection, notes: list[str]) -> pa.Table:
    """Rows in area and time, those that may be, and those that lose against one of them."""
    if not (selection.boxes or selection.shapes or selection.start or selection.end):
        return table
    current = table["current"].to_numpy()
    winners = table.filter(table["current"])
    placed, inside = _area(winners, selection)
    timed, within = _span(winners, selection)
    wmo = winners["wmo"].to_numpy()
    near = placed | _of_any(wmo, inside) | ~_of_any(wmo, placed)
    about = timed | _of_any(wmo, within) | ~_of_any(wmo, timed)
    possible = (inside | ~placed) & (within | ~timed)
    chosen = possible & near & about
    doubtful = int(np.count_nonzero(chosen & ~(inside & within)))
    if doubtful:
        notes.append(f"{doubtful} files without position or time in the index are asked for: the files themselves tell")
    if left := int(np.count_nonzero(possible & ~chosen)):
        notes.append(f"{left} files without position or time in the index, of floats that are elsewhere, are left out")
    keep = np.zeros(len(table), bool)
    keep[np.flatnonzero(current)[chosen]] = True
    if not current.all():
        ids = _identities(table)
        keep |= np.isin(ids, ids[keep])
    return table.filter(pa.array(keep))


def _identities(table: pa.Table, keys: Sequence[str] = tuple(IDENTITY)) -> NDArray[np.object_]:
    """One text a row that is equal where all keys are."""
    texts = [pc.cast(table[key], pa.string()) for key in keys]
    joined: NDArray[np.object_] = pc.binary_join_element_wise(*texts, " ").to_numpy()
    return joined


def _of_any(wmo: NDArray[np.int32], mask: Mask) -> Mask:
    """Rows of floats that have any row of the mask."""
    return np.isin(wmo, np.unique(wmo[mask]))


def _area(table: pa.Table, selection: Selection) -> tuple[Mask, Mask]:
    """Which rows have a position, and which have one in the area."""
    latitude, longitude = (table[name].to_numpy() for name in ("latitude", "longitude"))
    placed = ~np.isnan(latitude)
    if not (selection.boxes or selection.shapes):
        return placed, np.ones(len(table), bool)
    inside = np.zeros(len(table), bool)
    for west, south, east, north in selection.boxes:
        across = (longitude >= west) | (longitude <= east) if west > east else (longitude >= west) & (longitude <= east)
        # 180 degrees west and east are one meridian.
        across |= (np.abs(longitude) == 180.0) & (west == -180.0 or east == 180.0)
        inside |= across & (latitude >= south) & (latitude <= north)
    for shape in selection.shapes:
        shapely.prepare(shape)
        inside |= shapely.intersects_xy(shape, longitude, latitude)
    return placed, inside & placed


def _span(table: pa.Table, selection: Selection) -> tuple[Mask, Mask]:
    """Which rows have a time, and which have one in the span."""
    timed = pc.is_valid(table["time"]).to_numpy()
    within = pa.array(np.ones(len(table), bool))
    for limit, compare in ((selection.start, pc.greater_equal), (selection.end, pc.less)):
        if limit is not None:
            within = pc.and_(
                within, pc.fill_null(compare(table["time"], pa.scalar(limit, table["time"].type)), fill_value=False)
            )
    return timed, np.asarray(within)


def _with_core(everything: pa.Table, table: pa.Table, selection: Selection) -> pa.Table:
    """With B-files their core files, whether or not core files were asked for."""
    if "bgc" not in selection.kinds:
        return table
    cycles = _identities(table.filter(pc.equal(table["kind"], "bgc")), _CYCLE)
    core = everything.filter(pc.equal(everything["kind"], "core"))
    core = core.filter(pa.array(np.isin(_identities(core, _CYCLE), cycles)))
    core = core.filter(pc.invert(pc.is_in(core["path"], table["path"])))
    return pa.concat_tables([table, core])


def _limited(table: pa.Table, limit: int | None, notes: list[str]) -> pa.Table:
    if limit is None or not len(table):
        return table
    table = table.sort_by("path")
    cycles = _identities(table, _CYCLE)
    _, first = np.unique(cycles, return_index=True)
    if len(first) <= limit:
        return table
    kept = cycles[np.sort(first)[:limit]]
    notes.append(f"limit: {limit} of {len(first)} cycles are asked for")
    return table.filter(pa.array(np.isin(cycles, kept)))
