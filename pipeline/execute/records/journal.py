"""What happened, as it happens: local JSON lines, and immutable segments beside the output for other machines."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from pipeline.errors import CredentialsError, PreflightError, StoreError
from pipeline.execute.records.lease import repeated
from pipeline.execute.records.lines import line_of
from pipeline.types import Begun, ClusterEvent, Json, Outcome
from pipeline.write.store import Store

SEGMENT_SECONDS = 5.0
SEGMENT_RECORDS = 200
_NOTHING: Mapping[str, Json] = MappingProxyType({})


def state_folder() -> Path:
    """Where this machine keeps its own journals: `$XDG_STATE_HOME/groundswell`, usually under `~/.local/state`."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "groundswell"


class Journal:
    """Append-only record of one run, as a listener; a context manager, since the last segment is written at its end.

    Nothing depends on it: resuming reads the committed items alone. A segment that the store refuses is kept and put
    again with the next. A local disk that is full ends the run, as one of which nobody would know what it did; until
    then the segments go on, and the local file has whole lines only. May be called from any thread.
    """

    def __init__(
        self,
        store: Store,
        run_id: str,
        halt: Callable[[str], None] = lambda _: None,
        begin: Mapping[str, Json] = _NOTHING,
    ) -> None:
        """halt: ends the run for a reason. begin: what else its first record says. Raises PreflightError."""
        self._store, self._run_id, self._halt, self._begin = store, run_id, halt, begin
        self._end: dict[str, Json] = {}
        self._file = _File(state_folder() / "runs" / f"{run_id}.jsonl")
        self._pending: list[str] = []
        self._segment = 0
        self._refused = False
        """By the store, just now: it is not asked again before its time."""
        self._lock, self._due = threading.Lock(), threading.Event()
        self._beat = repeated(self._put_segment, SEGMENT_SECONDS, self._due)

    @property
    def path(self) -> Path:
        """The local file."""
        return self._file.path

    def __enter__(self) -> Self:
        """Raises PreflightError where not even the first record has room."""
        try:
            self._append({"event": "begin", **self._begin})
        except OSError as error:
            self._file.close()
            raise self._file.refused(error) from error
        self._beat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beat.__exit__(None, None, None)
        self.write({"event": "end", "error": None if error is None else type(error).__name__, **self._end})
        self._put_segment()
        self._file.close()

    def over(self, code: int, reason: str | None) -> None:
        """What the last record will say: the run's exit code, and why it ended early where it did."""
        self._end = {"code": code, "reason": reason}

    def cluster(self, event: ClusterEvent) -> None:
        self.write({"event": "cluster", **asdict(event)})

    def began(self, begun: Begun) -> None:
        self.write({"event": "start", **asdict(begun)})

    def ended(self, outcome: Outcome) -> None:
        self.write({"event": "job", **asdict(outcome)})

    def write(self, record: Json) -> None:
        """Append one record with its time (UTC seconds); it is on the local disk's way before this returns.

        Segments are put by a thread of their own: whoever tells of jobs never waits for the store.
        """
        try:
            self._append(record)
        except OSError as error:
            self._halt(f"journal {self.path}: {error.strerror}: make room there, and run the same command again")
        if len(self._pending) >= SEGMENT_RECORDS and not self._refused:
            self._due.set()

    def _append(self, record: Json) -> None:
        with self._lock:
            line = line_of({"time": round(time.time(), 3), **record})
            self._pending.append(line)
            self._file.append(line)

    def _put_segment(self) -> None:
        """Every few seconds, also when nothing happens: what is written here is all that others know of the run."""
        with self._lock:
            lines = list(self._pending)
        if not lines:
            return
        self._refused = True
        try:
            data = ("\n".join(lines) + "\n").encode()
            self._store.put_bytes(data, f"runs/{self._run_id}/journal-{self._segment:06d}.jsonl")
        except CredentialsError as error:
            self._halt(str(error))
            return
        except StoreError:
            return  # kept in `_pending`: it goes out with the next segment
        self._refused = False
        self._segment += 1
        with self._lock:
            del self._pending[: len(lines)]


class _File:
    """A local file of lines: none is ever there in part, and one that finds no room waits for the next."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self.refused(error) from error
        self._size = os.fstat(self._handle).st_size
        self._waiting = b""

    def refused(self, error: OSError) -> PreflightError:
        return PreflightError(
            f"the journal cannot be kept in {self.path.parent}: {error.strerror}; set XDG_STATE_HOME to a writable "
            "folder with room"
        )

    def append(self, line: str) -> None:
        """Raises OSError where there is no room for it now."""
        self._waiting += line.encode() + b"\n"
        done = 0
        try:
            while done < len(self._waiting):
                done += os.write(self._handle, self._waiting[done:])
        except OSError:
            os.ftruncate(self._handle, self._size)
            raise
        self._size += done
        self._waiting = b""

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._handle)
