"""Laws of the demo world's GDAC: files as netCDF4 reads them, an index that says what they are, one water in all."""

from __future__ import annotations

import csv
import gzip
import hashlib
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import netCDF4
import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.demo import World, demo_truth
from pipeline.demo.argo import BROKEN, FLOATS, UNLISTED, mirror_files
from pipeline.demo.argo_file import Cast, Column, profile_file
from pipeline.demo.argo_index import index_files
from pipeline.demo.argo_water import DRIFT_PER_CYCLE, OFFSET_DBAR, demo_water, places
from pipeline.demo.land import GROUND_CRS

FILES_DIGEST = "80c23d8e41e4abd9"
INDICES = ("ar_index_global_prof.txt", "argo_bio-profile_index.txt", "argo_synthetic-profile_index.txt")
HALF = {"PRES": 0.051, "TEMP": 0.00051, "PSAL": 0.00051, "DOXY": 0.0051, "CHLA": 0.00051}
"""Half of the last digit that is stored, and what float32 adds."""


class File:
    """A file of the mirror as netCDF4 reads it, unmasked."""

    def __init__(self, path: str) -> None:
        self.path = path
        with netCDF4.Dataset(path, memory=mirror_files()[f"dac/{path}"]) as file:
            file.set_auto_maskandscale(False)
            self.values: dict[str, NDArray[Any]] = {name: np.asarray(one[...]) for name, one in file.variables.items()}

    def text(self, name: str, *place: int) -> str:
        content: bytes = self.values[name][place].tobytes()
        return content.decode("latin-1").strip()

    def day(self, profile: int = 0) -> date:
        return (datetime(1950, 1, 1, tzinfo=UTC) + timedelta(days=float(self.values["JULD"][profile]))).date()


def _paths(*, broken: bool = False) -> list[str]:
    found = [path.removeprefix("dac/") for path in mirror_files() if path.endswith(".nc")]
    return [path for path in found if broken or path != BROKEN]


def _rows(name: str) -> Iterator[dict[str, str]]:
    lines = mirror_files()[name].decode().splitlines()
    return csv.DictReader(line for line in lines if not line.startswith("#"))


def test_the_mirror_is_the_same_on_every_machine() -> None:
    """Pinned: fails when files change (raise world.VERSION then) and on a machine that rounds differently."""
    digest = hashlib.sha256()
    for path, content in mirror_files().items():
        digest.update(f"{path} ".encode())
        digest.update(b"" if path.endswith(".gz") else content)
    assert digest.hexdigest()[:16] == FILES_DIGEST


def test_the_world_holds_the_mirror(small_world: World) -> None:
    for path, content in mirror_files().items():
        assert (small_world.folder / "argo" / path).read_bytes() == content, path
    readme = (small_world.folder / "README.md").read_text()
    assert all(named in readme for named in (BROKEN, *UNLISTED))


def test_every_file_but_one_reads_whole() -> None:
    for path in _paths():
        assert File(path).text("FORMAT_VERSION") == "3.1"
    with pytest.raises(RuntimeError, match=r"not permitted|HDF|NetCDF"):
        File(BROKEN)


def test_the_index_says_what_the_files_are() -> None:
    listed = []
    for name in INDICES:
        assert gzip.decompress(mirror_files()[f"{name}.gz"]) == mirror_files()[name]
        for row in _rows(name):
            listed.append(row["file"])
            if row["file"] == BROKEN:
                continue
            file = File(row["file"])
            assert row["date_update"] == file.text("DATE_UPDATE")
            assert row["date"] == "" or row["date"][:8] == f"{file.day():%Y%m%d}"
            assert (row["date"] == "") == (file.text("JULD_QC", 0) in "34")
            place = file.values["LATITUDE"][0]
            assert row["latitude"] == ("" if place == 99999 else f"{place:.3f}")
            if "parameters" in row:
                width = len(row["parameter_data_mode"])
                assert row["parameter_data_mode"] == file.text("PARAMETER_DATA_MODE", 0)
                names = [file.text("STATION_PARAMETERS", 0, place) for place in range(width)]
                assert row["parameters"].split() == names
    single = {path for path in _paths(broken=True) if "/profiles/" in path}
    assert {*listed} == single - {*UNLISTED} and len(listed) == len({*listed})


