"""Whole blocks are read, once a task: counted here from grids, as a reader of files would come to them."""

from __future__ import annotations

from dataclasses import replace

import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.plan.blocks import Reading, reading
from pipeline.plan.jobs import Targets, plan_jobs
from pipeline.types import Grid, Item, Job, Tile, Upstream
from pipeline.types.estimate import Layout
from tests.plan.makers import JUNE, NORTH, make_item, make_product, make_tile

WIDE = Grid("EPSG:32633", (10, 0, 500_000, 0, -10, NORTH), (1024, 1024))
"""Begins where the first tile of 256 pixels does."""
LAYOUTS = {("s2", band): Layout((512, 512), 1000.0) for band in ("red", "scl")}


def scene(number: int = 1, grid: Grid | None = WIDE) -> Item:
    item = make_item(number, (0, 4))
    wide = shapely.box(15.0, 44.9, 15.2, 45.1).__geo_interface__
    return replace(item, geometry=wide, assets={band: replace(asset, grid=grid) for band, asset in item.assets.items()})


def jobs_of(tiles: tuple[Tile, ...], *items: Item) -> tuple[Job, ...]:
    """Of scenes whose footprints, which decide too, are as large as their grids."""
    targets = {"median": Targets(tiles, (JUNE,))}
    return tuple(plan_jobs([make_product()], targets, items, {}, {"us-west-2": 2**33}).jobs)


def test_a_window_reads_every_block_that_it_touches() -> None:
    """A tile within the first block of either band: one block and a head of each; across four blocks: four."""
    inside = jobs_of((make_tile(0),), scene())
    assert reading(inside, LAYOUTS, 2) == Reading(2 * 1000.0, 2 * 2)
    across = Tile("t", GeoBox((256, 256), Affine(10, 0, 500_000 + 384 * 10, 0, -10, NORTH - 384 * 10), "EPSG:32633"))
    assert reading(jobs_of((across,), scene()), LAYOUTS, 2).read_bytes == 2 * 4 * 1000.0


def test_rows_of_blocks_are_requests_of_their_own_unless_the_window_is_as_wide_as_the_file() -> None:
    narrow = Tile("t", GeoBox((1024, 256), Affine(10, 0, 500_000, 0, -10, NORTH), "EPSG:32633"))
    whole = Tile("t", GeoBox((1024, 1024), Affine(10, 0, 500_000, 0, -10, NORTH), "EPSG:32633"))
    assert reading(jobs_of((narrow,), scene()), LAYOUTS, 2).requests == 2 * (1 + 2)
    assert reading(jobs_of((whole,), scene()), LAYOUTS, 2).requests == 2 * (1 + 1)


def test_what_neighbours_share_is_read_once_by_a_task_of_both() -> None:
    both = jobs_of((make_tile(0), make_tile(1)), scene(1), scene(2))
    assert len(both) == 2
    alone = [reading([job], LAYOUTS, 2) for job in both]
    assert reading(both, LAYOUTS, 2) == alone[0] == alone[1]


def test_files_without_a_header_that_was_read_have_blocks_of_1024() -> None:
    """2 bytes a pixel, of which 0.65 are stored."""
    found = reading(jobs_of((make_tile(0),), scene()), {}, 2)
    assert found.read_bytes == 2 * 1024 * 1024 * 2 * 0.65


def test_what_has_no_grid_is_as_many_bytes_as_the_plan_says_and_a_request_a_file() -> None:
    (job,) = jobs_of((make_tile(0),), scene(grid=None))
    assert reading([job], LAYOUTS, 2) == Reading(job.read_bytes, len(job.items[0].assets))


def test_what_is_made_from_other_jobs_reads_their_files() -> None:
    (job,) = jobs_of((make_tile(0),), scene())
    upstream = Upstream("median", "sentinel2", "tile-0", JUNE, "f" * 32)
    made = replace(job, items=(), upstream=(upstream,), read_bytes=3 * 2**20)
    assert reading([made], {}, 2) == Reading(3 * 2**20, 3 + 1)
