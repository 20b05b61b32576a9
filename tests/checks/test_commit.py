"""The commit of a result: the document last, and first to go."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.checks.commit import commit, committed, withdraw
from pipeline.checks.place import page_key, result_key
from pipeline.checks.result import Result, Subject
from pipeline.errors import StoreError
from pipeline.write.folder import FolderStore

PLACE = ("rule", "bucket", "a/b.csv")
RESULT = Result(Subject(*PLACE, 8, "etag"), "print")


def test_a_result_is_found_until_it_is_withdrawn(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    assert committed(store, *PLACE) is None
    assert commit(store, RESULT) == result_key(*PLACE)
    assert committed(store, *PLACE) == RESULT
    assert sorted(store.list_keys()) == [page_key(*PLACE), result_key(*PLACE)]
    assert withdraw(store, *PLACE) and list(store.list_keys()) == [] and not withdraw(store, *PLACE)


def test_a_document_that_is_none_counts_as_nothing(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    store.put_bytes(b"half of a docum", result_key(*PLACE))
    assert committed(store, *PLACE) is None


def test_without_its_page_no_document_is_committed(tmp_path: Path) -> None:
    store = FolderStore(str(tmp_path))
    (tmp_path / page_key(*PLACE)).mkdir(parents=True)  # nothing can be put there
    with pytest.raises(StoreError):
        commit(store, RESULT)
    assert committed(store, *PLACE) is None
