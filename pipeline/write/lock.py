"""One writer at a time at one key of a folder: a lock that ends with its holder, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import StoreError, TransientStoreError
from pipeline.write.keys import TEMP_PREFIX

LONGEST_S = 120.0
"""How long a lock is waited for: whoever holds it copies one file meanwhile, unless it was stopped."""
_POLL_S = 0.01
_UNKNOWN = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP})
"""What file systems say that are mounted without locks, as Lustre's often are."""


class NoLocksError(StoreError):
    """The file system knows no locks, so nothing can be replaced in place there."""


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Hold the lock of a file that is going to be replaced; waits for whoever holds it, LONGEST_S at most.

    It is the operating system's (`flock`), on an unfinished file beside the target. Its holder removes it, so what was
    locked may be gone: only a file that still has the name is the lock. A clean-up leaves young files alone. Raises
    TransientStoreError when it is not had in time, and NoLocksError where there are none.
    """
    path = target.with_name(f"{TEMP_PREFIX}lock-{target.name}")
    latest = time.monotonic() + LONGEST_S
    while (handle := _taken(path)) is None:
        if time.monotonic() > latest:
            raise TransientStoreError(f"{target}: another process has held its lock for {LONGEST_S:.0f} s ({path})")
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(handle)


def _taken(path: Path) -> int | None:
    """A descriptor that holds the lock; None where somebody else does."""
    handle, held = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666), False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        held = _is_named(handle, path)
    except BlockingIOError:
        return None
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        raise NoLocksError(f"{path.parent}: this file system has no locks (flock: {error.strerror})") from error
    finally:
        if not held:
            os.close(handle)
    return handle if held else None


def state_of(path: Path) -> str | None:
    """What tells a file from every other that has had its name: each put is a new file, with a number of its own."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return f"{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_size}"


def _is_named(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
