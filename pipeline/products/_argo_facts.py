"""What files say, profile by profile, before any is chosen and any rule is applied: new ones, and those of a partition.

Everything in it depends on one file alone, so rows of a file that has not changed are taken over from the partition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.ops.argo_best import usable_modes
from pipeline.ops.argo_qc import test_names
from pipeline.ops.argo_rules import positions, times
from pipeline.plan.argo_rules import RULES
from pipeline.plan.argo_schema import LEDGER, ORIGINAL, TEXTS, cast_to, levels_schema, number_type, profiles_schema
from pipeline.types.levels import KINDS, MISSING, ODD_FLAG, Levels, LevelValues
from pipeline.types.profiles import Codes, ProfileFile

Bools = NDArray[np.bool_]
Places = NDArray[np.int64]
READING_RULES = (
    "padding",
    "time_missing",
    "time_invalid",
    "position_missing",
    "position_invalid",
    "odd_mode",
    "odd_flag",
    "narrowed",
)
"""Rules that a file itself is enough for; what they found cannot be found again in the tables."""
_DERIVED = ("quality_status", "adjusted", "max_depth")
_STATED = ("mode", "profile_qc")


@dataclass(frozen=True)
class Facts:
    """Profiles, their levels one profile after another, and what was found while reading them."""

    profiles: pa.Table
    """Columns of `profiles_schema` that no rule decides; `levels` says how many rows of `levels` are its own."""
    levels: pa.Table
    """`level` and the originals of each parameter."""
    ledger: pa.Table

    @property
    def sizes(self) -> Places:
        """Levels of each profile."""
        sizes: Places = self.profiles["levels"].to_numpy().astype(np.int64)
        return sizes

    def take(self, order: Places) -> Facts:
        """Some of the profiles, in an order; the ledger as it is."""
        sizes = self.sizes
        rows = ragged(np.cumsum(sizes) - sizes, sizes, order)
        same = rows.size == self.levels.num_rows and bool((rows[1:] > rows[:-1]).all())
        levels = self.levels if same else self.levels.take(pa.array(rows))
        return Facts(self.profiles.take(pa.array(order)), levels, self.ledger)


def ragged(starts: Places, sizes: Places, order: Places) -> Places:
    """Rows of some groups, in the order of groups: group g is the rows `starts[g]` to `starts[g] + sizes[g]`."""
    taken = sizes[order]
    ends = np.cumsum(taken)
    return np.repeat(starts[order] - (ends - taken), taken) + np.arange(int(taken.sum()))


def joined(parts: Sequence[Facts], parameters: tuple[str, ...]) -> Facts:
    """All of several, one after another."""
    empty = empty_facts(parameters)
    every = [empty, *parts]
    return Facts(
        *(pa.concat_tables([getattr(one, name) for one in every]) for name in ("profiles", "levels", "ledger"))
    )


def empty_facts(parameters: tuple[str, ...]) -> Facts:
    profiles, levels = fact_schemas(parameters)
    return Facts(profiles.empty_table(), levels.empty_table(), LEDGER.empty_table())


def fact_schemas(parameters: tuple[str, ...]) -> tuple[pa.Schema, pa.Schema]:
    """The columns of `profiles` and `levels` that no rule decides."""
    numbers = {f"{one.lower()}_{part}" for one in parameters for part in ("count", "min", "max", "mean")}
    numbers |= {f"{one.lower()}_profile_qc_computed" for one in parameters}
    profiles = [each for each in profiles_schema(parameters) if each.name not in {*_DERIVED, *numbers}]
    original = {"level", *(f"{one.lower()}_{part}" for one in parameters for part in ORIGINAL)}
    return pa.schema(profiles), pa.schema([each for each in levels_schema(parameters) if each.name in original])


def taken_over(tables: Mapping[str, pa.Table], files: Mapping[str, str], parameters: tuple[str, ...]) -> Facts:
    """The facts of some files of a partition; files: path → version. tables: its three, of one put."""
    profiles, levels = fact_schemas(parameters)
    rows = tables["levels"].select(levels.names)
    whole = Facts(
        cast_to(tables["profiles"], profiles), rows.filter(pc.is_valid(rows["level"])), tables["ledger"].slice(0, 0)
    )
    kept = whole.take(np.flatnonzero(_of_files(whole.profiles, files)))
    found = tables["ledger"].filter(pc.is_in(tables["ledger"]["rule"], pa.array(READING_RULES)))
    return Facts(kept.profiles, kept.levels, found.filter(pa.array(_of_files(found, files))))


def _of_files(table: pa.Table, files: Mapping[str, str]) -> Bools:
    """Which rows are of one of the files, in just that version."""
    path = table["file"].combine_chunks().dictionary_encode()
    version = table["version"].combine_chunks().dictionary_encode()
    versions = {text: number for number, text in enumerate(version.dictionary.to_pylist())}
    # -1 would be equal to no row's version, but never to that of a path which is not asked for at all.
    wanted = [versions.get(files[one], -2) if one in files else -2 for one in path.dictionary.to_pylist()]
    if not wanted:
        return np.zeros(table.num_rows, np.bool_)
    mine: Bools = np.array(wanted)[path.indices.to_numpy()] == version.indices.to_numpy()
    return mine


def new_facts(
    levels: Levels, files: Sequence[ProfileFile], versions: Mapping[str, str], parameters: tuple[str, ...]
) -> Facts:
    """The facts of files that were just read. versions: path → `date_update` of the index."""
    columns, found = _columns(levels, files, versions, parameters)
    profiles_are, levels_are = fact_schemas(parameters)
    profiles = pa.table([pa.array(columns[each.name], each.type) for each in profiles_are], schema=profiles_are)
    stored = {"level": pa.array(levels.level)}
    for parameter in parameters:
        values, name, number = levels.values[parameter], parameter.lower(), number_type(parameter)
        for part in ORIGINAL:
            stored[f"{name}_{part}"] = _column(getattr(values, part), number)
        found += [(*row, parameter) for row in _odd(levels, values, number)]
    made = pa.table([stored[each.name] for each in levels_are], schema=levels_are)
    return Facts(profiles, made, ledger_rows(profiles, found))


def _column(values: NDArray[Any], number: pa.DataType) -> pa.Array:
    """Numbers or flags as a column: nothing is null; a stored NaN or infinity stays."""
    if values.dtype == np.int8:
        return pa.array(values, mask=values < 0)
    with np.errstate(over="ignore"):
        return pa.array(values.astype(number.to_pandas_dtype(), copy=False), mask=values == values.dtype.type(MISSING))


Found = tuple[str, Places, NDArray[np.int64] | None, str | None, str | None]
"""Rows of the ledger: rule, places of the profiles, number of levels of each, note, parameter."""


def _columns(
    levels: Levels, files: Sequence[ProfileFile], versions: Mapping[str, str], parameters: tuple[str, ...]
) -> tuple[dict[str, object], list[Found]]:
    when = times(levels.juld, levels.juld_qc)
    where = positions(levels.latitude, levels.longitude, levels.position_qc)
    odd = ~np.isin(levels.data_mode, [b"R", b"A", b"D"])
    each = [(files[number], row) for number, row in zip(levels.file.tolist(), levels.row.tolist(), strict=True)]
    columns: dict[str, object] = {
        "wmo": levels.wmo,
        "cycle": levels.cycle,
        "direction": _letters(levels.direction),
        "kind": np.array(KINDS)[levels.kind],
        "profile_index": levels.index,
        "time": when.time,
        "time_qc": _column(when.qc, pa.int8()),
        "latitude": _or_null(where.latitude),
        "longitude": _or_null(where.longitude),
        "position_qc": _column(where.qc, pa.int8()),
        "data_mode": _letters(np.where(odd, np.bytes_(b"R"), levels.data_mode).astype("S1")),
        "levels": np.diff(levels.starts),
        "padding": levels.padding,
        "parameters": [file.parameters[row] for file, row in each],
        "unread": [file.unread for file, _ in each],
        "tests_performed": [_tests(file.tests_performed, row) for file, row in each],
        "tests_failed": [_tests(file.tests_failed, row) for file, row in each],
        "format_version": [file.format_version for file, _ in each],
        "date_update": [file.date_update for file, _ in each],
        "file": [file.path for file, _ in each],
        "version": [versions[file.path] for file, _ in each],
    }
    for text in TEXTS:
        columns[text.lower()] = [file.texts[text][row] if text in file.texts else None for file, row in each]
    for parameter in parameters:
        values, name = levels.values[parameter], parameter.lower()
        modes = _modes(values)
        # A blank says that the profile does not have the parameter, but for where the file's own mode is blank.
        for at in np.flatnonzero(odd & np.isin(modes, [b"", b" "])):
            file, row = each[at]
            modes[at] = b"R" if parameter in file.parameters[row] else b" "
        columns[f"{name}_mode"] = _letters(modes)
        columns[f"{name}_profile_qc"] = _letters(values.profile_qc)
    found: list[Found] = [
        (rule, np.flatnonzero(met), None, None, None)
        for rule, met in (
            ("time_missing", when.missing),
            ("time_invalid", when.invalid),
            ("position_missing", where.missing),
            ("position_invalid", where.invalid),
            ("odd_mode", odd),
        )
    ]
    padded = np.flatnonzero(levels.padding)
    found.append(("padding", padded, levels.padding[padded].astype(np.int64), None, None))
    return columns, found


def _modes(values: LevelValues) -> Codes:
    """What cannot be adjusted is as it was sent, whatever the mode of the profile (see `ops.argo_best`)."""
    modes = usable_modes(values)
    return np.where(np.isin(modes, [b"A", b"D", b"", b" "]), modes, np.bytes_(b"R")).astype("S1")


def _letters(codes: Codes) -> pa.Array:
    """Characters of one byte as words; null where blank."""
    blank = (codes == b"") | (codes == b" ")
    return pa.array(np.char.decode(codes, "latin-1"), pa.string(), mask=blank)


def _or_null(values: NDArray[np.float64]) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _tests(of_profiles: tuple[str, ...], row: int) -> tuple[str, ...]:
    return test_names(of_profiles[row]) if row < len(of_profiles) and of_profiles[row] else ()


def _odd(levels: Levels, values: LevelValues, number: pa.DataType) -> Iterator[tuple[str, Places, Places, str]]:
    """Flags that are none, and numbers that the column's type cannot hold."""
    for part in ORIGINAL:
        column = getattr(values, part)
        if column.dtype == np.int8:
            met, rule = column == ODD_FLAG, "odd_flag"
        elif column.dtype.itemsize > number.bit_width // 8:
            with np.errstate(over="ignore"):
                narrow = column.astype(number.to_pandas_dtype()).astype(column.dtype)
            met, rule = (narrow != column) & ~np.isnan(column) & (column != MISSING), "narrowed"
        else:
            continue
        counts = np.bincount(levels.profile[met], minlength=levels.wmo.size)
        some = np.flatnonzero(counts)
        if some.size:
            yield rule, some, counts[some], part


