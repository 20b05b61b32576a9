"""An item that lies or lacks something costs at most itself: absurd grids, missing assets, lost masks, only clouds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from shapely.geometry import box, mapping

from pipeline.errors import EXIT_DONE
from pipeline.plan.outlines import lonlat_outline
from pipeline.products.sentinel2 import QA_EMPTY, QA_LOST
from pipeline.session import Options, open_session
from pipeline.types import Json, Status
from tests.faults._worlds import CLOUD, GRID, World, read_band, read_item, run_command, run_world, write_tif

# rasterio says so, now and then, of a scratch raster of its own when several threads burn footprints.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")]

PLAIN_MASK = {"classes": [0, 9], "open_px": 0, "dilate_px": 0}


def with_four(folder: Path) -> World:
    world = World(folder)
    for day in range(1, 5):
        world.add(f"2024-06-{day:02d}")
    return world


def declare(**fields: Json) -> Callable[[Json], None]:
    """Replace projection fields of the red asset."""
    return lambda item: item["assets"]["red"].update({f"proj:{key}": value for key, value in fields.items()})


ABSURD_GRIDS = {
    "shape beyond any file": declare(shape=[10**9, 10**9]),
    "shape of nothing": declare(shape=[0, 0]),
    "shape in words": declare(shape="big"),
    "shape of three sides": declare(shape=[1, 2, 3]),
    "transform of zeros": declare(transform=[0] * 6),
    "transform without numbers": declare(transform=[float("nan")] * 6),
    "transform too small to invert": declare(transform=[1e-300, 0, 600_320, 0, -1e-300, 5_000_960]),
    "transform cut short": declare(transform=[10, 0]),
    "transform beyond numbers": declare(transform=[1e308, 0, 1e308, 0, -1e308, 1e308]),
    "transform beyond the Earth": declare(transform=[10, 0, 9e9, 0, -10, 9e9]),
    "zone of another ocean": declare(code="EPSG:32601"),
    "code of heights alone": declare(code="EPSG:5773"),
    "code of geocentric coordinates": declare(code="EPSG:4978"),
}


@pytest.mark.parametrize("name", ABSURD_GRIDS)
def test_an_absurd_grid_is_named_and_the_files_own_is_used(tmp_path: Path, name: str) -> None:
    world = with_four(tmp_path)
    ABSURD_GRIDS[name](world.items[2])
    config = world.config()
    notes = open_session(Options(config)).plan.notes
    assert any("scene-2-2024-06-03, asset red" in note and "grid ignored" in note for note in notes), notes
    outcome = run_world(config)
    assert (outcome.status, outcome.losses) == (Status.DONE, ())
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2, 3))


def test_a_grid_that_the_file_contradicts_is_named_in_the_item_and_the_files_own_is_used(tmp_path: Path) -> None:
    world = with_four(tmp_path)
    declare(shape=[64, 64], transform=[20, 0, 600_320, 0, -20, 5_000_960])(world.items[2])
    outcome = run_world(world.config())
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2, 3))
    (warning,) = read_item(world, outcome)["properties"]["groundswell:warnings"]
    assert "2024-06-03-2-red.tif: the catalogue declares EPSG:32633 (64, 64) at 20" in warning


@pytest.mark.parametrize("asset", ["red", "scl"])
def test_an_item_without_an_asset_loses_its_scene_by_name(tmp_path: Path, asset: str) -> None:
    world = with_four(tmp_path)
    world.add("2024-06-20", {asset: None})
    outcome = run_world(world.config({"mask": PLAIN_MASK}))
    assert outcome.status is Status.DONE
    (loss,) = outcome.losses
    assert (loss.item, loss.asset, loss.cause) == (
        "scene-4-2024-06-20",
        asset,
        f"the item has no asset for {asset}",
    )
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2, 3))


def test_a_lost_mask_loses_its_scene_on_its_footprint_and_no_other_scene(tmp_path: Path) -> None:
    world = with_four(tmp_path)
    outline = lonlat_outline(GRID)
    west, south, east, north = outline.bounds
    half = mapping(outline & box(west, south, (west + east) / 2, north))
    world.add("2024-06-20", {"scl": tmp_path / "gone.tif"}, geometry=half)
    outcome = run_world(world.config({"mask": PLAIN_MASK}))
    assert [(loss.asset, loss.cause) for loss in outcome.losses] == [("scl", "no such file")]
    qa = read_band(world, outcome, "qa")
    assert (qa[:, :62] == QA_LOST).all() and not qa[:, 68:].any()
    assert (read_band(world, outcome, "count") == 4).all()
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2, 3))


@pytest.mark.parametrize(("allowed", "status"), [(0.5, Status.DONE), (0.49, Status.FAILED)])
def test_a_lost_mask_weighs_as_much_as_all_assets_of_its_scene(tmp_path: Path, allowed: float, status: Status) -> None:
    world = World(tmp_path)
    world.add("2024-06-01")
    world.add("2024-06-02", {"scl": tmp_path / "gone.tif"})
    missing = {"policy": "skip", "max_fraction": allowed}
    outcome = run_world(world.config({"mask": PLAIN_MASK, "missing_assets": missing}))
    assert outcome.status is status, outcome
    assert status is Status.DONE or "2 of 4 assets lost" in str(outcome.cause)


def cloudy(folder: Path) -> World:
    world = World(folder)
    clouds = write_tif(folder / "clouds.tif", np.full(GRID.shape, CLOUD, np.uint8), GRID)
    for day in range(1, 4):
        world.add(f"2024-06-{day:02d}", {"scl": clouds})
    return world


def test_a_month_of_clouds_is_a_valid_empty_output_without_a_warning(tmp_path: Path) -> None:
    world = cloudy(tmp_path)
    done = run_command(world.config({"mask": PLAIN_MASK}), tmp_path / "state")
    assert (done.returncode, done.stderr) == (EXIT_DONE, ""), done.stdout + done.stderr
    assert "warning" not in done.stdout and "1 done, 0 skipped, 0 failed" in done.stdout
    (data,) = (world.output / "data" / "sentinel2").glob("*/2024-06")
    bands = {path.name.partition("_")[0]: path for path in data.glob("*.tif")}
    for name, value, nodata in (("red", 0, 0), ("count", 0, None), ("qa", QA_EMPTY, None)):
        with rasterio.open(bands[name]) as dataset:
            assert (dataset.read(1) == value).all() and dataset.nodata == nodata
    (item,) = (world.output / "items" / "sentinel2").iterdir()
    assert '"groundswell:valid_fraction": 0.0' in item.read_text(encoding="utf-8")


def test_without_a_mask_clouds_are_observations_and_no_classification_is_needed(tmp_path: Path) -> None:
    world = World(tmp_path)
    for day in range(1, 4):
        world.add(f"2024-06-{day:02d}", {"scl": None})
    outcome = run_world(world.config({"mask": None}))
    assert (outcome.status, outcome.losses) == (Status.DONE, ())
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2))


def test_a_mask_of_no_class_keeps_every_pixel(tmp_path: Path) -> None:
    world = cloudy(tmp_path)
    outcome = run_world(world.config({"mask": {**PLAIN_MASK, "classes": []}}))
    assert (outcome.status, outcome.losses) == (Status.DONE, ())
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2))
