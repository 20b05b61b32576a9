"""Every real Argo file goes through the product: what it says is in the tables, to the bit, and nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pyarrow as pa
import pytest

from pipeline.ops.argo_rules import Greylist
from pipeline.plan.argo_names import bucket_of, route
from pipeline.plan.argo_rules import quality_rule
from pipeline.products._argo_gather import Gathered, gather
from pipeline.products._argo_listing import Candidate, Listing
from pipeline.products._argo_read import reader
from pipeline.products._argo_tables import Tables, make_tables
from pipeline.read.access import Access
from pipeline.write.store import FolderStore
from tests.products.argo_world import Listed, config_of, job_of, partition, publish

PARAMETERS = ("PRES", "TEMP", "PSAL", "DOXY", "CHLA", "MTIME", "RAW_DOWNWELLING_PAR")
PARTS = {"raw": "", "raw_qc": "_QC", "adjusted": "_ADJUSTED", "adjusted_qc": "_ADJUSTED_QC"}
PARTS |= {"adjusted_error": "_ADJUSTED_ERROR"}
INDEX = "20240101000000"


@pytest.fixture(scope="module")
def mirror(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All real files below one dac/; the odd ones, too."""
    root = tmp_path_factory.mktemp("gdac")
    (root / "dac").mkdir()
    for folder in (shared_data / "argo/gdac/dac").iterdir():
        (root / "dac" / folder.name).symlink_to(folder)
    for path in (shared_data / "argo/odd").rglob("*.nc"):
        target = root / "dac/odd" / path.name.lstrip("SR").partition("_")[0] / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)
    return root


def profile_files(root: Path) -> list[str]:
    paths = sorted(str(path.relative_to(root / "dac")) for path in _walk(root / "dac"))
    return [path for path in paths if path.startswith("odd/") or route(path) in {"profile", "multi", "synthetic-multi"}]


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield from _walk(path) if path.is_dir() else ([path] if path.suffix == ".nc" else [])


def gathered(root: Path, paths: list[str]) -> tuple[Gathered, Tables]:
    wmo = int(paths[0].split("/")[1])
    listing = Listing(tuple(Candidate(path, INDEX, (str(root),), wmo) for path in paths), INDEX)
    found = gather(bucket_of(wmo), listing, None, PARAMETERS, reader(Access()))
    return found, make_tables(found.facts, found.ledger, PARAMETERS, quality_rule("standard"), Greylist())


@pytest.mark.long
def test_every_file_is_in_the_tables_as_netcdf4_reads_it(mirror: Path) -> None:
    """Each level that holds anything, in each parameter: raw, adjusted, error and both flags."""
    paths, levels = profile_files(mirror), 0
    for path in paths:
        found, tables = gathered(mirror, [path])
        assert found.failed == (), path
        levels += _compare(mirror / "dac" / path, tables)
    assert len(paths) == 69
    assert levels == 243_659


def _compare(path: Path, tables: Tables) -> int:
    columns = {name: tables.levels[name].combine_chunks() for name in tables.levels.column_names}
    profiles = tables.profiles.to_pylist()
    ends = np.cumsum([max(one["levels"], 1) for one in profiles])
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        file.set_auto_scale(False)
        stored = {name: variable[:] for name, variable in file.variables.items() if "N_LEVELS" in variable.dimensions}
        fills = {name: file[name].getncattr("_FillValue") for name in stored}
        cycles, letters = file["CYCLE_NUMBER"][:].tolist(), file["DIRECTION"][:].tolist()
        seen: Counter[tuple[int, str]] = Counter()
        assert len(profiles) == len(file.dimensions["N_PROF"])
        place = {_who(one): number for number, one in enumerate(profiles)}
        for row in range(len(profiles)):
            cycle, letter = cycles[row], letters[row].decode()
            number = place[cycle, letter, seen[cycle, letter]]
            seen[cycle, letter] += 1
            size = profiles[number]["levels"]
            end = int(ends[number]) - (0 if size else 1)
            for parameter in PARAMETERS:
                for part, suffix in PARTS.items():
                    name, column = f"{parameter}{suffix}", columns[f"{parameter.lower()}_{part}"]
                    mine = column.slice(end - size, size)
                    if name in stored:
                        _same(stored[name][row], fills[name], mine, f"{path.name}: {name} of profile {row}")
                    else:
                        assert mine.null_count == size, name
    return sum(one["levels"] for one in profiles)


def _who(one: dict[str, Any]) -> tuple[int, str, int]:
    return one["cycle"], one["direction"], one["profile_index"]


