"""Laws of groups: every job in one of them, the same neighbours always meet, and no more of them than fits."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from affine import Affine
from hypothesis import example, given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from pipeline.config import GridConfig
from pipeline.plan.groups import GROUPS_A_SLOT, MOST_BYTES, Group, SuperTile, around, group_jobs
from pipeline.plan.lattices import hilbert
from pipeline.plan.memory import BLOCK_ROWS, Holding, project_memory
from pipeline.plan.tiles import tile_of
from pipeline.types import Item, Job, MemoryPlan, Period, Tile
from tests.plan.makers import JULY, JUNE, make_item

PX = 2048
GIB = 2**30
SCENES = tuple(make_item(number) for number in range(6))


def make_job(column: int, row: int, period: Period = JUNE, **changes: object) -> Job:
    """A tile of the UTM grid, `row` rows to the south of its first."""
    tile = tile_of(f"33N-{8 + column:03d}-{43 - row:04d}", GridConfig())
    job = Job("p", "sentinel2", tile, period, "a", SCENES, f"{column}-{row}", MemoryPlan(PX, 10**9), 10**8)
    return replace(job, **changes)  # type: ignore[arg-type]


def square(columns: range, rows: range, period: Period = JUNE) -> list[Job]:
    return [make_job(column, row, period) for column in columns for row in rows]


def grouped(
    jobs: Sequence[Job], super_tile: SuperTile = 4, *, slots: int = 1, budget: int = 64 * GIB
) -> Sequence[Group]:
    return group_jobs(
        jobs, {"p": Holding(14), "q": Holding(14)}, {"a": slots, "b": slots}, dict.fromkeys("ab", budget), super_tile
    )


def cell(job: Job) -> tuple[int, int]:
    """Column and row of a tile, read off its corner as the grid defines it."""
    corner = job.tile.geobox.transform
    return round(corner.c / 20480), -round(corner.f / 20480)


places = st.sets(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60)


@given(places, st.sampled_from(["auto", 1, 2, 4]), st.integers(1, 8), st.integers(GIB, 8 * GIB))
def test_every_job_is_in_one_group_of_neighbours_that_fits(
    cells: set[tuple[int, int]], super_tile: SuperTile, slots: int, budget: int
) -> None:
    jobs = [make_job(*place, period) for place in sorted(cells) for period in (JUNE, JULY)]
    groups = grouped(jobs, super_tile, slots=slots, budget=budget)
    assert Counter(job.id for group in groups for job in group.jobs) == Counter(job.id for job in jobs)
    edge = 4 if super_tile == "auto" else super_tile
    for group in groups:
        assert len({(job.period.id, *(at // edge for at in cell(job))) for job in group.jobs}) == 1
        assert list(group.jobs) == sorted(group.jobs, key=lambda job: cell(job)[::-1]), "row by row from the upper left"
        assert group.memory == group.jobs[0].memory if len(group.jobs) == 1 else group.memory.peak_bytes <= budget


@given(places, st.randoms(use_true_random=False))
def test_the_same_tiles_meet_whatever_else_is_planned(cells: set[tuple[int, int]], source: random.Random) -> None:
    jobs = [make_job(*place) for place in sorted(cells)]
    more = jobs + [make_job(column, 40) for column in range(9)]
    source.shuffle(more)
    names = {frozenset(job.id for job in group.jobs) for group in grouped(jobs)}
    assert names <= {frozenset(job.id for job in group.jobs) for group in grouped(more)}
    assert [group.id for group in grouped(more)] == [
        group.id for group in grouped(sorted(more, key=lambda job: job.id))
    ]


def test_groups_of_a_period_follow_a_curve() -> None:
    """Each is beside the one before: what they share is still at hand. Periods come one after the other."""
    jobs = square(range(4, 20), range(4, 20)) + square(range(4, 20), range(4, 20), JULY)
    groups = grouped(jobs, 2)
    assert [group.jobs[0].period.id for group in groups] == [JUNE.id] * 64 + [JULY.id] * 64
    corners = np.array([cell(group.jobs[0]) for group in groups[:64]]) // 2
    steps = np.abs(np.diff(corners, axis=0)).sum(axis=1)
    assert (steps == 1).mean() > 0.9


@given(st.integers(-(2**30), 2**30 - 33), st.integers(-(2**30), 2**30 - 33), st.integers(0, 5))
def test_the_curve_steps_to_a_neighbour_and_fills_every_aligned_square(row: int, column: int, level: int) -> None:
    edge = 2**level
    rows, columns = (np.arange(edge) + at // edge * edge for at in (row, column))
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij")).reshape(2, -1)
    curve = hilbert(*grid)
    order = np.argsort(curve)
    assert (np.diff(curve[order]) == 1).all() and len(set((curve >> 2 * level).tolist())) == 1
    assert (np.abs(np.diff(grid[:, order], axis=1)).sum(axis=0) == 1).all()


@pytest.mark.parametrize(("slots", "edge"), [(1, 4), (2, 4), (3, 2), (8, 2), (9, 1), (1000, 1)])
def test_no_core_is_idle_for_want_of_groups(slots: int, edge: int) -> None:
    """Of 8 x 8 tiles: 4 groups of 16, 16 of 4, or 64 single ones; two at least for every slot while there are."""
    groups = grouped(square(range(8), range(8)), "auto", slots=slots)
    assert {len(group.jobs) for group in groups} == {edge**2}
    assert len(groups) >= GROUPS_A_SLOT * slots or edge == 1


def test_memory_decides_how_many_tiles_meet() -> None:
    jobs = square(range(4), range(4))
    sizes = [
        max(len(group.jobs) for group in grouped(jobs, budget=budget)) for budget in (GIB // 2, 5 * GIB // 4, 8 * GIB)
    ]
    assert sizes == [1, 4, 16]


def test_a_group_needs_what_its_jobs_need_alone() -> None:
    """Whatever goes wrong in a group, they are made one by one."""
    job = make_job(0, 0, memory=MemoryPlan(16, 70))
    assert Group((job,), MemoryPlan(16, 50)).peak_bytes == 70
    assert Group((job, job), MemoryPlan(16, 90)).peak_bytes == 90


def test_what_one_group_reads_is_bounded() -> None:
    jobs = [replace(job, read_bytes=MOST_BYTES // 4) for job in square(range(4), range(4))]
    assert {len(group.jobs) for group in grouped(jobs)} == {4}
    assert len(grouped([replace(job, read_bytes=MOST_BYTES) for job in jobs])) == 16


def later(item: Item) -> Item:
    return replace(item, solar_day=item.solar_day + timedelta(days=1))


def test_a_scene_has_one_day_in_a_group() -> None:
    jobs = square(range(4), range(4))
    jobs[0] = replace(jobs[0], items=tuple(later(item) for item in SCENES))
    groups = grouped(jobs)
    assert sorted(len(group.jobs) for group in groups) == [1, 1, 1, 1, 4, 4, 4]


@pytest.mark.parametrize(
    "change",
    [
        {"product": "q"},
        {"period": JULY},
        {"region": "b"},
        {"tile": Tile("z", GeoBox((PX, PX), Affine(10, 0, 9 * 20480, 0, -10, 44 * 20480), "EPSG:32634"))},
        {"tile": Tile("half", GeoBox((PX, PX), Affine(10, 0, 9 * 20480 + 5, 0, -10, 301 * 20480), "EPSG:32633"))},
        {"tile": Tile("less", GeoBox((PX, 1024), Affine(10, 0, 9 * 20480, 0, -10, 44 * 20480), "EPSG:32633"))},
        {"tile": Tile("fine", GeoBox((PX, PX), Affine(5, 0, 9 * 20480, 0, -5, 44 * 20480), "EPSG:32633"))},
        {"tile": make_job(0, 0).tile},
    ],
    ids=["product", "period", "region", "crs", "half a pixel", "shape", "resolution", "the same place"],
)
def test_what_differs_is_made_apart(change: dict[str, object]) -> None:
    assert [len(group.jobs) for group in grouped([make_job(0, 0), make_job(1, 0)])] == [2]
    assert [len(group.jobs) for group in grouped([make_job(0, 0), make_job(1, 0, **change)])] == [1, 1]  # type: ignore[arg-type]


def test_a_turned_grid_has_no_groups() -> None:
    turned = Affine.translation(5e5, 5e6) @ Affine.rotation(30) @ Affine.scale(10, -10)
    tiles = [
        Tile(f"t{number}", GeoBox((64, 64), turned @ Affine.translation(64 * number, 0), "EPSG:32633"))
        for number in range(2)
    ]
    assert len(grouped([make_job(0, 0, tile=tile) for tile in tiles])) == 2


@example(0, 0, 1e-05, 545631.284766735)
@given(st.integers(-3, 3), st.integers(-3, 3), st.floats(1e-5, 1e4), st.floats(-1e6, 1e6))
def test_tiles_of_any_lattice_meet(column: int, row: int, pixel: float, origin: float) -> None:
    """Whatever the origin, and however its corners were rounded."""
    corner = Affine(pixel, 0, origin, 0, -pixel, -origin)
    tiles = [
        Tile(
            f"{at}", GeoBox((64, 64), corner @ Affine.translation(64 * (4 * column + at), 64 * (4 * row)), "EPSG:3857")
        )
        for at in range(8)
    ]
    groups = grouped([make_job(0, 0, tile=tile) for tile in tiles])
    assert 2 <= len(groups) <= 3, "of eight in a row four meet, wherever cells begin"
    for group in groups:
        whole = around([job.tile.geobox for job in group.jobs])
        assert whole.shape == (64, 64 * len(group.jobs))
        assert whole.transform == group.jobs[0].tile.geobox.transform


def test_around_is_the_grid_of_all_with_its_gaps() -> None:
    boxes = [make_job(*place).tile.geobox for place in ((2, 0), (0, 1), (3, 3))]
    whole = around(boxes)
    assert whole.shape == (4 * PX, 4 * PX)
    assert (whole.transform.c, whole.transform.f) == (boxes[1].transform.c, boxes[0].transform.f)


@pytest.mark.parametrize("square_name", ["33TUL", "37MBU", "60CWS"])
@pytest.mark.parametrize("gib", [3, 4, 8, 64])
def test_strips_of_a_sentinel_2_tile_end_on_the_blocks_of_its_files(square_name: str, gib: int) -> None:
    """Its corner is theirs, so that nothing is decoded twice."""
    tile = tile_of(square_name, GridConfig(kind="mgrs"))
    assert tile.geobox.shape == (10980, 10980)
    assert (tile.geobox.transform.c - 399960) % 20 == (tile.geobox.transform.f - 300000) % 20 == 0
    found = project_memory(tile.geobox.shape.yx, 12, 12, Holding(14), gib * GIB)
    assert found.strip_rows % BLOCK_ROWS == 0
