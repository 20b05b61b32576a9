"""Rasters that are placed by ground control points: exact at the points, and as their neighbours say in between."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.transform import GCPTransformer

from pipeline.errors import PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.gcps import GcpGrid, Lattice, Point, gcp_grid
from pipeline.read.pixelmap import coarseness, pixel_map
from pipeline.read.raster import Raster, attempt, open_raster
from pipeline.read.resample import resample
from pipeline.types import Asset, Grid
from tests.read.grd import INSIDE, ORIGINAL, SHAPE, by_gdal, middles, points, scene_path

INVENTED = Grid("EPSG:4326", (0.002, 0, 75.6, 0, -0.0018, 11.19), SHAPE)
"""As catalogues declare one of files that have none."""


@pytest.fixture(scope="module")
def path(shared_data: Path) -> Path:
    return scene_path(shared_data)


@pytest.fixture(scope="module")
def grid(path: Path) -> GcpGrid:
    return gcp_grid(points(path), "EPSG:4326", SHAPE)


def found(lattice: Lattice, places: list[Point]) -> NDArray[np.float64]:
    """(n, 2) pixel coordinates of the places of points."""
    lon, lat = np.array(places)[:, 2:].T
    return np.stack(lattice.find(lon, lat), -1)


def centres(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitude and latitude of a tile's pixels."""
    a, _, c, _, e, f = geobox.transform[:6]
    x, y = np.meshgrid(c + a * (np.arange(geobox.shape[1]) + 0.5), f + e * (np.arange(geobox.shape[0]) + 0.5))
    lon, lat = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True).transform(x, y)
    return lon, lat


def made(crs: str, place: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> list[Point]:
    """Points on a lattice of 6 x 8 whose last gap is shorter, at places in a CRS."""
    rows, cols = [0.0, 100, 200, 300, 400, 449], [0.0, 80, 160, 240, 320, 400, 480, 499]
    at = np.array([(row, col) for row in rows for col in cols])
    x, y = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*place(at).T)
    return [(row, col, lon, lat) for (row, col), lon, lat in zip(at.tolist(), x, y, strict=True)]


def straight(x: float, y: float) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Pixels of 100 m, turned, from a corner on."""
    return lambda at: np.stack([x + 95 * at[:, 1] + 30 * at[:, 0], y + 30 * at[:, 1] - 95 * at[:, 0]], -1)


def test_it_is_exact_at_every_point(grid: GcpGrid, path: Path) -> None:
    """Each place of a point leads to that point, half an original pixel on: the points name pixels."""
    expected = np.array([(point.row, point.col) for point in middles(path)])
    assert np.abs(found(grid.lattice, points(path)) - expected).max() < 1e-9


def test_there_and_back(grid: GcpGrid) -> None:
    """A pixel's place leads back to the pixel, also somewhat outside of the raster."""
    draw = np.random.default_rng(1)
    rows, cols = draw.uniform(-20, SHAPE[0] + 20, 300), draw.uniform(-20, SHAPE[1] + 20, 300)
    lon, lat = np.array([grid.lattice.place(row, col) for row, col in zip(rows, cols, strict=True)]).T
    back = grid.lattice.find(lon, lat)
    np.testing.assert_allclose(back, (rows, cols), atol=1e-6)


def test_it_is_near_gdals_thin_plate_splines(grid: GcpGrid, path: Path) -> None:
    """GDAL carries the pixels' own numbers to a target; they differ by less than a quarter of a (decimated) pixel.

    Half of them by less than a twentieth. By how much either is off, the next test asks.
    """
    lon, lat = centres(INSIDE)
    for axis, mine in enumerate(grid.lattice.find(lon, lat)):
        error = np.abs(by_gdal(np.indices(SHAPE)[axis] + 0.5, path, INSIDE) - mine)
        assert error.max() < 0.25
        assert np.median(error) < 0.05