def _same(stored: Any, fill: Any, column: pa.Array, where: str) -> None:
    """What one row of a variable holds, level by level; beyond the profile's levels is nothing but fill."""
    if stored.dtype.kind == "S":
        codes = stored.view(np.uint8).astype(np.int16) - ord("0")
        there = (codes >= 0) & (codes <= 9)
        values = codes.astype(np.int8)
    else:
        values, there = stored, stored != fill
    size = len(column)
    assert not there[size:].any(), f"{where}: a level is missing"
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    assert (valid == there[:size]).all(), where
    filled = column.fill_null(0).to_numpy(zero_copy_only=False)
    assert np.array_equal(filled[valid], values[:size][valid], equal_nan=True), where


@pytest.mark.long
def test_all_files_of_a_bucket_end_as_one_row_a_profile(mirror: Path, tmp_path: Path) -> None:
    """D beside R of the same cycle, descending casts, secondary profiles, B and S files, and `_prof.nc` beside all."""
    store, config = FolderStore(str(tmp_path)), config_of(parameters=["TEMP", "PSAL", "DOXY"])
    by_bucket: dict[str, list[str]] = {}
    for path in profile_files(mirror):
        if not path.startswith("odd/"):
            by_bucket.setdefault(bucket_of(int(path.split("/")[1])), []).append(path)
    for bucket, paths in by_bucket.items():
        publish(Listed(mirror, dict.fromkeys(paths, INDEX)), store, config)
        profiles = partition(store, bucket).tables["profiles"].to_pylist()
        identities = Counter((one["wmo"], one["kind"], *_who(one)) for one in profiles)
        assert max(identities.values()) == 1
        read = {one.path for one in partition(store, bucket).footer.inputs if one.state in {"used", "partly"}}  # type: ignore[union-attr]
        assert {one["file"] for one in profiles} == read
    pairs = {one["cycle"]: one for one in partition(store, "290226x").tables["profiles"].to_pylist()}
    assert {pairs[cycle]["data_mode"] for cycle in (0, 1, 10, 50)} == {"D"}
    assert pairs[2]["file"] == "incois/2902269/2902269_prof.nc"


def test_a_float_of_estimated_times_keeps_every_good_level(mirror: Path) -> None:
    """JULD_QC is 8 throughout; a filter of 1 and 2 on every flag would leave nothing."""
    found, tables = gathered(mirror, [f"aoml/5900446/profiles/D5900446_{cycle}.nc" for cycle in ("001", "100")])
    assert found.facts.profiles["time_qc"].to_pylist() == [8, 8]
    levels = tables.levels
    assert levels.num_rows == 56 + 55
    good = [
        all(row[f"{name}_adjusted_qc"] in {1, 2, 5, 8} for name in ("pres", "temp", "psal"))
        for row in levels.to_pylist()
    ]
    kept = [all(row[name] is not None for name in ("pres", "temp", "psal")) for row in levels.to_pylist()]
    assert kept == good
    assert sum(kept) == 111


def test_a_second_run_parses_nothing_and_a_new_file_is_the_only_one_parsed(mirror: Path, tmp_path: Path) -> None:
    store, config = FolderStore(str(tmp_path)), config_of()
    name = "incois/2902269/profiles/{}2902269_{}.nc"
    old = {name.format("R", cycle): INDEX for cycle in ("000", "001", "010", "050")}
    publish(Listed(mirror, old, index=INDEX), store, config)
    again, _ = publish(Listed(mirror, old, index=INDEX), store, config)
    assert (again.properties["groundswell:files_read"], again.read_bytes) == (0, 0)
    new = {path: INDEX for path in old if "_010" not in path} | {name.format("D", "010"): "20240202000000"}
    made, _ = publish(Listed(mirror, new, index="20240203000000"), store, config)
    assert made.properties["groundswell:files_read"] == 1
    modes = {one["cycle"]: one["data_mode"] for one in partition(store, "290226x").tables["profiles"].to_pylist()}
    assert modes == {0: "A", 1: "A", 10: "D", 50: "R"}
    assert job_of(Listed(mirror, new), config).fingerprint != job_of(Listed(mirror, old), config).fingerprint


def told(tables: Tables, *rules: str) -> set[tuple[Any, ...]]:
    """Rows of the ledger: rule, cycle, profile index, parameter, levels."""
    names = ("rule", "cycle", "profile_index", "parameter", "levels")
    return {tuple(row[name] for name in names) for row in tables.ledger.to_pylist() if row["rule"] in rules}


def test_what_is_no_number_is_null_told_and_kept_as_it_was(mirror: Path) -> None:
    _, tables = gathered(mirror, ["odd/2901301/R2901301_144_incois-PSAL-Inf.nc"])
    levels = tables.levels.to_pydict()
    assert np.isinf(levels["psal_adjusted"]).all()
    assert (levels["psal"], levels["psal_qc"]) == ([None] * 59, [4] * 59)
    assert told(tables, "not_finite") == {("not_finite", 144, 0, "PSAL", 59)}
    _, tables = gathered(mirror, ["odd/6903724/R6903724_001_bodc_NaN.nc"])
    levels = tables.levels.to_pydict()
    broken = [row for row, value in enumerate(levels["temp_raw"]) if value is not None and np.isnan(value)]
    assert broken
    assert {levels["temp"][row] for row in broken} == {None}
    assert told(tables, "not_finite") == {("not_finite", 1, 0, "TEMP", len(broken))}


