"""Array files: structure and numbers against their rules, in NetCDF and Zarr alike, and damaged ones as verdicts."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from pipeline.checks import arrays
from pipeline.types import Json
from tests.checks.objects import checked, only, told

KINDS = ("t.nc", "t3.nc", "t.zarr")


def dataset() -> xr.Dataset:
    temp = np.arange(24, dtype="f4").reshape(2, 3, 4)
    temp[0, 0, 0] = np.nan
    packed = np.arange(4, dtype="i2")
    return xr.Dataset(
        {
            "temp": (("time", "y", "x"), temp, {"units": "degC", "valid": np.float32(0.1)}),
            "packed": ("x", packed, {"scale_factor": 10.0, "_FillValue": np.int16(3)}),
        },
        {"time": ("time", np.array([0.0, 1.0]), {"units": "days since 2000-01-01"}), "y": [1, 2, 2]},
        {"title": "x", "Conventions": "CF-1.8"},
    )


def write(folder: Path, name: str) -> Path:
    path = folder / name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name.endswith(".zarr"):
            dataset().to_zarr(path, consolidated=False)
        else:
            dataset().to_netcdf(path, format="NETCDF3_64BIT" if name == "t3.nc" else "NETCDF4", engine="netcdf4")
    return path


@pytest.fixture(scope="module", params=KINDS)
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("arrays"), request.param)


@pytest.mark.parametrize(
    ("array", "findings"),
    [
        ({}, []),
        ({"dims": {"time": 2, "x": None}, "attributes": {"title": "x", "Conventions": None}}, []),
        ({"dims": {"x": 5}}, [("dims", "x", "fail", 1)]),
        ({"dims": {"lat": None}, "severity": "warn"}, [("dims", "lat", "warn", 1)]),
        ({"attributes": {"title": "y", "history": None}}, [("attributes", "", "fail", 1)] * 2),
        ({"others": "warn", "variables": {"temp": {}}}, [("others", "packed", "warn", 1)]),
        ({"variables": {"psal": {}}}, [("variable", "psal", "fail", 1)]),
        ({"variables": {"p's'al": {}}}, [("variable", "p's'al", "fail", 1)]),
        ({"variables": {"psal": {"required": False}}}, []),
        ({"variables": {"temp": {"type": "float32", "units": "degC", "attributes": {"valid": 0.1}}}}, []),
        ({"variables": {"temp": {"type": "number", "dims": ["time", "y", "x"]}}}, []),
        ({"variables": {"temp": {"type": "integer"}}}, [("type", "temp", "fail", 1)]),
        ({"variables": {"temp": {"dims": ["time", "x", "y"]}}}, [("dims", "temp", "fail", 1)]),
        ({"variables": {"temp": {"units": "K", "severity": "warn"}}}, [("attributes", "temp", "warn", 1)]),
        ({"variables": {"time": {"type": "time", "increasing": True}}}, []),
        ({"variables": {"y": {"type": "time"}}}, [("type", "y", "fail", 1)]),
        ({"variables": {"y": {"increasing": True}}}, [("increasing", "y", "fail", 1)]),
        ({"variables": {"temp": {"range": [0, 20]}}}, [("range", "temp", "fail", 3)]),
        ({"variables": {"temp": {"nulls": 0}}}, [("nulls", "temp", "fail", 1)]),
        ({"variables": {"packed": {"range": [0, 15], "nulls": 0.5}}}, [("range", "packed", "fail", 1)]),
        ({"variables": {"packed": {"nulls": {"warn": 0.2}}}}, [("nulls", "packed", "warn", 1)]),
    ],
)
def test_each_rule_finds_what_breaks_it(file: Path, array: Json, findings: list[tuple[str, str, str, int]]) -> None:
    assert told(checked(file, {"array": array})) == findings


def test_values_are_shown_by_their_place_whatever_the_blocks(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"array": {"variables": {"temp": {"range": [None, 21]}, "y": {"increasing": True}}}}
    whole = checked(file, said)
    shown = {each.check: each for each in whole.findings}
    assert [(each.at, each.value) for each in shown["range"].examples] == [
        ("time 1, y 2, x 2", "22.0"),
        ("time 1, y 2, x 3", "23.0"),
    ]
    assert shown["increasing"].found == "2 after 2 at 2"
    monkeypatch.setattr("pipeline.checks.arrays._BLOCK_BYTES", 1)
    assert checked(file, said) == whole


def test_a_fault_of_the_checks_is_not_the_datas(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*given: object) -> None:
        raise TypeError("ours")

    monkeypatch.setattr(arrays, "judge_structure", faulty)
    with pytest.raises(TypeError, match="ours"):
        checked(file, {"array": {}})


@pytest.mark.parametrize(
    ("attributes", "lowest", "valid"),
    [
        ({"units": np.array([1, 2])}, -2, 3),
        ({"missing_value": np.int32(999_999)}, -2, 3),
        ({"missing_value": np.array([-2, 7], "i1")}, 1, 1),
        ({"_Unsigned": "true"}, 1, 3),
    ],
)
def test_odd_attributes_mean_what_the_conventions_say(
    tmp_path: Path, attributes: dict[str, Any], lowest: int, valid: int
) -> None:
    values = xr.Dataset({"a": ("x", np.array([1, -2, 7], "i1"), attributes)})
    values.to_netcdf(tmp_path / "t.nc", format="NETCDF3_CLASSIC", engine="netcdf4")
    result = checked(tmp_path / "t.nc", {})
    (facts,) = result.facts["of_variables"]
    assert (result.verdict, facts["min"], facts["valid"]) == ("pass", lowest, valid)


SIDES = st.lists(st.tuples(st.integers(0, 7), st.integers(1, 9)), max_size=3)


@given(SIDES, st.integers(1, 200))
def test_blocks_hold_each_value_once_and_are_whole_chunks(sides: list[tuple[int, int]], most: int) -> None:
    shape, chunks = tuple(length for length, _ in sides), tuple(chunk for _, chunk in sides)
    before, arrays._BLOCK_BYTES = arrays._BLOCK_BYTES, most
    try:
        seen = np.zeros(shape, int)
        for block in arrays.blocks(shape, 2, chunks):
            seen[block] += 1
            assert all(
                part.start % min(chunk, max(1, length)) == 0 for part, (length, chunk) in zip(block, sides, strict=True)
            )
            size = 2 * np.prod([part.stop - part.start for part in block], dtype=int)
            assert size <= max(most, 2 * int(np.prod(chunks, dtype=int)))
    finally:
        arrays._BLOCK_BYTES = before
    assert (seen == 1).all()


@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 0.98])
@pytest.mark.parametrize("name", KINDS[:2])
def test_netcdf_that_is_cut_short_is_a_verdict_also_where_the_library_reads_it(
    tmp_path: Path, name: str, share: float
) -> None:
    path = write(tmp_path, name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert checked(path, {}).verdict == "fail"


def test_a_real_profile_that_is_cut_short_is_a_verdict(shared_data: Path, tmp_path: Path) -> None:
    real = next((shared_data / "argo/odd").rglob("R3901602_163.nc"))
    assert checked(real, {"array": {"variables": {"PRES": {"units": "decibar"}}}}).verdict == "pass"
    (path := tmp_path / "cut.nc").write_bytes(real.read_bytes()[:-100])
    assert "that its header asks for" in only(checked(path, {})).text


def test_a_damaged_chunk_of_zarr_is_a_verdict(tmp_path: Path) -> None:
    path = write(tmp_path, "t.zarr")
    chunk = next(each for each in (path / "temp").rglob("*") if each.is_file() and each.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:8])
    assert told(checked(path, {})) == [("readable", "", "fail", 1)]


@pytest.mark.parametrize("damage", [b"{", b'{"zarr_format": 9}', b"[]", b"\xff"])
def test_damaged_metadata_of_zarr_is_a_verdict(tmp_path: Path, damage: bytes) -> None:
    path: Any = write(tmp_path, "t.zarr")
    (path / "zarr.json").write_bytes(damage)
    assert told(checked(path, {})) == [("readable", "", "fail", 1)]
