"""`dem` on generated tiles of one degree: no seam, no gap, slopes of the heights, neighbours alike to the last bit."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import Geod

from pipeline.execute.worker.task import run_job
from pipeline.products.dem import VERSION
from pipeline.types import Status
from tests.products.dem_world import ROWS, Ground30, Tiles, bilinear, hills, horn, plane, run_all, steepness, world

UTM = "{{kind: utm, tile_px: {px}, resolution_m: {m}}}"


def made(tmp_path: Path, ground: Ground30, area: str, *sets: str, px: int = 128, m: int = 100) -> Tiles:
    tiles, outcomes = run_all(world(tmp_path, ground.items, area, UTM.format(px=px, m=m)), *sets)
    assert {outcome.status for outcome in outcomes} == {Status.DONE}, outcomes
    return tiles


def same_as_formula(tiles: Tiles, ground: Ground30, within_m: float = 0.05) -> None:
    """Every pixel, of every tile. Within: the source coordinates may be off by a hundredth of a pixel."""
    for tile, layers in tiles.layers.items():
        expected = bilinear(ground.ground, *tiles.places(tile), ground.rows)
        np.testing.assert_allclose(layers["elevation"], expected, rtol=0, atol=within_m)
        assert (layers["qa"] == 0).all() and (layers["count"] == 1).all()


@pytest.mark.parametrize(
    ("cells", "area"),
    [
        pytest.param([(45, 11), (45, 12), (44, 11), (44, 12)], "[11.95, 44.97, 12.05, 45.03]", id="corner of four"),
        pytest.param([(49, 10), (49, 11), (50, 10), (50, 11)], "[10.97, 49.97, 11.03, 50.03]", id="50 N"),
        pytest.param([(70, 25), (69, 25), (70, 24), (69, 24)], "[24.96, 69.98, 25.04, 70.02]", id="70 N"),
        pytest.param([(71, 25), (70, 25)], "[25.4, 70.98, 25.5, 71.02]", id="71 N"),
        pytest.param([(-51, -70), (-50, -70), (-51, -71), (-50, -71)], "[-70.04, -50.03, -69.97, -49.97]", id="50 S"),
        pytest.param([(65, 179), (65, -180)], "[179.95, 65.4, -179.95, 65.45]", id="antimeridian"),
    ],
)
def test_no_seam_between_tiles(tmp_path: Path, cells: list[tuple[int, int]], area: str) -> None:
    """Bilinear from the pixels of both sides, whatever the columns of a band of latitude: no gap, no step."""
    ground = Ground30(tmp_path, hills)
    ground.add(*cells)
    same_as_formula(made(tmp_path, ground, f"{{bbox: {area}}}"), ground)


def test_a_plane_stays_a_plane_across_the_band_edge(tmp_path: Path) -> None:
    """With other columns north of 50 N than south of it, bilinear numbers of a plane are the plane's own."""
    ground = Ground30(tmp_path, plane)
    ground.add((49, 10), (49, 11), (50, 10), (50, 11))
    tiles = made(tmp_path, ground, "{bbox: [10.97, 49.97, 11.03, 50.03]}")
    for tile, layers in tiles.layers.items():
        np.testing.assert_allclose(layers["elevation"], plane(*tiles.places(tile)), rtol=0, atol=2e-3)


@pytest.fixture
def corner(tmp_path: Path) -> Ground30:
    """Four tiles around 45 N 12 E."""
    ground = Ground30(tmp_path, hills)
    ground.add((45, 11), (45, 12), (44, 11), (44, 12))
    return ground


AREA = "{bbox: [11.96, 44.98, 11.99, 45.01]}"


