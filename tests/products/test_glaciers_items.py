"""What is committed of a glacier region: which dates, in which files, with which words, under which fingerprint."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from pyproj import Transformer

from pipeline.config import load_config
from pipeline.errors import ConfigError, PlanRefusedError
from pipeline.execute.worker.task import run_job
from pipeline.prepare import plan_targets
from pipeline.products import glaciers, product_models
from pipeline.products._glaciers_clip import native_first
from pipeline.products.glaciers import QA_OUTSIDE
from pipeline.results.open import open_results
from pipeline.types import Job, Outcome, Status
from tests.products.regions import EAST, REGION, Regions, merged, nearest
from tests.products.test_glaciers import file_of, grid_of, make, month, planned, read, scenes_of
from tests.schemas.validate import stac_errors
from tests.worlds import SmallWorld

__all__ = ["month"]


@pytest.mark.parametrize(("least", "kept"), [(0.0, "03 08 13 18"), (0.5, "03 08 13"), (0.98, "08 13")])
def test_dates_that_show_too_little_of_the_region_are_left_out_by_name(
    month: tuple[Regions, SmallWorld], least: float, kept: str
) -> None:
    """The share is of the region's pixels, and all dates are told apart by it."""
    scenes, world = month
    made = make(world, f"products.glaciers.min_valid={least}")
    _, item = made
    dates = sorted(key[-2:] for key in item["assets"] if key.startswith("bands-"))
    assert dates == kept.split()
    grid, inside = grid_of(made), read(made, "template")[0] == 1
    left_out = item["properties"]["groundswell:days_left_out"]
    for day in ("03", "08", "13", "18"):
        layers = [merged([nearest(one, *grid) for one in scenes_of(scenes, int(day), band)]) for band in ("red", "nir")]
        share = np.mean((layers[0] != 0)[inside] & (layers[1] != 0)[inside])
        told = left_out.get(f"2024-07-{day}") if day not in dates else None
        if told is None:
            told = item["assets"][f"bands-202407{day}"]["groundswell:valid_fraction"]
        assert told == pytest.approx(share, abs=1e-6)
        assert (share >= least) == (day in dates)


def test_count_qa_and_what_the_item_says(month: tuple[Regions, SmallWorld]) -> None:
    """Dates a pixel is complete on; 1 none, 4 outside of the region; fractions are of the region."""
    _, world = month
    made = make(world)
    _, item = made
    inside = read(made, "template")[0] == 1
    days = np.stack([read(made, key) for key in item["assets"] if key.startswith("bands-")])
    count = (days != 0).all(axis=1).sum(axis=0)
    np.testing.assert_array_equal(read(made, "count")[0], count)
    np.testing.assert_array_equal(read(made, "qa")[0], (count == 0) * 1 + ~inside * QA_OUTSIDE)
    said = item["properties"]
    assert said["groundswell:valid_fraction"] == pytest.approx(np.mean(count[inside] > 0), abs=1e-6)
    assert said["groundswell:observations_mean"] == pytest.approx(np.mean(count[inside]), abs=1e-4)
    assert said["groundswell:observations_min"] == count[inside].min()
    assert (said["groundswell:region_pixels"], said["groundswell:native_scenes"]) == (inside.sum(), 6)


def test_bands_share_the_files_that_are_asked_for(month: tuple[Regions, SmallWorld]) -> None:
    """One file a date and set, with names and order as asked, and the same numbers."""
    _, world = month
    whole = read(make(world), "bands-20240708")
    made = make(world, "products.glaciers.band_sets={track: [nir]}")
    with rasterio.open(file_of(made, "track-20240708")) as source:
        assert source.descriptions == ("nir",)
    np.testing.assert_array_equal(read(made, "track-20240708")[0], whole[1])
    np.testing.assert_array_equal(read(made, "bands-20240708")[0], whole[0])
    both = make(world, "products.glaciers.bands=[nir, red]")
    with rasterio.open(file_of(both, "bands-20240708")) as source:
        assert source.descriptions == ("nir", "red")
    np.testing.assert_array_equal(read(both, "bands-20240708"), whole[::-1])


