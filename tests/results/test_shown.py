"""Laws of what is asked of results: a part of the whole, pixel by pixel, or a message that says what there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from affine import Affine
from rasterio.warp import transform_bounds

from pipeline.config import RunConfig, load_config
from pipeline.errors import ConfigError, NothingToDoError
from pipeline.plan.curves import transformer
from pipeline.plan.outlines import lonlat_bounds
from pipeline.products import product_models
from pipeline.results.open import open_results, reach_of
from pipeline.types import Grid
from tests.results.made import make
from tests.worlds import SmallWorld, small_world

ZONE = "EPSG:32633"


@pytest.fixture(scope="module")
def made(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    """Both tiles of one zone, two months."""
    world = small_world(demo_world, tmp_path_factory.mktemp("shown"))
    make(world, "area.bbox=[12.0008, 44.872, 12.03, 44.88]")
    return world


@pytest.fixture(scope="module")
def whole(made: SmallWorld) -> xr.Dataset:
    return open_results(str(made.output), crs=ZONE, layout="tiles").load()


def test_tiles_and_periods_are_parts_of_the_whole(made: SmallWorld, whole: xr.Dataset) -> None:
    tile, period = str(whole.tile.values[-1]), str(whole.period.values[0])
    found = open_results(made.output, tiles=tile, periods=[period], bands="red", layout="tiles")
    assert [*found.data_vars] == ["red"] and found.sizes["tile"] == found.sizes["time"] == 1
    expected = whole["red"].sel(tile=[tile]).isel(time=whole.period.values == period)
    np.testing.assert_array_equal(found["red"].values, expected.values)


def test_a_box_cuts_the_mosaic_to_what_lies_within(made: SmallWorld) -> None:
    """Its pixels are those of the mosaic of the tiles that it meets, no more than one pixel beyond it."""
    run = made.session("area.bbox=[12.0008, 44.872, 12.03, 44.88]", overwrite=True)
    west, south, east, north = lonlat_bounds(next(j.tile for j in run.jobs() if str(j.tile.geobox.crs) == ZONE).geobox)
    third = ((2 * west + east) / 3, (2 * south + north) / 3, (west + 2 * east) / 3, (south + 2 * north) / 3)
    everything = open_results(made.output, crs=ZONE, bbox=(west, south, east, north))
    found = open_results(made.output, crs=ZONE, bbox=third)
    assert 0 < found.sizes["x"] < 0.5 * everything.sizes["x"] and 0 < found.sizes["y"] < 0.5 * everything.sizes["y"]
    np.testing.assert_array_equal(found.red.values, everything.red.sel(x=found.x, y=found.y).values)
    transform = Affine.from_gdal(*map(float, found.spatial_ref.attrs["GeoTransform"].split()))
    assert transform @ (0.5, 0.5) == pytest.approx((float(found.x[0]), float(found.y[0])))
    right, bottom = transform @ (found.sizes["x"], found.sizes["y"])
    box = transform_bounds(ZONE, "EPSG:4326", transform.c, bottom, right, transform.f)
    assert all(abs(one - other) < 5e-4 for one, other in zip(box, third, strict=True))


@pytest.mark.parametrize("box", [(-180, -90, 180, 90), (-60, 0, 90, 80), (11.0, -90, -170, 90)])
def test_a_box_around_everything_cuts_nothing(made: SmallWorld, box: tuple[float, float, float, float]) -> None:
    """Also where the CRS of the tiles is not defined along its sides."""
    found = open_results(made.output, crs=ZONE, layout="mosaic", bbox=box)
    assert found.sizes == open_results(made.output, crs=ZONE, layout="mosaic").sizes


@pytest.mark.parametrize(
    ("crs", "lon", "lat", "box"),
    [
        ("EPSG:32601", -179.9, -17.0, (179.0, -17.05, -179.85, -16.95)),
        ("EPSG:3857", -179.99, 10.0, (179.0, 9.95, -179.94, 10.05)),
        ("EPSG:3413", 20.0, 89.9, (-180.0, 89.0, 180.0, 90.0)),
        ("EPSG:4326", 10.0, 50.0, (9.9, 49.9, 10.01, 50.1)),
    ],
)
def test_what_lies_within_a_box_is_found_across_180_and_at_a_pole(
    crs: str, lon: float, lat: float, box: tuple[float, float, float, float]
) -> None:
    """Every pixel whose middle is in the box, and few others."""
    x, y = transformer(4326, crs).transform(lon, lat)
    size = 0.0005 if crs == "EPSG:4326" else 50.0
    grid = Grid(crs, (size, 0.0, x - 100 * size, 0.0, -size, y + 100 * size), (200, 200))
    left, bottom, right, top = reach_of([grid], box)
    columns, rows = np.meshgrid(x + size * (np.arange(200) - 99.5), y - size * (np.arange(200) - 99.5))
    lons, lats = transformer(crs, 4326).transform(columns, rows)
    west, south, east, north = box
    across = (lons >= west) & (lons <= east) if west < east else (lons >= west) | (lons <= east)
    inside = across & (lats >= south) & (lats <= north)
    kept = (columns >= left) & (columns <= right) & (rows >= bottom) & (rows <= top)
    assert inside.any() and not (inside & ~kept).any() and kept.sum() < 1.2 * inside.sum()


@pytest.mark.parametrize("kind", ["path", "config", "text"])
def test_a_config_says_where_results_lie(made: SmallWorld, whole: xr.Dataset, kind: str) -> None:
    config = load_config(made.config, product_models())
    where: dict[str, RunConfig | Path | str] = {"path": made.config, "config": config, "text": str(made.config)}
    found = open_results(where[kind], "sentinel2", crs=ZONE, layout="tiles")
    xr.testing.assert_identical(found["red"].compute(), whole["red"])


@pytest.mark.parametrize(
    ("wanted", "error", "message"),
    [
        ({"tiles": ["33N-000-0000"]}, ConfigError, r"tiles: found '33N-000-0000'.*; there are 33N-"),
        (
            {"periods": "2024-6"},
            ConfigError,
            r"periods: found '2024-6' \(did you mean 2024-0\d\?\); there are 2024-06, 2024-07",
        ),
        ({"bbox": (0.0, 0.0, 1.0, 1.0)}, NothingToDoError, r"no tile meets it; the \d tiles lie within \[1"),
        ({"bbox": (12.0, 45.0, 13.0, 44.0)}, ConfigError, "expected .west, south, east, north. in degrees"),
        ({"bbox": (13.0, 44.0, 11.0, 45.0)}, NothingToDoError, "no tile meets it"),
        ({"tiles": []}, ConfigError, "found an empty list; expected one name or more"),
        ({"periods": ()}, ConfigError, "found an empty list; expected one name or more"),
        (
            {"period": "2024-06"},
            ConfigError,
            r"found period \(did you mean periods\?\); allowed: bands, tiles, periods",
        ),
        ({"product": "sentinel"}, ConfigError, "no results of product 'sentinel'.*found sentinel2"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    made: SmallWorld, wanted: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        open_results(made.output, **wanted)
