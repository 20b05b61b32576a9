"""What is sent again is counted where it belongs, and pauses are bounded and never alike."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from pipeline.types import Job, Made
from pipeline.write.commit import commit
from pipeline.write.retry import again, counting, pause
from pipeline.write.store import FolderStore


class Twice(FolderStore):
    """Every file is sent twice."""

    def put_file(self, path: Path, key: str) -> None:
        again()
        super().put_file(path, key)


def test_a_block_counts_its_own_thread_alone() -> None:
    again()
    with counting() as outer:
        again()
        other = threading.Thread(target=again)
        other.start()
        other.join()
        with counting() as inner:
            again()
        assert (outer.count, inner.count) == (1, 1)
        again()
    again()
    assert outer.count == 2


def test_a_commit_counts_what_its_own_threads_send_again(tmp_path: Path, job: Job, made: Made) -> None:
    """Files, and objects of a folder, of which some are on their way at once."""
    store = Twice(str(tmp_path / "out"))
    with counting() as sent_again:
        commit(store, job, made)
    files = sum(len(file.objects) or 1 for file in made.files)
    assert any(len(file.objects) > 1 for file in made.files)
    assert sent_again.count == files


def test_pauses_grow_are_bounded_and_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    for _ in range(200):
        for attempt in range(1, 12):
            pause(attempt)
    most = [max(slept[attempt::11]) for attempt in range(11)]
    assert all(0.8 * bound < found <= bound for found, bound in zip(most, (0.5, 1, 2, 4, *[8] * 7), strict=True))
    assert len(set(slept)) > 2000
