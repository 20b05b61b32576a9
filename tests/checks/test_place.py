"""Where results lie: every key of S3 has a place of its own that folders and buckets can hold."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.checks.place import page_key, result_key
from pipeline.write.folder import FolderStore
from pipeline.write.keys import check_key

PARTS = st.one_of(
    st.sampled_from(["", ".", "..", "%", "%2E", "a.json", "a.csv", ".tmp-x", "e\u0301", "\u00e9", "x" * 300, "%long"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), max_size=6),
)
KEYS = st.lists(PARTS, min_size=1, max_size=4).map("/".join).filter(bool)


@given(KEYS)
@example("a" * 1024)
@example("/".join("x" * 7 for _ in range(128)))
def test_every_key_has_a_place_that_stores_take(key: str) -> None:
    place = result_key("rule", "bucket", key)
    assert check_key(place) == place and check_key(page_key("rule", "bucket", key))
    assert all(len(part.encode()) < 255 for part in place.split("/"))


@given(st.lists(KEYS, min_size=2, max_size=6, unique=True))
@example(["a", "a%2E", "%2E", "."])
@example(["\u00e9", "e\u0301", "e%CC%81"])
@example(["x" * 300, "x" * 301, "x" * 180])
def test_two_objects_never_share_a_place(keys: list[str]) -> None:
    places = [result_key("rule", "bucket", key) for key in keys]
    assert len(set(places)) == len(keys)
    for one, other in combinations([*places, *(page_key("rule", "bucket", key) for key in keys)], 2):
        assert not one.startswith(f"{other}/") and not other.startswith(f"{one}/"), "a file in the way of a folder"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("2024/buoys.csv", "checks/r/b/2024/buoys.csv.json"),
        ("red flower+é.csv", "checks/r/b/red flower+é.csv.json"),
        ("a%20b.csv", "checks/r/b/a%2520b.csv.json"),
        ("a//b", "checks/r/b/a/%/b.json"),
        ("a.json/b", "checks/r/b/a%2Ejson/b.json"),
    ],
)
def test_places_are_what_people_expect(key: str, place: str) -> None:
    assert result_key("r", "b", key) == place


def test_a_folder_holds_them_side_by_side(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    keys = ["a.csv", "a.csv/b.csv", "a.csv.json/b.csv", "../x", "a//b", "é", "é"]
    for key in keys:
        store.put_bytes(key.encode(), result_key("r", "b", key))
    assert [store.get_bytes(result_key("r", "b", key)).decode() for key in keys] == keys