def test_points_that_were_left_out_are_found_better_than_by_splines(path: Path) -> None:
    """Without every other column of points, the others' places are found to a thousandth of a pixel."""
    every = points(path)
    cols = sorted({point[1] for point in every})
    kept, left = ([point for point in every if (point[1] in cols[::2]) == keep] for keep in (True, False))
    expected = np.array(left)[:, :2]
    mine = np.abs(found(gcp_grid(kept, "EPSG:4326", (2000, 2000)).lattice, left) - expected).max()
    gcps = [rasterio.control.GroundControlPoint(*point) for point in kept]
    with GCPTransformer(gcps, tps=True) as splines:
        theirs = splines.rowcol(*np.array(left)[:, 2:].T, op=lambda value: value)
    assert mine < 1e-3
    assert np.abs(np.stack(theirs, -1) - expected).max() > 20 * mine


@pytest.mark.parametrize(
    ("crs", "corner"),
    [("EPSG:32601", (170_000.0, 6_000_000.0)), ("EPSG:3413", (-20_000.0, 20_000.0)), ("EPSG:32633", (4e5, 8e6))],
    ids=["antimeridian", "pole", "north"],
)
def test_neither_the_antimeridian_nor_a_pole_is_special(crs: str, corner: tuple[float, float]) -> None:
    """Pixels that are straight in a map's plane are found to a thousandth of a pixel, whatever lies among them."""
    lattice = gcp_grid(made(crs, straight(*corner)), "EPSG:4326", (450, 500)).lattice
    at = np.random.default_rng(2).uniform(1, 448, (500, 2))
    place = straight(*corner)(at - 0.5)
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*place.T)
    np.testing.assert_allclose(np.stack(lattice.find(lon, lat), -1), at, atol=1e-3)


def test_points_in_another_crs_are_the_same_points() -> None:
    """Points may be in any CRS: in metres or in degrees, the lattice is one."""
    degrees = made("EPSG:32633", straight(4e5, 5e6))
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True).transform(*np.array(degrees)[:, 2:].T)
    metres = [(*point[:2], a, b) for point, a, b in zip(degrees, x, y, strict=True)]
    one, other = gcp_grid(degrees, "EPSG:4326", (450, 500)), gcp_grid(metres, "EPSG:32633", (450, 500))
    np.testing.assert_allclose(one.lattice.place(77.7, 333.3), other.lattice.place(77.7, 333.3), atol=1e-10)


