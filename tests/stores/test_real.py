"""Real floats through the product into the databases: every number, and of each pair of R and D file one profile."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pipeline.config import RunConfig
from pipeline.config.stores import StoresConfig
from pipeline.stores.load import load_stores
from pipeline.stores.postgres import Connection
from pipeline.write.store import open_store
from tests.products.argo_world import Listed, config_of, publish
from tests.stores.held import differences, documents, identities

pytestmark = pytest.mark.long

FLOATS = {
    "incois/2902269": "290226x",
    "nmdis/2901623": "290162x",
    "coriolis/3902131": "390213x",
    "coriolis/6903247": "690324x",
}
CONFIG = config_of(parameters=["PRES", "TEMP", "PSAL", "DOXY", "CHLA", "MTIME"])
PAIRED = {
    "290226x": {(2902269, cycle, "A", "core", 0) for cycle in (0, 1, 10, 50)},
    "290162x": {(2901623, 1, "A", "core", 0)},
    "390213x": {(3902131, 1, direction, "bgc", 0) for direction in "AD"},
}
"""Profiles of which the sample has both files."""


def listed(root: Path, place: str, *, delayed: bool) -> Listed:
    """The cycle files of a float, dated by their kind; without the delayed ones of pairs, or with all."""
    names = {file.name for file in (root / "dac" / place / "profiles").glob("*.nc")}
    late = {name for name in names if re.match("[BS]?D", name)}
    chosen = (
        names if delayed else {name for name in names if name not in late or name.replace("D", "R", 1) not in names}
    )
    files = {f"{place}/profiles/{name}": f"2023{'02' if name in late else '01'}01000000" for name in sorted(chosen)}
    return Listed(root, files, index=f"202{4 if delayed else 3}0101000000")


@pytest.mark.parametrize("late", [False, True], ids=["real time first", "delayed mode first"])
def test_pairs_end_as_one_delayed_profile_in_either_order(
    shared_data: Path, tmp_path: Path, config: RunConfig, stores: StoresConfig, database: Connection, *, late: bool
) -> None:
    """And every number that PostgreSQL holds is the partition's, whichever state came first."""
    root, place = shared_data / "argo" / "gdac", tmp_path / "out"
    store = open_store(str(place))
    for one in FLOATS:
        publish(listed(root, one, delayed=False), store, CONFIG)
    shutil.copytree(place, tmp_path / "early")
    if not late:
        load_stores(store, config)
    for one in FLOATS:
        publish(listed(root, one, delayed=True), store, CONFIG)
    loaded = load_stores(store, config)
    assert loaded.notes == ()
    if late:
        shutil.rmtree(place)
        shutil.move(tmp_path / "early", place)
        behind = load_stores(store, config)
        assert len(behind.notes) == len(FLOATS) and (behind.inserted, behind.updated, behind.deleted) == (0, 0, 0)
    else:
        assert loaded.promoted >= sum(map(len, PAIRED.values()))
        assert [fault for bucket in FLOATS.values() for fault in differences(database, store, bucket)] == []
    held = identities(database)
    assert len(held) == len({each[:5] for each in held})
    for identity in set().union(*PAIRED.values()):
        ((mode, file),) = [each[5:] for each in held if each[:5] == identity]
        assert mode == "D" and Path(file).name.lstrip("B").startswith("D")
    shown = documents(stores)["float:2902269"]
    assert {one["data_mode"] for one in shown} == {"D"} and [one["cycle"] for one in shown] == [50, 10, 1]
