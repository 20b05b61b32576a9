"""Only who sees everything, and sees it last, may take away: older indices, those of a week, runs of single floats."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.errors import StoreError
from pipeline.plan.argo_schema import partition_key
from pipeline.write.store import FolderStore
from tests.products.argo_world import (
    D1,
    OLD,
    R1,
    R2,
    Listed,
    cast,
    core,
    mirror,
    partition,
    publish,
    rows,
    store,
)

__all__ = ["mirror", "store"]


def modes(store: FolderStore) -> dict[int, str]:
    return {row["cycle"]: row["data_mode"] for row in rows(store)}


def test_an_older_index_changes_nothing(mirror: Listed, store: FolderStore) -> None:
    newer = Listed(mirror.root, index="20240902000000").with_file(*D1)
    publish(newer, store)
    made, done = publish(mirror.with_file(*R1), store)
    assert done is None
    assert "20240902000000" in made.warnings[0]
    assert modes(store) == {1: "D"}


def test_an_index_of_one_week_only_adds_and_replaces(mirror: Listed, store: FolderStore) -> None:
    publish(mirror.with_file(*R1).with_file(*R2), store)
    publish(Listed(mirror.root, complete=False, index="20240908000000").with_file(*D1), store)
    assert modes(store) == {1: "D", 2: "A"}
    assert partition(store).footer.index_date == "20240908000000"  # type: ignore[union-attr]


def test_what_the_index_lists_and_nobody_asks_for_now_stays(mirror: Listed, store: FolderStore) -> None:
    """Month by month, or of another area, data centre or parameter; what no index lists any more is dropped."""
    june, july = mirror.with_file(*R1), mirror.with_file(*R2)
    other = core("R9900102_001.nc", OLD, cast(1, wmo=9900102))
    grey = "9900102,PSAL,20240101,,4,drift,IN"
    publish(replace(june.with_file(*other), greylist=(grey,)), store)
    publish(replace(july, beside=(R1[0], other[0]), index="20240902000000"), store)
    assert {(row["wmo"], row["cycle"]) for row in rows(store)} == {(9900101, 1), (9900101, 2), (9900102, 1)}
    assert partition(store).footer.greylist == (grey,)  # type: ignore[union-attr]
    publish(replace(july, beside=(D1[0], other[0]), index="20240902500000"), store)
    assert (9900101, 1) in {(row["wmo"], row["cycle"]) for row in rows(store)}, "what is delayed by now is not read now"
    publish(replace(july, beside=(other[0],), index="20240903000000"), store)
    assert {(row["wmo"], row["cycle"]) for row in rows(store)} == {(9900101, 2), (9900102, 1)}


@pytest.mark.parametrize("complete", [True, False])
def test_a_run_of_one_float_keeps_what_the_greylist_says_of_the_others(
    complete: bool, mirror: Listed, store: FolderStore
) -> None:
    """Its job has only its own float's lines; a run that lists the others again has theirs as they are now."""
    both = mirror.with_file(*R1).with_file(*core("R9900102_001.nc", OLD, cast(1, wmo=9900102)))
    grey = "9900101,PSAL,20240101,,4,drift,IN"
    publish(replace(both, greylist=(grey,)), store)
    other = {path: version for path, version in both.files.items() if "9900102" in path}
    publish(replace(both, files=both.files if complete else other, complete=complete), store)
    levels = partition(store).tables["levels"].to_pydict()
    assert levels["psal_qc"] == ([1] if complete else [4]) * 5 + [1] * 5
    assert partition(store).footer.greylist == (() if complete else (grey,))  # type: ignore[union-attr]


def test_who_lists_some_files_only_does_not_replace_what_cannot_be_read(mirror: Listed, store: FolderStore) -> None:
    """Nobody knows then what else was there; a run that lists everything makes it anew."""
    both = mirror.with_file(*R1).with_file(*R2)
    publish(both, store)
    store.put_bytes(b"PAR1 nonsense PAR1", partition_key("argo", "990010x"))
    some = replace(both, files={R2[0]: R2[2]}, complete=False)
    with pytest.raises(StoreError, match=r"levels\.parquet: found no partition that can be read.*lists some"):
        publish(some, store)
    publish(both, store)
    publish(some, store)
    assert modes(store) == {1: "R", 2: "A"}
