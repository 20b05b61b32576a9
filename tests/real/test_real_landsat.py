"""Real Landsat scenes through a real session, with values checked by rasterio, pyproj and NumPy alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.session import Options, Session, open_session
from pipeline.types import Job, Status
from tests.products.landsat_scenes import near_edge, on_grid, plain_scene
from tests.products.test_sentinel2 import written
from tests.worlds import SmallWorld

Json = Any
GREENLAND = "LC08_L2SP_005009_20150710_20200908_02_T2"
AMAZON = "LC08_L2SP_001062_20201031_20201106_02_T2"
CONFIG = """\
name: real
output: {folder}/output
area: {{bbox: [{west}, {south}, {east}, {north}]}}
grid: {{kind: utm, tile_px: 64, resolution_m: {metres}}}
period: {{start: 2015-01-01, end: 2021-01-01, every: span}}
sources:
  ls: {{items: {folder}/items.json}}
products:
  - {{product: landsat, source: ls, {entry}}}
run: {{retries: 0, missing_assets: {{max_fraction: 1.0}}}}
"""
Place = tuple[float, float]


def world_of(folder: Path, items: list[Json], at: Place, metres: float, entry: str) -> SmallWorld:
    (folder / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    config = folder / "real.yaml"
    box = {"west": at[0] - 1e-4, "south": at[1] - 1e-4, "east": at[0] + 1e-4, "north": at[1] + 1e-4}
    config.write_text(CONFIG.format(folder=folder, metres=metres, entry=entry, **box))
    return SmallWorld(config, folder / "output", folder)


def run(world: SmallWorld) -> tuple[Session, Job, dict[str, NDArray[Any]]]:
    session = open_session(Options(world.config))
    (job,) = session.plan.jobs
    outcome = world.run(session, job)
    assert outcome.status is Status.DONE, outcome.cause
    assert not outcome.losses
    return session, job, written(world, outcome)


def real_item(shared_data: Path, scene: str, what: str) -> Json:
    """The catalogue's own item with the files that are here."""
    folder = shared_data / "raster/landsat" / scene
    item = json.loads((folder / f"{scene}_{what}_stac.json").read_text())
    for key, asset in list(item["assets"].items()):
        path = folder / asset["href"].rpartition("/")[2]
        if path.is_file():
            asset["href"] = str(path)
        else:
            del item["assets"][key]
    return item


def grid_of(job: Job) -> Any:
    return str(job.tile.geobox.crs), job.tile.geobox.transform, job.tile.geobox.shape.yx


CASES = {
    "greenland-72-north": (GREENLAND, "SR", ["blue", "green", "red", "nir08", "swir16"], (-41.486, 72.187)),
    "greenland-temperature": (GREENLAND, "ST", ["lwir"], (-40.9, 71.7)),
    # All of it is cloud; it lies south of the equator in a zone of the north, so that it is warped.
    "amazon": (AMAZON, "SR", ["blue", "green", "red", "nir08"], (-65.0, -2.9)),
}
"""Name → scene, which of its items, bands, somewhere on it."""


@pytest.mark.parametrize("case", CASES)
def test_a_real_scene_has_its_reflectances_and_kelvins(shared_data: Path, tmp_path: Path, case: str) -> None:
    """An item of STAC 0.7, whose files lie on another grid than they would at full resolution."""
    scene, what, bands, at = CASES[case]
    item = real_item(shared_data, scene, what)
    drop, bits = ("[]", 0) if case == "amazon" else ("[dilated_cloud, cirrus, cloud, cloud_shadow]", 0b11110)
    entry = f"bands: [{', '.join(bands)}], mask: {{saturated: keep, drop: {drop}}}"
    _, job, made = run(world_of(tmp_path, [item], at, 500, entry))
    grid = grid_of(job)
    assert grid[0] == ("EPSG:32720" if case == "amazon" else "EPSG:32624")
    plain = plain_scene(item, bands, grid, bits, 0)
    for band in bands:
        expected = np.where(plain.clear, np.nan_to_num(plain.bands[band]), 0)
        assert (expected > 0).mean() > 0.2
        path = next(iter(item["assets"].values()))["href"]
        sure = ~near_edge(path, grid) if case == "amazon" else np.ones(expected.shape, bool)
        assert sure.mean() > 0.8
        np.testing.assert_array_equal(made[band][sure], expected[sure])
        if band == "lwir":
            kelvins = made[band][made[band] > 0] * 0.01
            assert kelvins.min() > 200 and kelvins.max() < 300


