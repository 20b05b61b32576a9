"""Which tiles share an edge: exactly those whose outermost pixels lie side by side all along it."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.config import GridConfig
from pipeline.plan.jobs import Targets
from pipeline.plan.neighbours import touching, with_neighbours
from pipeline.plan.tiles import tile_of
from pipeline.types import Job, MemoryPlan, Plan, Skip, Tile
from tests.plan.makers import JULY, JUNE, make_tile


def box(name: str, left: float, top: float, shape: tuple[int, int], crs: str = "EPSG:32633", px: float = 10) -> Tile:
    return Tile(name, GeoBox(shape, Affine(px, 0, left, 0, -px, top), crs))


def plain_sides(one: Tile, other: Tile) -> list[str]:
    """By the corners of both, in their own plane."""
    if str(one.geobox.crs) != str(other.geobox.crs) or one.geobox.resolution != other.geobox.resolution:
        return []
    a, b = (np.round(tile.geobox.boundingbox.bbox, 6) for tile in (one, other))
    rows, columns = a[1] == b[1] and a[3] == b[3], a[0] == b[0] and a[2] == b[2]
    meets = {
        "left": rows and b[2] == a[0],
        "right": rows and b[0] == a[2],
        "top": columns and b[1] == a[3],
        "bottom": columns and b[3] == a[1],
    }
    return [side for side, met in meets.items() if met]


def random_tiles(seed: int) -> list[Tile]:
    """Tiles of some shapes, resolutions and zones, many of which touch."""
    rng = np.random.default_rng(seed)
    tiles = {}
    for _ in range(60):
        column, row = rng.integers(0, 5, 2).tolist()
        shape = [(64, 64), (64, 64), (64, 128)][rng.integers(3)]
        crs, px = ["EPSG:32633", "EPSG:32633", "EPSG:32634"][rng.integers(3)], [10.0, 10.0, 20.0][rng.integers(3)]
        tiles[column, row, crs, px] = box(
            f"{column}-{row}-{crs[-2:]}-{px:.0f}", column * 640, row * 640, shape, crs, px
        )
    return list(tiles.values())


@pytest.mark.parametrize("seed", range(4))
def test_neighbours_are_those_that_share_a_whole_edge(seed: int) -> None:
    tiles = random_tiles(seed)
    expected = {
        tile.id: sorted((side, other.id) for other in tiles if other is not tile for side in plain_sides(tile, other))
        for tile in tiles
    }
    assert touching(tiles) == {name: tuple(sides) for name, sides in expected.items() if sides}
    assert sum(map(len, expected.values())) > 10


def test_tiles_of_the_utm_grid_meet_within_a_zone_only() -> None:
    grid = GridConfig(tile_px=512, resolution_m=10)
    ids = ["33N-100-0900", "33N-101-0900", "33N-100-0901", "33N-101-0901", "32N-101-0900"]
    found = touching([tile_of(tile_id, grid) for tile_id in ids])
    assert found["33N-100-0900"] == (("right", "33N-101-0900"), ("top", "33N-100-0901"))
    assert "32N-101-0900" not in found and len(found) == 4


def test_tiles_of_sentinel_2_overlap_so_none_meets() -> None:
    grid = GridConfig(kind="mgrs", resolution_m=60)
    assert touching([tile_of(name, grid) for name in ("33TWL", "33TWM", "33TXL")]) == {}


def test_a_grid_that_is_turned_has_no_neighbours() -> None:
    rows = Affine.rotation(30)
    turned = [
        Tile(name, GeoBox((8, 8), Affine.translation(x, 0) @ rows, "EPSG:32633")) for name, x in (("a", 0), ("b", 8))
    ]
    assert touching(turned) == {}


def a_job(product: str, tile: Tile, period: object = JUNE) -> Job:
    return Job(product, "sentinel2", tile, period, "eu", (), f"{product}-{tile.id}-{period.id}", MemoryPlan(1, 1), 0)  # type: ignore[arg-type, attr-defined]


def test_jobs_know_what_is_planned_beside_them_of_their_product_and_period() -> None:
    """Also what is skipped; and nothing that has no job."""
    tiles = tuple(make_tile(column) for column in range(3))
    targets = {name: Targets(tiles, (JUNE, JULY)) for name in ("one", "two")}
    jobs = (a_job("one", tiles[0]), a_job("one", tiles[1]), a_job("two", tiles[1], JULY))
    skip = Skip(f"one/{tiles[2].id}/{JUNE.id}", "committed", "already committed")
    planned = with_neighbours(Plan(jobs, (skip,), ("n",)), targets)
    first, second, third = (
        {one.side: (one.tile_id, one.fingerprint) for one in job.neighbours} for job in planned.jobs
    )
    assert first == {"right": (tiles[1].id, jobs[1].fingerprint)}
    assert second == {"left": (tiles[0].id, jobs[0].fingerprint), "right": (tiles[2].id, "committed")}
    assert third == {}
    assert (planned.skipped, planned.notes) == ((skip,), ("n",))


def test_two_tiles_name_each_other_from_opposite_sides() -> None:
    back = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    found = touching(random_tiles(9))
    for one, other in permutations(found, 2):
        sides = [side for side, name in found[one] if name == other]
        assert sorted(back[side] for side in sides) == sorted(side for side, name in found[other] if name == one)
