"""From facts to the tables of a partition: best values, depths, statistics, and the ledger of everything in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ops.argo_best import Best, LevelKeys, best_values, core_pressure, why_counts
from pipeline.ops.argo_qc import profile_qc, profile_qc_differs, statistics
from pipeline.ops.argo_rules import Greylist, greylisted, pressure_faults
from pipeline.ops.seawater import depth_m
from pipeline.plan.argo_rules import LEVEL_RULES, QualityRule
from pipeline.plan.argo_schema import IDENTITY, ORIGINAL, cast_to, levels_schema, number_type, profiles_schema
from pipeline.products._argo_facts import Facts, Found, Places, ledger_rows
from pipeline.types.levels import KINDS, MISSING, NO_FLAG, LevelValues
from pipeline.types.profiles import Codes

_LEDGER_ORDER = (*IDENTITY, "parameter", "rule", "level", "file", "version", "note")
_REPEATED = (*IDENTITY, "time", "time_qc", "latitude", "longitude", "position_qc", "data_mode", "file")
"""Columns that every level of a profile has."""


@dataclass(frozen=True)
class Tables:
    """What a partition is put together of; sorted by identity, then level."""

    levels: pa.Table
    profiles: pa.Table
    ledger: pa.Table

    def items(self) -> tuple[tuple[str, pa.Table], ...]:
        """By name, `levels` first: its put is the commit."""
        return ("levels", self.levels), ("profiles", self.profiles), ("ledger", self.ledger)


def make_tables(
    facts: Facts, ledger: pa.Table, parameters: tuple[str, ...], rule: QualityRule, greylist: Greylist
) -> Tables:
    """The tables of some facts: pure, so the same facts give equal tables however they came together.

    facts: each profile once, sorted by identity. ledger: what reading and choosing found.
    """
    starts = np.concatenate(([0], np.cumsum(facts.sizes)))
    stored = {parameter: _stored(facts, parameter) for parameter in parameters}
    best = _best(facts, stored, starts, rule, greylist)
    sizes = np.diff(starts)
    latitude = facts.profiles["latitude"].to_numpy()
    depth = depth_m(best["PRES"].value, np.repeat(latitude, sizes)).astype(np.float32)
    found = _profile_rules(stored, best, starts)
    computed: dict[str, Codes] = {}
    for parameter, values in stored.items():
        computed[parameter] = profile_qc(values, starts)
        differs = profile_qc_differs(computed[parameter], values.profile_qc) & values.has
        found.append(("profile_qc_differs", np.flatnonzero(differs), None, None, parameter))
    rows = [ledger, ledger_rows(facts.profiles, found)]
    rows += [_level_rows(facts, best[parameter], starts, parameter) for parameter in parameters]
    profiles = _profiles(facts, best, depth, computed, starts, parameters)
    whole = pa.concat_tables(rows)
    order = pc.sort_indices(whole, [(name, "ascending") for name in _LEDGER_ORDER])
    return Tables(_levels(facts, best, depth, parameters), profiles, whole.take(order).combine_chunks())


def _stored(facts: Facts, parameter: str) -> LevelValues:
    """A parameter's columns as arrays, nothing of which is a number where they are null."""
    name = parameter.lower()

    def array(part: str) -> NDArray[Any]:
        column = facts.levels[f"{name}_{part}"]
        values: NDArray[Any] = column.fill_null(NO_FLAG if part.endswith("qc") else MISSING).to_numpy()
        return values

    mode, letter = (_codes(facts.profiles[f"{name}_{one}"]) for one in ("mode", "profile_qc"))
    has = mode != b" "
    raw, raw_qc, adjusted, adjusted_qc, error = (array(part) for part in ORIGINAL)
    return LevelValues(raw, raw_qc, adjusted, adjusted_qc, error, mode, letter, has, has)


def _codes(column: pa.ChunkedArray) -> Codes:
    """Words of one letter as bytes, blank where null."""
    return np.array(column.fill_null(" ").to_pylist(), "S1")


def _best(
    facts: Facts, stored: Mapping[str, LevelValues], starts: Places, rule: QualityRule, greylist: Greylist
) -> dict[str, Best]:
    profiles = facts.profiles
    wmo, time = profiles["wmo"].to_numpy(), profiles["time"].cast(pa.timestamp("us")).to_numpy()
    best = {
        parameter: best_values(parameter, values, starts, rule, greylisted(greylist, parameter, wmo, time))
        for parameter, values in stored.items()
    }
    kinds = {kind: number for number, kind in enumerate(KINDS)}
    keys = LevelKeys(
        wmo,
        profiles["cycle"].to_numpy(),
        _codes(profiles["direction"]),
        np.array([kinds[kind] for kind in profiles["kind"].to_pylist()], np.int8),
        profiles["profile_index"].to_numpy(),
        starts,
        facts.levels["level"].to_numpy(),
    )
    best["PRES"] = core_pressure(keys, stored["PRES"].raw, best["PRES"], rule)
    return best