def test_letters_that_the_flags_do_not_come_to_are_told(mirror: Path) -> None:
    _, tables = gathered(mirror, ["odd/6903724/R6903724_001_PROFILE_QC_WRONG.nc"])
    profile = tables.profiles.to_pylist()[0]
    names = ("pres", "temp", "psal")
    wrong = {one for one in names if profile[f"{one}_profile_qc"] != profile[f"{one}_profile_qc_computed"]}
    assert wrong
    assert {row[3] for row in told(tables, "profile_qc_differs")} == {one.upper() for one in wrong}


@pytest.mark.parametrize(
    ("path", "qc"),
    [
        ("jma/4902252/profiles/D4902252_104.nc", 9),
        ("aoml/5906072/profiles/R5906072_121.nc", 9),
        ("aoml/5906072/profiles/D5906072_086.nc", 8),
        ("odd/2903996/R2903996_003.nc", 8),
    ],
)
def test_a_position_that_is_none_is_null_and_an_estimated_one_stays(mirror: Path, path: str, qc: int) -> None:
    _, tables = gathered(mirror, [path])
    profile = tables.profiles.to_pylist()[0]
    assert profile["position_qc"] == qc
    assert (profile["latitude"] is None) == (profile["longitude"] is None) == (qc == 9)
    assert bool(told(tables, "position_missing")) == (qc == 9)
    assert tables.levels["pres"].null_count < tables.levels.num_rows


def test_times_of_bad_flags_are_kept_with_their_flags(mirror: Path) -> None:
    """The index leaves their date empty; the file has it."""
    paths = [f"kma/2901746/profiles/{name}.nc" for name in ("R2901746_001", "R2901746_011", "D2901746_089")]
    _, tables = gathered(mirror, paths)
    profiles = tables.profiles.to_pylist()
    assert [one["time_qc"] for one in profiles] == [4, 4, 1]
    assert None not in [one["time"] for one in profiles]
    assert [one["vertical_sampling_scheme"] is None for one in profiles] == [True, True, False]
    assert [one["format_version"] for one in profiles] == ["2.2", "2.2", "3.1"]


def test_modes_of_two_profiles_in_one_file_are_their_own(mirror: Path) -> None:
    """Its name says D; the second profile is in real time."""
    _, tables = gathered(mirror, ["bodc/6901929/profiles/D6901929_075.nc"])
    profiles = tables.profiles.to_pylist()
    assert [(one["profile_index"], one["data_mode"], one["quality_status"]) for one in profiles] == [
        (0, "D", "DELAYED"),
        (1, "R", "REAL_TIME"),
    ]
    _, tables = gathered(mirror, ["coriolis/3902131/profiles/D3902131_001.nc"])
    assert tables.profiles["data_mode"].to_pylist() == ["D", "A"]


def test_biogeochemistry_has_the_pressure_of_the_core_file_and_a_mode_for_each_parameter(mirror: Path) -> None:
    names = ("D3902131_001", "BD3902131_001", "SD3902131_001")
    _, tables = gathered(mirror, [f"coriolis/3902131/profiles/{name}.nc" for name in names])
    found: dict[tuple[str, int], dict[str, list[Any]]] = {}
    for row in tables.levels.to_pylist():
        one = found.setdefault((row["kind"], row["profile_index"]), {"pres": [], "doxy": [], "mode": [], "qc": []})
        for name, column in (("pres", "pres"), ("doxy", "doxy"), ("mode", "doxy_mode"), ("qc", "pres_qc")):
            one[name].append(row[column])
    for index in (0, 1):
        size = len(found["bgc", index]["pres"])
        assert found["bgc", index]["pres"] == found["core", index]["pres"][:size]
        assert found["bgc", index]["qc"] == found["core", index]["qc"][:size]
    modes = {kind: {mode for (one, _), of in found.items() if one == kind for mode in of["mode"]} for kind, _ in found}
    assert modes == {"core": {None}, "bgc": {"D"}, "synthetic": {"R"}}
    assert any(value is not None for value in found["bgc", 0]["doxy"])
    raw = [row for row in tables.levels.to_pylist() if row["kind"] == "synthetic" and row["doxy_raw"] is not None]
    assert {(row["doxy_qc"], row["doxy"]) for row in raw} == {(3, None), (4, None)}
    assert told(tables, "no_core_pressure", "core_pressure_differs") == set()
