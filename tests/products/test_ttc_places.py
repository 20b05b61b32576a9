"""`ttc_ard` under other numbers, and from a request to a finished tile on real ground."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.cli import main
from pipeline.types import Status
from tests.products.ttc_plain import slope_by_hand
from tests.products.ttc_world import TABLE, TreeWorld, dem_item, layers_of, run_jobs

LEFT, _ = TABLE


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> TreeWorld:
    return TreeWorld(tmp_path_factory.mktemp("trees")).fill().on_hills()


@pytest.mark.long
def test_tiles_without_a_table_say_so(trees: TreeWorld) -> None:
    """The same pixels, by a number of our own, and the item says whose number it is; numbers may be below zero."""
    ours, below = "13358X11624Y", "-3X-7Y"
    small = trees.world(table={ours: TABLE[LEFT], below: TABLE[LEFT], LEFT: TABLE[LEFT]})
    outcomes = run_jobs(small, small.session())
    assert {outcome.status for outcome in outcomes.values()} == {Status.DONE}
    layers, item = layers_of(small, outcomes[f"ttc_ard/{ours}/2021"])
    assert "10000 + column from 180 W" in item["properties"]["groundswell:tile_numbers"]
    theirs = layers_of(small, outcomes[f"ttc_ard/{LEFT}/2021"])
    assert layers_of(small, outcomes[f"ttc_ard/{below}/2021"])[1]["id"] == "ttc_ard_-3X-7Y_2021"
    assert "groundswell:tile_numbers" not in theirs[1]["properties"]
    for key, data in theirs[0].items():
        np.testing.assert_array_equal(layers[key], data, err_msg=key)


@pytest.mark.long
def test_real_ground_and_the_table_in_use(trees: TreeWorld, shared_data: Path, tmp_path: Path) -> None:
    """From a request by place to a finished tile, on the real heights of Sao Tome; slope by GDAL and NumPy."""
    table = shared_data / "raster/vectors/ttc_tiledb.parquet"
    heights = shared_data / "raster/dem/Copernicus_DSM_COG_10_N00_00_E006_00_DEM.tif"
    if not (table.exists() and heights.exists()):
        pytest.skip(f"needs {table} and {heights}")
    real = replace(trees, dem=[dem_item(heights)])
    small = real.world()
    request = (
        "--point",
        "6.59",
        "0.25",
        "--year",
        "2021",
        "--tiles",
        str(table),
        "-o",
        str(trees.folder / "tiles.csv"),
    )
    assert main(["request", *request]) == 0
    session = small.session(overwrite=True)
    (tile,) = {job.tile.id for job in session.plan.jobs}
    across, _, down = tile.removesuffix("Y").partition("X")
    assert tile not in TABLE and (trees.folder / "tiles.csv").read_text().endswith(f",0.25,{down},{across}\n")
    layers, _ = layers_of(small, run_jobs(small, session)[f"ttc_ard/{tile}/2021"])
    np.testing.assert_allclose(layers["slope"], slope_by_hand(heights) / 90, rtol=0, atol=1e-3)
    assert layers["slope"].max() > 0.3
