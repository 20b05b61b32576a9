"""A partition is a function of its set of files: whatever came first, however often, and whoever was faster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from pipeline.errors import MissingAssetsError, PermanentAssetError
from pipeline.plan.argo_schema import partition_key
from pipeline.products._argo_listing import Candidate
from pipeline.products._argo_read import reader
from pipeline.read.access import Access
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
    jobs_of,
    make,
    mirror,
    partition,
    path_of,
    publish,
    rows,
    same_tables,
    store,
)

__all__ = ["mirror", "store"]


def modes(store: FolderStore) -> dict[int, str]:
    found = rows(store)
    assert len({row["cycle"] for row in found}) == len(found)
    return {row["cycle"]: row["data_mode"] for row in found}


@pytest.mark.parametrize(
    ("name", "said"),
    [("SALINITY", "in place of SALINITY: PSAL"), ("TEMP_ADJUSTED_QC", "allowed: TEMP, with which TEMP_ADJUSTED_QC")],
)
def test_a_parameter_that_no_file_has_by_that_name_is_refused_with_the_right_one(name: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        config_of(parameters=[name])


@pytest.mark.parametrize("order", [[R1, D1, R2], [D1, R1, R2], [R2, D1, R1]])
def test_files_in_any_order_end_as_one_partition(
    order: list[tuple[str, bytes, str]], mirror: Listed, store: FolderStore, tmp_path: Path
) -> None:
    """Both R1 and D1 stay listed, as on a disk where nobody removed the older one."""
    for file in order:
        mirror = mirror.with_file(*file)
        publish(mirror, store)
    at_once = FolderStore(str(tmp_path / "at once"))
    publish(mirror, at_once)
    assert modes(store) == {1: "D", 2: "A"}
    assert same_tables(partition(store).tables, partition(at_once).tables)
    assert partition(store).footer.inputs == partition(at_once).footer.inputs  # type: ignore[union-attr]


def test_a_delayed_file_takes_the_place_of_the_real_time_one(mirror: Listed, store: FolderStore) -> None:
    mirror = mirror.with_file(*R1).with_file(*R2)
    publish(mirror, store)
    made, _ = publish(mirror.with_file(*D1, without=R1[0]), store)
    assert modes(store) == {1: "D", 2: "A"}
    assert made.properties["groundswell:files_read"] == 1
    assert made.properties["groundswell:files_unchanged"] == 1
    assert made.properties["groundswell:generation"] == 2


def test_one_new_file_is_one_job(mirror: Listed) -> None:
    """Of all buckets only the file's own has another fingerprint, so only that is made again."""
    other = core("R9900215_001.nc", OLD, cast(1, wmo=9900215))
    before = mirror.with_file(*R1).with_file(*other)
    after = replace(before.with_file(*D1, without=R1[0]), index="20240908000000")
    first, second = ({job.tile.id: job.fingerprint for job in jobs_of(one, config_of())} for one in (before, after))
    assert first.keys() == {"990010x", "990021x"}
    assert {bucket for bucket in first if first[bucket] != second[bucket]} == {"990010x"}


def test_a_catalogue_from_the_network_reads_no_folder_of_this_machine(mirror: Listed) -> None:
    """Whoever writes an item may not name a file of the worker's."""
    path, _, version = R1
    mirror.with_file(*R1)
    asked = Candidate(path, version, (str(mirror.root),), 9900101)
    ((_, here),) = reader(Access())([asked])
    ((_, there),) = reader(Access(local=False))([asked])
    assert here == R1[1]
    assert isinstance(there, PermanentAssetError)


def test_what_lost_is_in_the_ledger(mirror: Listed, store: FolderStore) -> None:
    publish(mirror.with_file(*R1).with_file(*D1), store)
    ledger = partition(store).tables["ledger"].to_pylist()
    assert [(row["rule"], row["file"]) for row in ledger] == [("superseded_file", R1[0])]
    states = {one.path: one.state for one in partition(store).footer.inputs}  # type: ignore[union-attr]
    assert states == {R1[0]: "superseded", D1[0]: "used"}


