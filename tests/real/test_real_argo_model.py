"""Best values of real Argo files are those of a plain loop over what netCDF4 reads; every trap in them is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.ops.argo_best import Best, LevelKeys, best_values, core_pressure, usable_modes
from pipeline.ops.argo_qc import profile_qc, profile_qc_differs, test_names
from pipeline.ops.argo_rules import greylisted, positions, pressure_faults, read_greylist, times
from pipeline.plan.argo_rules import LEVEL_RULES, QualityRule, quality_rule
from pipeline.read.argo import read_profiles
from pipeline.read.levels import flatten
from pipeline.types.levels import MISSING, Levels
from pipeline.types.profiles import ProfileFile

test_names.__test__ = False  # type: ignore[attr-defined] # pytest takes it for a test

PARAMETERS = ("PRES", "TEMP", "PSAL", "DOXY", "CHLA", "MTIME")
NO_PROFILES = ("_meta.nc", "_tech.nc", "_Rtraj.nc")
FILL = 99999.0
Level = tuple[float | None, int | None, float | None]
"""Value, flag, error."""


@pytest.fixture(scope="module")
def paths(shared_data: Path) -> tuple[Path, ...]:
    found = sorted((shared_data / "argo").rglob("*.nc"))
    if not found:
        pytest.skip(f"needs the real Argo files in {shared_data / 'argo'}")
    return tuple(path for path in found if not path.name.endswith(NO_PROFILES))


@pytest.fixture(scope="module")
def files(paths: tuple[Path, ...]) -> tuple[ProfileFile, ...]:
    return tuple(read_profiles(path.read_bytes(), path.name, PARAMETERS) for path in paths)


@pytest.fixture(scope="module")
def load(files: tuple[ProfileFile, ...]) -> Callable[..., Levels]:
    """The levels of files by name."""
    by_name = {file.path: file for file in files}
    return lambda *names: flatten([by_name[name] for name in names], PARAMETERS)


def best_of(levels: Levels, parameter: str, rule: QualityRule | None = None) -> Best:
    return best_values(parameter, levels.values[parameter], levels.starts, rule or quality_rule("standard"))


def kept(levels: Levels, parameter: str, rule: QualityRule | None = None) -> int:
    return int(np.isfinite(best_of(levels, parameter, rule).value).sum())


def reasons(best: Best) -> dict[str, int]:
    counts = {name: int((best.why >> bit & 1).sum()) for bit, name in enumerate(LEVEL_RULES)}
    return {name: count for name, count in counts.items() if count}


def stored(path: Path) -> dict[str, NDArray[Any]]:
    """What netCDF4 reads of the variables along profiles, nothing masked."""
    with netCDF4.Dataset(path) as data:
        data.set_auto_maskandscale(False)
        return {name: one[:] for name, one in data.variables.items() if one.dimensions[:1] == ("N_PROF",)}


def plain_profile(data: dict[str, NDArray[Any]], profile: int, parameter: str) -> Iterator[Level]:
    """One parameter of one profile, level by level, as the manual tells a reader to take it."""

    def character(name: str, *place: int) -> str:
        return data[name][place].tobytes().decode("latin-1").strip("\0 ") if name in data else ""

    def number(name: str, level: int) -> float | None:
        value = float(data[name][profile, level]) if name in data else FILL
        return None if value in {FILL, 999999.0} else value

    def flag(name: str, level: int) -> int | None:
        said = character(name, profile, level)
        return int(said) if said else None

    stations = [one.tobytes().decode("latin-1").strip("\0 ") for one in data["STATION_PARAMETERS"][profile]]
    mode = character("DATA_MODE", profile)
    if "PARAMETER_DATA_MODE" in data:
        mode = character("PARAMETER_DATA_MODE", profile, stations.index(parameter)) if parameter in stations else ""
    for level in range(data["PRES"].shape[1]):
        value, said, error = number(parameter, level), flag(f"{parameter}_QC", level), None
        if mode in {"A", "D"} and f"{parameter}_ADJUSTED" in data:
            adjusted = number(f"{parameter}_ADJUSTED", level)
            said = flag(f"{parameter}_ADJUSTED_QC", level)
            if adjusted is not None:
                value, error = adjusted, number(f"{parameter}_ADJUSTED_ERROR", level)
            elif value is not None:
                said = 4
        if value is not None and not np.isfinite(value):
            value, said, error = None, 4, None
        yield value, said, error


def ours(best: Best, rows: slice) -> Iterator[Level]:
    for value, flag, error in zip(best.value[rows], best.qc[rows], best.error[rows], strict=True):
        yield (
            None if np.isnan(value) else float(value),
            None if flag < 0 else int(flag),
            None if np.isnan(error) else float(error),
        )


@pytest.mark.long
def test_best_values_of_every_file_are_those_of_a_plain_loop(
    paths: tuple[Path, ...], files: tuple[ProfileFile, ...]
) -> None:
    """Every profile of single-cycle files, every 40th of the others; expert, then standard as a filter of it."""
    compared = 0
    for path, file in zip(paths, files, strict=True):
        levels, data = flatten([file], PARAMETERS), stored(path)
        for parameter in [name for name in PARAMETERS if name in data]:
            expert, standard = (best_of(levels, parameter, quality_rule(one)) for one in ("expert", "standard"))
            for profile in range(0, len(levels.wmo), 40 if len(levels.wmo) > 6 else 1):
                rows = slice(int(levels.starts[profile]), int(levels.starts[profile + 1]))
                plain = list(plain_profile(data, profile, parameter))
                held = plain[: rows.stop - rows.start]
                assert list(ours(expert, rows)) == held, (path.name, profile, parameter)
                assert {*plain[len(held) :]} <= {(None, None, None)}
                good = [each if each[1] in {1, 2, 5, 8} else (None, each[1], None) for each in held]
                assert list(ours(standard, rows)) == good, (path.name, profile, parameter)
                compared += len(held)
    assert compared > 50_000


def test_estimated_times_cost_no_level(load: Callable[..., Levels]) -> None:
    """Float 5900446: JULD_QC is 8 throughout. Every level with three good flags has its three values, and a time."""
    for name, count in (("D5900446_001.nc", 56), ("D5900446_100.nc", 55)):
        levels = load(name)
        when = times(levels.juld, levels.juld_qc)
        assert when.qc.tolist() == [8] and not np.isnat(when.time).any()
        best = [best_of(levels, parameter) for parameter in ("PRES", "TEMP", "PSAL")]
        good = np.logical_and.reduce([np.isin(each.qc, (1, 2, 5, 8)) for each in best])
        assert 0 < int(good.sum()) <= count == len(levels.level)
        for each in best:
            assert np.isfinite(each.value[good]).all()


def test_positions_that_are_none(load: Callable[..., Levels]) -> None:
    names = ("D4902252_104.nc", "R5906072_121.nc", "R5906072_165.nc", "R5906072_166.nc")
    levels = load(*names, "D5906072_086.nc")
    found = positions(levels.latitude, levels.longitude, levels.position_qc)
    assert found.missing.tolist() == [True] * 4 + [False] and not found.invalid.any()
    assert np.isnan(found.latitude[:4]).all() and np.isfinite(found.latitude[4]) and found.qc[4] == 8
    assert kept(load(names[0]), "TEMP") > 900
    assert kept(load(names[1]), "TEMP") > 400


def test_times_with_a_bad_flag_are_times(load: Callable[..., Levels]) -> None:
    levels = load("R2901746_001.nc", "R2901746_011.nc")
    found = times(levels.juld, levels.juld_qc)
    assert found.qc.tolist() == [4, 4] and not np.isnat(found.time).any() and not (found.missing | found.invalid).any()


def test_stored_nan_and_infinity_are_null_and_told(load: Callable[..., Levels]) -> None:
    nan, infinite = load("R6903724_001_bodc_NaN.nc"), load("R2901301_144_incois-PSAL-Inf.nc")
    expert = quality_rule("expert")
    assert reasons(best_of(nan, "TEMP", expert)) == {"not_finite": 1} and kept(nan, "TEMP", expert) == 89
    assert reasons(best_of(infinite, "PSAL", expert)) == {"not_finite": 59} and kept(infinite, "PSAL", expert) == 0
    assert kept(infinite, "TEMP") > 50
    raw = infinite.values["PSAL"].adjusted
    assert np.isinf(raw).all() and len(raw) == 59


def test_letters_of_profiles_differ_where_somebody_made_them_differ(files: tuple[ProfileFile, ...]) -> None:
    """Two files were edited so; in all others, 915 profiles, every letter is what its flags make it."""
    levels = flatten(files, PARAMETERS)
    found = set()
    for parameter, values in levels.values.items():
        differs = profile_qc_differs(profile_qc(values, levels.starts), values.profile_qc) & values.has
        found |= {(levels.paths[levels.file[profile]], parameter) for profile in np.flatnonzero(differs)}
    assert found == {
        ("R6903724_001_PROFILE_QC_WRONG.nc", "TEMP"),
        ("R6901125_202_v2.2_ADJUSTED_ERROR.nc", "PSAL"),
    }


def test_pressure_of_b_files_is_their_core_files(load: Callable[..., Levels]) -> None:
    """Two profiles a cycle, of modes A and D; every level finds its partner, and oxygen its pressure."""
    cycles = ("001", "001D", "010")
    levels = load(*(f"D3902131_{each}.nc" for each in cycles), *(f"BD3902131_{each}.nc" for each in cycles))
    keys = LevelKeys(levels.wmo, levels.cycle, levels.direction, levels.kind, levels.index, levels.starts, levels.level)
    rule, raw = quality_rule("standard"), levels.values["PRES"].raw
    own = best_of(levels, "PRES", rule)
    best = core_pressure(keys, raw, own, rule)
    of_b = np.repeat(levels.kind == 1, np.diff(levels.starts))
    assert not np.isfinite(own.value[of_b]).any()
    assert reasons(best).keys() <= {"flag", "raw_for_adjusted"}
    for profile in np.flatnonzero(levels.kind == 1):
        same = (levels.cycle == levels.cycle[profile]) & (levels.direction == levels.direction[profile])
        (partner,) = np.flatnonzero(same & (levels.index == levels.index[profile]) & (levels.kind == 0))
        rows, core = (slice(*levels.starts[one : one + 2]) for one in (profile, partner))
        for name in ("value", "qc", "error", "mode"):
            np.testing.assert_array_equal(getattr(best, name)[rows], getattr(own, name)[core])
    alone = load("BD3902131_001.nc")
    keys = LevelKeys(alone.wmo, alone.cycle, alone.direction, alone.kind, alone.index, alone.starts, alone.level)
    lost = core_pressure(keys, alone.values["PRES"].raw, best_of(alone, "PRES", rule), rule)
    assert reasons(lost) == dict.fromkeys(
        ("no_core_pressure", "flag"), int((alone.values["PRES"].raw != MISSING).sum())
    )


def test_the_greylist_is_for_real_time(shared_data: Path, load: Callable[..., Levels]) -> None:
    """Float 3901602 is listed with 3 for PSAL; its profile was adjusted in real time, and passed every test."""
    lines = (shared_data / "argo" / "gdac" / "ar_greylist.txt").read_text(encoding="latin-1").splitlines()
    greylist = read_greylist(lines)
    assert len(greylist.rows) > 2300 and not greylist.faults
    levels = load("R3901602_163.nc")
    listed = greylisted(greylist, "PSAL", levels.wmo, times(levels.juld, levels.juld_qc).time)
    assert listed is not None and listed.tolist() == [3]
    best = best_values("PSAL", levels.values["PSAL"], levels.starts, quality_rule("standard"), listed)
    assert kept(levels, "PSAL") == 76 and not np.isfinite(best.value).any()
    assert reasons(best) == {"greylist": 76, "flag": 76} and set(best.qc.tolist()) == {3}
    assert greylisted(greylist, "TEMP", levels.wmo, np.array(["2021-06-01"], "datetime64[us]")) is None


def test_pressure_of_real_files_increases_once_bad_levels_are_out(files: tuple[ProfileFile, ...]) -> None:
    levels = flatten(files, PARAMETERS)
    pressure = levels.values["PRES"]
    found = {}
    for name in ("expert", "standard"):
        best = best_of(levels, "PRES", quality_rule(name))
        found[name] = pressure_faults(usable_modes(pressure), pressure.raw != MISSING, best.value, levels.starts)
    assert int(found["expert"].not_increasing.sum()) == 61 and not found["standard"].not_increasing.any()
    fill = {levels.paths[levels.file[profile]] for profile in np.flatnonzero(found["standard"].fill)}
    assert fill == {"D6901929_075.nc", "R2903996_009.nc"} and not found["standard"].missing.any()


def test_failed_tests_of_real_files_have_names(files: tuple[ProfileFile, ...]) -> None:
    failed = {file.path: [test_names(text) for text in file.tests_failed] for file in files if any(file.tests_failed)}
    assert failed["D4902252_104.nc"] == [("impossible date", "impossible location")]
    assert failed["D4901079_001.nc"] == [("pressure increasing", "density inversion")]
    assert failed["R6903724_001_bodc_NaN.nc"] == [("visual quality control",)]
    assert failed["BR6903247_100.nc"][4] == ("global range", "spike", "CHLA")
    performed = {file.path: test_names(file.tests_performed[0]) for file in files if any(file.tests_performed)}
    assert len(performed["D4902252_104.nc"]) > 10, "six records of one step each"
    assert performed["R2901746_001.nc"] == ("not decoded: 11110110111111",)
    names = {name for each in failed.values() for one in each for name in one}
    assert not any(name.startswith(("test ", "not decoded")) for name in names)