def test_the_reference_says_region_grid_and_scenes(month: tuple[Regions, SmallWorld]) -> None:
    scenes, world = month
    made = make(world)
    region = json.loads(Path(file_of(made, "region")).read_text())
    crs, transform, shape = grid_of(made)
    assert region["properties"]["proj:code"] == crs and region["properties"]["proj:shape"] == list(shape)
    assert region["properties"]["proj:transform"] == list(transform[:6])
    there = shapely.from_wkt(region["properties"]["outline"])
    assert there.symmetric_difference(REGION).area < 0.02 * REGION.length
    back = Transformer.from_crs(4326, EAST, always_xy=True)
    degrees = shapely.geometry.shape(region["geometry"])
    again = shapely.transform(degrees, lambda xy: np.column_stack(back.transform(*xy.T)))
    assert again.symmetric_difference(REGION).area < 0.2 * REGION.length
    collection = json.loads(Path(file_of(made, "scenes")).read_text())
    assert {one["id"] for one in collection["features"]} == {item["id"] for item in scenes.items}
    assert {one["assets"]["red"]["href"] for one in collection["features"]} == {
        item["assets"]["red"]["href"] for item in scenes.items
    }
    assert [error for one in (made[1], *collection["features"]) for error in stac_errors(one)] == []


def test_the_shipped_config_has_its_regions_in_the_zones_of_their_tiles() -> None:
    """Both products, each on its sensor's own pixels."""
    path = Path(__file__).parents[2] / "configs" / "glaciers.yaml"
    config = load_config(path, product_models())
    named = json.loads((path.parent / "glaciers-regions.geojson").read_text())["features"]
    zones = {one["properties"]["name"]: f"EPSG:326{one['properties']['mgrs'][:2]}" for one in named}
    targets = plan_targets(config)
    assert targets.keys() == {"s2-days", "landsat-days"} and len(zones) == 3
    for name, metres, offset in (("s2-days", 10, 0), ("landsat-days", 30, 15)):
        assert {tile.id: str(tile.geobox.crs) for tile in targets[name].tiles} == zones
        for tile in targets[name].tiles:
            assert tile.geobox.transform.c % metres == tile.geobox.transform.f % metres == offset


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("bands=[red, red]", "every name once in bands"),
        ("bands=[pan]", "of coastal, blue"),
        ("band_sets={a: [red], b: [red]}", "each in one of band_sets"),
        ("band_sets={a: [blue]}", "each in one of band_sets"),
        ("band_sets={bands: [red]}", "only where every band is in a set"),
        ("min_valid=1.5", "min_valid"),
        ("mask={drop: [cloud]}", "a mask of classes, open_px, dilate_px"),
    ],
)
def test_a_wrong_entry_says_what_is_allowed(month: tuple[Regions, SmallWorld], key: str, text: str) -> None:
    _, world = month
    with pytest.raises(ConfigError, match=text):
        world.session(f"products.glaciers.{key}")


def test_zarr_holds_the_same_dates(month: tuple[Regions, SmallWorld]) -> None:
    """A store has only the dates that are kept, also where it stands alone."""
    _, world = month
    alone = make(world, "write={cog: null, zarr: {}}", "products.glaciers.min_valid=0.5")
    assert not [key for key in alone[1]["assets"] if key.startswith("bands-")]
    made = make(world, "write={cog: {}, zarr: {}}", "products.glaciers.min_valid=0.5")
    objects = [[one[1]["assets"][key]["href"][-17:] for key in ("zarr", "zarr-manifest")] for one in (alone, made)]
    assert objects[0] == objects[1], "the same store, by its digest"
    store = xr.open_zarr(file_of(made, "zarr"), consolidated=False, decode_cf=False)
    assert store["red"].shape[0] == 3
    for number, day in enumerate(("03", "08", "13")):
        np.testing.assert_array_equal(store["red"][number].values, read(made, f"bands-202407{day}")[0])


def test_a_date_that_is_lost_after_the_store_was_laid_out_is_still_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was lost of it is said, as of any other; the rest of the region's dates are kept."""
    scenes = Regions(tmp_path)
    scenes.add(3)
    lost = scenes.add(8)
    world = scenes.world()
    laid_out = glaciers._days_of_store

    def then_lose(*found: Any) -> Any:
        days = laid_out(*found)
        Path(lost["assets"]["red"]["href"]).write_bytes(b"no raster")
        return days

    monkeypatch.setattr(glaciers, "_days_of_store", then_lose)
    made = make(world, "write={cog: {}, zarr: {}}", "products.glaciers.min_valid=0.5")
    assert [loss["item"] for loss in made[1]["properties"]["groundswell:missing_assets"]] == [lost["id"]]
    store = xr.open_zarr(file_of(made, "zarr"), consolidated=False, decode_cf=False)
    assert store["red"].shape[0] == 2 and not store["red"][1].values.any() and store["nir"][1].values.any()
    np.testing.assert_array_equal(store["red"][0].values, read(made, "bands-20240703")[0])


