"""Real Sentinel-1 files and catalogue pages, by the command's own path, against rasterio and NumPy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from pipeline.execute.worker.task import run_job
from pipeline.types import Status
from tests.products.radar import Radar, footprint, item_of, only_job, plain_layer, plain_power, same, written

DECIBELS = "S1A__IW___A_20150309T173017_VV_grd_mli_geo_norm_db.tif"
GROUND = "S1A_IW_GRDH_1SDV_20180716T004042_20180716T004107_022812_02792A_FD5B"


def real_item(name: str, href: Path, geometry: Any, time: str, **properties: Any) -> Any:
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "collection": "real",
        "geometry": geometry,
        "properties": {"datetime": time, "updated": time, **properties},
        "assets": {"vv": {"href": str(href)}},
        "links": [],
    }


@pytest.fixture
def decibels(shared_data: Path, tmp_path: Path) -> tuple[Radar, tuple[float, float], str]:
    """The terrain-corrected scene in decibels: a copy, its middle in degrees, and its CRS."""
    path = tmp_path / DECIBELS
    shutil.copyfile(shared_data / "raster" / "s1" / "rtc_pyrosar" / DECIBELS, path)
    with rasterio.open(path) as source:
        assert (source.nodata, source.crs.to_epsg()) == (-99, 32631)
        outline = footprint(source.transform, source.shape, "EPSG:32631")
        x, y = source.transform @ (source.width / 2, source.height / 2)
    radar = Radar(tmp_path, [real_item(DECIBELS[:-4], path, outline, "2015-03-09T17:30:17Z")])
    at = Transformer.from_crs(32631, 4326, always_xy=True).transform(x, y)
    return radar, at, "EPSG:32631"


@pytest.mark.parametrize("tile_px", [256, 512])
def test_the_real_scene_in_decibels_is_resampled_as_power(
    decibels: tuple[Radar, tuple[float, float], str], tile_px: int
) -> None:
    radar, at, crs = decibels
    entry = "polarisations: [vv], input_scale: db, orbits: direction, direction: ascending, scale: db"
    world = radar.world(entry, at=at)
    text = world.config.read_text().replace("tile_px: 128", f"tile_px: {tile_px}")
    world.config.write_text(text.replace("2024-01-01", "2015-03-01").replace("2025-01-01", "2015-04-01"))
    session = world.session()
    job = only_job(session)
    outcome = run_job(job, session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.DONE, outcome.cause
    layers, geobox = written(world, outcome), job.tile.geobox
    href = radar.items[0]["assets"]["vv"]["href"]
    target = (crs, geobox.transform, tile_px)
    expected = plain_layer(href, plain_power(href, "db"), target=target)
    found = layers["vv-ascending"]
    same(10.0 ** (found.astype(np.float64) / 10), expected)
    assert np.isfinite(found).mean() > 0.3
    # Decibels resampled as they are would be others: by a tenth of a decibel and more.
    with np.errstate(invalid="ignore"):
        wrong = plain_layer(href, 10 * np.log10(plain_power(href, "db")), target=target)
    assert np.nanmax(np.abs(wrong - found)) > 0.1
    item = item_of(world, outcome)
    assert "told from name or time" in " ".join(item["properties"]["groundswell:warnings"])
    assert item["properties"]["groundswell:orbits"] == [
        {"direction": "ascending", "relative_orbit": None, "observations": 1}
    ]
    assert item["properties"]["attribution"] == "Contains modified Copernicus Sentinel data 2015"


def test_the_real_scene_on_ground_range_is_marked_as_not_terrain_corrected(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "raster" / "s1" / GROUND / "measurement" / "iw-vv.tiff"
    with rasterio.open(path) as source:
        points = source.gcps[0]
    lon, lat = (np.array([getattr(point, axis) for point in points]) for axis in ("x", "y"))
    west, south, east, north = float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    stated = {"sat:orbit_state": "ascending", "sat:relative_orbit": 25, "sar:product_type": "GRD"}
    outline = {"type": "Polygon", "coordinates": [ring]}
    radar = Radar(tmp_path, [real_item(GROUND, path, outline, "2018-07-16T00:40:42Z", **stated)])
    world = radar.world("kind: grd, polarisations: [vv], orbits: together", at=((west + east) / 2, (south + north) / 2))
    text = world.config.read_text().replace("resolution_m: 10", "resolution_m: 100")
    world.config.write_text(text.replace("2024-01-01", "2018-07-01").replace("2025-01-01", "2018-08-01"))
    session = world.session()
    job = only_job(session)
    outcome = run_job(job, session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.DONE, outcome.cause
    layers, item = written(world, outcome), item_of(world, outcome)
    assert item["properties"]["groundswell:not_terrain_corrected"] is True
    assert item["properties"]["groundswell:calibration"] == "uncalibrated"
    assert "uncalibrated, not terrain corrected" in item["assets"]["vv"]["bands"][0]["description"]
    assert np.isfinite(layers["vv"]).mean() > 0.9
    with rasterio.open(path) as source:
        squared = source.read(1).astype(np.float64) ** 2
    # Without a calibration annotation: amplitudes squared, of the middle of the scene.
    assert np.percentile(squared, 5) < np.nanmedian(layers["vv"]) < np.percentile(squared, 95)


def test_ground_range_that_is_taken_for_terrain_corrected_is_named(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "raster" / "s1" / GROUND / "measurement" / "iw-vv.tiff"
    with rasterio.open(path) as source:
        points = source.gcps[0]
    middle = points[len(points) // 2]
    outline = footprint(Affine(2, 0, middle.x - 1, 0, -2, middle.y + 1), (1, 1), "EPSG:4326")
    radar = Radar(tmp_path, [real_item(GROUND, path, outline, "2024-07-16T00:40:42Z")])
    session = radar.world("polarisations: [vv], orbits: together", at=(middle.x, middle.y)).session()
    assert any("look like ground range" in note and "say kind: grd" in note for note in session.plan.notes)
    outcome = run_job(only_job(session), session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.FAILED
    assert "only ground control points" in str(outcome.cause)


def test_real_catalogue_pages_are_planned_by_orbit_and_place(shared_data: Path, tmp_path: Path) -> None:
    """Planetary Computer's own page of sentinel-1-rtc: slices of one pass are one observation of their tile."""
    page = shared_data / "raster" / "stac" / "planetary-computer" / "items_sentinel-1-rtc-pc.json"
    found = json.loads(page.read_text())
    listed = found if isinstance(found, list) else found["features"]
    radar = Radar(tmp_path, listed)
    first, second = listed[0], listed[1]
    overlap = [
        max(first["bbox"][0], second["bbox"][0]),
        max(first["bbox"][1], second["bbox"][1]),
        min(first["bbox"][2], second["bbox"][2]),
        min(first["bbox"][3], second["bbox"][3]),
    ]
    at = (overlap[0] + overlap[2]) / 2, (overlap[1] + overlap[3]) / 2
    session = radar.world("", at=at).session()
    job = only_job(session)
    from pipeline.products._sentinel1_config import Sentinel1Config  # noqa: PLC0415
    from pipeline.products._sentinel1_orbits import groups_of  # noqa: PLC0415

    entry = Sentinel1Config.model_validate({"product": "sentinel1", "source": "s1"})
    (group,) = groups_of(job.items, entry)
    assert group.suffix == "-descending-51"
    (one,) = group.passes
    assert len(one.scenes) == len(job.items) >= 2
    for item in job.items:
        assert {*item.assets} == {"vv", "vh"}
        grid = item.assets["vv"].grid
        assert grid is not None
        assert Affine(*grid.transform).a == 10