def test_slope_aspect_and_hillshade_are_horns(tmp_path: Path, corner: Ground30) -> None:
    """Of the committed heights, within the tile; aspect is 315 degrees where the ground falls to the north-west."""
    for layers in made(tmp_path, corner, AREA).layers.values():
        east, north = horn(layers["elevation"], 100.0, 100.0)
        inner = {key: layer[1:-1, 1:-1] for key, layer in layers.items()}
        np.testing.assert_allclose(inner["slope"], steepness(east, north), rtol=0, atol=1e-5)
        assert layers["slope"].min() >= 0 and layers["slope"].max() <= 90
        off = (inner["aspect"] - np.degrees(np.arctan2(-east, -north)) + 180) % 360 - 180
        assert np.abs(off).max() < 1e-3
        assert layers["aspect"].min() >= 0 and layers["aspect"].max() < 360
        light = np.cos(np.radians(45)) * np.array([np.sin(np.radians(315)), np.cos(np.radians(315))])
        shade = (np.sin(np.radians(45)) - east * light[0] - north * light[1]) / np.sqrt(1 + east**2 + north**2)
        expected = 1 + 254 * np.maximum(shade, 0)
        assert np.abs(inner["hillshade"] - expected).max() <= 0.5 + 1e-6


def test_neighbours_are_what_a_larger_tile_is(tmp_path: Path, corner: Ground30) -> None:
    """To the last bit, in every layer: heights, and what is made of them across the edge of a tile."""
    area = "{bbox: [11.9, 44.95, 12.05, 45.05]}"
    layers = "products.0.layers=[elevation, slope, slope_median, aspect, hillshade]"
    large = made(tmp_path, corner, area, layers, px=256)
    (tmp_path / "again").mkdir()
    small = run_all(world(tmp_path / "again", corner.items, area, UTM.format(px=128, m=100)), layers)[0]
    compared = 0
    for tile, smaller in small.layers.items():
        assert "slope_median" in smaller
        for other, larger in large.layers.items():
            col, row = ~large.transforms[other] @ (small.transforms[tile].c, small.transforms[tile].f)
            rows, cols = slice(round(row), round(row) + 128), slice(round(col), round(col) + 128)
            same = small.crs[tile] == large.crs[other]
            if same and 0 <= rows.start < 256 and 0 <= cols.start < 256:
                compared += 1
                for key, layer in smaller.items():
                    np.testing.assert_array_equal(layer, larger[key][rows, cols], err_msg=f"{tile} {key}")
    assert compared == len(small.layers) >= 4


def test_a_tile_asks_as_far_as_it_looks(tmp_path: Path) -> None:
    """With coarse pixels a median of slopes looks kilometres over the edge: the files there are searched for, too."""
    ground = Ground30(tmp_path, hills)
    ground.add(*((south, west) for south in (43, 44) for west in (7, 8, 9)))
    # 9 E is easting 500,000: the first tile ends three pixels west of it, and of the files beyond sees only the margin.
    grid = "{{kind: geobox, crs: EPSG:32632, transform: [1000, 0, 433500, 0, -1000, 4960000], shape: [64, {}]"
    grid += ", tile_px: 64}}"
    found = []
    for columns in (64, 128):
        (tmp_path / f"{columns}").mkdir()
        small = world(tmp_path / f"{columns}", ground.items, "{bbox: [5, 40, 12, 50]}", grid.format(columns))
        tiles, outcomes = run_all(small, "products.0.layers=[slope_median]", "run.missing_assets.max_fraction=0.9")
        assert {outcome.status for outcome in outcomes} == {Status.DONE}, outcomes
        found.append(tiles.layers["c0000-r0000"]["slope_median"])
    np.testing.assert_array_equal(found[0], found[1])


