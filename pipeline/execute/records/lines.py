"""Lines of a journal: each says by a checksum that it is what was written, and a damaged one costs itself."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator

from pipeline.errors import StoreError
from pipeline.types import Json
from pipeline.write.store import Store

FORMAT = 1
_CHECKED = re.compile(rb', "crc": "([0-9a-f]{8})"\}$')
_SEGMENT = re.compile(r"journal-([0-9]+)\.jsonl")


def line_of(record: Json) -> str:
    """A record as one line of JSON without its end; the last member, `crc`, is CRC-32 of the line without it."""
    line = json.dumps({"format": FORMAT, **record}, sort_keys=True)
    return f'{line[:-1]}, "crc": "{zlib.crc32(line.encode()):08x}"}}'


def read_records(data: bytes, where: str) -> tuple[list[Json], list[str]]:
    """Records of a journal, and what is wrong with the lines that are none, in words that begin with `where`.

    The last line may be torn, by a full disk or a kill: it was never told to anybody, and is dropped. Any other damaged
    line is set aside. Lines of earlier versions have no checksum. Raises StoreError for a newer format.
    """
    records, faults = list[Json](), list[str]()
    lines = data.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        record = _record(line)
        if record is None:
            what = "the last record is torn, and is dropped" if number == len(lines) else "damaged, and is set aside"
            faults.append(f"{where}, line {number}: {what}")
        elif record["format"] > FORMAT:
            raise StoreError(f"{where}: written by a newer version (format {record['format']}); upgrade to read it")
        else:
            records.append(record)
    return records, faults


def journal_records(store: Store, run_id: str, tell: Callable[[str], None]) -> Iterator[Json]:
    """Every record of a run in the order of writing, as far as it lies beside the output; tell: of what lacks.

    Raises StoreError where the output cannot be read, and for a newer format.
    """
    folder = f"runs/{run_id}/"
    names = (_SEGMENT.fullmatch(key.removeprefix(folder)) for key, _ in store.list_objects(folder))
    found = {int(name[1]): f"{folder}{name[0]}" for name in names if name is not None}
    due = 0
    for number in sorted(found):
        if number > due:
            lacking = f"segment {due}" if number == due + 1 else f"segments {due} to {number - 1}"
            tell(f"{store.uri}, run {run_id}: of its journal, {lacking} cannot be found")
        due = number + 1
        records, faults = read_records(store.get_bytes(found[number]), f"{store.uri}, key {found[number]}")
        for fault in faults:
            tell(fault)
        yield from records


def _record(line: bytes) -> Json | None:
    """The record of a line; None where it is none, or not the one that was written."""
    checked = _CHECKED.search(line)
    if checked is not None:
        line = line[: checked.start()] + b"}"
        if zlib.crc32(line) != int(checked[1], 16):
            return None
    try:
        record = json.loads(line)
        known = isinstance(record["format"], int)
    except (ValueError, LookupError, TypeError):
        return None
    return record if known else None
