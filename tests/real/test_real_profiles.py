"""Real floats, opened as a Dataset: what netCDF4 reads of their files is there, and no good level is lost."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from pipeline.read.access import Access
from pipeline.results.float_years import refresh_float_years
from pipeline.results.profiles import open_profiles
from pipeline.write.store import FolderStore
from tests.products.argo_world import Listed, config_of, publish

pytestmark = pytest.mark.long
FLOATS = ("incois/2902269", "aoml/5900446", "coriolis/1900857", "coriolis/3902131", "jma/4902252", "aoml/13857")
PARAMETERS = ("PRES", "TEMP", "PSAL", "DOXY")


@pytest.fixture(scope="module")
def output(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single-cycle files of some floats as committed partitions, and the table of floats and years."""
    root, gdac = tmp_path_factory.mktemp("real"), shared_data / "argo/gdac"
    store = FolderStore(str(root))
    for name in FLOATS:
        paths = sorted((gdac / "dac" / name / "profiles").glob("*.nc"))
        files = {path.relative_to(gdac / "dac").as_posix(): "20240101000000" for path in paths}
        publish(Listed(gdac, files), store, config_of(parameters=list(PARAMETERS)))
    refresh_float_years(store, "argo", Access())
    return root


def stored(file: netCDF4.Dataset, name: str, profile: int) -> NDArray[np.float32]:
    """A variable of one profile as netCDF4 reads it, fills as NaN."""
    if name not in file.variables:
        return np.zeros(0, np.float32)
    file[name].set_auto_mask(False)
    values = np.asarray(file[name][profile], np.float32)
    return np.where(values > 99990, np.float32(np.nan), values)


def test_expert_values_are_netcdf4s_of_each_profiles_own_file(output: Path, shared_data: Path) -> None:
    found = open_profiles(str(output), quality="expert").compute()
    floats = {"/".join(path.split("/")[:2]) for path in found.FILE.values.tolist()}
    assert floats == set(FLOATS)
    compared = 0
    for number, path in enumerate(found.FILE.values.tolist()):
        with netCDF4.Dataset(shared_data / "argo/gdac/dac" / path) as file:
            profile = int(found.PROFILE_INDEX.values[number])
            for name in PARAMETERS:
                for part in ("", "_ADJUSTED", "_ADJUSTED_ERROR"):
                    expected = stored(file, f"{name}{part}", profile)
                    mine = found[f"{name}{part}"].values[number]
                    np.testing.assert_array_equal(mine[: len(expected)], expected[: len(mine)], f"{path} {name}{part}")
                    assert np.isnan(mine[len(expected) :]).all() and np.isnan(expected[len(mine) :]).all()
                    compared += int(np.isfinite(expected).sum())
    assert compared > 30_000


def test_a_float_whose_times_are_all_estimated_keeps_every_good_level(output: Path, shared_data: Path) -> None:
    found = open_profiles(str(output), floats=[5900446], quality="standard")
    assert found.TIME_QC.values.tolist() == [8, 8]
    for number, path in enumerate(found.FILE.values.tolist()):
        with netCDF4.Dataset(shared_data / "argo/gdac/dac" / path) as file:
            file.set_auto_mask(False)
            flags = np.stack([file[f"{name}_ADJUSTED_QC"][0] for name in ("PRES", "TEMP", "PSAL")])
        good: list[bool] = np.asarray(np.isin(flags, [b"1", b"2", b"5", b"8"]).all(axis=0)).tolist()
        kept = np.asarray([np.isfinite(found[name].values[number]) for name in ("PRES", "TEMP", "PSAL")])
        assert np.all(kept, axis=0)[: len(good)].tolist() == good and sum(good) > 50


def test_one_of_a_real_time_and_a_delayed_file_is_there(output: Path) -> None:
    found = open_profiles(str(output), floats=[2902269])
    assert found.CYCLE_NUMBER.values.tolist() == [0, 1, 10, 50] and set(found.DATA_MODE.values.tolist()) == {"D"}


def test_a_box_and_a_year_find_what_a_loop_over_all_finds(output: Path) -> None:
    whole = open_profiles(str(output))
    box, time = (40.0, 0.0, 100.0, 30.0), ("2019-01-01", "2021-01-01")
    inside = (whole.LONGITUDE >= 40) & (whole.LONGITUDE <= 100)
    inside &= (whole.LATITUDE >= 0) & (whole.LATITUDE <= 30)
    inside &= (np.datetime64("2019-01-01") <= whole.TIME) & (np.datetime64("2021-01-01") > whole.TIME)
    expected = whole.isel(profile=np.flatnonzero(inside.values))
    assert expected.sizes["profile"] > 0
    found = open_profiles(str(output), bbox=box, time=time)
    levels = found.sizes["level"]
    xr.testing.assert_equal(found.TEMP.compute(), expected.TEMP.isel(level=slice(0, levels)).compute())
