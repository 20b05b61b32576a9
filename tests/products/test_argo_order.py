"""Whatever happened before: a partition is what its last set of files makes it."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.write.store import FolderStore
from tests.products.argo_world import Listed, cast, core, partition, publish, same_tables

V1, V2, V3 = "20240701000000", "20240801000000", "20240815000000"
_NUMBERS = count()


@lru_cache(maxsize=1)
def pool() -> tuple[tuple[str, bytes, str], ...]:
    """Versions of cycles 1 and 2, ascending and descending, one file each, and several profiles in one file."""
    many = core("x_1.nc", V2, cast(1, "A", shift=0.125), cast(2, "D", shift=0.375), cast(3, "R"))[1]
    return (
        core("R9900101_001.nc", V1, cast(1, "R")),
        core("D9900101_001.nc", V2, cast(1, "D", shift=0.5, longitude=-40.0), cast(1, "R", shift=0.0)),
        core("R9900101_001D.nc", V1, cast(1, "A", shift=0.25, direction="D")),
        core("R9900101_002.nc", V3, cast(2, "A", shift=0.25)),
        core("D9900102_002.nc", V1, cast(2, "D", wmo=9900102)),
        ("incois/9900101/9900101_prof.nc", many, V2),
    )


states = st.lists(st.sets(st.sampled_from(range(6)), min_size=1), min_size=2, max_size=4)


@pytest.mark.long
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states)
def test_any_history_ends_as_its_last_state(tmp_path: Path, history: list[set[int]]) -> None:
    everything = Listed(tmp_path / "gdac")
    for file in pool():
        everything = everything.with_file(*file)
    folder, files = tmp_path / str(next(_NUMBERS)), list(everything.files.items())
    store, alone = FolderStore(str(folder / "out")), FolderStore(str(folder / "alone"))
    for day, chosen in enumerate(history):
        listed = replace(everything, files=dict(files[number] for number in chosen), index=f"2024090{day}000000")
        publish(listed, store)
    publish(listed, alone)
    ours, theirs = partition(store), partition(alone)
    assert same_tables(ours.tables, theirs.tables)
    assert ours.footer is not None
    assert theirs.footer is not None
    assert (ours.footer.inputs, ours.footer.fingerprint) == (theirs.footer.inputs, theirs.footer.fingerprint)
    assert ours.generation == len(history)
