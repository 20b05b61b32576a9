"""Laws of `open_grids`: one region over all periods, from current items alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from pipeline.errors import ConfigError, NothingToDoError
from pipeline.products._argo_grid_config import region_tile
from pipeline.results.grids import join_periods, open_grids
from pipeline.types import Job, Period
from pipeline.write.commit import commit
from pipeline.write.files import write_json_file
from pipeline.write.store import open_store
from tests.products.test_argo_grid import entry, job_of, make, random_casts, write
from tests.results.made import finish, plan_of

JUNE, JULY = (
    Period(f"2024-0{month}", datetime(2024, month, 1, tzinfo=UTC), datetime(2024, month + 1, 1, tzinfo=UTC))
    for month in (6, 7)
)
REGIONS = {"east": {"bbox": [62.0, 10.0, 66.0, 14.0]}, "west": {"bbox": [60.0, 10.0, 62.0, 14.0]}}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two regions in two months, committed, and a finished run that planned them."""
    root = tmp_path_factory.mktemp("grids")
    items, store = write(root, random_casts()), open_store(str(root))
    jobs: list[Job] = []
    for name, region in REGIONS.items():
        config = entry(regions={name: region}, variables=["ct"], heat_content=[])
        for number, period in enumerate((JULY, JUNE)):
            folder = root / "scratch" / f"{name}{number}"
            made = make(config, items, folder, period)
            inputs = write_json_file({}, folder / "inputs.json", "inputs", title="Inputs")
            tile = region_tile(name, config.regions[name], config.cell_deg)
            fingerprint = f"{len(jobs):064x}"
            job = replace(job_of(config, [], period), tile=tile, fingerprint=fingerprint)
            commit(store, job, replace(made, files=(*made.files, inputs)))
            jobs.append(job)
    finish(store, plan_of(jobs), pages=False)
    return root


def test_a_region_is_one_dataset_over_all_its_periods(output: Path) -> None:
    found = open_grids(str(output), region="east")
    assert found.time.values.astype("datetime64[M]").astype(str).tolist() == ["2024-06", "2024-07"]
    assert found.longitude.values.tolist() == [63, 65] and found.ct.chunks is not None
    for step, name in enumerate(("east1", "east0")):
        with xr.open_zarr(output / "scratch" / name / "grid.zarr") as part:
            np.testing.assert_array_equal(found.ct.values[step], part.ct.values[0])
            np.testing.assert_array_equal(found.time_bnds.values[step], part.time_bnds.values[0])
    assert int(found.profiles.sum()) > 0


def test_a_region_must_be_chosen_and_be_there(output: Path) -> None:
    with pytest.raises(ConfigError, match="found the regions east, west; choose one"):
        open_grids(str(output))
    with pytest.raises(ConfigError, match="no region 'north'; found east, west"):
        open_grids(str(output), region="north")
    with pytest.raises(NothingToDoError, match="no finished run made a grid 'other'"):
        open_grids(str(output), "other")


def test_periods_that_were_gridded_in_different_ways_are_told(output: Path) -> None:
    """Other cells, or other variables: nothing is filled up in silence."""
    whole = open_grids(str(output), region="east")
    for other in (whole.isel(latitude=slice(1)), whole.drop_vars("ct_sem")):
        with pytest.raises(ConfigError, match=r"not all periods have .*; run all of them with one config"):
            join_periods("argo_grid east", [whole.isel(time=[0]), other.isel(time=[1])])
