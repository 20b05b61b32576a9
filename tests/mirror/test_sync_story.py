"""Whatever becomes of a GDAC from one sync to the next, the copy is what it lists, and a second sync has no work."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pipeline.mirror.floats import search_floats
from pipeline.search.argo import selection_of
from tests.argo_indices import GdacFolder, profile
from tests.mirror.gdacs import files_below
from tests.mirror.syncs import counts, profiles, source_of, synced

pytestmark = pytest.mark.long


def change(gdac: GdacFolder, chance: random.Random, version: str) -> None:
    """One cycle comes, is corrected, becomes delayed or real-time again, or goes; of core or of B-files."""
    cycle, letter = chance.randrange(8), chance.choice(["", "B"])
    names = {mode: profile(2902269, cycle, f"{letter}{mode}") for mode in "RD"}
    parameters = "PRES DOXY" if letter else ""
    mode = chance.choice(["R", "D", "both", "none"])
    for one, path in names.items():
        if mode in {one, "both"}:
            gdac.add(path, version, parameters=parameters)
        else:
            gdac.drop(path)


@pytest.mark.parametrize("seed", range(8))
def test_the_copy_is_what_the_index_lists_whatever_happened_before(seed: int, tmp_path: Path) -> None:
    """Of R and D that are listed both, only D is there: it counts alone."""
    gdac, chance = GdacFolder(tmp_path / "gdac"), random.Random(seed)  # noqa: S311 (no secret)
    source = source_of(gdac, tmp_path / "copy", kinds=("core", "bgc"))
    for step in range(5):
        for number in range(chance.randrange(1, 6)):
            change(gdac, chance, f"2021{step:02d}{number:08d}")
        gdac.publish(f"2022{step:02d}00000000", packed=chance.random() < 0.5)
        synced(source)
        counted = {path for path in gdac.rows if path.replace("R2902269", "D2902269") not in gdac.rows.keys() - {path}}
        assert profiles(tmp_path / "copy") == counted
        data = files_below(gdac.root)
        assert {
            path: files_below(tmp_path / "copy")[path] for path in files_below(tmp_path / "copy") if path[-1] == "c"
        } == {f"dac/{path}": data[f"dac/{path}"] for path in counted}
        assert counts(synced(source)) == (0, len(counted), 0)
        table = search_floats("argo", source, selection_of(source)).table
        current = table.filter(table["current"])
        assert set(current["path"].to_pylist()) == counted
        assert set(table["path"].to_pylist()) == gdac.rows.keys()
