"""Laws of gridded Zarr stores: what is handed in is there, all of it, once, and the same bytes for the same input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline.errors import OutputError
from pipeline.types import DataFile
from pipeline.write import zarr_grid
from pipeline.write.zarr_grid import Coordinate, GridStore, GridVariable

RIGHTS = {"license": "CC-BY-4.0", "attribution": "Argo (2000)"}
DEEP = ("time", "pressure", "latitude", "longitude")
SHAPE = 5, 3, 4, 6


def begin(folder: Path, steps: int = 2, **attributes: str) -> GridStore:
    axes = {name: Coordinate((name,), np.arange(float(size))) for name, size in zip(DEEP, SHAPE, strict=True)}
    variables = [
        GridVariable("ct", DEEP, "float32", {"units": "degree_C"}),
        GridVariable("profiles", (DEEP[0], *DEEP[2:]), "int32"),
    ]
    return GridStore(folder, axes, variables, attributes or RIGHTS, steps)


def fill(store: GridStore, steps: int = 2) -> tuple[DataFile, DataFile]:
    for first in range(0, SHAPE[0], steps):
        part = slice(first, first + steps)
        store.add("ct", first, deep()[part])
        store.add("profiles", first, counts()[part])
    return store.finish()


def deep() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    values = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    values[:, 1] = np.nan
    return values


def counts() -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    return np.zeros((SHAPE[0], *SHAPE[2:]), np.int32)


@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("numbers", [4, 2**20])
def test_a_store_holds_what_was_added_and_its_manifest_lists_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int, numbers: int
) -> None:
    monkeypatch.setattr(zarr_grid, "CHUNK_NUMBERS", numbers)
    data, manifest = fill(begin(tmp_path / "grid.zarr", steps), steps)
    with xr.open_zarr(data.path) as found:
        np.testing.assert_array_equal(found["ct"].values, deep())
        np.testing.assert_array_equal(found["profiles"].values, counts())
        assert found.attrs["attribution"] == "Argo (2000)" and found.attrs["Conventions"] == "CF-1.11"
    listed = {one["key"] for one in json.loads(manifest.path.read_bytes())["objects"]}
    there = {path.relative_to(data.path).as_posix() for path in data.path.rglob("*") if path.is_file()}
    assert listed == there and data.sha256 == manifest.sha256


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = (fill(begin(tmp_path / name / "grid.zarr"))[0] for name in "ab")
    assert one.sha256 == other.sha256


def test_what_is_missing_twice_or_of_another_shape_is_refused(tmp_path: Path) -> None:
    store = begin(tmp_path / "grid.zarr")
    with pytest.raises(OutputError, match=r"ct, from step 0: found float64 .* expected float32 \(2, 3, 4, 6\)"):
        store.add("ct", 0, deep()[:2].astype(np.float64))
    with pytest.raises(OutputError, match="each step once"):
        store.add("ct", 1, deep()[1:3])
    store.add("ct", 0, deep()[:2])
    with pytest.raises(OutputError, match="each step once"):
        store.add("ct", 0, deep()[:2])
    with pytest.raises(OutputError, match=r"ct: found no step \[2, 4\]"):
        store.finish()


def test_an_object_that_nobody_wrote_is_refused(tmp_path: Path) -> None:
    store = begin(tmp_path / "grid.zarr", 5)
    store.add("ct", 0, deep())
    store.add("profiles", 0, counts())
    (tmp_path / "grid.zarr" / "ct" / "c" / "extra").write_bytes(b"")
    with pytest.raises(OutputError, match="missing, or not expected: ct/c/extra"):
        store.finish()


def test_a_store_without_rights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="found no attribution; expected both"):
        begin(tmp_path / "grid.zarr", license="CC0-1.0")
