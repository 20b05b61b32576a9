"""RTC by sarsen: bright spots lie where the orbit says, and level or tilted ground has the gamma0 it must have."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from pyproj.transformer import TransformerGroup

from pipeline import cli
from pipeline.errors import JobError, PreflightError
from pipeline.products import _sentinel1_rtc as rtc
from pipeline.products._sentinel1_grd import is_grd
from pipeline.products._sentinel1_heights import GEOID, geoid
from pipeline.products._sentinel1_image import open_image
from pipeline.products._sentinel1_rtc import Rtc, make_rtc
from pipeline.search.canonical import canonical
from tests.products.s1_safe import BETA_GAIN, CENTRE, NAME, incidence, pixel, satellite, seen, write_dem, write_safe
from tests.read.grd import item_of

BOX = (10.377, 44.985, 10.423, 45.015)
SPOT_EAST_M = 1200.0
Power = NDArray[np.float32]


def pixels(folder: Path) -> tuple[Power, Affine]:
    with rasterio.open(folder / f"{NAME}_rtc_vv.tif") as dataset:
        assert (dataset.dtypes[0], np.isnan(dataset.nodata), dataset.crs.to_epsg()) == ("float32", True, 32632)
        return dataset.read(1), dataset.transform


def utm(lon: float, lat: float) -> tuple[float, float]:
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(lon, lat)
    return float(x), float(y)


@pytest.fixture
def need_sarsen() -> None:
    pytest.importorskip("sarsen", reason="needs the extra rtc: pip install 'groundswell[rtc]'")


@pytest.mark.long
@pytest.mark.usefixtures("need_sarsen")
def test_level_ground_has_the_gamma0_of_its_incidence(tmp_path: Path) -> None:
    """gamma0 = beta0 x tan(incidence), everywhere: to 1 % in the mean, and even to 5 %."""
    dem = write_dem(tmp_path / "dem.tif", lambda east, _: 100 + 0 * east)
    make_rtc(write_safe(tmp_path), [dem], tmp_path / "out", Rtc(20, None, BOX, "ellipsoid"))
    power, _ = pixels(tmp_path / "out")
    assert np.isfinite(power).all()
    assert power.mean() == pytest.approx((100 / BETA_GAIN) ** 2 * np.tan(incidence(CENTRE)), rel=0.01)
    assert power.std() < 0.05 * power.mean()


@pytest.mark.long
@pytest.mark.usefixtures("need_sarsen")
def test_a_slope_that_faces_the_radar_is_flattened(tmp_path: Path) -> None:
    """Ground tilted by 10 degrees to the radar is met 10 degrees steeper: gamma0 is that of this incidence."""
    away = satellite(seen(CENTRE)[0])
    lon, lat = Transformer.from_crs("EPSG:4978", "EPSG:4979", always_xy=True).transform(*away)[:2]
    (x, y), (sx, sy) = utm(*CENTRE[:2]), utm(lon, lat)
    east, north = np.array([x - sx, y - sy]) / np.hypot(x - sx, y - sy)
    tilt = np.radians(10)
    dem = write_dem(tmp_path / "dem.tif", lambda e, n: 100 + np.tan(tilt) * (e * east + n * north))
    make_rtc(write_safe(tmp_path), [dem], tmp_path / "out", Rtc(20, None, BOX, "ellipsoid"))
    power, _ = pixels(tmp_path / "out")
    middle = power[40:-40, 40:-40]
    expected = (100 / BETA_GAIN) ** 2 * np.tan(incidence(CENTRE) - tilt)
    assert middle.mean() == pytest.approx(expected, rel=0.02)


@pytest.mark.long
@pytest.mark.usefixtures("need_sarsen")
def test_bright_spots_lie_where_they_are_on_a_hill_and_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within half a pixel; by the verb, whose item says what it is and is no GRD. Uncorrected, the hill's is far."""

    def height(east: NDArray[np.float64], north: NDArray[np.float64]) -> NDArray[np.float64]:
        return 100 + 300 * np.exp(-(east**2 + north**2) / (2 * 700**2))

    x, y = utm(*CENTRE[:2])
    to_lonlat = Transformer.from_crs("EPSG:32632", "EPSG:4326", always_xy=True)
    spots = [(x, y), (x - SPOT_EAST_M, y + 800)]
    places = []
    for east, north in spots:
        lon, lat = to_lonlat.transform(east, north)
        places.append((float(lon), float(lat), float(height(np.array(east - x), np.array(north - y)))))
    flat = pixel((*places[0][:2], 100.0))[1] - pixel(places[0])[1]
    assert flat > 20, "the hill's top must lie elsewhere in the image than level ground there"
    safe, dem = write_safe(tmp_path, places), write_dem(tmp_path / "dem.tif", height)
    box = ["--bbox", *map(str, BOX)]
    out = tmp_path / "out"
    assert cli.main(["rtc", str(safe), "--dem", str(dem), "--to", str(out), *box, "--heights", "ellipsoid"]) == 0
    assert f"{NAME}_rtc.json" in capsys.readouterr().out
    power, transform = pixels(out)
    for at in spots:
        col, row = ~transform @ at
        around = power[int(row) - 8 : int(row) + 9, int(col) - 8 : int(col) + 9] - np.nanmedian(power)
        weight = np.clip(np.nan_to_num(around), 0, None) ** 2
        rows, cols = np.mgrid[int(row) - 8 : int(row) + 9, int(col) - 8 : int(col) + 9] + 0.5
        found = (weight * rows).sum() / weight.sum(), (weight * cols).sum() / weight.sum()
        assert found == pytest.approx((row, col), abs=0.5)
    _check_item(out / f"{NAME}_rtc.json")


