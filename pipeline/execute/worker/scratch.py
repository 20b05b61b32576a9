"""Where a task keeps unfinished files on its worker, and what it means when there is no room for them."""

from __future__ import annotations

import errno
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import OutputError, PreflightError, StoreError
from pipeline.execute.records.lease import scratch_prefix

LEAST_BYTES = 32 * 2**20
"""With less free, not one tile of a few bands can be finished."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WORDS = ("No space left on device", "Disk quota exceeded", "File too large")
"""What libraries say that lose the number."""


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A folder of this process's own; gone at the end. One that cannot be removed is left to the next vacuum."""
    with tempfile.TemporaryDirectory(prefix=scratch_prefix(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def scratch_full(error: BaseException) -> OutputError | None:
    """What to say where an error comes from a full disk of this worker; None where it does not.

    The output's own disk is named by its StoreError.
    """
    chain = list(_chain(error))
    if any(isinstance(one, StoreError) for one in chain) or not any(map(_is_full, chain)):
        return None
    return OutputError(f"{_place()} is full ({error}); free some of it, or set TMPDIR to a larger one")


def check_scratch() -> None:
    """Raises PreflightError where this process could not keep one tile."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    if free < LEAST_BYTES:
        raise PreflightError(
            f"{_place()} is too small: at least {LEAST_BYTES} bytes are needed; free some of it, or set TMPDIR to "
            "a larger one"
        )


def _place() -> str:
    folder = tempfile.gettempdir()
    return f"scratch folder {folder} on {socket.gethostname()}, {shutil.disk_usage(folder).free} bytes free,"


def _is_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return any(words in str(error) for words in _WORDS)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it."""
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__ or one.__context__
