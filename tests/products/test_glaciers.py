"""Glacier regions are what rasterio and rioxarray make of the files: merged by day, clipped, copied if they can be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 (gives arrays their `.rio`)
import shapely
import xarray as xr
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.session import Session
from pipeline.types import Job, Outcome, Status
from tests.products.regions import EAST, REGION, WEST, Regions, merged, nearest
from tests.worlds import SmallWorld

pytestmark = pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning:rioxarray")


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> tuple[Regions, SmallWorld]:
    scenes = Regions(tmp_path_factory.mktemp("regions")).month()
    return scenes, scenes.world()


def planned(world: SmallWorld, *sets: str) -> tuple[Session, Job]:
    session = world.session(*sets, overwrite=True)
    (job,) = session.plan.jobs
    return session, job


def make(world: SmallWorld, *sets: str) -> tuple[Path, Any]:
    """Where the item of the only region lies, and the item."""
    outcome = run(world, *planned(world, *sets))
    path = world.output / str(outcome.item_key)
    return path, json.loads(path.read_text())


def run(world: SmallWorld, session: Session, job: Job) -> Outcome:
    outcome = world.run(session, job)
    assert outcome.status is Status.DONE, outcome.cause
    return outcome


def file_of(made: tuple[Path, Any], key: str) -> str:
    path, item = made
    return str(path.parent / item["assets"][key]["href"])


def read(made: tuple[Path, Any], key: str) -> NDArray[Any]:
    with rasterio.open(file_of(made, key)) as source:
        return np.asarray(source.read())


def grid_of(made: tuple[Path, Any]) -> tuple[str, Any, tuple[int, int]]:
    with rasterio.open(file_of(made, "template")) as source:
        return source.crs.to_string(), source.transform, source.shape


def scenes_of(scenes: Regions, day: int, band: str) -> list[str]:
    """Files of a day in the order in which they are laid on: those of the region's zone first, then by id."""
    items = [item for item in scenes.items if item["properties"]["datetime"][8:10] == f"{day:02d}"]
    ordered = sorted(items, key=lambda item: (item["assets"][band]["proj:code"] != EAST, item["id"]))
    return [item["assets"][band]["href"] for item in ordered]


def clipped(values: NDArray[Any], grid: tuple[str, Any, tuple[int, int]], shape: Any, **how: Any) -> NDArray[Any]:
    """What rioxarray keeps of a layer."""
    crs, transform, (rows, cols) = grid
    x, y = transform.c + transform.a * (np.arange(cols) + 0.5), transform.f + transform.e * (np.arange(rows) + 0.5)
    layer = xr.DataArray(values, {"y": y, "x": x}, ("y", "x")).rio.write_crs(crs).rio.write_nodata(0)
    kept: NDArray[Any] = layer.rio.clip([shape], crs, drop=False, **how).values
    return kept


@pytest.mark.parametrize("touched", [False, True], ids=["centres", "touched"])
def test_every_date_is_its_scenes_merged_and_clipped_as_rioxarray_clips(
    month: tuple[Regions, SmallWorld], touched: bool
) -> None:
    """Every band of every date, to the pixel: scenes of the region's zone are copied, the other fills what is left."""
    scenes, world = month
    made = make(world, f"products.glaciers.all_touched={str(touched).lower()}")
    grid = grid_of(made)
    assert grid[0] == EAST
    for day in (3, 8, 13, 18):
        found = read(made, f"bands-202407{day:02d}")
        for number, band in enumerate(("red", "nir")):
            layers = [nearest(path, *grid) for path in scenes_of(scenes, day, band)]
            expected = clipped(merged(layers), grid, REGION, all_touched=touched)
            np.testing.assert_array_equal(found[number], expected, err_msg=f"{day} {band}")


def test_pixels_of_the_own_grid_are_copied(month: tuple[Regions, SmallWorld]) -> None:
    """No arithmetic between file and picture: a window of the scene, by whole pixels, is the picture."""
    scenes, world = month
    made = make(world)
    _, transform, shape = grid_of(made)
    with rasterio.open(scenes.items[0]["assets"]["red"]["href"]) as source:
        col, row = (round(value) for value in ~source.transform @ (transform.c, transform.f))
        whole = source.read(1)
    window = np.zeros(shape, np.uint16)
    part = whole[row : row + shape[0], col : col + shape[1]]
    window[: part.shape[0], : part.shape[1]] = part
    found, inside = read(made, "bands-20240703")[0], read(made, "template")[0] == 1
    np.testing.assert_array_equal(found, np.where(inside, window, 0))


def test_the_grid_is_the_sensors_own(tmp_path: Path) -> None:
    """Sentinel-2's pixels have their edges on multiples of 10 m, Landsat's their centres on multiples of 30 m."""
    scenes = Regions(tmp_path)
    scenes.add(3)
    world = scenes.world()
    for sets, offset, metres in (
        ((), 0, 10),
        (("grid.anchor=edge", "grid.resolution_m=20"), 0, 20),
        (("grid.anchor=centre", "grid.resolution_m=30"), 15, 30),
    ):
        _, job = planned(world, *sets)
        transform, bounds = job.tile.geobox.transform, REGION.bounds
        assert transform.c % metres == transform.f % metres == offset
        box = job.tile.geobox.boundingbox
        assert 0 <= bounds[0] - box.left < metres + 0.02 and 0 <= box.right - bounds[2] < metres + 0.02
        assert 0 <= bounds[1] - box.bottom < metres + 0.02 and 0 <= box.top - bounds[3] < metres + 0.02