def test_delayed_mode_is_the_truth_and_real_time_is_off_by_what_is_said() -> None:
    checked: set[tuple[str, str]] = set()
    for path in (path for path in _paths() if "/profiles/D" in path or "/profiles/R" in path):
        file = File(path)
        cycle, mode = int(file.values["CYCLE_NUMBER"][0]), file.text("DATA_MODE", 0)
        offset = {"PRES": OFFSET_DBAR, "PSAL": DRIFT_PER_CYCLE * cycle, "TEMP": 0.0}
        raw = {name: file.values[name][0].astype(np.float64) - offset[name] for name in offset}
        good = {name: file.values[f"{name}_QC"][0] != b"4" for name in offset}
        level = file.values["PRES"][0] < 99999
        truth = demo_water(raw["PRES"][level], file.day())
        for name in ("TEMP", "PSAL"):
            off = np.abs(raw[name][level] - truth[name])[good[name][level]]
            assert off.max() < HALF[name] + 0.0002, (path, name)
        adjusted = file.values["PSAL_ADJUSTED"][0][level]
        if mode == "R":
            assert (adjusted == 99999).all() and (file.values["PSAL_ADJUSTED_QC"][0] == b" ").all()
        else:
            off = np.abs(adjusted - truth["PSAL"] - (0 if mode == "D" else offset["PSAL"]))
            assert off.max() < HALF["PSAL"] + 0.0002
        bad = file.values["TEMP_ADJUSTED"][0][level] == 99999
        if mode == "D":
            assert bad.sum() == 1 and (bad == ~good["TEMP"][level]).all(), "flag 4 has no adjusted value"
        checked.add((mode, file.text("DIRECTION", 0)))
    assert checked == {("D", "A"), ("D", "D"), ("A", "A"), ("R", "A")}


def test_every_trap_is_there() -> None:
    both = "incois/9900101/profiles/{}9900101_001.nc"
    listed = [row["file"] for row in _rows(INDICES[0])]
    assert both.format("R") in listed and both.format("D") in listed
    second = [File(f"incois/9900102/profiles/D9900102_{cycle:03d}.nc") for cycle in range(1, 14)]
    assert [file.text("JULD_QC") for file in second] == ["88"] * 3 + ["44"] + ["88"] * 9
    assert [file.values["LATITUDE"][0] for file in (second[2], second[4])] == [-99.999, 99999]
    assert all(file.values["PRES"].shape == (2, 82) for file in second)
    assert (second[0].values["PRES"][1, 11:] == 99999).all() and (second[0].values["PRES_QC"][1, 11:] == b" ").all()
    assert second[5].text("PROFILE_TEMP_QC", 0) == "F" and second[4].text("PROFILE_TEMP_QC", 0) == "B"
    assert "étalonnage" in "".join(second[0].text("SCIENTIFIC_CALIB_COMMENT", 0, 0, place) for place in range(3))
    bgc = File("coriolis/9900215/profiles/BD9900215_001.nc")
    assert "PRES_QC" not in bgc.values and bgc.text("PARAMETER_DATA_MODE", 0) == "RDA"
    core = File("coriolis/9900215/profiles/D9900215_001.nc")
    np.testing.assert_array_equal(bgc.values["PRES"], core.values["PRES"])
    joined = File("coriolis/9900215/profiles/SD9900215_001.nc")
    assert "DATA_MODE" not in joined.values and "HISTORY_QCTEST" not in joined.values
    assert joined.values["PRES"].shape == (1, 92) and (np.diff(joined.values["PRES"][0]) >= 0).all()
    assert core.text("HISTORY_ACTION", 1, 0) == "QCF$" and core.text("HISTORY_QCTEST", 1, 0) == "200"


def test_multi_profile_files_hold_the_best_primary_profiles() -> None:
    for wmo in FLOATS:
        dac = "incois" if wmo < 9900200 else "coriolis"
        file = File(f"{dac}/{wmo}/{wmo}_prof.nc")
        cycles = file.values["CYCLE_NUMBER"].tolist()
        assert cycles == ([1] if wmo == 9900101 else []) + [*range(1, 14)]
        assert (np.diff(file.values["JULD"]) > 0).all()
    assert File("incois/9900101/9900101_prof.nc").text("DATA_MODE") == "DDDDDDDAAARRRR"


def test_floats_come_up_on_water() -> None:
    """So that what a satellite sees there is the lake, in a window of 50 m."""
    to_ground = Transformer.from_crs(4326, GROUND_CRS, always_xy=True)
    for wmo in FLOATS:
        for cycle in range(1, 14):
            middle = places(wmo, cycle)
            x, y = (axis + np.array([-25, 0, 25.0])[:, None].repeat(3, 1) for axis in middle)
            _, green, _, nir = demo_truth(x, y.T, GROUND_CRS, date(2024, 7, 1))
            assert (nir < green).all(), (wmo, cycle)
    file = File("coriolis/9900216/profiles/R9900216_001.nc")
    found = to_ground.transform(file.values["LONGITUDE"][0], file.values["LATITUDE"][0])
    np.testing.assert_allclose(found, places(9900216, 1), rtol=0, atol=1.2)


def test_a_file_states_the_grades_that_its_flags_come_to() -> None:
    moment = datetime(2024, 6, 1, tzinfo=UTC)
    for flags, grade in (
        ("1111", "A"),
        ("1114", "B"),
        ("2244", "C"),
        ("5444", "D"),
        ("344444444448", "E"),
        ("44", "F"),
        ("99", " "),
    ):
        column = Column(np.arange(len(flags), dtype=np.float32), flags)
        content = profile_file([Cast(1, 1, moment, 0.0, 0.0, {"PRES": column})])
        with netCDF4.Dataset("memory", memory=content) as file:
            assert file["PROFILE_PRES_QC"][...].tobytes().decode() == grade, flags


def test_an_index_of_nothing_has_its_head() -> None:
    assert all(b"Date of update" in content for name, content in index_files([]).items() if name.endswith("txt"))