def ledger_rows(profiles: pa.Table, found: Sequence[Found]) -> pa.Table:
    """Rows of the ledger about profiles; each says who the profile is, and from which file."""
    rows = [one for one in found if one[1].size]
    if not rows:
        return LEDGER.empty_table()
    who = profiles.take(pa.array(np.concatenate([places for _, places, *_ in rows])))
    sizes = [places.size for _, places, *_ in rows]
    counts = [[None] * size if of is None else of.tolist() for (_, _, of, _, _), size in zip(rows, sizes, strict=True)]

    def repeated(texts: Sequence[str | None]) -> pa.Array:
        return pa.array(
            chain.from_iterable([text] * size for text, size in zip(texts, sizes, strict=True)), pa.string()
        )

    own = {
        "rule": repeated([rule for rule, *_ in rows]),
        "action": repeated([RULES[rule].effect for rule, *_ in rows]),
        "levels": pa.array(chain.from_iterable(counts), pa.int64()),
        "note": repeated([note for *_, note, _ in rows]),
        "parameter": repeated([parameter for *_, parameter in rows]),
    }
    names = [name for name in LEDGER.names if name in who.column_names and name not in {*own, "level"}]
    return cast_to(pa.table({**{name: who[name] for name in names}, **own}), LEDGER)
