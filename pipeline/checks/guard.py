"""Checks in a process of their own: what crashes it, or never ends, is a finding about one object."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, astuple
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pipeline.checks.check import fingerprint
from pipeline.checks.checksums import Checksum
from pipeline.checks.result import Finding, Result, Subject, from_json, shown
from pipeline.config.checks import CheckConfig
from pipeline.types import Json

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
"""Of the environment. Credentials are not: files of strangers are read there, and nothing else."""
_SET = {
    "POLARS_MAX_THREADS": "2",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # an object is checked alone, without what lies beside it
    "GDAL_NUM_THREADS": "1",
    "PROJ_NETWORK": "OFF",
    "HDF5_USE_FILE_LOCKING": "FALSE",
}
_LOST = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM}
"""Signals by which others end a process, and by which it ends itself where it waits for ever."""
_LAST_WORDS_BYTES = 300


class CheckLostError(Exception):
    """The process was ended from outside, or could not be started: that says nothing about the object."""


class Guard:
    """Checks one object after the other, for one thread at a time; its process starts with the first of them.

    A start takes a second of computing with the libraries of tables, an object then milliseconds.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self.answered = 0
        """Objects that its process has read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process; after an answer it ends by itself."""
        self._end()

    def kill(self) -> None:
        """End it at once, from any thread: whoever waits for an answer gets CheckLostError."""
        child = self._child
        if child is not None:
            child.kill()

    def run(
        self, config: CheckConfig, subject: Subject, path: Path, checksums: Sequence[Checksum], scratch: Path
    ) -> Result:
        """What is found of an object whose bytes are at `path`. Raises CheckLostError."""
        asked = {
            "check": config.model_dump_json(),
            "subject": asdict(subject),
            "path": str(path),
            "checksums": [astuple(each) for each in checksums],
            "scratch": str(scratch),
        }
        try:
            answer = self._exchange(json.dumps(asked).encode() + b"\n")
        except BaseException:
            self._end(kill=True)  # in the middle of an answer
            raise
        self.answered += 1
        if answer is None:
            return self._crashed(config, subject)
        if "lost" in answer:
            raise CheckLostError(f"the object cannot be read on this machine: {answer['lost']}")
        if "memory" in answer:
            self._end(kill=True)
            return _unreadable(config, subject, f"more than {config.memory:,} bytes of memory asked for")
        if "broken" in answer:
            return _unreadable(config, subject, shown(answer["broken"].replace(str(path), path.name)))
        return from_json(answer["result"])

    def start(self) -> None:
        """Have the process begin now. Raises CheckLostError where it cannot."""
        if self._child is not None:
            return
        environ = {name: os.environ[name] for name in _KEPT if name in os.environ} | _SET
        environ["PYTHONPATH"] = str(Path(__file__).parents[2])
        errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the process)
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", "pipeline.checks.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environ,
                process_group=0,  # an interrupt is for this process, which ends that one
            )
        except OSError as error:
            errors.close()
            raise CheckLostError(f"the process of the checks cannot be started: {error}") from error
        self._errors = errors

    def _exchange(self, line: bytes) -> dict[str, Json] | None:
        """The answer; None where there was none."""
        self.start()
        child = self._child
        if child is None or child.stdin is None or child.stdout is None:
            raise CheckLostError("the process of the checks has no pipes")
        try:
            child.stdin.write(line)
            child.stdin.flush()
            answered = child.stdout.readline()
        except OSError:
            return None
        if not answered.endswith(b"\n"):
            return None
        found: dict[str, Json] = json.loads(answered)
        return found

    def _crashed(self, config: CheckConfig, subject: Subject) -> Result:
        """The verdict on an object that ended its reader. Raises CheckLostError where others ended it."""
        code, words = self._end()
        if code is None or -code in _LOST or code > 0:
            raise CheckLostError(f"the process of the checks ended ({_code(code)}): {words}")
        if -code == signal.SIGXCPU:
            return _unreadable(config, subject, f"not read to its end in {config.cpu_s:g} s of computing")
        return _unreadable(config, subject, f"its reader was ended by it ({_code(code)}): {words}")

    def _end(self, *, kill: bool = False) -> tuple[int | None, str]:
        """How the process ended, and its last words."""
        child, errors = self._child, self._errors
        self._child = self._errors = None
        self.answered = 0
        if child is None or errors is None:
            return None, ""
        if kill:
            child.kill()
        if child.stdin is not None:
            try:
                child.stdin.close()
            except OSError:  # it is gone already
                child.poll()
        try:
            code = child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            code = child.wait()
        if child.stdout is not None:
            child.stdout.close()
        with errors:
            size = errors.seek(0, os.SEEK_END)
            errors.seek(max(0, size - _LAST_WORDS_BYTES))
            words = " ".join(str(errors.read(), "utf-8", "replace").split())
        return code, shown(words)


def _code(code: int | None) -> str:
    try:
        return signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-(code or 0)}"


def _unreadable(config: CheckConfig, subject: Subject, found: str) -> Result:
    """The verdict on an object of which nothing else is known."""
    expected = "data that can be read to its end within the limits of the check"
    finding = Finding("readable", "", "fail", found, expected)
    return Result(subject, fingerprint(config), findings=(finding,))