def test_far_away_is_nowhere(grid: GcpGrid) -> None:
    """The other side of the earth, its poles and places that are none have no pixel, and a far tile needs nothing."""
    lon, lat = np.array([77.0, -103.0, 0.0, 77.0, np.inf, np.nan]), np.array([-60.0, -10.0, 90.0, 60.0, 1.0, np.nan])
    assert np.isnan(grid.lattice.find(lon, lat)).all()
    far = GeoBox((2048, 2048), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")
    assert pixel_map(grid, far).window((0, 2048)) is None


def test_a_decimated_raster_knows_the_original_lines_and_samples(grid: GcpGrid) -> None:
    """The middles of its first and last pixels are in the original where the decimation puts them."""
    rows, cols = np.array([0, 100, SHAPE[0] - 1]), np.array([0, 640, SHAPE[1] - 1])
    lines, samples = grid.lattice.original(rows, cols)
    np.testing.assert_allclose(lines, (rows + 0.5) * ORIGINAL[0] / SHAPE[0] - 0.5, atol=1e-3)
    np.testing.assert_allclose(samples, (cols + 0.5) * ORIGINAL[1] / SHAPE[1] - 0.5, atol=2e-2)


def test_a_whole_raster_counts_as_its_points_do() -> None:
    """Where it is not decimated, a pixel's number is its line's, and its middle is where the point is."""
    lattice = gcp_grid(made("EPSG:32633", straight(4e5, 5e6)), "EPSG:4326", (450, 500)).lattice
    lines, samples = lattice.original(np.arange(450), np.arange(500))
    assert (lines == np.arange(450)).all()
    assert (samples == np.arange(500)).all()
    assert lattice.rows[1] == 100.5


def test_a_cut_out_takes_its_points_as_they_are() -> None:
    """Points that do not end at the last pixel name no pixels; lines of an original cannot be told."""
    lattice = gcp_grid(made("EPSG:32633", straight(4e5, 5e6)), "EPSG:4326", (600, 700)).lattice
    assert lattice.rows[1] == 100.0
    with pytest.raises(ValueError, match="a cut-out"):
        lattice.original(np.arange(3), np.arange(3))


def test_an_overview_has_the_same_ground(grid: GcpGrid) -> None:
    """Half as many pixels: each place is at half the coordinate, and original lines are still known."""
    half = grid.scaled((418, 640))
    np.testing.assert_allclose(half.lattice.place(200, 300), grid.lattice.place(200 * SHAPE[0] / 418, 600), atol=1e-9)
    assert half.lattice.original(np.array([0]), np.array([0]))[1] == pytest.approx(2 * ORIGINAL[1] / SHAPE[1] / 2 - 0.5)


def test_the_plan_of_a_tile_keeps_its_bound(grid: GcpGrid) -> None:
    """Interpolated coordinates are those of the lattice to a fortieth of a pixel, at every pixel of the target."""
    pixels = pixel_map(grid, INSIDE)
    height, width = INSIDE.shape
    lon, lat = centres(INSIDE)
    step = pixels.step
    for nodes, exact in zip((pixels.mesh_rows, pixels.mesh_cols), grid.lattice.find(lon, lat), strict=True):
        down, right = np.arange(height) / step, np.arange(width) / step
        i, j = down.astype(int), right.astype(int)
        f, g = (down - i)[:, None], (right - j)[None]
        value = (nodes[i][:, j] * (1 - g) + nodes[i][:, j + 1] * g) * (1 - f)
        value += (nodes[i + 1][:, j] * (1 - g) + nodes[i + 1][:, j + 1] * g) * f
        assert np.abs(value - exact).max() < 0.025


def test_coarseness_is_measured_on_the_ground(grid: GcpGrid) -> None:
    """Its pixels are 200 m: a target of 400 m is two of them long, one of 100 m half of one."""
    for size, expected in ((400, 2.0), (100, 0.5)):
        found = coarseness(grid, "EPSG:32643", (size, 0, 600_000, 0, -size, 1_180_000))
        assert found == pytest.approx((expected, expected), rel=0.03)


def test_only_who_asks_for_it_gets_points(path: Path) -> None:
    """A file without a CRS is refused as ever, unless points are asked for; what the catalogue invents counts never."""
    asset = Asset("vv", str(path), grid=INVENTED)

    def grid_and_note(raster: Raster) -> tuple[Grid, str | None]:
        return raster.grid, raster.note

    with pytest.raises(PermanentAssetError, match="only ground control points"):
        attempt(asset, Access(), "scene", grid_and_note)
    placed, note = attempt(asset, Access(), "scene", grid_and_note, gcps=True)
    assert isinstance(placed, GcpGrid)
    assert note is None


def test_a_file_with_a_crs_is_not_placed_by_points(shared_data: Path) -> None:
    """To ask for points changes nothing for a file that says itself where it lies."""
    dem = shared_data / "raster/dem/storml_elev_orig.tif"
    with open_raster(Asset("dem", str(dem)), Access(), gcps=True) as raster:
        assert not isinstance(raster.grid, GcpGrid)
        assert raster.grid.crs == "EPSG:26912"


def test_points_without_order_are_refused_by_name(shared_data: Path) -> None:
    """Points anywhere are no lattice: the file is refused, saying how many rows and columns they have."""
    scattered = shared_data / "raster/bad/odd-but-valid/au-gcp.tif"
    with pytest.raises(PermanentAssetError, match=r"24 ground control points on \d+ rows and \d+ columns: no lattice"):
        attempt(Asset("red", str(scattered)), Access(), "scene", lambda raster: raster.grid, gcps=True)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(0.0, 0.0, 1.0, 1.0), (0.0, 9.0, 2.0, 1.0)], "1 rows and 2 columns"),
        ([(0.0, 0.0, 1.0, 1.0), (0.0, 9.0, 2.0, 1.0), (9.0, 0.0, 1.0, 0.0)], "2 rows and 2 columns"),
        ([(r, c, c, -r) for r in (0.0, 9.0) for c in (0.0, 9.0)] + [(9.0, 9.0, 9.0, -9.0)], "twice"),
        ([(r, c, np.nan, -r) for r in (0.0, 9.0) for c in (0.0, 9.0)], "without a place"),
        ([(r, c, r, 100 + c) for r in (0.0, 9.0) for c in (0.0, 9.0)], r"latitudes 100\.\.109: not on the earth"),
        ([(r, c, 0.0, 0.0) for r in (0.0, 9.0) for c in (0.0, 9.0)], "span no area"),
        ([(r, c, c, 0.0) for r in (0.0, 9.0) for c in (0.0, 9.0)], "span no area"),
    ],
    ids=["one row", "a missing corner", "one twice", "no place", "swapped", "one place", "one line"],
)
def test_a_lattice_is_whole(points: list[Point], message: str) -> None:
    """Every row has a point in every column, once, with a place; and the places are those of a surface."""
    with pytest.raises(ValueError, match=message):
        gcp_grid(points, "EPSG:4326", (10, 10))


