"""Variables in groups: known as `group/name`, and read to their end as those of the root, in NetCDF-4 and Zarr."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from pipeline.types import Json
from tests.checks.objects import checked, only, told

TEMP = np.arange(6, dtype="f4").reshape(3, 2)
DEPTH = np.array([1.0, 5.0, 2.0, 9.0])


def netcdf(path: Path) -> Path:
    """A dimension of the root that only a group uses, as satellites' level 2 has it; x with two lengths."""
    with netCDF4.Dataset(path, "w") as file:
        file.title = "x"
        file.createDimension("time", 3)
        file.createVariable("station", "i4", ())[...] = 7
        obs, deep = file.createGroup("obs"), file.createGroup("deep/er")
        obs.createDimension("x", 2)
        temp = obs.createVariable("temp", "f4", ("time", "x"))
        temp[:], temp.units = TEMP, "K"
        obs.createVariable("x", "i4", ("x",))[:] = [1, 2]
        deep.createDimension("x", 4)
        deep.createVariable("depth", "f8", ("x",))[:] = DEPTH
    return path


def zarr(path: Path) -> Path:
    groups = {
        "/": xr.Dataset({"station": ((), 7)}, attrs={"title": "x"}),
        "/obs": xr.Dataset({"temp": (("time", "x"), TEMP, {"units": "K"})}, {"x": [1, 2]}),
        "/deep/er": xr.Dataset({"depth": ("x", DEPTH)}),
    }
    xr.DataTree.from_dict({name: each for name, each in groups.items() if name != "/deep/er"}).to_zarr(
        path, consolidated=False
    )
    groups["/deep/er"].to_zarr(path, group="deep/er", mode="a", consolidated=False)
    return path


@pytest.fixture(scope="module", params=["t.nc", "t.zarr"])
def file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("groups") / request.param
    return netcdf(path) if path.suffix == ".nc" else zarr(path)


@pytest.mark.parametrize(
    ("array", "findings"),
    [
        ({}, []),
        ({"attributes": {"title": "x"}, "variables": {"station": {"range": [7, 7]}}}, []),
        ({"variables": {"obs/temp": {"type": "float32", "units": "K", "dims": ["time", "x"], "range": [0, 5]}}}, []),
        ({"variables": {"obs/temp": {"dims": ["x", "time"]}}}, [("dims", "obs/temp", "fail", 1)]),
        ({"variables": {"obs/temp": {"units": "degC"}}}, [("attributes", "obs/temp", "fail", 1)]),
        ({"variables": {"obs/temp": {"type": "integer"}}}, [("type", "obs/temp", "fail", 1)]),
        ({"variables": {"obs/temp": {"range": [0, 3]}}}, [("range", "obs/temp", "fail", 2)]),
        ({"variables": {"deep/er/depth": {"increasing": True}}}, [("increasing", "deep/er/depth", "fail", 1)]),
        ({"variables": {"temp": {}}}, [("variable", "temp", "fail", 1)]),
        ({"variables": {"none/temp": {}}}, [("variable", "none/temp", "fail", 1)]),
        ({"dims": {"time": 3, "obs/time": 3, "obs/x": 2, "deep/er/x": 4, "deep/x": 4}}, []),
        ({"dims": {"time": 4, "x": None}}, [("dims", "time", "fail", 1), ("dims", "x", "fail", 1)]),
        ({"others": "warn", "variables": {"station": {}, "obs/temp": {}}}, [("others", "deep/er/depth", "warn", 1)]),
    ],
)
def test_each_rule_finds_what_breaks_it_in_a_group(
    file: Path, array: Json, findings: list[tuple[str, str, str, int]]
) -> None:
    assert told(checked(file, {"array": array})) == findings


def test_the_facts_tell_of_all_groups(file: Path) -> None:
    facts = checked(file, {}).facts
    assert {each["name"]: (each["min"], each["max"]) for each in facts["of_variables"]} == {
        "deep/er/depth": (1.0, 9.0),
        "obs/temp": (0.0, 5.0),
        "obs/x": (1.0, 2.0),
        "station": (7.0, 7.0),
    }
    assert facts["dimensions"] == {"deep/er/x": 4, "obs/time": 3, "obs/x": 2}
    said = {"array": {"variables": {"obs/temp": {"range": [None, 4]}}}}
    assert [(each.at, each.value) for each in only(checked(file, said)).examples] == [("time 2, x 1", "5.0")]


def test_a_damaged_chunk_in_a_group_is_a_verdict(tmp_path: Path) -> None:
    path = zarr(tmp_path / "t.zarr")
    chunk = next(each for each in (path / "deep/er/depth").rglob("*") if each.is_file() and each.name != "zarr.json")
    chunk.write_bytes(chunk.read_bytes()[:8])
    assert told(checked(path, {})) == [("readable", "", "fail", 1)]


def test_odd_types_in_a_group_are_read(tmp_path: Path) -> None:
    with netCDF4.Dataset(path := tmp_path / "t.nc", "w") as file:
        group = file.createGroup("odd")
        group.createDimension("x", 2)
        pair = group.createCompoundType(np.dtype([("a", "i4"), ("b", "f8")]), "pair")
        group.createVariable("pairs", pair, ("x",))
        group.createVariable("names", str, ("x",))[0] = "a"
        group.createVariable("rows", group.createVLType(np.int32, "row"), ("x",))[0] = np.arange(3, dtype="i4")
        group.createVariable("kinds", group.createEnumType(np.uint8, "kind", {"a": 0}), ("x",), fill_value=0)
    result = checked(path, {})
    assert result.verdict == "pass" and result.facts["variables"] == 4
