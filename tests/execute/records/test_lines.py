"""A line of a journal is what was written, or it is set aside and named; whatever befalls one costs no other."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from pipeline.errors import StoreError
from pipeline.execute.records.lines import FORMAT, journal_records, line_of, read_records
from pipeline.types import Json
from pipeline.write.store import FolderStore

RECORDS: list[Json] = [{"event": "job", "number": number, "text": 'é\n"', "float": 0.1 + number} for number in range(5)]
WRITTEN = [{"format": FORMAT, **record} for record in RECORDS]
LINES = [line_of(record).encode() for record in RECORDS]
DATA = b"".join(line + b"\n" for line in LINES)


def test_what_is_written_is_read_back() -> None:
    """Each line is JSON by itself, for those who know nothing of checksums."""
    assert read_records(DATA, "here") == (WRITTEN, [])
    plain = [json.loads(line) for line in LINES]
    assert all(len(one.pop("crc")) == 8 for one in plain)
    assert plain == WRITTEN


def test_lines_without_a_checksum_are_read() -> None:
    old = b"".join(json.dumps(record).encode() + b"\n" for record in WRITTEN)
    assert read_records(old, "here") == (WRITTEN, [])


@pytest.mark.parametrize("cut", [1, 10, len(LINES[4]) - 1])
def test_a_torn_last_record_is_dropped_and_said(cut: int) -> None:
    torn = DATA[: -1 - cut]
    records, faults = read_records(torn, "here")
    assert records == WRITTEN[:4]
    assert faults == ["here, line 5: the last record is torn, and is dropped"]
    assert read_records(DATA[:-1], "here") == (WRITTEN, []), "only its end lacks"


def test_any_flipped_bit_is_found_and_costs_one_record() -> None:
    """Two where it is the end of a line that is lost. Never is a record read that nobody wrote."""
    source = random.Random(25)  # noqa: S311 (chooses test cases)
    for _ in range(400):
        data = bytearray(DATA)
        place = source.randrange(len(data))
        data[place] ^= 1 << source.randrange(8)
        records, faults = read_records(bytes(data), "here")
        unchecked = [{name: one[name] for name in WRITTEN[0] if name in one} for one in records]
        assert all(one in WRITTEN for one in unchecked)
        assert len(records) >= 3 and len(faults) <= 2
        assert all(fault.startswith("here, line ") for fault in faults)


def test_a_damaged_line_is_set_aside() -> None:
    damaged = DATA.replace(b'"number": 2', b'"number": 7')
    assert read_records(damaged, "here") == (
        [*WRITTEN[:2], *WRITTEN[3:]],
        ["here, line 3: damaged, and is set aside"],
    )


def test_a_newer_format_is_not_guessed_at() -> None:
    newer = line_of({"format": FORMAT + 1}).encode()
    with pytest.raises(StoreError, match="here: written by a newer version"):
        read_records(newer, "here")


def test_segments_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """One that lacks is said, as is damage in another; neither ends the reading."""
    store, told = FolderStore(str(tmp_path)), list[str]()
    for number in (0, 1, 3, 10**12):
        store.put_bytes(line_of({"number": number}).encode(), f"runs/r/journal-{number:06d}.jsonl")
    store.put_bytes(b"?\n" + line_of({"number": 2}).encode(), "runs/r/journal-000002.jsonl")
    store.put_bytes(b"", "runs/r/journal-x.jsonl")
    store.put_bytes(line_of({"number": 5}).encode(), "runs/r/journal-000005.jsonl")
    assert [one["number"] for one in journal_records(store, "r", told.append)] == [0, 1, 2, 3, 5, 10**12]
    assert told == [
        f"{tmp_path}, key runs/r/journal-000002.jsonl, line 1: damaged, and is set aside",
        f"{tmp_path}, run r: of its journal, segment 4 cannot be found",
        f"{tmp_path}, run r: of its journal, segments 6 to 999999999999 cannot be found",
    ]