def test_the_file_names_the_zone(month: tuple[Regions, SmallWorld]) -> None:
    """The region's middle lies in the western zone, but its tiles in the eastern one; without the key that is said."""
    _, world = month
    assert str(planned(world)[1].tile.geobox.crs) == EAST
    session, job = planned(world, "area.zone=null", "period.end=2024-07-10")
    assert str(job.tile.geobox.crs) == WEST
    assert any("area.zone" in text for text in run(world, session, job).warnings)


def test_one_chosen_crs(month: tuple[Regions, SmallWorld]) -> None:
    """EPSG:3413: every scene is resampled to it, and the region's own sides are followed."""
    scenes, world = month
    made = make(world, "grid.crs=EPSG:3413")
    grid = grid_of(made)
    assert grid[0] == "EPSG:3413"
    forward = Transformer.from_crs(EAST, 3413, always_xy=True)
    outline = shapely.transform(shapely.segmentize(REGION, 1), lambda xy: np.column_stack(forward.transform(*xy.T)))
    found = read(made, "bands-20240708")[0]
    expected = clipped(merged([nearest(path, *grid) for path in scenes_of(scenes, 8, "red")]), grid, outline)
    # Nearest neighbours by a mesh with an error of 0.02 pixels: hardly a pixel may have its neighbour's number.
    assert np.mean(found == expected) > 0.99


def test_a_mask_is_asked_for_and_sees_the_region_alone(month: tuple[Regions, SmallWorld]) -> None:
    """Nothing is masked by default; with a mask the first clear scene of a day gives a pixel."""
    scenes, world = month
    plain = read(make(world), "bands-20240703")
    mask = "products.glaciers.mask={open_px: 0, dilate_px: 0}"
    made = make(world, mask)
    found, inside = read(made, "bands-20240703"), read(made, "template")[0] == 1
    cloudy = nearest(scenes.items[0]["assets"]["scl"]["href"], *grid_of(made)) == 9
    np.testing.assert_array_equal(found, np.where(cloudy, 0, plain))
    assert (cloudy & inside).any() and "groundswell:cloud_fraction" in made[1]["properties"]


def test_a_composite_in_a_notebook_has_the_committed_pixels(month: tuple[Regions, SmallWorld]) -> None:
    _, world = month
    session, job = planned(world)
    assert session.open(job).sizes["time"] == 4
    lazy = session.composite(job)
    made = make(world)
    for number, band in enumerate(("red", "nir")):
        for layer, key in zip(lazy[band], (f"bands-202407{day}" for day in ("03", "08", "13", "18")), strict=True):
            np.testing.assert_array_equal(layer.values, read(made, key)[number])


def test_a_lost_scene_costs_its_own_pixels(tmp_path: Path) -> None:
    """The other tile of the day stays; `qa` says where, within the region."""
    scenes = Regions(tmp_path)
    scenes.add(8)
    lost = scenes.add(8, "T24WVC")
    world = scenes.world()
    Path(lost["assets"]["red"]["href"]).write_bytes(b"no raster")
    made = make(world)
    _, item = made
    assert [loss["item"] for loss in item["properties"]["groundswell:missing_assets"]] == [lost["id"]]
    grid, inside = grid_of(made), read(made, "template")[0] == 1
    expected = np.where(inside, nearest(scenes.items[0]["assets"]["red"]["href"], *grid), 0)
    np.testing.assert_array_equal(read(made, "bands-20240708")[0], expected)
    qa = read(made, "qa")[0]
    assert (qa & 2).any() and not ((qa & 2) != 0)[~inside].any()


def test_real_tiles_of_one_day_are_merged(shared_data: Path, tmp_path: Path) -> None:
    """33TWL and 33TWM of 2023-08-18, and four more dates of 33TWL: as rasterio reads and rioxarray clips them."""
    region = shapely.Polygon([(520e3, 5080e3), (550e3, 5078e3), (562e3, 5096e3), (541e3, 5112e3), (518e3, 5101e3)])
    scenes = Regions(tmp_path, metres=120)
    for path in sorted((shared_data / "raster" / "s2").glob("e84v1_33TW[LM]/*/*.json")):
        item = json.loads(path.read_text())
        href = str(path.parent / item["assets"]["red"]["href"])
        item["assets"] = {"red": {**item["assets"]["red"], "href": href}}
        scenes.items.append({**item, "links": []})
    assert len(scenes.items) == 6
    world = scenes.world({"two-tiles": region}, "EPSG:32633")
    sets = ("area.zone=null", "period.start=2023-08-01", "period.end=2023-09-01", "products.glaciers.bands=[red]")
    made = make(world, *sets)
    crs, transform, shape = grid_of(made)
    assert crs == "EPSG:32633"
    for day in ("10", "13", "15", "18", "20"):
        files = sorted(
            item["assets"]["red"]["href"] for item in scenes.items if item["properties"]["datetime"][8:10] == day
        )
        layer = merged([nearest(path, crs, transform, shape) for path in files])
        expected = clipped(layer, (crs, transform, shape), region)
        np.testing.assert_array_equal(read(made, f"bands-202308{day}")[0], expected, err_msg=day)
    assert len(made[1]["assets"]["bands-20230818"]["groundswell:scenes"]) == 2
