"""Whatever a level of quality withholds of real files stands in the ledger, profile by profile; nothing else does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.write.store import FolderStore
from tests.products.argo_world import Listed, config_of, job_of, partition, publish

PARAMETERS = ("PRES", "TEMP", "PSAL", "DOXY")
Profile = tuple[Any, ...]


def who(row: dict[str, Any]) -> Profile:
    return tuple(row[name] for name in ("wmo", "cycle", "direction", "kind", "profile_index"))


def withheld(levels: list[dict[str, Any]], name: str) -> Counter[Profile]:
    """How many levels of each profile have a value in the file and no best value."""
    return Counter(
        who(row)
        for row in levels
        if row[name] is None
        and (row[f"{name}_raw"] is not None or (row[f"{name}_mode"] != "R" and row[f"{name}_adjusted"] is not None))
    )


@pytest.mark.parametrize(
    ("bucket", "quality"),
    [
        ("690324", "standard"),
        ("690324", "research"),
        ("590607", "standard"),
        ("290174", "research"),
        ("290174", "expert"),
    ],
)
def test_every_null_has_its_row(shared_data: Path, tmp_path: Path, bucket: str, quality: str) -> None:
    """As several rules may meet one level, a profile's nulls are at least the largest count, at most all together."""
    gdac = shared_data / "argo" / "gdac"
    files = sorted(path.relative_to(gdac / "dac").as_posix() for path in gdac.glob(f"dac/*/{bucket}?/profiles/*.nc"))
    if not files:
        pytest.skip(f"needs the real Argo files in {gdac}")
    greylist = tuple((gdac / "ar_greylist.txt").read_text(encoding="latin-1").splitlines())
    listed = Listed(gdac, dict.fromkeys(files, "20240101000000"), greylist=greylist)
    config, store = config_of(parameters=[*PARAMETERS], qc_level=quality), FolderStore(str(tmp_path))
    publish(listed, store, config)
    tables = partition(store, job_of(listed, config).tile.id).tables
    levels, ledger = tables["levels"].to_pylist(), tables["ledger"].to_pylist()
    found = 0
    for parameter in PARAMETERS:
        nulls = withheld(levels, parameter.lower())
        told: dict[Profile, list[int]] = {}
        for row in ledger:
            if row["parameter"] == parameter and row["action"] == "null":
                told.setdefault(who(row), []).append(row["levels"])
        assert told.keys() == nulls.keys()
        for profile, counts in told.items():
            assert max(counts) <= nulls[profile] <= sum(counts), (profile, parameter)
        found += nulls.total()
    assert (found > 0) == (quality != "expert")
