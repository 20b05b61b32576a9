"""What a local copy holds: a table of files with the version of each, kept as a snapshot and a log behind it.

A line is written to the log as soon as its file has its name, so a process that is killed loses at most the word about
files that are there; those are known again by what stands in them (`reconcile`). Lines carry a checksum: one that was
torn costs itself. The snapshot is replaced in one step, and what the log says once more of it changes nothing.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import PreflightError
from pipeline.mirror.fetch import Fetched

FOLDER = ".groundswell"
SNAPSHOT, LOG, LOCK = "manifest.parquet", "manifest.jsonl", "lock"
LONG_LOG = 50_000
"""Lines after which a new snapshot is made."""
SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("version", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("sha256", pa.binary(32), nullable=False),
        pa.field("mirror", pa.string(), nullable=False),
        pa.field("time", pa.timestamp("us", "UTC"), nullable=False),
    ]
)
Row = dict[str, Any]


class Manifest:
    """The table, open for writing; one process at a time."""

    def __init__(self, root: Path) -> None:
        """Read what is there; as `open_manifest` does, which also takes the lock."""
        self.root = root
        self._folder = root / FOLDER
        self._table, self._changed, lines, self._notes = _load(self._folder)
        self._lines = lines
        self._log: BinaryIO = (self._folder / LOG).open("ab", buffering=0)
        if lines:  # the last one may have been torn: nothing is written behind it
            self.compact()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was damaged, and what became of it."""
        return tuple(self._notes)

    def table(self) -> pa.Table:
        """One row a file, sorted by path; of SCHEMA."""
        if self._changed:
            self._table, self._changed = _merged(self._table, self._changed), {}
        return self._table

    def record(self, got: Fetched) -> None:
        """A file is there, as of now. Raises PreflightError where the log cannot be written."""
        row = {
            "path": got.path,
            "version": got.version,
            "size_bytes": got.size_bytes,
            "sha256": got.sha256,
            "mirror": got.mirror,
            "time": datetime.now(UTC).isoformat(),
        }
        self._append(got.path, row)

    def forget(self, path: str) -> None:
        """A file is there no more."""
        self._append(path, None)

    def compact(self) -> None:
        """Make a snapshot of all, then empty the log. Raises PreflightError where it cannot be written."""
        temporary = self._folder / f"{SNAPSHOT}.new"
        try:
            with temporary.open("wb") as file:
                pq.write_table(self.table(), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._folder / SNAPSHOT)
        except OSError as error:
            raise PreflightError(f"{temporary}: cannot be written: {error.strerror or error}; make room") from error
        self._log.truncate(0)
        self._lines = 0

    def close(self) -> None:
        """Everything was written already."""
        self._log.close()

    def _append(self, path: str, row: Row | None) -> None:
        body = json.dumps({"path": path, "row": row}, ensure_ascii=False, separators=(",", ":")).encode()
        line = b"%08x %s\n" % (zlib.crc32(body), body)
        try:
            # One call of the system: what a kill can leave is a line, or none.
            written = self._log.write(line)
        except OSError as error:
            raise PreflightError(f"{self._folder / LOG}: cannot be written: {error.strerror}; make room") from error
        if written != len(line):
            raise PreflightError(f"{self._folder / LOG}: {written} of {len(line)} bytes were written; make room")
        self._changed[path] = row
        self._lines += 1
        if self._lines >= LONG_LOG:
            self.compact()


@contextmanager
def open_manifest(root: Path) -> Iterator[Manifest]:
    """The manifest of a local copy, made where there is none, held by this process until the block ends.

    Raises PreflightError where another process holds it, or nothing can be written there.
    """
    folder = root / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = (folder / LOCK).open("a+")
    except OSError as error:
        raise PreflightError(f"{folder}: cannot be written: {error.strerror}; correct `mirror`") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise PreflightError(
                f"{root}: another sync is at work here ({handle.read().strip() or 'just begun'}); wait for its end"
            ) from None
        handle.truncate(0)
        handle.write(f"process {os.getpid()} on {socket.gethostname()}")
        handle.flush()
        manifest = Manifest(root)
        try:
            yield manifest
        finally:
            manifest.close()


def read_manifest(root: Path) -> pa.Table:
    """The table as it is now, without the lock; empty where there is none."""
    table, changed, _, _ = _load(root / FOLDER)
    return _merged(table, changed)


def _load(folder: Path) -> tuple[pa.Table, dict[str, Row | None], int, list[str]]:
    """(snapshot, what the log changes of it, lines of the log, what was damaged).

    The log first: a snapshot that is made meanwhile holds what it says already.
    """
    changed: dict[str, Row | None] = {}
    notes: list[str] = []
    lines = _lines(folder / LOG)
    for number, line in enumerate(lines, 1):
        entry = _entry(line)
        if entry is None:
            notes.append(f"{folder / LOG}, line {number}: damaged, left out; the file it was about is looked at again")
        else:
            changed[entry[0]] = entry[1]
    table = SCHEMA.empty_table()
    try:
        table = pq.read_table(folder / SNAPSHOT, schema=SCHEMA, partitioning=None)
    except FileNotFoundError:
        pass
    except (pa.ArrowException, OSError) as error:
        notes.append(
            f"{folder / SNAPSHOT}: cannot be read ({type(error).__name__}); made anew from the files themselves"
        )
    return table, changed, len(lines), notes


def _lines(log: Path) -> list[bytes]:
    try:
        lines = log.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return lines if lines[-1] else lines[:-1]


def _entry(line: bytes) -> tuple[str, Row | None] | None:
    check, _, body = line.partition(b" ")
    if check != b"%08x" % zlib.crc32(body):
        return None
    found = json.loads(body)
    return found["path"], found["row"]


def _merged(table: pa.Table, changed: dict[str, Row | None]) -> pa.Table:
    if not changed:
        return table
    kept = table.filter(pc.invert(pc.is_in(table["path"], pa.array(list(changed), pa.string()))))
    rows = [_typed(row) for row in changed.values() if row is not None]
    return pa.concat_tables([kept, pa.Table.from_pylist(rows, SCHEMA)]).sort_by("path").combine_chunks()


def _typed(row: Row) -> Row:
    return row | {"sha256": bytes.fromhex(row["sha256"]), "time": datetime.fromisoformat(row["time"])}