@pytest.mark.parametrize("size", [(0.002, 0.04), (0.04, 0.002)])
def test_pixels_that_are_no_squares(tmp_path: Path, size: tuple[float, float]) -> None:
    """Each side is averaged over its own length: the mean of the rows, or of the columns, that a long pixel covers."""
    ground = Ground30(tmp_path, hills)
    ground.add((44, 8), (44, 9))
    across, down = size
    grid = (
        f"{{kind: geobox, crs: EPSG:4326, transform: [{across}, 0, {9 - 10 * across}, 0, -{down}, {44.5 + 10 * down}], "
        "shape: [64, 64], tile_px: 64}"
    )
    small = world(tmp_path, ground.items, "{bbox: [8, 44, 10, 45]}", grid)
    tiles, _ = run_all(small, "run.missing_assets.max_fraction=0.9")
    (tile,) = tiles.layers
    lon, lat = (places[:20, :20] for places in tiles.places(tile))
    steps = np.arange(-12, 13)
    total, weight = np.zeros(lon.shape), np.zeros(lon.shape)
    for down_by in steps:
        row = np.floor(lat * ROWS) + down_by
        down_share = np.maximum(0, 1 - np.abs(lat * ROWS - row) / max(1.0, down * ROWS))
        for by in steps:
            col = np.floor(lon * ROWS) + by
            share = down_share * np.maximum(0, 1 - np.abs(lon * ROWS - col) / max(1.0, across * ROWS))
            total, weight = total + share * hills(col / ROWS, row / ROWS), weight + share
    np.testing.assert_allclose(tiles.layers[tile]["elevation"][:20, :20], total / weight, rtol=0, atol=0.01)


def test_of_files_that_overlap_one_counts_everywhere(tmp_path: Path) -> None:
    """The first by name, whatever day it is where the tile lies: solar midnight between two items parts no tiles."""
    ground = Ground30(tmp_path, hills)
    step = 1 / ROWS
    where = Affine(step, 0, 7 - step / 2, 0, -step, 45 + step / 2)
    for arc, height, time in ((10, 100.0, "2021-04-22T00:00:00Z"), (30, 200.0, "2021-04-21T23:30:00Z")):
        ground.arc = arc
        item = ground.write(44, 7, np.full((ROWS, ROWS), height, np.float32), where)
        item["properties"]["datetime"] = time
    tiles = made(tmp_path, ground, "{bbox: [7.41, 44.5, 7.59, 44.51]}", px=64)
    assert len(tiles.layers) > 1
    assert {float(value) for layers in tiles.layers.values() for value in np.unique(layers["elevation"])} == {100.0}


def test_the_plan_counts_four_bytes_a_height(tmp_path: Path, corner: Ground30) -> None:
    """What a job reads: the nodes under its tile in float32, as stored bytes; to a tenth, as edges are cut roughly."""
    small = world(tmp_path, corner.items, "{bbox: [11.5, 44.5, 11.501, 44.501]}", UTM.format(px=128, m=100))
    (job,) = small.session().plan.jobs
    nodes = (12_800 / 111_195 * ROWS) ** 2 / np.cos(np.radians(44.5))
    assert job.read_bytes == pytest.approx(0.65 * 4 * nodes, rel=0.1)


def test_strips_change_nothing(tmp_path: Path, corner: Ground30) -> None:
    """A tile made in strips of sixteen rows is the tile made at once, file by file."""
    small = world(tmp_path, corner.items, AREA, UTM.format(px=128, m=100))
    digests = []
    for rows in (16, 128):
        session = small.session(f"output={tmp_path}/rows-{rows}")
        job = session.plan.jobs[0]
        job = replace(job, memory=replace(job.memory, strip_rows=rows))
        outcome = run_job(job, session.assignments()["dem"], 1)
        assert outcome.status is Status.DONE, outcome
        files = sorted((tmp_path / f"rows-{rows}").glob("data/**/*.tif"))
        digests.append([hashlib.sha256(path.read_bytes()).hexdigest() for path in files])
    assert len(digests[0]) == 6 and digests[0] == digests[1]


