"""What is committed is listed beside everything else, and one listing is enough while nobody removes anything."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from pipeline.errors import PreflightError, StoreError
from pipeline.execute.driver.listings import Listings
from pipeline.execute.records.lease import LOCKS
from pipeline.execute.records.runs import note_removal, removals, settle_run
from pipeline.types import Plan, Skip
from pipeline.write.store import FolderStore, Store

PLAN = Plan((), (Skip("p/t/m", "0" * 32, "already committed"),))
ITEM = f"items/p/t_m_{'0' * 32}.json"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(str(tmp_path / "out"))


def test_a_listing_goes_on_until_somebody_asks(store: FolderStore) -> None:
    go = threading.Event()

    def slowly(_: Store, product: str) -> Mapping[str, str]:
        assert go.wait(60)
        return {"f": f"items/{product}/f.json"}

    found = Listings(store, {"p": slowly, "q": slowly})
    assert list(found) == ["p", "q"] and found.get("none") is None
    go.set()
    assert dict(found) == {"p": {"f": "items/p/f.json"}, "q": {"f": "items/q/f.json"}}
    assert found.since == ""


def test_a_failed_listing_is_told_to_whoever_asks(store: FolderStore) -> None:
    def fail(_store: Store, product: str) -> Mapping[str, str]:
        raise StoreError(f"{product} cannot be listed")

    found = Listings(store, {"p": fail})
    with pytest.raises(StoreError, match="p cannot be listed"):
        found["p"]


def test_nothing_is_listed_again_while_nothing_is_removed(store: FolderStore) -> None:
    """The item is not there: only a second listing would see that."""
    since = removals(store)
    settle_run(store, PLAN, pytest.fail, since)
    with pytest.raises(PreflightError, match="were removed"):
        settle_run(store, PLAN, pytest.fail)


def test_after_a_removal_everything_is_looked_at_again(store: FolderStore) -> None:
    since = removals(store)
    note_removal(store)
    with pytest.raises(PreflightError, match="were removed"):
        settle_run(store, PLAN, pytest.fail, since)
    since = removals(store)
    assert since
    settle_run(store, PLAN, pytest.fail, since)
    note_removal(store)
    store.put_bytes(b"{}", ITEM)
    settle_run(store, PLAN, pytest.fail, since)


def test_what_was_listed_during_a_removal_is_listed_again(store: FolderStore) -> None:
    store.put_bytes(b"{}", f"{LOCKS}vacuum.json")
    assert removals(store) is None
