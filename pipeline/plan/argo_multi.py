"""Which floats are had as one `_prof.nc` in place of a file a cycle.

A GDAC makes `<wmo>_prof.nc` of all core files of a float, after it has taken the last of them: its own DATE_UPDATE is
later than the `date_update` of every file in it. So of a copy with version V all that is missing are the files that the
index lists with a later `date_update`; they are had one by one until there are many. It holds primary profiles only:
what else a cycle has (near-surface, secondary sampling) is in the single files alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.plan.argo_names import multi_path

Held = Mapping[int, str]
"""Versions of the `_prof.nc` files that are there, by WMO number."""
_MANY = 20
"""Files in place of which one is had; of 57 to 181 cycles on the real GDAC it has half of their bytes."""


def as_multi(everything: pa.Table, chosen: pa.Table, held: Held, *, always: bool) -> tuple[pa.Table, list[str]]:
    """The chosen rows with the core rows of some floats replaced by one row each; and a note of what that leaves out.

    everything: all rows of the floats, chosen or not. Without `always`, floats whose file is held, or of which at least
    half and at least twenty files are chosen. The row's version is that of the held file, or the newest of those in it.
    """
    stamps, rows = dict[int, str](), []
    totals = {one["wmo"]: one for one in _by_float(everything)}
    newer = _newer(chosen, held)
    for one in _by_float(chosen):
        wmo, total = one["wmo"], totals[one["wmo"]]
        if always or wmo in held or one["path_count"] >= max(_MANY, total["path_count"] / 2):
            few = newer.get(wmo, 0) < max(_MANY, total["path_count"] / 4)
            stamps[wmo] = held[wmo] if wmo in held and few else total["version_max"]
            rows.append(_row(one, stamps[wmo]))
    if not rows:
        return chosen, []
    of_row = _of_row(chosen, stamps)
    covered = pc.and_(pc.equal(chosen["kind"], "core"), pc.less_equal(chosen["version"], of_row))
    single = chosen.filter(pc.invert(pc.fill_null(covered, fill_value=False)))
    note = f"one _prof.nc each in place of the core files of {len(rows)} floats: it holds primary profiles only"
    return pa.concat_tables([single, pa.Table.from_pylist(rows, chosen.schema)]), [note]


def _by_float(table: pa.Table) -> list[dict[str, Any]]:
    """Of each float's core files that count: how many, the newest version, the latest time, the data centre."""
    core = table.filter(pc.and_(pc.equal(table["kind"], "core"), table["current"]))
    of_each = [("path", "count"), ("version", "max"), ("time", "max"), ("dac", "min")]
    found: list[dict[str, Any]] = core.group_by("wmo").aggregate(of_each).sort_by("wmo").to_pylist()
    return found


def _of_row(table: pa.Table, by_float: Mapping[int, str]) -> pa.ChunkedArray:
    """The text that each row's float has; null for floats without."""
    places = pc.index_in(table["wmo"], pa.array(list(by_float), pa.int32()))
    return pc.take(pa.array(list(by_float.values()), pa.string()), places)


def _newer(chosen: pa.Table, held: Held) -> dict[int, int]:
    """How many core files are newer than the float's held file."""
    newer = chosen.filter(pc.greater(chosen["version"], _of_row(chosen, held)))
    return {one["wmo"]: one["path_count"] for one in _by_float(newer)}


def _row(one: Mapping[str, Any], stamp: str) -> dict[str, Any]:
    return {
        "path": multi_path(one["dac_min"], one["wmo"]),
        "dac": one["dac_min"],
        "wmo": one["wmo"],
        "kind": "core",
        "delayed": False,
        "version": stamp,
        "time": one["time_max"],
        "current": True,
    }
