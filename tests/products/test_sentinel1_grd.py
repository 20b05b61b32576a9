"""GRD: power on a tile is what NumPy and GDAL's warper make of the scene; its state is said, and refused."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import PermanentAssetError
from pipeline.products import _sentinel1_grd as grd
from pipeline.products._sentinel1_grd import Calibration, read_grd
from pipeline.read.access import Access
from pipeline.read.layer import Target
from pipeline.read.resample import resample
from pipeline.types import Item
from tests.products import s1_annotations as written
from tests.read.grd import INSIDE, by_gdal, item_of, scene_path

EDGE = GeoBox((260, 330), Affine(300, 0, 560_000, 0, -300, 1_160_000), "EPSG:32643")
"""Half of it west of the scene."""
DEGREES = GeoBox((300, 400), Affine(0.002, 0, 76.3, 0, -0.002, 10.7), "EPSG:4326")
"""In the CRS of the points themselves, as tree-cover tiles are."""
Power = NDArray[np.float32]


@pytest.fixture(scope="module")
def path(shared_data: Path) -> Path:
    return scene_path(shared_data)


@pytest.fixture(scope="module")
def amplitude(path: Path) -> NDArray[np.float64]:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1), np.float64)


@pytest.fixture(scope="module")
def annotated(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Item:
    """The scene with both written."""
    folder = tmp_path_factory.mktemp("annotations")
    return item_of(
        {
            "vv": path,
            "calibration-vv": written.write_calibration(folder / "calibration-iw-vv.xml"),
            "noise-vv": written.write_noise(folder / "noise-iw-vv.xml"),
        }
    )


def without(item: Item, *keys: str) -> Item:
    return item_of({key: asset.href for key, asset in item.assets.items() if key not in keys}, item.id)


def read(item: Item, geobox: GeoBox = INSIDE, how: Calibration | None = None, **more: Any) -> Power:
    return read_grd(item, "vv", Access(), Target.rows_of(geobox), how or Calibration(), **more)


def same(mine: Power, theirs: Power) -> None:
    """The two as near as two ways from a place to its pixel are: splines are a twentieth of a pixel off (test_gcps).

    Radar is rough: that changes a pixel by some percent, where a whole pixel changes it by half. Sums hardly change.
    """
    both = np.isfinite(mine) & np.isfinite(theirs)
    assert both.sum() > 20_000
    assert (np.isfinite(mine) != np.isfinite(theirs)).mean() < 0.005
    error = np.abs(mine[both] - theirs[both]) / np.maximum(theirs[both], np.median(theirs[both]) / 10)
    assert np.median(error) < 0.025
    assert np.percentile(error, 95) < 0.12
    assert mine[both].sum() == pytest.approx(theirs[both].sum(), rel=2e-3)


@pytest.mark.parametrize("geobox", [INSIDE, EDGE, DEGREES], ids=["inside", "edge", "degrees"])
def test_without_an_annotation_it_is_squared_amplitudes(
    path: Path, amplitude: NDArray[np.float64], geobox: GeoBox
) -> None:
    """The squares are resampled, not the amplitudes; nothing stands where the scene has 0 or ends."""
    power = np.where(amplitude > 0, amplitude**2, np.nan)
    same(read(item_of({"vv": path}), geobox), by_gdal(power, path, geobox))


@pytest.mark.parametrize("backscatter", ["gamma0", "sigma0", "beta0"])
def test_each_table_gives_its_backscatter(
    annotated: Item, path: Path, amplitude: NDArray[np.float64], backscatter: Any
) -> None:
    """DN² / A², with A linear between the lines and samples of the original image."""
    power = np.where(amplitude > 0, amplitude**2 / written.expected_gain(backscatter) ** 2, np.nan)
    mine = read(without(annotated, "noise-vv"), how=Calibration(backscatter))
    same(mine, by_gdal(power, path, INSIDE))


def test_noise_is_taken_off_before_anything_else(annotated: Item, path: Path, amplitude: NDArray[np.float64]) -> None:
    """(DN² - η) / A², never below 0, with η the product of the noise along range and each swath's along azimuth."""
    taken = np.maximum(amplitude**2 - written.expected_noise(), 0)
    power = np.where(amplitude > 0, taken / written.expected_gain("gamma0") ** 2, np.nan)
    same(read(annotated), by_gdal(power, path, INSIDE))
    kept = read(annotated, how=Calibration(remove_noise=False))
    assert kept.sum() > 1.01 * read(annotated).sum()