@pytest.mark.long
@pytest.mark.usefixtures("need_sarsen")
def test_the_names_of_files_change_no_byte(tmp_path: Path) -> None:
    """ESA's, and the clouds' shorter ones, which the manifest does not know; nor does it matter when it is made."""
    safe, dem = write_safe(tmp_path), write_dem(tmp_path / "dem.tif", lambda east, _: 100 + 0 * east)
    how = Rtc(20, None, (10.39, 44.99, 10.4, 45.0), "ellipsoid")
    make_rtc(safe, [dem], tmp_path / "long", how)
    for path in [path for path in safe.rglob("*") if path.name.count("-vv-")]:
        path.rename(path.with_name(f"{'calibration-' * path.name.startswith('cal')}iw-vv{path.suffix}"))
    make_rtc(safe, [dem], tmp_path / "short", how)
    made = sorted((tmp_path / "long").iterdir())
    assert len(made) == 2
    assert [path.read_bytes() for path in made] == [(tmp_path / "short" / path.name).read_bytes() for path in made]


@pytest.mark.usefixtures("need_sarsen")
def test_a_scene_over_the_antimeridian_needs_a_box() -> None:
    """Its own goes around the earth: said, not made."""
    with pytest.raises(JobError, match="antimeridian: give --bbox on one side of it"):
        rtc._geobox(SimpleNamespace(product_info=lambda: {"geospatial_bbox": [-179.9, 60, 179.9, 62]}), Rtc())  # type: ignore[arg-type]


def test_only_images_are_taken_for_images(tmp_path: Path) -> None:
    """What GDAL leaves beside a file that somebody looked at is none."""
    safe = write_safe(tmp_path)
    (image,) = (safe / "measurement").iterdir()
    Path(f"{image}.aux.xml").write_text("<PAMDataset/>")
    assert open_image(safe, "vv").path == image


def _check_item(path: Path) -> None:
    raw = json.loads(path.read_text())
    item, notes = canonical(raw, "s1")
    assert notes == []
    assert item["assets"]["vv"]["proj:code"] == "EPSG:32632"
    said = raw["properties"]
    assert (said["sat:orbit_state"], said["sat:relative_orbit"], said["platform"]) == ("ascending", 117, "sentinel-1a")
    assert said["attribution"] == "Contains modified Copernicus Sentinel data 2024"
    assert not is_grd(item_of({}, raw["id"], **said))


