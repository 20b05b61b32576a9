"""What a partition and its item say: best values beside originals, and a word for everything that is neither."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import netCDF4
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.demo.argo_file import Column, profile_file
from pipeline.errors import ConfigError
from pipeline.write.store import FolderStore
from tests.products.argo_world import (
    D1,
    NEW,
    OLD,
    R1,
    R2,
    Listed,
    cast,
    config_of,
    core,
    job_of,
    make,
    mirror,
    partition,
    path_of,
    publish,
    same_tables,
    store,
)

__all__ = ["mirror", "store"]


def test_best_values_and_originals_stand_beside_each_other(mirror: Listed, store: FolderStore) -> None:
    publish(mirror.with_file(*R1).with_file(*core("D9900101_002.nc", NEW, cast(2, "D", shift=0.5))), store)
    levels = partition(store).tables["levels"].to_pydict()
    assert levels["cycle"] == [1] * 5 + [2] * 5
    assert levels["level"] == [*range(5)] * 2
    assert levels["pres"] == [5, 10, 20, 50, 100, 5.5, 10.5, 20.5, 50.5, 100.5]
    assert levels["pres_raw"] == [5, 10, 20, 50, 100] * 2
    assert levels["pres_adjusted"][:5] == [None] * 5
    assert levels["temp_mode"] == ["R"] * 5 + ["D"] * 5
    assert levels["psal_error"] == [None] * 5 + [pytest.approx(0.1)] * 5
    assert all(np.diff(levels["depth"][:5]) > 0)


def test_the_item_says_when_where_and_whose(mirror: Listed, store: FolderStore) -> None:
    moved = cast(2, "D", longitude=-170.04, latitude=-5.0, moment=datetime(2025, 1, 1, tzinfo=UTC))
    _, done = publish(mirror.with_file(*R1).with_file(*core("D9900101_002.nc", NEW, moved)), store)
    assert done is not None
    item = json.loads(store.get_bytes(done.item_key))
    assert item["geometry"] == {"type": "MultiPoint", "coordinates": [[-170.0, -5.0], [60.0, 10.0]]}
    said = item["properties"]
    assert (said["start_datetime"], said["end_datetime"]) == ("2024-06-01T00:00:00Z", "2025-01-01T00:00:00Z")
    assert said["license"] == "CC-BY-4.0"
    assert "https://doi.org/10.17882/42182" in said["attribution"] and said["sci:doi"] == "10.17882/42182"
    assert said["groundswell:data_modes"] == {"D": 1, "A": 0, "R": 1}
    assert said["groundswell:kinds"] == {"core": 2, "bgc": 0, "synthetic": 0}
    assert partition(store).footer.doi == "10.17882/42182"  # type: ignore[union-attr]


def test_invented_profiles_are_not_credited_to_argo(mirror: Listed, store: FolderStore) -> None:
    publish(Listed(mirror.root, project="INVENTED").with_file(*R1), store)
    footer = partition(store).footer
    assert footer is not None
    assert (footer.doi, "INVENTED" in footer.attribution, "17882" in footer.attribution) == ("", True, False)


def test_arrow_and_json_hold_the_same_profiles(mirror: Listed, store: FolderStore, tmp_path: Path) -> None:
    config = config_of(also=["arrow", "json"])
    listed = mirror.with_file(*R1).with_file(*D1).with_file(*R2)
    made = make(job_of(listed, config), config, store, tmp_path)
    files = {file.key: file.path for file in made.files}
    levels = pq.read_table(files["levels"])
    with pa.ipc.open_file(files["arrow"]) as arrow:
        assert same_tables({"": arrow.read_all()}, {"": levels})
    profiles = [json.loads(line) for line in files["json"].read_text().splitlines()]
    assert [(one["cycle_number"], one["quality_status"]) for one in profiles] == [(1, "DELAYED"), (2, "REAL_TIME")]
    assert [one["temperature"] for one in profiles[0]["measurements"]] == pytest.approx([20.0, 19.5, 18.5, 15.5, 10.5])
    assert profiles[1]["metadata"]["float_id"] == "9900101"


def test_expert_takes_no_flags() -> None:
    with pytest.raises((ValueError, ConfigError), match="expert"):
        config_of(qc_level="expert", flags=[1])


@pytest.mark.parametrize("name", ["PRES_RAW", "FILE", "TIME", "LEVEL"])
def test_a_parameter_that_would_be_another_column_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"make a column twice \(.*{name.lower()}"):
        config_of(parameters=["TEMP", name])


def test_b_files_take_the_pressure_of_the_core_file_also_when_only_that_changes(
    mirror: Listed, store: FolderStore
) -> None:
    """The B-file is not parsed again: its pressure is worked out from what is in the tables."""
    doxy = Column(np.array([200, 190, 180, 170, 160], np.float32), "11111")
    plain = cast(1, "R")
    b_file = replace(plain, columns={"PRES": plain.columns["PRES"], "DOXY": doxy})
    b_path = path_of("BR9900101_001.nc").replace("/BR", "/")
    config = config_of(parameters=["TEMP", "DOXY"])
    mirror = mirror.with_file(*R1).with_file(b_path, profile_file([b_file], "bgc", OLD), OLD)
    publish(mirror, store, config)
    made, _ = publish(mirror.with_file(*D1, without=R1[0]), store, config)
    assert made.properties["groundswell:files_read"] == 1
    levels = partition(store).tables["levels"].to_pydict()
    assert levels["kind"] == ["bgc"] * 5 + ["core"] * 5
    assert levels["pres"] == [5.5, 10.5, 20.5, 50.5, 100.5] * 2
    assert levels["pres_mode"] == ["D"] * 10
    assert levels["doxy"] == [200, 190, 180, 170, 160] + [None] * 5


@pytest.mark.parametrize("letter", [b"X", b" "])
def test_odd_modes_flags_and_places_are_told_and_stay_told(letter: bytes, mirror: Listed, store: FolderStore) -> None:
    """What only the file can tell is in the ledger of every later state, too."""
    nowhere = replace(cast(1), latitude=-99.999, longitude=-999.999)
    odd = replace(cast(2), columns={**cast(2).columns, "TEMP": Column(cast(2).columns["TEMP"].raw, "1x111")})
    mirror = mirror.with_file(*core("R9900101_001.nc", OLD, nowhere)).with_file(*core("R9900101_002.nc", OLD, odd))
    mirror = mirror.with_file(*core("R9900101_003.nc", OLD, cast(3)))
    with netCDF4.Dataset(mirror.root / "dac" / path_of("R9900101_003.nc"), "r+") as file:
        file["DATA_MODE"][0] = letter
    for _ in range(2):
        publish(mirror, store)
        found = partition(store).tables["ledger"].to_pylist()
        told = sorted((row["cycle"], row["rule"], row["parameter"], row["levels"]) for row in found)
        assert told == [
            (1, "position_invalid", None, None),
            (2, "flag", "TEMP", 1),
            (2, "odd_flag", "TEMP", 1),
            (2, "profile_qc_differs", "TEMP", None),
            (3, "odd_mode", None, None),
        ]
        assert partition(store).tables["profiles"]["data_mode"].to_pylist() == ["R"] * 3
        assert partition(store).tables["profiles"]["pres_mode"].to_pylist() == ["R"] * 3
    levels = partition(store).tables["levels"].to_pydict()
    assert levels["latitude"][:6] == [None] * 5 + [10.0]
    assert (levels["temp"][6], levels["temp_raw"][6], levels["temp_raw_qc"][6]) == (None, 19.0, None)


def test_a_profile_without_levels_has_one_row(mirror: Listed, store: FolderStore) -> None:
    nothing = np.full(5, 99999.0, np.float32)
    empty = replace(cast(2), columns={name: Column(nothing, "     ") for name in ("PRES", "TEMP", "PSAL")})
    publish(mirror.with_file(*R1).with_file(*core("R9900101_002.nc", OLD, empty)), store)
    tables = partition(store).tables
    assert tables["levels"]["level"].to_pylist() == [0, 1, 2, 3, 4, None]
    assert tables["levels"]["cycle"].to_pylist() == [1] * 5 + [2]
    last = tables["levels"].slice(5).to_pylist()[0]
    assert (last["pres_raw"], last["temp"], last["file"]) == (None, None, path_of("R9900101_002.nc"))
    assert tables["profiles"]["levels"].to_pylist() == [5, 0]
    assert "no_levels" in tables["ledger"]["rule"].to_pylist()
    publish(mirror.with_file(*R1).with_file(*core("R9900101_002.nc", OLD, empty)), store)
    assert same_tables(tables, partition(store).tables)