def test_native_pixels_are_the_plain_formula_to_single_precision(
    annotated: Item, amplitude: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it is placed, a window holds exactly what the formula gives, wherever the window begins."""
    seen: dict[tuple[int, int], Power] = {}

    def spy(power: Power, corner: tuple[int, int], *rest: Any) -> Any:
        seen[corner] = power
        return resample(power, corner, *rest)

    monkeypatch.setattr("pipeline.products._sentinel1_grd.resample", spy)
    monkeypatch.setattr(grd, "_PART_PX", 100)
    read(annotated)
    taken = np.maximum(amplitude**2 - written.expected_noise(), 0)
    power = np.where(amplitude > 0, taken / written.expected_gain("gamma0") ** 2, np.nan)
    assert len(seen) > 6
    for (row, col), window in seen.items():
        plain = power[row : row + window.shape[0], col : col + window.shape[1]]
        np.testing.assert_allclose(window, plain, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("part_px", [1024, 37])
def test_a_part_is_the_same_pixels_of_the_whole(annotated: Item, part_px: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In strips, in columns, in larger or smaller squares: bit for bit the same; so tiles agree at their edges."""
    whole = read(annotated, EDGE)
    monkeypatch.setattr(grd, "_PART_PX", part_px)
    height, width = EDGE.shape
    parts = (
        Target(EDGE, (0, 113), (0, width)),
        Target(EDGE, (113, height), (0, 100)),
        Target(EDGE, (113, height), (100, width)),
    )
    for part in parts:
        mine = read_grd(annotated, "vv", Access(), part, Calibration())
        np.testing.assert_array_equal(mine, whole[slice(*part.rows), slice(*part.cols)])


def test_neighbouring_tiles_agree_where_they_overlap(annotated: Item) -> None:
    """A pixel that two tiles of one grid share has nearly the same number in both.

    Each tile has a plan of its own, with its own bound; they differ by no more than that allows.
    """
    shifted = GeoBox(INSIDE.shape, INSIDE.transform @ Affine.translation(150, 100), "EPSG:32643")
    one, other = read(annotated)[100:, 150:], read(annotated, shifted)[:-100, :-150]
    error = np.abs(one - other) / np.maximum(one, np.nanmedian(one) / 10)
    assert np.nanpercentile(error, 99) < 0.01


def test_a_coarse_target_is_the_mean_of_power(path: Path, amplitude: NDArray[np.float64]) -> None:
    """At eight times the pixel it is still power of full resolution: overviews, means of amplitudes, would be less."""
    coarse = GeoBox((40, 50), Affine(1600, 0, 640_000, 0, -1600, 1_180_000), "EPSG:32643")
    mine = read(item_of({"vv": path}), coarse)
    theirs = by_gdal(np.where(amplitude > 0, amplitude**2, np.nan), path, coarse)
    assert np.nanmean(mine) == pytest.approx(np.nanmean(theirs), rel=0.01)
    assert np.nanmedian(np.abs(mine - theirs) / theirs) < 0.02


class Halve:
    """Stands for a filter: it needs a pixel around each, and says what windows it saw."""

    pad_px = 5

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def clean(self, power: Power) -> Power:
        self.shapes.append(power.shape)
        return power / np.float32(2)


def test_what_cleans_power_sees_it_in_radar_geometry(annotated: Item, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given windows of the scene with its own margin, and what it returns is placed."""
    plain, clean = read(annotated), Halve()
    np.testing.assert_array_equal(read(annotated, clean=clean), plain / 2)
    narrow: list[tuple[int, ...]] = []

    def spy(power: Power, *rest: Any) -> Any:
        narrow.append(power.shape)
        return resample(power, *rest)

    monkeypatch.setattr("pipeline.products._sentinel1_grd.resample", spy)
    read(annotated)
    assert [(a + 10, b + 10) for a, b in narrow] == clean.shapes


def test_a_tile_beside_the_scene_is_empty(annotated: Item) -> None:
    """Where the scene has nothing there is nothing, and no error: footprints are larger than scenes."""
    beside = GeoBox((50, 50), Affine(200, 0, 300_000, 0, -200, 1_180_000), "EPSG:32643")
    assert np.isnan(read(annotated, beside)).all()


def test_the_annotation_of_another_image_is_refused(annotated: Item, tmp_path: Path) -> None:
    """A table that reaches to another sample than the image has would give plausible numbers."""
    other = tmp_path / "calibration-other.xml"
    other.write_text(_cut(Path(annotated.assets["calibration-vv"].href).read_text()))
    item = item_of({"vv": annotated.assets["vv"].href, "calibration-vv": other})
    with pytest.raises(PermanentAssetError, match="reaches to sample 10000, the image to 25600"):
        read(item)


def _cut(text: str) -> str:
    """The annotation with its first 26 samples only: up to 10000."""
    return re.sub(
        r"<(pixel|gamma|sigmaNought|betaNought|dn) count=\"\d+\">([^<]*)<",
        lambda match: f'<{match[1]} count="26">{" ".join(match[2].split()[:26])}<',
        text,
    )


def test_an_annotation_that_cannot_be_read_is_an_error(annotated: Item, tmp_path: Path) -> None:
    """Nothing goes on without what the item has: a lost table is the loss of the polarisation, by the table's name."""
    broken = tmp_path / "broken.xml"
    broken.write_text("<calibration><calibrationVectorList>")
    files: Mapping[str, Path] = {"vv": Path(annotated.assets["vv"].href), "calibration-vv": broken}
    with pytest.raises(PermanentAssetError, match=r"asset calibration-vv: .*no XML"):
        read(item_of(files))
    with pytest.raises(PermanentAssetError, match=r"asset calibration-vv: .*no such file"):
        read(item_of({**files, "calibration-vv": tmp_path / "gone.xml"}))


def test_only_amplitudes_are_squared(tmp_path: Path, path: Path) -> None:
    """A file of other numbers than whole amplitudes is no GRD."""
    other = tmp_path / "float.tiff"
    with (
        rasterio.open(path) as dataset,
        rasterio.open(
            other,
            "w",
            driver="GTiff",
            height=837,
            width=1280,
            count=1,
            dtype="float32",
            gcps=dataset.gcps[0],
            crs="EPSG:4326",
        ) as copy,
    ):
        copy.write(dataset.read(1).astype(np.float32), 1)
    with pytest.raises(PermanentAssetError, match="pixels are float32; GRD holds amplitudes as uint16"):
        read(item_of({"vv": other}))


def test_a_calibrated_scene_must_be_in_radar_geometry(annotated: Item, tmp_path: Path) -> None:
    """In a file with a CRS pixels are not those of the annotation."""
    mapped = tmp_path / "mapped.tif"
    form = {"driver": "GTiff", "height": 300, "width": 400, "count": 1, "dtype": "uint16", "nodata": 0}
    with rasterio.open(mapped, "w", crs="EPSG:32643", transform=INSIDE.transform, **form) as dataset:
        dataset.write(np.full((300, 400), 7, np.uint16), 1)
    with pytest.raises(PermanentAssetError, match="a CRS of its own"):
        read(item_of({"vv": mapped, "calibration-vv": annotated.assets["calibration-vv"].href}))
    assert (read(item_of({"vv": mapped})) == 49).all()


def test_nothing_is_logged_of_a_good_read(annotated: Item, caplog: pytest.LogCaptureFixture) -> None:
    """GDAL's remark that a file has no transform is no news here."""
    with caplog.at_level(logging.INFO):
        read(annotated)
    assert not caplog.records
