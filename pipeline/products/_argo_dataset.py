"""Profiles of committed partitions as one lazy Dataset (profile, level), with the names that users of argopy know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.errors import ConfigError, NothingToDoError
from pipeline.plan.argo_columns import UNITS
from pipeline.plan.argo_rules import QualityRule, quality_rule
from pipeline.products._argo_lazy import NO_FLAG, Column, Reader, Taken, chunks_of, lazy_levels, plain
from pipeline.read.partitions import Heads, Partition, read_heads

if TYPE_CHECKING:
    import xarray as xr

READS_AT_ONCE = 16
Numbers = NDArray[np.floating[Any]]
Times = NDArray[np.datetime64]
Within = Callable[[Times, Numbers, Numbers], NDArray[np.int64]]
"""(time, latitude, longitude) → -1 where a profile is not wanted."""
_COORDINATES = {
    "PLATFORM_NUMBER": ("wmo", "int32", "WMO number of the float"),
    "CYCLE_NUMBER": ("cycle", "int32", "Number of the cycle"),
    "DIRECTION": ("direction", "U1", "A: ascending, D: descending"),
    "KIND": ("kind", "U9", "Kind of file: core, bgc or synthetic"),
    "PROFILE_INDEX": ("profile_index", "int32", "Among the profiles of the cycle and direction, from 0"),
    "TIME_QC": ("time_qc", "int8", "Quality flag of the time"),
    "POSITION_QC": ("position_qc", "int8", "Quality flag of the position"),
    "DATA_MODE": ("data_mode", "U1", "R: real time, A: real time, adjusted, D: delayed mode"),
    "FILE": ("file", "U", "File that the profile comes from, below dac/"),
}
"""Column, dtype and meaning, by name."""
_FLAGS = {
    "long_name": "Argo quality flag (reference table 2)",
    "flag_values": np.arange(NO_FLAG, 10, dtype=np.int8),
    "flag_meanings": "absent no_qc good probably_good probably_bad bad changed unused_6 unused_7 estimated missing",
}


@dataclass(frozen=True)
class Selection:
    """Which profiles, and which of their numbers."""

    floats: tuple[int, ...] | None = None
    kinds: tuple[str, ...] | None = None
    directions: tuple[str, ...] | None = None
    modes: tuple[str, ...] | None = None
    primary: bool = False
    """Only the first profile of each cycle and direction."""
    within: Within | None = None
    parameters: tuple[str, ...] | None = None
    """In upper case; None: all that any partition has."""
    originals: bool = False
    """What the files say, raw and adjusted, in place of best values."""
    rule: QualityRule | None = None
    """Which best values stay; the others are NaN beside their flag."""

    def wanted(self, table: pa.Table) -> NDArray[np.bool_]:
        """(profile,): whether each is asked for."""
        kept = np.ones(len(table), np.bool_)
        for name, values in (
            ("wmo", self.floats),
            ("kind", self.kinds),
            ("direction", self.directions),
            ("data_mode", self.modes),
        ):
            if values is not None:
                kept &= np.asarray(pc.is_in(table[name], pa.array(values, table[name].type)))
        if self.primary:
            kept &= table["profile_index"].to_numpy() == 0
        if self.within is not None:
            kept &= self.within(_times(table), _doubles(table, "latitude"), _doubles(table, "longitude")) >= 0
        return kept


def open_partitions(partitions: Sequence[Partition], selection: Selection) -> xr.Dataset:
    """The selected profiles of some partitions, in their order; reads one row a profile, and no level.

    Dims (profile, level). A chunk is some profiles of one partition; computed, it reads only its columns, and raises
    AssetError where the partition was replaced since: of two puts nothing is ever mixed. Raises NothingToDoError
    where no profile is selected, and ConfigError for a rule that is wider than what was committed.
    """
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        heads = list(pool.map(read_heads, partitions))
    for one in heads:
        _check_rule(one, selection.rule)
    picked = [(one, np.flatnonzero(selection.wanted(one.table))) for one in heads]
    found = [(p, one, number) for p, (one, number) in zip(partitions, picked, strict=True) if len(number)]
    if not found:
        profiles = sum(len(one.table) for one in heads)
        raise NothingToDoError(
            f"none of the {profiles} profiles of {len(partitions)} partitions is selected: check floats, bbox, time "
            "and the other conditions"
        )
    return _dataset(found, selection)


def _check_rule(heads: Heads, rule: QualityRule | None) -> None:
    """Raise ConfigError where best values were committed by a narrower rule: what it took out is not in them."""
    said = heads.footer.settings
    if rule is None or "qc_level" not in said:
        return
    flags = said.get("flags")
    committed = quality_rule(said["qc_level"], tuple(flags) if flags else None)
    narrower = committed.flags is not None and not {*(rule.flags or range(-1, 10))} <= {*committed.flags}
    if narrower or (committed.delayed_only and not rule.delayed_only):
        raise ConfigError(
            f"{heads.footer.product}/{heads.footer.bucket}: best values were committed with qc_level "
            f"{committed.level} and flags {committed.flags}, and flags {rule.flags} of {rule.level} ask for more: run "
            "with a wider qc_level, or open with quality='expert', which has what the files say"
        )


def _dataset(found: Sequence[tuple[Partition, Heads, NDArray[np.int64]]], selection: Selection) -> xr.Dataset:
    import xarray as xr  # noqa: PLC0415 (only for those who open profiles)

    tables = [one.table.take(pa.array(number)).unify_dictionaries() for _, one, number in found]
    levels = max(1, *(int(table["levels"].to_numpy().max()) for table in tables))
    chunks = [chunk for one in found for chunk in chunks_of(*one, levels)]
    columns = frozenset[str]().union(*(one.columns for _, one, _ in found))
    names = selection.parameters
    there = tuple(dict.fromkeys(name for _, one, _ in found for name in one.footer.parameters))
    if names is None:
        names = there
    if names and not {*names} & {*there}:
        raise ConfigError(f"parameters: found {', '.join(names)}; committed: {', '.join(there)}")
    variables = {
        name: (("profile", "level"), lazy_levels(chunks, levels, read, dtype), attributes)
        for name, (read, dtype, attributes) in _variables(names, columns, selection).items()
    }
    said = {
        "title": "Argo profiles",
        "license": ", ".join(sorted({one.footer.license for _, one, _ in found})),
        "attribution": " | ".join(sorted({one.footer.attribution for _, one, _ in found})),
        "doi": ", ".join(sorted({one.footer.doi for _, one, _ in found if one.footer.doi})),
    }
    modes = {f"{name}_DATA_MODE": _modes(tables, name) for name in names if name in variables}
    return xr.Dataset({**variables, **modes}, _coordinates(tables), said)


_Spec = tuple[Reader, str, dict[str, Any]]


def _variables(names: Sequence[str], columns: frozenset[str], selection: Selection) -> dict[str, _Spec]:
    """How each variable is read, its dtype and attributes; only those that some partition has."""
    made: dict[str, _Spec] = {}
    for name in names:
        column = name.lower()
        if column not in columns:
            continue
        unit, standard = UNITS.get(name, ("", ""))
        said = {key: value for key, value in (("units", unit), ("standard_name", standard)) if value}
        kind = "float64" if name == "MTIME" or name.startswith("RAW_") else "float32"
        error = {"long_name": f"Error of {name}", **({"units": unit} if unit else {})}
        if selection.originals:
            made[name] = (Column(f"{column}_raw"), kind, said)
            made[f"{name}_QC"] = (Column(f"{column}_raw_qc"), "int8", _FLAGS)
            made[f"{name}_ADJUSTED"] = (Column(f"{column}_adjusted"), kind, said)
            made[f"{name}_ADJUSTED_QC"] = (Column(f"{column}_adjusted_qc"), "int8", _FLAGS)
            made[f"{name}_ADJUSTED_ERROR"] = (Column(f"{column}_adjusted_error"), kind, error)
        else:
            made[name] = (_best(column, column, selection.rule), kind, said)
            made[f"{name}_QC"] = (Column(f"{column}_qc"), "int8", _FLAGS)
            made[f"{name}_ERROR"] = (_best(f"{column}_error", column, selection.rule), kind, error)
    if not selection.originals:
        depth = {"units": "m", "positive": "down", "standard_name": "depth", "long_name": "Depth (TEOS-10)"}
        made["DEPTH"] = (_best("depth", "pres", selection.rule), "float32", depth)
    return made


def _best(name: str, parameter: str, rule: QualityRule | None) -> Reader:
    return Column(name) if rule is None else Taken(name, parameter, rule)


def _coordinates(tables: Sequence[pa.Table]) -> Mapping[str, tuple[str, NDArray[Any], dict[str, Any]]]:
    """Who, where and when, (profile,), in memory."""
    found: dict[str, tuple[str, NDArray[Any], dict[str, Any]]] = {}
    for name, (column, dtype, meaning) in _COORDINATES.items():
        values = np.concatenate([plain(table[column]) for table in tables])
        said = {**_FLAGS, "long_name": meaning} if dtype == "int8" else {"long_name": meaning}
        found[name] = ("profile", values.astype(dtype), said)
    times = np.concatenate([_times(table) for table in tables])
    found["TIME"] = ("profile", times, {"standard_name": "time", "long_name": "Time of the profile, UTC"})
    for name, unit in (("LATITUDE", "degree_north"), ("LONGITUDE", "degree_east")):
        values = np.concatenate([_doubles(table, name.lower()) for table in tables])
        found[name] = ("profile", values, {"standard_name": name.lower(), "units": unit})
    return found


def _modes(tables: Sequence[pa.Table], name: str) -> tuple[str, NDArray[Any], dict[str, Any]]:
    """(profile,): the data mode of one parameter, empty where a profile does not have it."""
    column = f"{name.lower()}_mode"
    none = (np.zeros(len(table), "U1") for table in tables)
    there = [
        plain(table[column]) if column in table.column_names else empty
        for table, empty in zip(tables, none, strict=True)
    ]
    return "profile", np.concatenate(there).astype("U1"), {"long_name": f"Data mode of {name}: R, A or D"}


def _times(table: pa.Table) -> Times:
    return np.asarray(table["time"].cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]"))


def _doubles(table: pa.Table, name: str) -> NDArray[np.float64]:
    return np.asarray(table[name].to_numpy(), np.float64)
