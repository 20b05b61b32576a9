"""Which tiles share an edge: exactly those whose outermost pixels lie side by side all along it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import permutations

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.config import GridConfig
from pipeline.plan.jobs import Targets, plan_jobs
from pipeline.plan.neighbours import touching, with_neighbours
from pipeline.plan.tiles import tile_of
from pipeline.types import Tile
from tests.plan.makers import JULY, JUNE, make_item, make_product, make_tile


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


def sides(tiles: Sequence[Tile]) -> dict[str, tuple[tuple[str, str], ...]]:
    """By tile id, (side, id) of the tiles beside it."""
    found = touching(tiles)
    named = {
        tile.id: tuple((side, tiles[other].id) for side, other in found.of(number)) for number, tile in enumerate(tiles)
    }
    return {name: beside for name, beside in named.items() if beside}


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
    assert sides(tiles) == {name: tuple(beside) for name, beside in expected.items() if beside}
    assert sum(map(len, expected.values())) > 10


def test_tiles_of_the_utm_grid_meet_within_a_zone_only() -> None:
    grid = GridConfig(tile_px=512, resolution_m=10)
    ids = ["33N-100-0900", "33N-101-0900", "33N-100-0901", "33N-101-0901", "32N-101-0900"]
    found = sides([tile_of(tile_id, grid) for tile_id in ids])
    assert found["33N-100-0900"] == (("right", "33N-101-0900"), ("top", "33N-100-0901"))
    assert "32N-101-0900" not in found and len(found) == 4


def test_tiles_of_sentinel_2_overlap_so_none_meets() -> None:
    grid = GridConfig(kind="mgrs", resolution_m=60)
    assert sides([tile_of(name, grid) for name in ("33TWL", "33TWM", "33TXL")]) == {}


def test_a_grid_that_is_turned_has_no_neighbours() -> None:
    rows = Affine.rotation(30)
    turned = [
        Tile(name, GeoBox((8, 8), Affine.translation(x, 0) @ rows, "EPSG:32633")) for name, x in (("a", 0), ("b", 8))
    ]
    assert sides(turned) == {}


def test_jobs_know_what_is_planned_beside_them_of_their_product_and_period() -> None:
    """Also what is skipped; and nothing that has no job."""
    tiles = tuple(make_tile(column) for column in range(4))
    products = [make_product("one"), make_product("two", "other")]
    targets = {one.name: Targets(tiles, (JUNE, JULY)) for one in products}
    july = datetime(2024, 7, 2, tzinfo=UTC)
    items = [make_item(1, (0, 3)), make_item(2, (1, 2), source="other", time=july)]
    budgets = {"us-west-2": 2**33}
    plain = plan_jobs(products, targets, items, {}, budgets)
    first, second, skipped, third = plain.jobs
    planned = with_neighbours(plan_jobs(products, targets, items, {"one": {skipped.fingerprint}}, budgets), targets)
    found = [{one.side: (one.tile_id, one.fingerprint) for one in job.neighbours} for job in planned.jobs]
    assert found == [
        {"right": (tiles[1].id, second.fingerprint)},
        {"left": (tiles[0].id, first.fingerprint), "right": (tiles[2].id, skipped.fingerprint)},
        {},
    ]
    assert third.product == "two" and [skip.job_id for skip in planned.skipped] == [skipped.id]


def test_two_tiles_name_each_other_from_opposite_sides() -> None:
    back = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    found = sides(random_tiles(9))
    for one, other in permutations(found, 2):
        of_one = [side for side, name in found[one] if name == other]
        assert sorted(back[side] for side in of_one) == sorted(side for side, name in found[other] if name == one)
