"""Flat columns hold every level of every file once, in order, equal to the file; only trailing nothing is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.read.argo import read_profiles
from pipeline.read.levels import flatten
from pipeline.types.levels import KINDS, MISSING, NO_FLAG, ODD_FLAG, Levels
from pipeline.types.profiles import Measured, ProfileFile
from tests.argo_files import Made, argo_file, single

PARAMETERS = ("PRES", "TEMP", "PSAL", "DOXY", "CHLA", "MTIME", "RAW_DOWNWELLING_PAR")
NUMBERS = ("raw", "adjusted", "adjusted_error")
FLAGS = ("raw_qc", "adjusted_qc")


def read(made: Made, path: str = "a.nc", parameters: tuple[str, ...] = ("PRES", "TEMP", "DOXY")) -> ProfileFile:
    return read_profiles(argo_file(made), path, parameters)


def plain_number(measured: Measured | None, part: str, row: int, level: int) -> float:
    array = None if measured is None else getattr(measured, part)
    if measured is None or array is None or array[row, level] == measured.fill:
        return MISSING
    return float(array[row, level])


def plain_flag(measured: Measured | None, part: str, row: int, level: int) -> int:
    array = None if measured is None else getattr(measured, part)
    if array is None or array[row, level] in {b"", b" "}:
        return NO_FLAG
    return int(array[row, level]) if array[row, level].isdigit() else ODD_FLAG


def check(levels: Levels, files: list[ProfileFile], parameters: tuple[str, ...]) -> None:
    """Against one level at a time, by Python."""
    profile = 0
    for place, file in enumerate(files):
        depth = max((each.raw.shape[1] for each in file.measured.values()), default=0)
        for row in range(len(file.wmo)):
            assert (levels.file[profile], levels.row[profile]) == (place, row)
            assert levels.paths[place] == file.path and KINDS[levels.kind[profile]] == file.kind
            begin, end = levels.starts[profile], levels.starts[profile + 1]
            assert end - begin + levels.padding[profile] == depth
            assert levels.level[begin:end].tolist() == list(range(end - begin))
            assert (levels.profile[begin:end] == profile).all()
            for name in parameters:
                check_profile(levels, profile, file, name)
                for level in range(depth):
                    check_level(levels, begin + level if level < end - begin else None, file, (name, row, level))
            profile += 1
    assert (profile, levels.starts[-1]) == (len(levels.wmo), len(levels.level))


def check_profile(levels: Levels, profile: int, file: ProfileFile, name: str) -> None:
    values, row = levels.values[name], levels.row[profile]
    for field in ("wmo", "cycle", "direction", "index", "data_mode", "juld", "latitude", "longitude"):
        assert getattr(levels, field)[profile] == getattr(file, field)[row]
    measured = file.measured.get(name)
    assert values.has[profile] == (measured is not None)
    assert values.has_adjusted[profile] == (measured is not None and measured.adjusted is not None)
    if measured is not None:
        assert values.mode[profile] == file.parameter_mode[name][row]
        assert values.profile_qc[profile] == file.profile_qc[name][row]
    else:
        assert (values.mode[profile], values.profile_qc[profile]) == (b" ", b" ")


def check_level(levels: Levels, at: Any, file: ProfileFile, of: tuple[str, int, int]) -> None:
    """at: where the level is, or None where it was left out, when it must hold nothing."""
    (name, row, level), values = of, levels.values[of[0]]
    measured = file.measured.get(name)
    for part in NUMBERS:
        expected = plain_number(measured, part, row, level)
        found = MISSING if at is None else float(getattr(values, part)[at])
        assert found == expected or (np.isnan(found) and np.isnan(expected)), (file.path, part, of)
    for part in FLAGS:
        assert plain_flag(measured, part, row, level) == (NO_FLAG if at is None else getattr(values, part)[at])


def test_real_files_level_by_level(shared_data: Path) -> None:
    """The small ones of every kind, together: fills that differ, doubles, two and six profiles, none of a parameter."""
    files = []
    for path in sorted((shared_data / "argo").rglob("*.nc")):
        data = path.read_bytes()
        if len(data) < 23_000 and data.startswith(b"CDF"):
            files.append(read_profiles(data, path.name, PARAMETERS))
    assert len(files) > 20
    check(flatten(files, PARAMETERS), files, PARAMETERS)


def test_all_real_files_lose_no_number(shared_data: Path) -> None:
    """Counted in the files' own arrays and in one table of all of them."""
    others = ("_meta.nc", "_tech.nc", "traj.nc")
    paths = [path for path in sorted((shared_data / "argo").rglob("*.nc")) if not path.name.endswith(others)]
    files = [read_profiles(path.read_bytes(), path.name, PARAMETERS) for path in paths]
    levels = flatten(files, PARAMETERS)
    assert (len(files), len(levels.wmo)) == (69, 917)
    for name in PARAMETERS:
        own = [each.measured[name] for each in files if name in each.measured]
        for part in NUMBERS:
            arrays = [(getattr(each, part), each.fill) for each in own if getattr(each, part) is not None]
            assert np.count_nonzero(getattr(levels.values[name], part) != MISSING) == sum(
                np.count_nonzero(array != fill) for array, fill in arrays
            )
    assert levels.values["RAW_DOWNWELLING_PAR"].raw.dtype == "f8" and levels.values["TEMP"].raw.dtype == "f4"
    assert np.isnan(levels.values["TEMP"].raw).any() and np.isinf(levels.values["PSAL"].adjusted).any()