def test_the_lazy_layers_are_the_committed_ones(tmp_path: Path, corner: Ground30) -> None:
    """`Session.composite` gives the same numbers, and reads nothing before it is computed."""
    small = world(tmp_path, corner.items, AREA, UTM.format(px=128, m=100))
    tiles, _ = run_all(small)
    session = small.session("output=" + str(tmp_path / "elsewhere"))
    job = session.plan.jobs[0]
    lazy = session.composite(job)
    assert all(variable.chunks for variable in lazy.variables.values() if variable.ndim == 2)
    for key, layer in tiles.layers[job.tile.id].items():
        np.testing.assert_array_equal(lazy[key].values, layer, err_msg=key)
    np.testing.assert_array_equal(session.open(job)["elevation"].values, tiles.layers[job.tile.id]["elevation"])


def test_degrees_have_their_own_length_in_every_row(tmp_path: Path) -> None:
    """On a grid in degrees the slope is in metres: pixel sizes are geodesic lengths at each row's latitude."""
    ground = Ground30(tmp_path, hills)
    ground.add((70, 24), (70, 25))
    grid = (
        "{kind: geobox, crs: EPSG:4326, transform: [0.002, 0, 24.9, 0, -0.001, 70.6], shape: [150, 120], tile_px: 160}"
    )
    (layers,) = run_all(world(tmp_path, ground.items, "{bbox: [24.8, 70, 25.2, 71]}", grid))[0].layers.values()
    lat = 70.6 - 0.001 * (np.arange(150) + 0.5)
    ellipsoid, none = Geod(ellps="WGS84"), np.zeros(150)
    across = ellipsoid.inv(none, lat, none + 0.002, lat)[2]
    down = ellipsoid.inv(none, lat - 0.0005, none, lat + 0.0005)[2]
    east, north = horn(layers["elevation"], across[1:-1, None], down[1:-1, None])
    np.testing.assert_allclose(layers["slope"][1:-1, 1:-1], steepness(east, north), rtol=1e-5)


def test_a_tile_that_ends_where_a_file_ends(tmp_path: Path) -> None:
    """Its last pixels rest on the next file as well, which none of its own pixels lies in."""
    ground = Ground30(tmp_path, hills)
    ground.add((70, 24), (70, 25), (69, 24), (69, 25))
    grid = (
        "{{kind: geobox, crs: EPSG:4326, transform: [0.005, 0, 24.68, 0, -0.005, 70.32], "
        "shape: [128, 128], tile_px: {px}}}"
    )
    area = "{bbox: [24.7, 69.7, 25.3, 70.3]}"
    (large,) = run_all(world(tmp_path, ground.items, area, grid.format(px=128)))[0].layers.values()
    (tmp_path / "again").mkdir()
    small = run_all(world(tmp_path / "again", ground.items, area, grid.format(px=64)))[0]
    assert set(small.layers) == {f"c{column:04d}-r{row:04d}" for column in (0, 1) for row in (0, 1)}
    for tile, layers in small.layers.items():
        row, col = int(tile[-4:]) * 64, int(tile[1:5]) * 64
        for key, layer in layers.items():
            np.testing.assert_array_equal(layer, large[key][row : row + 64, col : col + 64], err_msg=f"{tile} {key}")
        assert (layers["count"] == 1).all()


def test_golden(tmp_path: Path) -> None:
    """Whoever changes these pixels raises VERSION, so that users' tiles are made again."""
    ground = Ground30(tmp_path, hills)
    ground.add((49, 10), (50, 10))
    tiles = made(tmp_path, ground, "{bbox: [10.5, 49.995, 10.51, 50.005]}", px=64, m=50)
    digest = hashlib.sha256()
    for tile in sorted(tiles.layers):
        for key in ("elevation", "slope", "aspect", "hillshade", "count", "qa"):
            # Sines and arc tangents may differ by the last bit of a platform's library.
            digest.update(np.round(tiles.layers[tile][key].astype(float), 2).tobytes())
    assert (VERSION, digest.hexdigest()[:16]) == (1, "7cd88c5625615dc8")
