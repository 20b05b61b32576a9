"""Laws against another reader: layers equal stackstac's own on aligned grids, and but for ties on warped ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import stackstac
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from pipeline.read.access import Access
from pipeline.read.layer import Target, read_layer
from pipeline.read.pixelmap import MAX_ERROR_PX
from tests.read.scenes import BANDS, GRID_CRS, GRID_M, GRID_NORTH, GRID_PX, GRID_WEST, raw_scenes, scenes

# stackstac multiplies affine transforms in the old notation.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
TIE_PX = 0.125
"""GDAL, which stackstac reads with, places pixels to within this."""
LEAST_EQUAL = 0.999


def stackstac_layers(raw: list[dict[str, Any]], geobox: GeoBox) -> NDArray[np.uint16]:
    """(time, band, y, x) by stackstac 0.5.1 with its own reader."""
    assert geobox.crs is not None
    cube = stackstac.stack(
        raw,
        assets=list(BANDS),
        epsg=geobox.crs.epsg,
        bounds=tuple(geobox.boundingbox),
        resolution=(geobox.transform.a, -geobox.transform.e),
        snap_bounds=False,
        dtype=np.dtype("uint16"),
        fill_value=np.uint16(0),
        rescale=False,
        sortby_date=False,
        xy_coords=False,
        properties=False,
        band_coords=False,
    )
    assert cube.shape == (len(raw), len(BANDS), *geobox.shape)
    # On a thread of its own: what it tells GDAL it does not take back, and on the main thread that would hold for all.
    return np.asarray(cube.data.compute(scheduler="threads", num_workers=1))


def our_layers(shared_data: Path, geobox: GeoBox) -> NDArray[np.uint16]:
    target = Target.rows_of(geobox)
    return np.stack(
        [[read_layer(item.assets[band], Access(), item.id, target) for band in BANDS] for item in scenes(shared_data)]
    )


def aligned(col: int, row: int, width: int, height: int, pixel_m: float = GRID_M) -> GeoBox:
    """A grid whose edges are edges of the scenes' pixels."""
    corner = Affine(pixel_m, 0, GRID_WEST + col * GRID_M, 0, -pixel_m, GRID_NORTH - row * GRID_M)
    return GeoBox((height, width), corner, GRID_CRS)


@pytest.mark.parametrize(
    "geobox",
    [
        aligned(0, 0, GRID_PX, GRID_PX),
        aligned(37, 101, 300, 200),
        aligned(-50, -30, 400, 300),
        aligned(300, 350, 256, 256),
        aligned(100, 100, 400, 300, 60),
        aligned(100, 100, 300, 300, 40),
        aligned(-3, 440, 200, 200, 24),
    ],
    ids=["whole", "inside", "over the north-west corner", "over the south-east corner", "60 m", "40 m", "24 m"],
)
def test_on_aligned_grids_every_pixel_is_equal(shared_data: Path, geobox: GeoBox) -> None:
    """Five dates, three bands: inside, beyond the edges, and on finer grids."""
    ours = our_layers(shared_data, geobox)
    assert ours.any()
    np.testing.assert_array_equal(ours, stackstac_layers(raw_scenes(shared_data), geobox))


def warped(crs: str, pixel: float, side_px: int) -> GeoBox:
    """A square target over the middle of the scenes in another CRS."""
    middle = GRID_WEST + GRID_PX * GRID_M / 2, GRID_NORTH - GRID_PX * GRID_M / 2
    x, y = Transformer.from_crs(GRID_CRS, crs, always_xy=True).transform(*middle)
    west, north = (round(side / pixel) * pixel for side in (x - side_px * pixel / 2, y + side_px * pixel / 2))
    return GeoBox((side_px, side_px), Affine(pixel, 0, west, 0, -pixel, north), crs)


def source_places(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fractional (row, column) in the scenes of each target pixel's centre, by pyproj itself."""
    cols, rows = np.meshgrid(np.arange(geobox.shape[1]) + 0.5, np.arange(geobox.shape[0]) + 0.5)
    a, b, c, d, e, f = geobox.transform[:6]
    to_source = Transformer.from_crs(str(geobox.crs), GRID_CRS, always_xy=True)
    x, y = to_source.transform(a * cols + b * rows + c, d * cols + e * rows + f)
    return (GRID_NORTH - y) / GRID_M, (x - GRID_WEST) / GRID_M


def exact_layers(shared_data: Path, geobox: GeoBox) -> NDArray[np.uint16]:
    """(time, band, y, x): each pixel looked up where pyproj says."""
    rows, cols = (np.floor(place).astype(int) for place in source_places(geobox))
    covered = (rows >= 0) & (rows < GRID_PX) & (cols >= 0) & (cols < GRID_PX)
    out = np.zeros((5, len(BANDS), *geobox.shape), np.uint16)
    for time, raw in enumerate(raw_scenes(shared_data)):
        for number, band in enumerate(BANDS):
            with rasterio.open(raw["assets"][band]["href"]) as source:
                out[time, number][covered] = source.read(1)[rows[covered], cols[covered]]
    return out


def farthest_from_a_tie(differs: NDArray[np.bool_], geobox: GeoBox) -> float:
    """Of the pixels that differ in any layer, the largest distance in source pixels to an edge between two of them."""
    away = np.min([np.abs(place - np.rint(place)) for place in source_places(geobox)], axis=0)
    return float(np.where(differs.any(axis=(0, 1)), away, 0).max())


@pytest.mark.parametrize("crs", ["EPSG:32632", "EPSG:32634"])
@pytest.mark.parametrize(("pixel", "side_px"), [(10.0, 1024), (20.0, 512), (120.0, 64)])
def test_on_a_neighbouring_zones_tile_all_but_ties_are_equal(
    shared_data: Path, crs: str, pixel: float, side_px: int
) -> None:
    """At least 99.9 % are equal, and every other pixel lies within an eighth of a pixel of a tie by exact pyproj."""
    geobox = warped(crs, pixel, side_px)
    ours, theirs = our_layers(shared_data, geobox), stackstac_layers(raw_scenes(shared_data), geobox)
    assert np.count_nonzero(ours) > 0.9 * ours.size
    differs = ours != theirs
    assert 1 - differs.mean() >= LEAST_EQUAL, f"{1 - differs.mean():.5%} of the pixels are equal"
    assert farthest_from_a_tie(differs, geobox) <= TIE_PX


@pytest.mark.parametrize(
    ("crs", "pixel"),
    [("EPSG:32632", 120.0), ("EPSG:32634", 60.0), ("EPSG:3035", 100.0), ("EPSG:3413", 120.0), ("EPSG:4326", 0.001)],
)
def test_on_coarse_or_curved_grids_only_ties_differ_and_ours_are_nearer_to_the_truth(
    shared_data: Path, crs: str, pixel: float
) -> None:
    """GDAL draws straight lines of up to a block's width, so it misplaces more pixels there than we do."""
    geobox = warped(crs, pixel, 300)
    ours, theirs = our_layers(shared_data, geobox), stackstac_layers(raw_scenes(shared_data), geobox)
    assert np.count_nonzero(ours) > 0.5 * ours.size
    assert farthest_from_a_tie(ours != theirs, geobox) <= TIE_PX
    truth = exact_layers(shared_data, geobox)
    assert (ours == truth).mean() >= max(0.997, (theirs == truth).mean())
    assert farthest_from_a_tie(ours != truth, geobox) <= MAX_ERROR_PX