def holed(data: st.DataObject, shape: tuple[int, int]) -> dict[str, np.ndarray[Any, Any]]:
    """Numbers and flags with holes anywhere, at the ends most of all."""
    draw, size = data.draw, shape[0] * shape[1]
    found: dict[str, Any] = {}
    for name in draw(st.sets(st.sampled_from(("PRES", "TEMP")), min_size=1), label="parameters"):
        numbers = st.sampled_from((99999.0, 1.0, 2.5, float("nan"), -999.0))
        for part in ("", *draw(st.sets(st.sampled_from(("_ADJUSTED", "_ADJUSTED_ERROR"))))):
            values = draw(st.lists(numbers, min_size=size, max_size=size))
            found[name + part] = np.array(values, draw(st.sampled_from(("f4", "f8")))).reshape(shape)
            found[name + part][:, draw(st.integers(0, shape[1])) :] = 99999.0
        for part in draw(st.sets(st.sampled_from(("_QC", "_ADJUSTED_QC")))):
            flags = draw(st.lists(st.sampled_from((b" ", b"1", b"9", b"\0", b"x")), min_size=size, max_size=size))
            found[name + part] = np.array(flags, "S1").reshape(shape)
            found[name + part][:, draw(st.integers(0, shape[1])) :] = b" "
    return found


@given(st.data())
@settings(max_examples=25, deadline=None)
def test_any_files_in_any_order(data: st.DataObject) -> None:
    files = []
    for place in range(data.draw(st.integers(0, 3), label="files")):
        shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 4)), label="shape")
        values = holed(data, shape)
        fill = data.draw(st.sampled_from((99999.0, -999.0)), label="fill")
        made = Made(values, cycles=range(shape[0]), fills={name: fill for name in values if not name.endswith("_QC")})
        files.append(read(made, f"{place}.nc"))
    check(flatten(files, ("PRES", "TEMP", "DOXY")), files, ("PRES", "TEMP", "DOXY"))


def test_no_files_are_an_empty_table() -> None:
    levels = flatten([], ["PRES"])
    assert len(levels.wmo) == len(levels.level) == 0 and levels.starts.tolist() == [0]
    assert levels.values["PRES"].raw.dtype == "f4"


def test_a_file_without_any_of_the_parameters_keeps_its_profiles() -> None:
    levels = flatten(
        [read(single(), parameters=("CHLA",)), read(single(parameters=("CHLA",)), parameters=("CHLA",))], ["CHLA"]
    )
    assert np.diff(levels.starts).tolist() == [0, 20] and levels.values["CHLA"].has.tolist() == [False, True]


def test_a_level_that_is_only_flagged_is_kept() -> None:
    """QC 9 says that something is missing: that is not padding."""
    values = {"PRES": np.full((1, 3), 99999, "f4"), "PRES_QC": np.array([[b" ", b"9", b" "]])}
    levels = flatten([read(Made(values))], ["PRES"])
    assert levels.level.tolist() == [0, 1] and levels.padding.tolist() == [1]
    assert levels.values["PRES"].raw_qc.tolist() == [NO_FLAG, 9]


@pytest.mark.parametrize("order", [">", "<"])
def test_columns_are_in_native_byte_order_and_contiguous(order: str) -> None:
    """Whatever order the file's arrays have."""
    file = read(single())
    measured = replace(file.measured["TEMP"], raw=file.measured["TEMP"].raw.astype(f"{order}f4"))
    values = flatten([replace(file, measured={"TEMP": measured})], ["TEMP"]).values["TEMP"]
    assert values.raw.dtype.isnative and values.raw.flags.c_contiguous
    assert values.raw.tolist() == file.measured["TEMP"].raw[0].tolist()
