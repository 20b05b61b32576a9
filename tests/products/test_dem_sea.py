"""Tiles of a DEM wholly at sea, which no file of it reaches: they are made, so that what is made from them can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.types import Job, Outcome, Status
from tests.products.dem_world import Ground30, Json, hills, run_all, world
from tests.worlds import SmallWorld

GRID = "{kind: utm, tile_px: 128, resolution_m: 100}"
SEA = "{bbox: [5.6, 0.4, 6.03, 0.45]}"
"""From open sea to the tile N00E006, across the cell N00E005 that has no file."""
LAYERS = "products.0.layers=[elevation, slope, slope_median, aspect, hillshade]"


@pytest.fixture
def coast(tmp_path: Path) -> SmallWorld:
    ground = Ground30(tmp_path, hills)
    ground.add((0, 6))
    return world(tmp_path, ground.items, SEA, GRID)


def bare(jobs: Sequence[Job]) -> list[str]:
    return [job.tile.id for job in jobs if not job.items]


def test_open_sea_beyond_every_file_is_level(coast: SmallWorld) -> None:
    """0 m in every pixel and no aspect, said to be of no scene and no source, at a time that is no run's."""
    session = coast.session(LAYERS)
    at_sea = bare(session.plan.jobs)
    assert len(at_sea) >= 2
    tiles, outcomes = run_all(coast, LAYERS)
    assert all(outcome.status is Status.DONE and not outcome.losses for outcome in outcomes), outcomes
    assert tiles.layers.keys() > {*at_sea}
    for tile in at_sea:
        layers, said = tiles.layers[tile], tiles.items[tile]["properties"]
        for key in ("elevation", "slope", "slope_median"):
            np.testing.assert_array_equal(layers[key], 0.0)
        assert np.isnan(layers["aspect"]).all() and np.unique(layers["hillshade"]).size == 1
        assert (layers["count"] == 1).all() and (layers["qa"] == 0).all()
        assert (said["groundswell:sea_fraction"], said["groundswell:scenes"]) == (1.0, 0)
        assert said["datetime"] is None and said["start_datetime"] == said["end_datetime"] == "2021-04-22T00:00:00Z"
        assert "DLR" not in said["attribution"], "nothing of it is Copernicus'"
        assert not [link for link in tiles.items[tile]["links"] if link["rel"] == "derived_from"]


def test_its_edge_is_that_of_the_tile_beside_it(coast: SmallWorld) -> None:
    """Sea is sea on both sides: the next tile, which a file reaches, is level along the common edge."""
    tiles, _ = run_all(coast)
    sea = max(bare(coast.session("output=" + str(coast.world / "none")).plan.jobs))
    (beside,) = (tile for tile in tiles.layers if tiles.transforms[tile].c == tiles.transforms[sea].c + 12_800)
    for key in ("elevation", "slope"):
        assert (tiles.layers[beside][key][:, 0] == 0).all()
    assert tiles.layers[beside]["hillshade"][0, 0] == tiles.layers[sea]["hillshade"][0, 0]


def test_what_is_made_from_it_is_made(coast: SmallWorld) -> None:
    """A stack of such a tile has its heights; and the item alone is enough to make the tile again."""
    config = coast.config.read_text().replace(
        "run:", "  - {product: stack, inputs: [dem], layers: {dem: [elevation]}, write: {cog: {}}}\nrun:"
    )
    coast.config.write_text(config)
    session = coast.session()
    done: dict[str, Outcome] = {}
    sea = {job.id for job in session.plan.jobs if job.product == "dem" and not job.items}
    stacks = [job for job in session.plan.jobs if job.upstream and job.upstream[0].job_id in sea]
    assert sea and len(stacks) == len(sea)
    for job in [*(job for job in session.plan.jobs if job.id in sea), *stacks]:
        done[job.id] = coast.run(session, job)
    assert {outcome.status for outcome in done.values()} == {Status.DONE}, done
    for name in sea:
        assert main(["reproduce", str(coast.output), str(done[name].item_key)]) == 0


@pytest.mark.parametrize(
    ("absent", "made"), [("auto", False), ("sea", True), ("nodata", False)], ids=["auto", "sea", "nodata"]
)
def test_land_without_a_file_is_not_taken_for_it(tmp_path: Path, absent: str, made: bool) -> None:
    """Northern Italy west of the only file: no tile is made there, unless whoever knows better says it is sea."""
    ground = Ground30(tmp_path, hills)
    ground.add((44, 11))
    small = world(tmp_path, ground.items, "{bbox: [10.5, 44.4, 11.03, 44.45]}", GRID)
    assert bool(bare(plan_of(small, ground.items, f"products.0.absent={absent}"))) is made


def test_only_where_files_are_tiles_of_one_degree(tmp_path: Path) -> None:
    """A DEM in sheets of another kind says nothing by what it lacks; nor does a source without any file."""
    ground = Ground30(tmp_path, hills)
    ground.add((0, 6))
    ground.items[0]["properties"]["proj:shape"] = [60, 60]
    small = world(tmp_path, ground.items, SEA, GRID)
    for sets in ((), ("products.0.absent=sea",)):
        assert not bare(plan_of(small, ground.items, *sets)) and not plan_of(small, [], *sets)


def plan_of(small: SmallWorld, items: list[Json], *sets: str) -> Sequence[Job]:
    again = world(small.config.parent, items, small.config.read_text().split("area: ")[1].split("\n")[0], GRID)
    return again.session(*sets).plan.jobs
