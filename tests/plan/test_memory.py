"""Laws of the memory plan: within the budget or refused in bytes, and more memory never makes smaller strips."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MemoryRefusedError, PlanRefusedError
from pipeline.plan.memory import (
    BASE_BYTES,
    BLOCK_ROWS,
    MIN_ROWS,
    MOST_ROWS,
    READS_IN_FLIGHT,
    Finest,
    Holding,
    first_fit,
    project_memory,
)
from pipeline.products.sentinel2 import PRODUCT, Sentinel2Config
from pipeline.types import MemoryPlan
from pipeline.write.tile import WriteOptions

GIB = 2**30
tiles = st.tuples(st.integers(1, 6000), st.integers(1, 6000))
scenes = st.integers(1, 400)
kept = st.builds(
    Holding,
    tile=st.integers(0, 60),
    day=st.sampled_from([0, 2, 20]),
    strip=st.integers(0, 40),
    read=st.sampled_from([0, 8]),
    scene_bits=st.booleans(),
)
budgets = st.integers(0, 16 * GIB)


def plan(shape: tuple[int, int], count: int, holding: Holding, budget_bytes: int) -> MemoryPlan | None:
    """None where it is refused."""
    try:
        return project_memory(shape, count, max(1, count // 2), holding, budget_bytes)
    except PlanRefusedError:
        return None


@given(tiles, scenes, kept, budgets)
def test_a_plan_never_exceeds_its_budget(
    shape: tuple[int, int], count: int, holding: Holding, budget_bytes: int
) -> None:
    found = plan(shape, count, holding, budget_bytes)
    if found is not None:
        assert found.peak_bytes <= budget_bytes
        assert min(MIN_ROWS, shape[0]) <= found.strip_rows <= shape[0]
        assert (
            found.strip_rows in {shape[0], 2048, 1024, 512} or found.strip_rows % MIN_ROWS == 0 < 512 - found.strip_rows
        )
        assert found.carry_bytes == 0 or found.strip_rows < shape[0]


@given(tiles, scenes, kept, budgets, budgets)
def test_a_bigger_budget_never_gives_fewer_blocks(
    shape: tuple[int, int], count: int, holding: Holding, one: int, other: int
) -> None:
    """Half a block is the least that is counted: with less memory, more windows at once are worth some rows."""
    small, large = (plan(shape, count, holding, budget) for budget in sorted((one, other)))
    assert (small.strip_rows // 512 if small else 0) <= (large.strip_rows // 512 if large else 0)
    assert small is None or large is not None


@given(tiles, scenes, kept)
def test_the_peak_counts_what_is_surely_held(shape: tuple[int, int], count: int, holding: Holding) -> None:
    """At least: libraries, a bit per scene and pixel, finished layers, and a strip of every day."""
    found = plan(shape, count, holding, 2**50)
    assert found is not None
    pixels, days = shape[0] * shape[1], max(1, count // 2)
    bits = pixels * count // 8 if holding.scene_bits else 0
    strip = found.strip_rows * shape[1] * (holding.day * days + holding.strip + holding.read * found.reads)
    assert found.peak_bytes >= BASE_BYTES + pixels * holding.tile + bits + strip + found.carry_bytes


@given(tiles, scenes, kept)
def test_where_strips_end_a_row_of_blocks_of_every_scene_is_carried(
    shape: tuple[int, int], count: int, holding: Holding
) -> None:
    """16-bit pixels, of the tile's width at least; with that, strips of two blocks' rows are enough."""
    found = plan(shape, count, holding, 2**50)
    assert found is not None
    assert found.strip_rows == min(shape[0], MOST_ROWS)
    assert found.carry_bytes >= (count * BLOCK_ROWS * shape[1] * 2 if shape[0] > MOST_ROWS else 0)


@given(tiles, scenes, kept)
def test_the_bytes_named_by_a_refusal_are_just_enough(shape: tuple[int, int], count: int, holding: Holding) -> None:
    with pytest.raises(PlanRefusedError) as refusal:
        project_memory(shape, count, 1, holding, 1000)
    found = re.search(r"needs ([\d,]+) bytes; a task may use 1,000\..*worker_memory", str(refusal.value))
    assert found is not None
    needed = int(found[1].replace(",", ""))
    assert project_memory(shape, count, 1, holding, needed).peak_bytes <= needed
    with pytest.raises(PlanRefusedError):
        project_memory(shape, count, 1, holding, needed - 1)


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 9), min_size=1, unique=True)), st.data())
def test_the_first_offer_is_taken_that_every_job_of_a_region_fits(
    offers: dict[str, list[int]], data: st.DataObject
) -> None:
    """Whatever other regions need; and where none is enough, the refusal is that of the largest."""
    offers = {region: sorted(each) for region, each in offers.items()}
    jobs = [(region, data.draw(st.integers(0, 9))) for region in offers for _ in range(2)]

    def make(taken: Mapping[str, int]) -> str:
        for region, needed in jobs:
            if needed > taken[region]:
                raise MemoryRefusedError(f"{taken[region]}", needed, region)
        return "planned"

    most = {region: max(needed for where, needed in jobs if where == region) for region in offers}
    lacking = {str(each[-1]) for region, each in offers.items() if each[-1] < most[region]}
    if lacking:
        with pytest.raises(MemoryRefusedError) as refusal:
            first_fit(make, offers)
        assert str(refusal.value) in lacking
    else:
        expected = {region: next(one for one in each if one >= most[region]) for region, each in offers.items()}
        assert first_fit(make, offers) == ("planned", expected)


COMPOSITES = ("median", "mean", "p25", "best_pixel", "latest", "least_cloudy", "geomedian", "none")


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_long_series_fits_two_tasks_on_four_gibibytes(composite: str) -> None:
    """146 scenes x 10 bands on 2048 x 2048 pixels: a year of Sentinel-2 where two orbits meet."""
    bands = ("blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16", "swir22")
    keys = {"product": "sentinel2", "source": "s2", "bands": bands, "composite": composite, "indices": ["ndvi", "evi"]}
    entry = Sentinel2Config.model_validate_json(json.dumps(keys))
    holding = PRODUCT.plan(entry, "default", WriteOptions(None), {}).holding
    found = project_memory((2048, 2048), 146, 146, holding, 4 * GIB // 2)
    assert found.peak_bytes <= 2 * GIB
    assert found.strip_rows >= (BLOCK_ROWS if composite != "geomedian" else 128)


@given(tiles, scenes, kept, st.floats(1, 400))
def test_windows_of_sources_finer_than_the_tile_are_counted_in_their_own_pixels(
    shape: tuple[int, int], count: int, holding: Holding, density: float
) -> None:
    """Windows of uint16 on their way, of a whole tile while masks are read."""
    finest = Finest(density, int(density * shape[0] * shape[1]))
    found = project_memory(shape, count, 1, holding, 2**60, finest)
    assert found.peak_bytes >= BASE_BYTES + min(count, found.reads) * 2 * finest.window_px


def test_where_memory_is_short_fewer_windows_are_on_their_way() -> None:
    """A coarse tile of fine sources is made all the same, later; only what no single read fits is refused."""
    shape, finest = (1024, 1024), Finest(64.0, 64 * 1024 * 1024)
    ample = project_memory(shape, 20, 10, Holding(16), 64 * 2**30, finest)
    short = project_memory(shape, 20, 10, Holding(16), ample.peak_bytes // 3, finest)
    assert ample.reads == READS_IN_FLIGHT > short.reads >= 1
    assert short.peak_bytes <= ample.peak_bytes // 3
    with pytest.raises(PlanRefusedError, match="needs"):
        project_memory(shape, 20, 10, Holding(16), 512 * 2**20, finest)


@pytest.mark.parametrize(("resampling", "more"), [("bilinear", 0), ("cubic", 7), ("average", 7)])
def test_the_copies_of_gdals_warper_are_counted_for_every_read(resampling: str, more: int) -> None:
    """Measured with 16 threads on 2048 x 2048 pixels: 7.4 bytes a pixel beside the window itself."""
    keys = {"product": "sentinel2", "source": "s2", "bands": ("red",), "resampling": resampling}
    entry = Sentinel2Config.model_validate_json(json.dumps(keys))
    holding = PRODUCT.plan(entry, "default", WriteOptions(None), {}).holding
    found = project_memory((2048, 2048), 24, 12, holding, 16 * GIB)
    usual = project_memory((2048, 2048), 24, 12, replace(holding, read=0), 16 * GIB)
    assert found.reads == READS_IN_FLIGHT
    assert found.peak_bytes - usual.peak_bytes >= more * 2048 * 2048 * found.reads