def test_strips_and_threads_do_not_show(month: tuple[Regions, SmallWorld]) -> None:
    """The same files, byte for byte."""
    _, world = month
    session, job = planned(world)
    digests = set()
    for rows, threads in ((2048, 1), (32, 3)):
        assignment = session.assignments()[job.product]
        assignment = replace(assignment, context=replace(assignment.context, threads=threads))
        small = replace(job, memory=replace(job.memory, strip_rows=rows))
        item = json.loads((world.output / str(run_with(small, assignment).item_key)).read_text())
        digests.add(tuple(asset["file:checksum"] for _, asset in sorted(item["assets"].items()) if _ != "inputs"))
    assert len(digests) == 1


def run_with(job: Job, assignment: Any) -> Outcome:
    outcome = run_job(job, assignment, 1)
    assert outcome.status is Status.DONE, outcome.cause
    return outcome


def test_the_fingerprint_holds_outline_and_zones(month: tuple[Regions, SmallWorld]) -> None:
    """A corner moved within its pixel changes it, as does what decides which scene comes first."""
    scenes, world = month
    _, job = planned(world)
    assert planned(world)[1].fingerprint == job.fingerprint
    ring = [(x + 1.0 * (number == 1), y) for number, (x, y) in enumerate(REGION.exterior.coords[:-1])]
    _, moved = planned(
        scenes.world({"134_Nunatak": shapely.Polygon(ring, [[*hole.coords] for hole in REGION.interiors])})
    )
    assert moved.tile.geobox == job.tile.geobox and moved.fingerprint != job.fingerprint
    scenes.world()
    assert planned(world)[1].fingerprint == job.fingerprint


def test_equal_fingerprints_lay_scenes_in_the_same_order(tmp_path: Path) -> None:
    """A catalogue that later says the grid of one band less moves no scene of the region's zone behind another's."""
    scenes = Regions(tmp_path)
    scenes.add(13, "T23WPU")
    own = scenes.add(13)
    world = scenes.world()
    _, whole = planned(world)
    del own["assets"]["nir"]["proj:code"]
    scenes.world()
    _, less = planned(world)
    assert less.fingerprint == whole.fingerprint
    orders = [[item.id for item in native_first(job).items] for job in (whole, less)]
    assert orders[0] == orders[1] and orders[0][0] == own["id"]


def test_tiles_that_are_of_no_region_are_refused(month: tuple[Regions, SmallWorld]) -> None:
    _, world = month
    with pytest.raises(PlanRefusedError, match=r"glaciers: tile .* allowed: grid\.kind region"):
        world.session("grid.kind=utm", "grid.tile_px=512")


def test_a_region_between_pixel_centres_says_what_to_do(tmp_path: Path) -> None:
    scenes = Regions(tmp_path)
    scenes.add(3)
    world = scenes.world({"thin": shapely.box(386_501, 7_879_000, 386_504, 7_879_300)})
    session, job = planned(world)
    outcome = world.run(session, job)
    assert outcome.status is Status.FAILED and "all_touched: true" in str(outcome.cause)
    assert (read(make(world, "products.glaciers.all_touched=true"), "template") == 1).any()


def test_a_month_without_a_usable_date_is_an_item_that_says_so(tmp_path: Path) -> None:
    scenes = Regions(tmp_path)
    scenes.add(18, west=0.2)
    made = make(scenes.world(), "products.glaciers.min_valid=0.9")
    assert not [key for key in made[1]["assets"] if key.startswith("bands-")]
    assert list(made[1]["properties"]["groundswell:days_left_out"]) == ["2024-07-18"]
    assert (read(made, "qa")[0] & 1).all()


def test_results_open_as_one_dataset(month: tuple[Regions, SmallWorld]) -> None:
    """Bands of files with several are found by their names, dates along time."""
    _, world = month
    made = make(world)
    recorded = world.session()
    assert not recorded.plan.jobs, "what is committed is not made again"
    recorded.run()
    found = open_results(str(world.output), bands=["red", "nir"])
    assert found.sizes["time"] == 4
    np.testing.assert_array_equal(found["nir"].isel(time=1).values, read(made, "bands-20240708")[1])