def _profile_rules(stored: Mapping[str, LevelValues], best: Mapping[str, Best], starts: Places) -> list[Found]:
    pressure = stored["PRES"]
    faults = pressure_faults(pressure.mode, pressure.raw != MISSING, best["PRES"].value, starts)
    return [
        ("no_levels", np.flatnonzero(np.diff(starts) == 0), None, None, None),
        ("pressure_missing", np.flatnonzero(faults.missing), None, None, "PRES"),
        ("pressure_fill", np.flatnonzero(faults.fill), None, None, "PRES"),
        ("pressure_not_increasing", np.flatnonzero(faults.not_increasing), None, None, "PRES"),
    ]


def _level_rows(facts: Facts, best: Best, starts: Places, parameter: str) -> pa.Table:
    """How many levels of each profile met a rule, and the first of them."""
    met = why_counts(best.why, starts)
    found: list[Found] = []
    first = []
    for number, rule in enumerate(LEVEL_RULES):
        mine = met.rule == number
        found.append((rule, met.profile[mine], met.count[mine], None, parameter))
        first.append(met.first[mine])
    rows = ledger_rows(facts.profiles, found)
    level = facts.levels["level"].take(pa.array(np.concatenate(first)))
    return rows.set_column(rows.column_names.index("level"), "level", level)


def _levels(
    facts: Facts, best: Mapping[str, Best], depth: NDArray[np.float32], parameters: tuple[str, ...]
) -> pa.Table:
    """One row a level; a profile without any has one row, whose `level` is null."""
    sizes = facts.sizes
    shown = np.maximum(sizes, 1)
    profile = np.repeat(np.arange(sizes.size), shown)
    # A profile without levels takes row -1 of its columns: null in each.
    row = np.full(profile.size, -1, np.int64)
    row[np.repeat(sizes > 0, shown)] = np.arange(int(sizes.sum()))
    rows = pa.array(row, mask=row < 0) if bool((row < 0).any()) else None

    def spread(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        return column if rows is None else column.take(rows)

    columns = {name: _word(facts.profiles[name]).take(pa.array(profile)) for name in _REPEATED}
    columns |= {name: spread(facts.levels[name]) for name in facts.levels.column_names}
    columns["depth"] = spread(_number(depth, pa.float32()))
    for parameter in parameters:
        name, one, number = parameter.lower(), best[parameter], number_type(parameter)
        columns[name] = spread(_number(one.value, number))
        columns[f"{name}_qc"] = spread(pa.array(one.qc, mask=one.qc < 0))
        columns[f"{name}_error"] = spread(_number(one.error, number))
        columns[f"{name}_mode"] = spread(_words(one.mode))
    return cast_to(pa.table(columns), levels_schema(parameters)).combine_chunks()


def _word(column: pa.ChunkedArray) -> pa.ChunkedArray | pa.Array:
    return column.combine_chunks().dictionary_encode() if column.type == pa.string() else column


def _words(codes: Codes) -> pa.Array:
    """Modes as words; null where blank."""
    places = np.select([codes == b"A", codes == b"D", codes == b"R"], [0, 1, 2], -1).astype(np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(places, mask=places < 0), pa.array(["A", "D", "R"]))


def _number(values: NDArray[np.floating], type_: pa.DataType) -> pa.Array:
    """Numbers as a column: NaN is null."""
    return pa.array(values.astype(type_.to_pandas_dtype(), copy=False), mask=np.isnan(values))


def _profiles(
    facts: Facts,
    best: Mapping[str, Best],
    depth: NDArray[np.float32],
    computed: Mapping[str, Codes],
    starts: Places,
    parameters: tuple[str, ...],
) -> pa.Table:
    mode = facts.profiles["data_mode"]
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: facts.profiles[name] for name in facts.profiles.column_names
    }
    columns["quality_status"] = pc.if_else(pc.equal(mode, "D"), "DELAYED", "REAL_TIME")
    columns["adjusted"] = pc.is_in(mode, pa.array(["A", "D"]))
    columns["max_depth"] = _number(statistics(depth, starts).maximum, pa.float32())
    for parameter in parameters:
        name, numbers = parameter.lower(), statistics(best[parameter].value, starts)
        columns[f"{name}_count"] = pa.array(numbers.count)
        for short, values in (("min", numbers.minimum), ("max", numbers.maximum), ("mean", numbers.mean)):
            columns[f"{name}_{short}"] = _number(values, pa.float64())
        letters = computed[parameter]
        columns[f"{name}_profile_qc_computed"] = pa.array(np.char.decode(letters), pa.string(), mask=letters == b" ")
    return cast_to(pa.table(columns), profiles_schema(parameters)).combine_chunks()