def test_nothing_is_parsed_twice(mirror: Listed, store: FolderStore) -> None:
    for number in range(3, 9):
        mirror = mirror.with_file(*core(f"R9900101_{number:03d}.nc", OLD, cast(number)))
    publish(mirror, store)
    before = partition(store).tables
    made, _ = publish(mirror, store)
    assert made.properties["groundswell:files_read"] == 0
    assert made.read_bytes == 0
    assert same_tables(before, partition(store).tables)


def test_a_profile_of_two_files_is_its_best_version_and_comes_back_when_that_goes(
    mirror: Listed, store: FolderStore
) -> None:
    """A float's `_prof.nc` holds cycles that have files of their own, too."""
    many = core("R9900101_001.nc", OLD, cast(1, "R"), cast(2, "R"))[1]
    mirror = mirror.with_file("incois/9900101/9900101_prof.nc", many, OLD)
    publish(mirror.with_file(*D1), store)
    assert modes(store) == {1: "D", 2: "R"}
    assert [row["rule"] for row in partition(store).tables["ledger"].to_pylist()] == ["superseded_profile"]
    publish(mirror, store)
    assert modes(store) == {1: "R", 2: "R"}
    assert partition(store).tables["ledger"].num_rows == 0


def test_what_is_not_listed_any_more_goes(mirror: Listed, store: FolderStore) -> None:
    publish(mirror.with_file(*R1).with_file(*R2), store)
    publish(mirror.with_file(*R2), store)
    assert modes(store) == {2: "A"}


