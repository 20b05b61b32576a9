"""Ground range scenes by the command's own path: calibrated as they are, and made terrain corrected first."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox

from pipeline.execute.worker.task import run_job
from pipeline.products._sentinel1_rtc import Rtc, make_rtc
from pipeline.types import Status
from tests.products import s1_annotations as written_by_esa
from tests.products.radar import Radar, item_of, only_job, written
from tests.products.s1_safe import BETA_GAIN, CENTRE, NAME, incidence, write_dem, write_safe
from tests.read.grd import SCENE, SHAPE, by_gdal, scene_path

INVENTED = {"proj:epsg": 4326, "proj:shape": list(SHAPE), "proj:transform": [0.00203, 0, 75.6, 0, -0.0018, 11.19]}
"""What a catalogue declares of such a file, which has no transform at all."""


def calibrated(shared_data: Path, folder: Path) -> Any:
    """The real scene as a catalogue has it, with generated annotations under the catalogue's names."""
    ring = [[77.89, 9.23], [75.61, 9.68], [75.91, 11.19], [78.2, 10.74], [77.89, 9.23]]
    said = {"sat:orbit_state": "ascending", "sat:relative_orbit": 143, "sar:product_type": "GRD", **INVENTED}
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": SCENE,
        "collection": "sentinel-1-grd",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {"datetime": "2018-07-16T00:40:42Z", "updated": "2018-07-17T00:00:00Z", **said},
        "assets": {
            "vv": {"href": str(scene_path(shared_data)), "raster:bands": [{"nodata": 0, "data_type": "uint16"}]},
            "schema-calibration-vv": {"href": str(written_by_esa.write_calibration(folder / "calibration-iw-vv.xml"))},
            "schema-noise-vv": {"href": str(written_by_esa.write_noise(folder / "noise-iw-vv.xml"))},
        },
        "links": [],
    }


def test_a_real_scene_becomes_calibrated_power_on_a_tile(shared_data: Path, tmp_path: Path) -> None:
    """Catalogue to committed pixels: what NumPy makes of amplitudes and tables, placed by GDAL's splines."""
    radar = Radar(tmp_path, [calibrated(shared_data, tmp_path)])
    world = radar.world("kind: grd, polarisations: [vv], orbits: together", at=(76.9, 10.2))
    text = world.config.read_text().replace("resolution_m: 10", "resolution_m: 200")
    world.config.write_text(text.replace("2024-01-01", "2018-07-01").replace("2025-01-01", "2018-08-01"))
    session = world.session()
    job = only_job(session)
    outcome = run_job(job, session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.DONE, outcome.cause
    with rasterio.open(scene_path(shared_data)) as source:
        amplitude = source.read(1).astype(np.float64)
    power = np.maximum(amplitude**2 - written_by_esa.expected_noise(), 0) / written_by_esa.expected_gain("gamma0") ** 2
    theirs = by_gdal(np.where(amplitude > 0, power, np.nan), scene_path(shared_data), _geobox(job))
    mine = written(world, outcome)["vv"]
    assert np.isfinite(mine).all()
    assert np.median(np.abs(mine - theirs) / theirs) < 0.025
    assert mine.sum() == pytest.approx(theirs.sum(), rel=2e-3)
    said = item_of(world, outcome)["properties"]
    assert said["groundswell:not_terrain_corrected"] is True
    assert (said["groundswell:calibration"], said["groundswell:thermal_noise_removed"]) == ("gamma0", True)


def _geobox(job: Any) -> GeoBox:
    box: GeoBox = job.tile.geobox
    return box


@pytest.mark.long
def test_a_scene_made_by_the_verb_is_a_source_of_rtc(tmp_path: Path) -> None:
    """The item it writes is named under a source, and `sentinel1` takes it as any other RTC."""
    pytest.importorskip("sarsen", reason="needs the extra rtc: pip install 'groundswell[rtc]'")
    dem = write_dem(tmp_path / "dem.tif", lambda east, _: 100 + 0 * east)
    made = make_rtc(write_safe(tmp_path), [dem], tmp_path / "out", Rtc(20, None, None, "ellipsoid"))
    assert json.loads(made.read_text())["id"] == f"{NAME}_rtc"
    world = Radar(tmp_path, []).world("polarisations: [vv], orbits: together", at=CENTRE[:2])
    text = world.config.read_text().replace(str(tmp_path / "items.json"), str(made))
    world.config.write_text(text.replace("resolution_m: 10", "resolution_m: 20"))
    session = world.session()
    outcome = run_job(only_job(session), session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.DONE, outcome.cause
    power = written(world, outcome)["vv"]
    assert np.nanmean(power) == pytest.approx((100 / BETA_GAIN) ** 2 * np.tan(incidence(CENTRE)), rel=0.02)
    assert "groundswell:not_terrain_corrected" not in item_of(world, outcome)["properties"]
