"""Timeless products, time series, tiles of any shape and items of two kinds: what the demo world does not have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import ConfigError
from pipeline.read.access import Access
from pipeline.results.find import find_outputs
from pipeline.results.open import open_results
from pipeline.results.window import WindowReader
from pipeline.types import Band, Item, Job, Made, MemoryPlan, Period, Rights, Tile
from pipeline.write.cog import CogOptions, rights_tags
from pipeline.write.commit import commit
from pipeline.write.files import write_json_file
from pipeline.write.mosaic import write_mosaic
from pipeline.write.store import Store, open_store
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr import ZarrOptions
from pipeline.write.zarr_attributes import Extent
from tests.results.made import finish, open_mosaic, plan_of

HEIGHT = Band("elevation", "int16", -32768, 0.1, 100.0, "m", "Height")
RED = Band("red", "uint16", 0, 1e-4, description="Red")
COUNT = Band("count", "uint8", None, description="Observations")
QA = Band("qa", "uint8", None, description="Quality", flags=((1, "empty"), (2, "input_lost")))
JUNE = Period("2024-06", datetime(2024, 6, 1, tzinfo=UTC), datetime(2024, 7, 1, tzinfo=UTC))
JULY = Period("2024-07", datetime(2024, 7, 1, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC))
STATIC = Period("static", None, None)
RIGHTS = Rights("CC-BY-4.0", "Somebody")
OPTIONS = {
    "cog": WriteOptions(CogOptions()),
    "zarr": WriteOptions(None, ZarrOptions(chunk_px=64)),
    "both": WriteOptions(CogOptions(), ZarrOptions()),
}
Layer = tuple[Any, Band, date | None]


def box(column: int = 0, row: int = 0, shape: tuple[int, int] = (64, 96)) -> GeoBox:
    """A grid that begins so many pixels east and south of a place."""
    return GeoBox(shape, Affine(10, 0, 500_000 + 10 * column, 0, -10, 5_000_000 - 10 * row), "EPSG:32633")


def pixels(seed: int, band: Band, shape: tuple[int, int] = (64, 96)) -> Any:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(band.dtype)


class Maker:
    """Commits items made of given layers."""

    def __init__(self, folder: Path) -> None:
        self.store: Store = open_store(str(folder / "output"))
        self.jobs: list[Job] = []
        self._folder = folder

    def add(self, tile: str, geobox: GeoBox, period: Period, layers: Sequence[Layer], store: str = "cog") -> Job:
        number = len(self.jobs)
        scene = Item("scene", "s", "s", datetime(2024, 1, 1, tzinfo=UTC), date(2024, 1, 1), None, {})
        job = Job(
            "made", "made", Tile(tile, geobox), period, "default", (scene,), f"{number:032x}", MemoryPlan(64, 1), 1
        )
        folder = self._folder / f"local-{number}"
        folder.mkdir()
        days = sorted({day for _, _, day in layers if day is not None})
        with writing() as thread:
            extent = Extent(geobox, period, tuple(days))
            writer = TileWriter(extent, folder, OPTIONS[store], rights_tags(RIGHTS), thread)
            for data, band, day in layers:
                writer.add(data, band, day)
            files = writer.finish()
        inputs = write_json_file({"made": number}, folder / "inputs.json", "inputs", title="Inputs")
        commit(self.store, job, Made((*files, inputs), {}, RIGHTS))
        self.jobs.append(job)
        return job

    def open(self, **options: Any) -> xr.Dataset:
        finish(self.store, plan_of(self.jobs))
        return open_results(self.store.uri, **options)

    def open_mosaic(self) -> xr.Dataset:
        finish(self.store, plan_of(self.jobs))
        return open_mosaic(self.store, write_mosaic(self.store, find_outputs(self.store, None), WindowReader(Access())))


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.mark.parametrize("store", OPTIONS)
def test_a_timeless_product_has_no_time(maker: Maker, store: str) -> None:
    west, east = pixels(1, HEIGHT), pixels(2, HEIGHT)
    maker.add("a", box(0), STATIC, [(west, HEIGHT, None)], store)
    maker.add("b", box(96), STATIC, [(east, HEIGHT, None)], store)
    found = maker.open()
    assert found["elevation"].dims == ("y", "x")
    assert found["period"].item() == "static"
    np.testing.assert_array_equal(found["elevation"].values, np.hstack([west, east]))
    decoded = maker.open(decode=True)["elevation"]
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded.values, np.hstack([west, east]) * 0.1 + 100, rtol=1e-6)
    mosaic = maker.open_mosaic()
    assert mosaic["elevation"].dims == ("y", "x")
    np.testing.assert_array_equal(mosaic["elevation"].values, found["elevation"].values)


@pytest.mark.parametrize("store", OPTIONS)
def test_a_time_series_has_a_step_a_day(maker: Maker, store: str) -> None:
    """Days of all tiles in one axis, nodata where a tile has no such day; what is of the period stands at each day."""
    third, fifth, july = date(2024, 6, 3), date(2024, 6, 5), date(2024, 7, 2)
    red = {name: pixels(number, RED) for number, name in enumerate(["a3", "a5", "b5", "b7"])}
    counts = {name: pixels(9 + number, COUNT) for number, name in enumerate(["a6", "b6", "b7"])}
    maker.add("a", box(0), JUNE, [(red["a3"], RED, third), (red["a5"], RED, fifth), (counts["a6"], COUNT, None)], store)
    maker.add("b", box(96), JUNE, [(red["b5"], RED, fifth), (counts["b6"], COUNT, None)], store)
    maker.add("b", box(96), JULY, [(red["b7"], RED, july), (counts["b7"], COUNT, None)], store)
    none = np.zeros((64, 96), np.uint8)
    expected = {
        "red": [(red["a3"], none), (red["a5"], red["b5"]), (none, red["b7"])],
        "count": [(counts["a6"], counts["b6"]), (counts["a6"], counts["b6"]), (none, counts["b7"])],
    }
    found = maker.open()
    days = np.array([third, fifth, july], "datetime64[ns]")
    np.testing.assert_array_equal(found["time"].values, days)
    assert list(found["period"].values) == ["2024-06", "2024-06", "2024-07"]
    assert str(found["period_end"].values[0])[:10] == "2024-07-01"
    mosaic = maker.open_mosaic()
    np.testing.assert_array_equal(mosaic["time"].values, days)
    for band, layers in expected.items():
        whole = np.stack([np.hstack(pair) for pair in layers])
        np.testing.assert_array_equal(found[band].values, whole)
        np.testing.assert_array_equal(mosaic[band].values, whole)


def test_overlapping_tiles_of_any_shape_are_one_mosaic(maker: Maker) -> None:
    """The first by id that has a number there gives it; where no tile is, there is nodata."""
    one, other = pixels(1, RED), pixels(2, RED, (100, 50))
    maker.add("a", box(0), JUNE, [(one, RED, None)])
    maker.add("b", box(80, 30, (100, 50)), JUNE, [(other, RED, None)])
    whole = np.zeros((130, 130), np.uint16)
    whole[30:, 80:] = other
    whole[:64, :96][one != 0] = one[one != 0]
    np.testing.assert_array_equal(maker.open()["red"].values[0], whole)
    np.testing.assert_array_equal(maker.open_mosaic()["red"].values[0], whole)


def test_where_tiles_overlap_the_quality_is_that_of_the_number(maker: Maker) -> None:
    """Also where the first has none, or another tile lost an input there; where no tile is, nothing was observed."""
    one, other = np.zeros((64, 96), np.uint16), np.full((64, 96), 7, np.uint16)
    one[:, 90:] = 5
    first = np.where(one == 0, 1, 0).astype(np.uint8)
    maker.add("a", box(0), JUNE, [(one, RED, None), (first, QA, None)])
    maker.add("b", box(80, 30), JUNE, [(other, RED, None), (np.full((64, 96), 2, np.uint8), QA, None)])
    for found in (maker.open(), maker.open_mosaic()):
        red, qa = found["red"].values[0], found["qa"].values[0]
        assert {*qa[red == 5]} == {0} and {*qa[red == 7]} == {2} and {*qa[red == 0]} == {1}


def test_tiles_of_other_pixels_lie_side_by_side(maker: Maker) -> None:
    one, other = pixels(1, RED), pixels(2, RED, (100, 50))
    maker.add("a", box(0), JUNE, [(one, RED, None)])
    maker.add(
        "b", GeoBox((100, 50), Affine(10, 0, 600_003, 0, -10, 5_000_000), "EPSG:32633"), JUNE, [(other, RED, None)]
    )
    found = maker.open()
    assert dict(found.sizes) == {"tile": 2, "time": 1, "y": 100, "x": 96, "affine": 6}
    np.testing.assert_array_equal(found["red"].sel(tile="a")[0, :64].values, one)
    np.testing.assert_array_equal(found["red"].sel(tile="b")[0, :, :50].values, other)
    assert not found["red"].sel(tile="a")[0, 64:].values.any()
    assert found.sel(tile="b")["x"].values[0] == 600_008


def test_a_band_that_some_items_lack_is_nodata_there(maker: Maker) -> None:
    red, count = pixels(1, RED), pixels(2, COUNT)
    maker.add("a", box(0), JUNE, [(red, RED, None)])
    maker.add("a", box(0), JULY, [(red, RED, None), (count, COUNT, None)])
    np.testing.assert_array_equal(maker.open()["count"].values, np.stack([np.zeros_like(count), count]))


def test_a_band_of_two_meanings_is_refused_by_name(maker: Maker) -> None:
    maker.add("a", box(0), JUNE, [(pixels(1, RED), RED, None)])
    maker.add("a", box(0), JULY, [(pixels(1, RED), replace(RED, scale=1e-3), None)])
    with pytest.raises(ConfigError, match=r"band red: .*made/a/2024-06 and .*made/a/2024-07"):
        maker.open()


def test_a_tile_on_two_grids_is_refused_by_name(maker: Maker) -> None:
    maker.add("a", box(0), JUNE, [(pixels(1, RED), RED, None)])
    maker.add("a", box(5), JULY, [(pixels(1, RED), RED, None)])
    with pytest.raises(ConfigError, match=r"made/a/2024-07: found the grid"):
        maker.open()


def test_timeless_items_beside_others_are_refused_by_name(maker: Maker) -> None:
    maker.add("a", box(0), JUNE, [(pixels(1, RED), RED, None)])
    maker.add("a", box(0), STATIC, [(pixels(1, RED), RED, None)])
    with pytest.raises(ConfigError, match=r"made/a/static is timeless and made/a/2024-06 is not"):
        maker.open()