def test_without_sarsen_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It says what to install, before anything else."""
    monkeypatch.setitem(sys.modules, "sarsen", None)
    with pytest.raises(PreflightError, match=r"pip install 'groundswell\[rtc\]'"):
        make_rtc(tmp_path / "none.SAFE", [], tmp_path / "out", Rtc())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--resolution", "0"], "--resolution 0: expected metres above 0"),
        (["--resolution", "nan"], "--resolution nan"),
        (["--crs", "EPSG:99999"], "--crs EPSG:99999: expected a projection in metres"),
        (["--crs", "EPSG:4326"], "--crs EPSG:4326: expected a projection in metres"),
        (["--bbox", "10.4", "45", "10.3", "46"], r"--bbox 10.4 45 10.3 46: expected west < east"),
        (["--bbox", "10.3", "46", "10.4", "45"], "south < north"),
        (["--bbox", "170", "45", "190", "46"], "within -180..180"),
    ],
)
def test_what_is_asked_for_must_make_sense(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is opened, with the exit code of a wrong command line."""
    assert cli.main(["rtc", str(tmp_path), "--dem", "dem.tif", "--to", str(tmp_path / "out"), *options]) == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.filterwarnings("ignore:Best transformation is not available")
def test_heights_above_the_geoid_need_its_grid() -> None:
    """Without PROJ's grid nothing is taken for zero: the file is named, and how to get it."""
    box = GeoBox((300, 200), Affine(10, 0, 600_000, 0, -10, 4_983_000), "EPSG:32632")
    if TransformerGroup(GEOID, "EPSG:4979").best_available:
        found = geoid(box)
        assert ((found > 30) & (found < 60)).all(), "this machine has the grid: some 45 m in the Po valley"
        return
    with pytest.raises(PreflightError, match=r"projsync --file us_nga_egm08_25\.tif"):
        geoid(box)


@pytest.mark.long
@pytest.mark.usefixtures("need_sarsen")
def test_what_cannot_be_made_is_named(tmp_path: Path) -> None:
    """No product, a product without its calibration, and heights of another place."""
    with pytest.raises(JobError, match=r"none\.SAFE: RTC cannot be made of it: FileNotFoundError"):
        make_rtc(tmp_path / "none.SAFE", [], tmp_path / "out", Rtc())
    safe = write_safe(tmp_path)
    far = tmp_path / "far.tif"
    form = {"driver": "GTiff", "height": 10, "width": 10, "count": 1, "dtype": "float32", "crs": "EPSG:32632"}
    with rasterio.open(far, "w", transform=Affine(30, 0, 4e5, 0, -30, 4e6), **form) as dataset:
        dataset.write(np.ones((10, 10), np.float32), 1)
    with pytest.raises(JobError, match=r"AAAA\.SAFE: no pixel within .* has a height in .*far\.tif"):
        make_rtc(safe, [far], tmp_path / "out", Rtc(20, None, (10.39, 44.99, 10.4, 45.0), "ellipsoid"))
    near = write_dem(tmp_path / "near.tif", lambda east, _: 100 + 0 * east)
    annotation = next((safe / "annotation").glob("*.xml"))
    text = annotation.read_text()
    annotation.write_text(re.sub("(<product(?:First|Last)LineUtcTime>)2024", r"\g<1>2025", text))
    with pytest.raises(JobError, match=r"AAAA\.SAFE: no pixel within .* has a value"):
        make_rtc(safe, [near], tmp_path / "out", Rtc(20, None, (10.39, 44.99, 10.4, 45.0), "ellipsoid"))
    assert not list((tmp_path / "out").glob("*.tif"))
    for broken in (text[:800], "<product/>", text.replace("geolocationGridPoint", "none")):
        annotation.write_text(broken)
        with pytest.raises(JobError, match=r"AAAA\.SAFE: RTC cannot be made of it"):
            make_rtc(safe, [near], tmp_path / "out", Rtc(20, None, None, "ellipsoid"))
    annotation.write_text(text)
    (safe / "manifest.safe").write_text((manifest := (safe / "manifest.safe").read_text())[:800])
    with pytest.raises(JobError, match=r"RTC cannot be made of it: ParseError"):
        make_rtc(safe, [near], tmp_path / "out", Rtc(20, None, None, "ellipsoid"))
    (safe / "manifest.safe").write_text(manifest)
    next((safe / "annotation/calibration").iterdir()).unlink()
    dem = write_dem(tmp_path / "dem.tif", lambda east, _: 100 + 0 * east)
    with pytest.raises(JobError, match=r"RTC cannot be made of it: FileNotFoundError: .*calibration"):
        make_rtc(safe, [dem], tmp_path / "out", Rtc(20, None, (10.39, 44.99, 10.4, 45.0), "ellipsoid"))