def test_points_beyond_their_projection_are_refused() -> None:
    """Where PROJ has no place for a point, all that is between it and others would be empty."""
    points = [(r, c, 1e30 + c, r) for r in (0.0, 9.0) for c in (0.0, 9.0)]
    with pytest.raises(ValueError, match="not on the earth"):
        gcp_grid(points, "EPSG:32633", (10, 10))


def test_many_points_take_no_more_than_they_are() -> None:
    """Memory, and so time, grows as the points do, not with their square."""
    points = [(row, float(col), 10 + col * 1e-4, 45 - row * 1e-3) for row in (0.0, 999) for col in range(1000)]
    tracemalloc.start()
    lattice = gcp_grid(points, "EPSG:4326", (1000, 1000)).lattice
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 4 * 2**20
    assert np.array(lattice.find(*np.array(lattice.place(10, 777.7)))) == pytest.approx([10, 777.7], abs=1e-6)


@pytest.mark.parametrize(("side", "resolution_m"), [(300, 100), (2000, 1000), (25, 10), (300, 1000)])
def test_a_small_scene_on_a_coarse_tile_is_whole(side: int, resolution_m: int) -> None:
    """Every pixel of a tile that lies in the scene has a value, however few they are: some that are two wide too."""
    draw, rows = np.random.default_rng(3), np.linspace(0, side - 1, 5)
    at = np.stack(np.meshgrid(rows, rows, indexing="ij"), -1).reshape(-1, 2)
    for right, down in draw.uniform(60, 180, (4, 2)) * resolution_m:
        # Pixels of 10 m, turned.
        x, y = (straight(0, 0)(at) / 10 + (4e5 + right, 5e6 - down)).T
        lon, lat = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True).transform(x, y)
        grid = gcp_grid(
            [(*each, *place) for each, *place in zip(at.tolist(), lon, lat, strict=True)], "EPSG:4326", (side, side)
        )
        tile = GeoBox((256, 256), Affine(resolution_m, 0, 4e5, 0, -resolution_m, 5e6), "EPSG:32633")
        placed = resample(
            np.ones((side, side), np.float32), (0, 0), (grid, tile), ((0, 256), (0, 256)), "bilinear", None
        )
        rows_of, cols_of = grid.lattice.find(*centres(tile))
        inside = (rows_of >= 0) & (rows_of < side) & (cols_of >= 0) & (cols_of < side)
        assert inside.any()
        np.testing.assert_array_equal(np.isfinite(placed), inside)


def test_two_rows_and_columns_are_enough() -> None:
    """Between four points a place is as far along as its pixel."""
    corners = [(r, c, 10 + c * 1e-4, 45 - r * 1e-4) for r in (0.0, 100.0) for c in (0.0, 100.0)]
    row, col = gcp_grid(corners, "EPSG:4326", (150, 150)).lattice.find(np.array([10.0025]), np.array([44.995]))
    assert (float(row[0]), float(col[0])) == pytest.approx((50, 25), abs=2e-3)


def test_what_gdal_resamples_is_refused(grid: GcpGrid) -> None:
    """GDAL's own methods know a transform only: by the points' straight estimate everything would be misplaced."""
    with pytest.raises(ValueError, match="resampling cubic of a raster that is placed by ground control points"):
        resample(np.ones(SHAPE, np.float32), (0, 0), (grid, INSIDE), ((0, 300), (0, 400)), "cubic", None)