def test_a_damaged_new_file_does_not_take_the_profile_away(mirror: Listed, store: FolderStore) -> None:
    path, data, version = D1
    mirror = mirror.with_file(*R1).with_file(*R2)
    publish(mirror, store)
    before = partition(store).tables["levels"]
    broken = mirror.with_file(path, data[: len(data) // 2], version, without=R1[0])
    made, _ = publish(broken, store)
    assert modes(store) == {1: "R", 2: "A"}
    assert same_tables({"": before}, {"": partition(store).tables["levels"]})
    assert [loss.asset for loss in made.losses] == [path]
    states = {one.path: one.state for one in partition(store).footer.inputs}  # type: ignore[union-attr]
    assert states == {R1[0]: "stale", R2[0]: "used", path: "refused"}
    publish(mirror.with_file(*D1, without=R1[0]), store)
    assert modes(store) == {1: "D", 2: "A"}


def test_of_several_profiles_in_a_damaged_new_file_those_that_counted_stay(mirror: Listed, store: FolderStore) -> None:
    """Of cycle 1 the file of its own counted, of cycle 2 the one that is damaged now."""
    path, many = "incois/9900101/9900101_prof.nc", core("x_1.nc", OLD, cast(1, "R"), cast(2, "R"))[1]
    mirror = mirror.with_file(*D1)
    publish(mirror.with_file(path, many, OLD), store)
    made, _ = publish(mirror.with_file(path, many[:1000], NEW), store)
    assert modes(store) == {1: "D", 2: "R"}
    assert [(loss.asset, loss.error) for loss in made.losses] == [(path, "PermanentAssetError")]


def test_nothing_that_can_be_read_is_an_empty_partition(mirror: Listed, store: FolderStore) -> None:
    made, _ = publish(mirror.with_file(path_of("R9900101_001.nc"), b"<html>", OLD), store)
    assert rows(store) == []
    assert made.geometry is None
    assert partition(store).tables["ledger"]["rule"].to_pylist() == ["unreadable"]
    publish(mirror.with_file(*R1), store)
    assert modes(store) == {1: "R"}


def test_where_the_better_file_is_damaged_the_other_one_listed_counts(mirror: Listed, store: FolderStore) -> None:
    path, data, version = D1
    publish(mirror.with_file(*R1).with_file(path, data[:100], version), store)
    assert modes(store) == {1: "R"}
    ledger = {row["rule"]: row["file"] for row in partition(store).tables["ledger"].to_pylist()}
    assert ledger == {"unreadable": path}


def test_a_file_of_another_float_is_refused(mirror: Listed, store: FolderStore) -> None:
    data = core("R9900105_001.nc", OLD, cast(1, wmo=9900105))[1]
    made, _ = publish(mirror.with_file(*R2).with_file(path_of("R9900101_001.nc"), data, OLD), store)
    assert "found profiles of float 9900105, expected those of float 9900101" in made.losses[0].cause
    assert modes(store) == {2: "A"}


def test_too_many_losses_fail_the_job(mirror: Listed, store: FolderStore, tmp_path: Path) -> None:
    listed = mirror.with_file(*R2).with_file(path_of("R9900101_001.nc"), b"<html>", OLD)
    with pytest.raises(MissingAssetsError, match=r"1 of 2 assets lost.*R9900101_001\.nc"):
        make(job_of(listed, config_of()), config_of(), store, tmp_path, max_missing_fraction=0.2)


def test_a_greylist_or_another_quality_level_reads_no_file_again(mirror: Listed, store: FolderStore) -> None:
    mirror = mirror.with_file(*R1).with_file(*D1).with_file(*R2)
    config = config_of()
    first = job_of(mirror, config)
    publish(mirror, store)
    grey = Listed(mirror.root, mirror.files, greylist=("9900101,PSAL,20240101,,4,drift,IN",))
    assert job_of(grey, config).fingerprint != first.fingerprint
    made, _ = publish(grey, store)
    levels = partition(store).tables["levels"].to_pydict()
    assert levels["psal"] == [pytest.approx(35.5 + p / 100) for p in (5, 10, 20, 50, 100)] + [None] * 5
    assert levels["psal_qc"] == [1] * 5 + [4] * 5
    assert made.properties["groundswell:files_read"] == 0
    made, _ = publish(mirror, store, config_of(qc_level="research"))
    assert partition(store).tables["levels"]["psal"].null_count == 5
    assert made.properties["groundswell:files_read"] == 0


def test_other_columns_are_read_from_the_files(mirror: Listed, store: FolderStore) -> None:
    publish(mirror.with_file(*R1), store)
    made, _ = publish(mirror.with_file(*R1), store, config_of(parameters=["TEMP"]))
    assert made.properties["groundswell:files_read"] == 1
    assert "psal" not in partition(store).tables["levels"].column_names
    assert partition(store).footer.parameters == ("PRES", "TEMP")  # type: ignore[union-attr]


def test_rows_of_another_version_of_the_product_are_not_taken_over(
    mirror: Listed, store: FolderStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is raised when the same files give other tables, so every file is read again, once."""
    listed = mirror.with_file(*R1).with_file(*R2)
    publish(listed, store)
    monkeypatch.setattr("pipeline.products._argo_make.VERSION", 2)
    read = [publish(listed, store)[0].properties["groundswell:files_read"] for _ in range(2)]
    assert read == [2, 0]


@pytest.mark.parametrize("table", ["levels", "profiles", "ledger"])
def test_a_damaged_or_lost_table_is_made_again_from_the_files(table: str, mirror: Listed, store: FolderStore) -> None:
    listed = mirror.with_file(*R1).with_file(*R2)
    publish(listed, store)
    publish(listed, store)
    whole = partition(store)
    store.put_bytes(b"PAR1 nonsense PAR1", partition_key("argo", "990010x", table))
    publish(listed, store)
    store.delete(partition_key("argo", "990010x", table))
    publish(listed, store)
    assert same_tables(whole.tables, partition(store).tables)
    assert partition(store).generation == 4
