"""Files of jobs that are to be made again: what failed in a run, as JSON lines that `--replay` takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from pipeline.errors import ConfigError, StoreError
from pipeline.execute.listen import Silent
from pipeline.types import Outcome, Status
from pipeline.types.replay import REPLAY_FORMAT, replay_line
from pipeline.write.store import Store

REPLAY = "replay.jsonl"
_FAILED = frozenset({Status.FAILED, Status.BLOCKED})


class ReplayFile(Silent):
    """Collects the jobs of a run that failed, or were blocked by one that did; a context manager.

    At its end `runs/<id>/replay.jsonl` names them; where nothing failed there is none. A store that refuses it is told
    of by `say`: the run is what it is without it.
    """

    def __init__(self, store: Store, run_id: str, say: Callable[[str], None]) -> None:
        self._store, self._say = store, say
        self.key = f"runs/{run_id}/{REPLAY}"
        self._lines: list[bytes] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._lines:
            return
        try:
            self._store.put_bytes(b"".join(self._lines), self.key)
        except StoreError as fault:
            self._say(f"warning: {self.key} was not written: {fault}")

    def __len__(self) -> int:
        return len(self._lines)

    def ended(self, outcome: Outcome) -> None:
        if outcome.status in _FAILED:
            self._lines.append(replay_line(outcome.job_id, outcome.fingerprint))


def read_replay(place: str, open_: Callable[[str], Store]) -> frozenset[str]:
    """Ids of the jobs that a file names, on this machine or in a store (`s3://bucket/…/replay.jsonl`).

    open_: the store of an address. Raises ConfigError, with file and line, for what is no such file or names no job.
    """
    found = set()
    for number, line in enumerate(_read(place, open_).splitlines(), 1):
        if line.strip():
            found.add(_job_of(line, f"{place}:{number}"))
    if not found:
        raise ConfigError(f"{place}: names no job; expected lines of a replay file: {_EXAMPLE}")
    return frozenset(found)


_EXAMPLE = '{"job": "product/tile/period"}'


def _read(place: str, open_: Callable[[str], Store]) -> str:
    try:
        if "://" in place:
            folder, _, name = place.rpartition("/")
            return open_(folder).get_bytes(name).decode("utf-8")
        return Path(place).expanduser().read_text("utf-8")
    except (OSError, StoreError) as error:
        raise ConfigError(f"{place}: the replay file cannot be read: {error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{place}: is no replay file: not UTF-8 text ({error.reason})") from error


def _job_of(line: str, where: str) -> str:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where}: is no JSON ({error}); expected: {_EXAMPLE}") from error
    job = record.get("job") if isinstance(record, dict) else None
    if not isinstance(job, str) or job.count("/") < 2:
        raise ConfigError(f"{where}: found {line[:80]!r}; expected: {_EXAMPLE}")
    if record.get("format", REPLAY_FORMAT) != REPLAY_FORMAT:
        raise ConfigError(
            f"{where}: is of format {record['format']!r}, this version reads {REPLAY_FORMAT}: use a newer one"
        )
    return job
