"""What happened, as it happens: local JSON lines, and immutable segments beside the output for other machines."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import PreflightError, StoreError
from pipeline.execute.lease import repeated
from pipeline.types import Json
from pipeline.write.store import Store

FORMAT = 1
SEGMENT_SECONDS = 5.0
SEGMENT_RECORDS = 200


def state_folder() -> Path:
    """Where this machine keeps its own journals: `$XDG_STATE_HOME/groundswell`, usually under `~/.local/state`."""
    root = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(root) / "groundswell"


class Journal:
    """Append-only record of one run; a context manager, since the last segment is written when it closes.

    Nothing depends on it: resuming reads the committed items alone. A segment that the store refuses is kept and put
    again with the next; only the local line must succeed.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store, self._run_id = store, run_id
        folder = state_folder() / "runs"
        self.path = folder / f"{run_id}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            raise PreflightError(
                f"the journal cannot be kept in {folder}: {error.strerror}; set XDG_STATE_HOME to a writable folder"
            ) from error
        self._pending: list[str] = []
        self._segment = 0
        self._lock = threading.Lock()
        self._beat = repeated(self._put_segment, SEGMENT_SECONDS)

    def __enter__(self) -> Self:
        self.write({"event": "begin"})
        self._beat.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._beat.__exit__(None, None, None)
        self.write({"event": "end", "error": None if error is None else type(error).__name__})
        self._put_segment()
        self._file.close()

    def write(self, record: Json) -> None:
        """Append one record with its time (UTC seconds); it is on the local disk's way before this returns."""
        line = json.dumps({"format": FORMAT, "time": round(time.time(), 3), **record}, sort_keys=True)
        self._file.write(line + "\n")
        self._file.flush()
        with self._lock:
            self._pending.append(line)
        if len(self._pending) >= SEGMENT_RECORDS:
            self._put_segment()

    def _put_segment(self) -> None:
        """Every few seconds, also when nothing happens: what is written here is all that others know of the run."""
        with self._lock:
            if not self._pending:
                return
            data = ("\n".join(self._pending) + "\n").encode()
            try:
                self._store.put_bytes(data, f"runs/{self._run_id}/journal-{self._segment:06d}.jsonl")
            except StoreError:
                return  # kept in `_pending`: it goes out with the next segment
            self._segment += 1
            self._pending.clear()