def test_a_real_scene_under_cloud_gives_an_empty_tile(shared_data: Path, tmp_path: Path) -> None:
    """Which is no loss, and is said."""
    item = real_item(shared_data, AMAZON, "SR")
    _, _, made = run(world_of(tmp_path, [item], (-65.0, -2.9), 600, "bands: [red], mask: {saturated: keep}"))
    assert not made["red"].any() and not made["count"].any()
    assert (made["qa"] == 1).all()


def test_a_product_at_its_full_resolution(shared_data: Path, tmp_path: Path) -> None:
    """30 m, with edges on no round number and in NAD83; its files have numbers, to which OLI gives their meaning."""
    folder = shared_data / "raster/landsat/gdalraster_30m_fullres"
    paths = {band: folder / f"sr_b{number}_20200829.tif" for band, number in (("red", 4), ("nir08", 5), ("swir16", 6))}
    with rasterio.open(paths["red"]) as source:
        to_degrees = Transformer.from_crs(source.crs, 4326, always_xy=True)
        bounds = source.bounds
        middle = to_degrees.transform((bounds.left + bounds.right) / 2, (bounds.bottom + bounds.top) / 2)
        corners = [(x, y) for x in (bounds.left, bounds.right) for y in (bounds.bottom, bounds.top)]
        ring = [list(to_degrees.transform(*corners[n])) for n in (0, 1, 3, 2, 0)]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "storm-lake",
        "collection": "c",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2020-08-29T18:00:00Z", "platform": "LANDSAT_8"},
        "assets": {f"SR_B{path.name[4]}": {"href": str(path)} for path in paths.values()},
        "links": [],
    }
    _, job, made = run(world_of(tmp_path, [item], middle, 30, "bands: [red, nir, swir16], mask: null"))
    for band, path in paths.items():
        number = on_grid(str(path), grid_of(job), 0).astype(float)
        expected = np.where(number == 0, 0, np.clip(np.rint(number * 0.275 - 2000), 1, None))
        assert (expected > 0).mean() > 0.5
        np.testing.assert_array_equal(made[band], expected)


def test_collection_1_level_1_is_refused_by_name(shared_data: Path, tmp_path: Path) -> None:
    """Its numbers, in 5e-5 of no reflectance at all, would look like Level 2."""
    folder = shared_data / "raster/landsat/gdalcubes_L8NY18_C1L1"
    name = "LC08_L1TP_013032_20180131"
    ring = [[-75.0, 39.2], [-72.0, 39.2], [-72.0, 41.5], [-75.0, 41.5], [-75.0, 39.2]]
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "new-york",
        "collection": "c",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2018-01-31T15:30:00Z", "platform": "landsat-8"},
        "assets": {band: {"href": str(folder / f"{name}_B{n}.TIF")} for band, n in (("red", 4), ("nir08", 5))},
        "links": [],
    }
    world = world_of(tmp_path, [item], (-73.6, 40.4), 3000, "bands: [red, nir08], mask: null")
    session = open_session(Options(world.config))
    (job,) = session.plan.jobs
    outcome = world.run(session, job)
    assert [loss.asset for loss in outcome.losses] == ["nir08", "red"]
    for loss in outcome.losses:
        assert loss.cause.startswith("this is level L1TP; expected Landsat Collection 2 Level 2")
