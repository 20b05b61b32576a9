"""A spooled sequence is a plain list to its readers, whatever lies in memory and whatever on disk."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest

from pipeline.types import spooled
from pipeline.types.spooled import Spooled


@pytest.mark.parametrize("buffer_bytes", [1, 100, 2**20], ids=["all on disk", "some on disk", "all in memory"])
def test_every_value_is_read_as_it_was_appended(buffer_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled, "_BUFFER_BYTES", buffer_bytes)
    values = [(number, "x" * (number % 7), None) for number in range(50)]
    found: Spooled[tuple[int, str, None]] = Spooled()
    assert [found.append(value) for value in values] == list(range(50))
    assert list(found) == values and len(found) == 50
    assert [found[number] for number in (0, 17, 49, -1)] == [values[number] for number in (0, 17, 49, -1)]
    assert found[3:40:5] == tuple(values[3:40:5])
    with pytest.raises(IndexError):
        found[50]


def test_threads_may_append_and_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every number names the value that was appended under it, also while it is on its way to the file."""
    monkeypatch.setattr(spooled, "_BUFFER_BYTES", 64)
    found: Spooled[tuple[int, int]] = Spooled()
    wrong = []

    def work(name: int) -> None:
        for number in range(300):
            place = found.append((name, number))
            if found[place] != (name, number):
                wrong.append(place)

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sorted(found) == [(name, number) for name in range(4) for number in range(300)]


def test_its_file_has_no_name_and_is_closed_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(spooled, "_BUFFER_BYTES", 1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = set(Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").exists() else set()
    found: Spooled[int] = Spooled()
    found.append(1)
    assert not list(tmp_path.iterdir())
    assert found[0] == 1
    del found
    if before:
        assert set(Path("/proc/self/fd").iterdir()) - before <= set()


def test_it_stays_in_its_process() -> None:
    with pytest.raises(TypeError, match="stays in its process"):
        pickle.dumps(Spooled[int]())
