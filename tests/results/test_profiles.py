"""Laws of `open_profiles`: the numbers of the tables, lazily, and only of those who were asked for."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask
import netCDF4
import numpy as np
import pytest
import xarray as xr

from pipeline.errors import ConfigError, NothingToDoError, OutputError, PermanentAssetError
from pipeline.read.access import Access
from pipeline.read.partitions import read_heads, read_levels
from pipeline.results import float_years
from pipeline.results.float_years import float_years_key, partitions_of, read_float_years, refresh_float_years
from pipeline.results.profiles import open_profiles
from pipeline.results.saved import save_netcdf, save_zarr
from pipeline.write.store import open_store
from tests.argo_partitions import Cast, water, write_partition

SHORT, LONG = water(np.array([5.0, 50.0])), water(np.array([4.0, 40.0, 400.0, 1400.0]))
CASTS = [
    Cast(2900001, 1, 10.5, 60.5, datetime(2023, 12, 31, tzinfo=UTC), LONG),
    Cast(2900001, 2, 10.6, 60.6, datetime(2024, 1, 10, tzinfo=UTC), {}),
    Cast(2900001, 2, 10.6, 60.6, datetime(2024, 1, 9, tzinfo=UTC), SHORT, direction="D", mode="A"),
    Cast(2900003, 1, None, None, None, SHORT, mode="R", position_qc=9),
]
FAR = [Cast(4900101, 7, -40.0, 179.5, datetime(2020, 5, 5, tzinfo=UTC), LONG, flags={"TEMP": [1, 2, 3, 4]})]
BGC = Cast(4900102, 3, -41.0, -179.5, datetime(2021, 5, 5, tzinfo=UTC), {**SHORT, "DOXY": [210.0, None]}, kind="bgc")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    write_partition(tmp_path, "290000x", CASTS)
    write_partition(tmp_path, "490010x", [*FAR, BGC], parameters=("PRES", "TEMP", "PSAL", "DOXY"))
    return tmp_path


def test_every_level_of_every_profile_is_there_by_argopys_names(output: Path) -> None:
    found = open_profiles(str(output))
    assert dict(found.sizes) == {"profile": 6, "level": 4}
    assert found.PLATFORM_NUMBER.values.tolist() == [2900001] * 3 + [2900003, 4900101, 4900102]
    assert found.DIRECTION.values.tolist() == ["A", "A", "D", "A", "A", "A"]
    expected = np.full((6, 4), np.nan, np.float32)
    for row, cast in enumerate([*CASTS, *FAR, BGC]):
        expected[row, : cast.levels] = cast.values.get("TEMP", [])
    np.testing.assert_array_equal(found.TEMP.values, expected)
    assert found.TEMP.dtype == np.float32 and found.TEMP_QC.dtype == np.int8
    assert found.TEMP_QC.values[4].tolist() == [1, 2, 3, 4] and found.TEMP_QC.values[1].tolist() == [-1] * 4
    assert found.DOXY.values[5, 0] == 210 and np.isnan(found.DOXY.values[:5]).all()
    assert found.TEMP_DATA_MODE.values.tolist() == ["D", "", "A", "R", "D", "D"]
    assert found.DOXY_DATA_MODE.values.tolist() == ["", "", "", "", "", "D"]
    assert np.isnat(found.TIME.values[3]) and np.isnan(found.LATITUDE.values[3])
    assert found.attrs["doi"] == "10.17882/42182" and "Argo" in found.attrs["attribution"]


def test_opening_reads_no_level_and_computing_one_variable_only_its_columns(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, ...]] = []

    def watched(partition: Any, columns: Any, *rest: Any) -> Any:
        read.append(tuple(columns))
        return read_levels(partition, columns, *rest)

    monkeypatch.setattr("pipeline.products._argo_lazy.read_levels", watched)
    found = open_profiles(str(output))
    assert not read and found.PSAL.chunks == ((4, 2), (4,))
    with dask.config.set(scheduler="synchronous"):
        found.PSAL.isel(profile=slice(0, 2)).compute()
    assert read == [("psal",)]


def test_a_dataset_travels_to_other_processes(output: Path) -> None:
    found = open_profiles(str(output), parameters=["PRES"])
    again = pickle.loads(pickle.dumps(found))
    np.testing.assert_array_equal(again.PRES.values, found.PRES.values)


@pytest.mark.parametrize(
    ("longitude", "wanted"),
    [
        (-180.0, {"bbox": (170.0, 0.0, 180.0, 20.0)}),
        (-160.3, {"bbox": (170.0, 0.0, -160.3, 20.0)}),
        (-160.3, {"polygon": [(150.0, 0.0), (199.7, 0.0), (199.7, 20.0), (150.0, 20.0)]}),
        (100.7, {"bbox": (-20.3, 0.0, 100.7, 20.0)}),
    ],
)
def test_edges_are_inside_with_and_without_the_table(tmp_path: Path, longitude: float, wanted: dict[str, Any]) -> None:
    write_partition(tmp_path, "290000x", [Cast(2900001, 1, 10.0, longitude, values=SHORT)])
    assert open_profiles(str(tmp_path), **wanted).sizes["profile"] == 1
    refresh_float_years(open_store(str(tmp_path)), "argo", Access())
    assert open_profiles(str(tmp_path), **wanted).sizes["profile"] == 1


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize(
    ("wanted", "cycles"),
    [
        ({"floats": [2900003]}, [1]),
        ({"bbox": (60.0, 10.0, 61.0, 10.55)}, [1]),
        ({"bbox": (60.5, 10.5, 60.6, 10.6)}, [1, 2, 2]),
        ({"bbox": (179.0, -50.0, -179.0, 0.0)}, [7, 3]),
        ({"polygon": [(178, -45), (182, -45), (180.4, -40.5)]}, [3]),
        ({"time": ("2024-01-01", None)}, [2, 2]),
        ({"time": (None, datetime(2023, 12, 31, tzinfo=UTC))}, [7, 3]),
        ({"time": (np.datetime64("2023-12-31"), "2024-01-10")}, [1, 2]),
        ({"time": ("2023-12", np.datetime64("2024-01"))}, [1]),
        ({"time": ("2020", "2022")}, [7, 3]),
        ({"kinds": ["bgc"]}, [3]),
        ({"directions": "D"}, [2]),
        ({"modes": ["R", "A"]}, [2, 1]),
        ({"bbox": (-180.0, -90.0, 180.0, 90.0)}, [1, 2, 2, 7, 3]),
    ],
)
def test_only_what_was_asked_for_is_there_with_and_without_the_table(
    output: Path, index: bool, wanted: dict[str, Any], cycles: list[int]
) -> None:
    if index:
        refresh_float_years(open_store(str(output)), "argo", Access())
    found = open_profiles(str(output), **wanted)
    assert found.CYCLE_NUMBER.values.tolist() == cycles
    assert np.isfinite(found.PRES).any() == any(cycle != 0 for cycle in cycles)


def test_a_rule_leaves_only_values_with_its_flags(output: Path) -> None:
    one: dict[str, Any] = {"floats": [4900101], "parameters": ["TEMP"]}
    assert np.isfinite(open_profiles(str(output), **one).TEMP.values).tolist() == [[True] * 4]
    standard = open_profiles(str(output), quality="standard", **one)
    assert np.isfinite(standard.TEMP.values).tolist() == [[True, True, False, False]]
    assert standard.TEMP_QC.values.tolist() == [[1, 2, 3, 4]]
    assert np.isfinite(open_profiles(str(output), flags=[4], **one).TEMP.values).tolist() == [[False] * 3 + [True]]
    research = open_profiles(str(output), floats=[2900001], quality="research")
    assert np.isfinite(research.TEMP.values).sum(axis=1).tolist() == [4, 0, 0]  # delayed mode only


def test_expert_shows_what_the_files_say(output: Path) -> None:
    found = open_profiles(str(output), floats=[2900001], parameters=["temp"], quality="expert")
    assert {"TEMP", "TEMP_QC", "TEMP_ADJUSTED", "TEMP_ADJUSTED_QC", "TEMP_ADJUSTED_ERROR"} <= set(found.data_vars)
    assert np.isfinite(found.TEMP.values).sum() == 6 and np.isnan(found.TEMP_ADJUSTED.values).all()


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"bbox": (0, 10, 1, 5)}, "south below north"),
        ({"bbox": (0, 0, 1, 1), "polygon": [(0, 0), (1, 0), (1, 1)]}, "one of them"),
        ({"polygon": [(0, 0), (2, 2), (2, 0), (0, 2)]}, "sides that cross"),
        ({"time": ("yesterday", None)}, "yesterday"),
        ({"flags": [12]}, "expected one or more of 0 to 9"),
        ({"quality": "good"}, "expert, standard or research"),
        ({"quality": "expert", "flags": [1]}, "leave `flags` out"),
        ({"region": 1}, "found region.*; allowed: floats"),
        ({"time": "2024-06-01"}, "expected \\(start, end\\)"),
        ({"bbox": (0, 0, 1)}, "expected \\(west, south, east, north\\)"),
        ({"kinds": ["bio"]}, "kinds: found bio; allowed: core, bgc, synthetic"),
        ({"modes": ["DM"]}, "modes: found DM; allowed: R, A, D"),
        ({"parameters": ["SALINITY"]}, "parameters: found SALINITY; committed: PRES, TEMP"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(output: Path, wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_profiles(str(output), **wanted)


def test_nothing_committed_and_nothing_selected_are_told_apart(output: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingToDoError, match="found no partition data/floats/"):
        open_profiles(str(output), "floats")
    with pytest.raises(NothingToDoError, match="none of the 6 profiles of 2 partitions"):
        open_profiles(str(output), bbox=(0.0, 0.0, 1.0, 1.0))
    with pytest.raises(NothingToDoError, match=r"none of the \d partitions of argo has such floats"):
        open_profiles(str(output), floats=[1901393])


def test_of_two_puts_nothing_is_mixed(output: Path) -> None:
    found = open_profiles(str(output), floats=[2900001])
    write_partition(output, "290000x", CASTS[:2], generation=2)
    with pytest.raises(PermanentAssetError, match="replaced since it was opened; open it again"):
        found.TEMP.compute()
    assert open_profiles(str(output), floats=[2900001]).sizes["profile"] == 2


def test_the_table_is_brought_up_to_date_by_reading_only_what_changed(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, read = open_store(str(output)), []

    def watched(partition: Any) -> Any:
        read.append(partition.levels.split("/")[-3])
        return read_heads(partition)

    monkeypatch.setattr(float_years, "read_heads", watched)
    assert refresh_float_years(store, "argo", Access()) == 5  # two years of the first float
    before = store.get_bytes(float_years_key("argo"))
    assert refresh_float_years(store, "argo", Access()) == 5 and sorted(read) == ["290000x", "490010x"]
    assert store.get_bytes(float_years_key("argo")) == before
    write_partition(output, "290000x", CASTS[:1], generation=2)
    assert refresh_float_years(store, "argo", Access()) == 3 and len(read) == 3
    for entry in partitions_of(store, "argo").values():
        store.delete(entry.key)
    assert refresh_float_years(store, "argo", Access()) == 0


def test_the_table_says_where_a_float_was_in_a_year(output: Path) -> None:
    store = open_store(str(output))
    refresh_float_years(store, "argo", Access())
    rows = {(row["wmo"], row["year"]): row for row in read_float_years(store, "argo").to_pylist()}
    row = rows[2900001, 2024]
    assert (row["profiles"], row["levels"], row["placed"], row["generation"]) == (2, 2, 2, 1)
    assert (row["latitude_min"], row["longitude_max"], sorted(row["modes"])) == (10.6, 60.6, ["A", "D"])
    assert rows[2900003, None]["placed"] == 0 and rows[2900003, None]["latitude_min"] is None


def test_a_table_that_is_damaged_or_old_never_hides_a_profile(output: Path) -> None:
    store = open_store(str(output))
    refresh_float_years(store, "argo", Access())
    moved = Cast(2900001, 1, -40.0, 179.0, datetime(2019, 1, 1, tzinfo=UTC), LONG)
    write_partition(output, "290000x", [moved], generation=2)
    assert open_profiles(str(output), time=(None, "2020-01-01")).PLATFORM_NUMBER.values.tolist() == [2900001]
    store.put_bytes(b"no table", float_years_key("argo"))
    assert open_profiles(str(output), bbox=(178.0, -50.0, -178.0, -30.0)).sizes["profile"] == 3


def test_netcdf_is_a_discrete_sampling_geometry_with_the_same_numbers(output: Path, tmp_path: Path) -> None:
    found = open_profiles(str(output))
    path = save_netcdf(found, tmp_path / "profiles.nc")
    with netCDF4.Dataset(path) as file:
        assert (file.featureType, file.Conventions) == ("profile", "CF-1.11")
        assert file["PROFILE_ID"].cf_role == "profile_id"
        assert {"TIME", "LATITUDE", "LONGITUDE", "PRES"} <= set(file["TEMP"].coordinates.split())
        assert file["PRES"].axis == "Z" and file["PRES"].positive == "down"
        assert file["TIME"].units.endswith("since 1950-01-01T00:00:00Z")
        for name in ("TEMP_QC", "TIME_QC"):  # CF-1.11, 3.5: of the type of the variable
            assert file[name].flag_values.dtype == file[name].dtype
    with xr.open_dataset(path) as again:
        for name in ("TEMP", "PSAL_QC", "DOXY", "LATITUDE", "DIRECTION", "FILE", "TEMP_DATA_MODE"):
            np.testing.assert_array_equal(again[name].values.astype(found[name].dtype), found[name].values)
        np.testing.assert_array_equal(again.TIME.values.astype("M8[ms]"), found.TIME.values.astype("M8[ms]"))
    assert not list(tmp_path.glob(".*.part"))


def test_zarr_gives_the_same_dataset_back(output: Path, tmp_path: Path) -> None:
    found = open_profiles(str(output))
    path = save_zarr(found, tmp_path / "profiles.zarr")
    again = xr.open_zarr(path)
    for name in ("TEMP", "PSAL_QC", "DOXY", "LATITUDE", "DIRECTION", "PLATFORM_NUMBER"):
        np.testing.assert_array_equal(again[name].values.astype(found[name].dtype), found[name].values)
    with pytest.raises(OutputError, match="something is there already"):
        save_zarr(found, path)
