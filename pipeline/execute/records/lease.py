"""Who is at work on an output: an object that names its process and is put again while that process lives.

Two uses. A run holds one under `runs/<id>/`, so that anybody can tell a live run from a dead one. `vacuum` holds one
under `locks/` while it removes things, and a run that begins meanwhile waits for its end. Both put theirs before they
look for the other's, so at least one of the two sees the other.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Self

import psutil

from pipeline.errors import StoreError
from pipeline.write.files import json_bytes
from pipeline.write.store import Entry, Store

FORMAT = 1
BEAT_S = 30.0
"""How often a holder puts its lease again."""
LEASE_S = 300.0
"""From another machine, a lease is held for so long after its last put, by the store's clock."""
LOCKS = "locks/"
RUN_LEASE = "lease.json"
_SCRATCH = re.compile(r"groundswell-([0-9]+)-([0-9]+)-([0-9a-f]{8})-")


@dataclass(frozen=True)
class Owner:
    """One process among all that ever were, on any machine."""

    host: str
    machine: str
    """Which boot of which kernel, and which process namespace of it: process numbers mean something only within."""
    pid: int
    started: int
    """When it began, in the kernel's own count: tells it from a later process of the same number."""

    def alive(self) -> bool | None:
        """Whether that process is there; None where it cannot be seen from here."""
        if (self.host, self.machine) != _here():
            return None
        return _started(self.pid) == self.started


def this_process() -> Owner:
    """The calling process."""
    return Owner(*_here(), os.getpid(), _started(os.getpid()) or 0)


@cache
def _here() -> tuple[str, str]:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        machine = f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        machine = f"{platform.system()} {int(psutil.boot_time())}"
    return socket.gethostname(), machine


def _started(pid: int) -> int | None:
    """Start of a process, None where there is none; a killed one that nobody has waited for yet is none."""
    try:
        # psutil's time of day would move with the clock: an alive process must never look like another one.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            return int(psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return None
    return None if fields[0] in "ZX" else int(fields[19])


@contextmanager
def repeated(call: Callable[[], object], every_s: float, due: threading.Event | None = None) -> Iterator[None]:
    """While it is open, a thread calls again and again; a StoreError costs one call, the next may succeed.

    due: set, it has the next call made at once.
    """
    over, due = threading.Event(), due or threading.Event()

    def loop() -> None:
        while True:
            due.wait(every_s)
            due.clear()
            if over.is_set():
                return
            with suppress(StoreError):
                call()

    thread = threading.Thread(target=loop, name="groundswell-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        due.set()
        thread.join()


class Lease:
    """A lease that this process holds while the context is open; gone afterwards, and left behind when killed."""

    def __init__(self, store: Store, key: str) -> None:
        self.key, self._store = key, store
        self._beat = repeated(self._put, BEAT_S)
        self._put_s = 0.0

    def __enter__(self) -> Self:
        """Raises StoreError where the output cannot be written."""
        self._put()
        self._beat.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._beat.__exit__(None, None, None)
        with suppress(StoreError):  # one that stays names a process that is no more
            self._store.delete(self.key)

    @property
    def held(self) -> bool:
        """False once the last put is so long ago that others may soon take this process for dead."""
        return time.monotonic() - self._put_s < LEASE_S / 2

    def _put(self) -> None:
        began = time.monotonic()
        self._store.put_bytes(json_bytes({"format": FORMAT, "owner": asdict(this_process())}), self.key)
        self._put_s = began


def run_lease(run_id: str) -> str:
    """Key of a run's lease."""
    return f"runs/{run_id}/{RUN_LEASE}"


def is_held(store: Store, entry: Entry | None) -> bool:
    """Whether the holder of a listed lease lives: asked of the process where it can be seen, else by the last put.

    Clocks of machines are not compared: both times are the store's own.
    """
    owner = read_owner(store, entry)
    if entry is None or (owner is not None and owner.alive() is False):
        return False
    if owner is not None and owner.alive():
        return True
    return store.now_s() - entry.modified_s < LEASE_S


def read_owner(store: Store, entry: Entry | None) -> Owner | None:
    """Who holds a listed lease; None where it is gone meanwhile, or was written by a newer version."""
    if entry is None:
        return None
    try:
        document = json.loads(store.get_bytes(entry.key))
        return Owner(**document["owner"])
    except (StoreError, ValueError, LookupError, TypeError):
        return None


def wait_for_locks(store: Store, say: Callable[[str], None], poll_s: float = 1.0) -> None:
    """Return when nobody is removing things from this output any more; says so once when it must wait."""
    said = False
    while held := [entry.key for entry in store.list_entries(LOCKS) if is_held(store, entry)]:
        if not said:
            say(f"waiting: a vacuum is going on ({', '.join(held)})")
            said = True
        time.sleep(poll_s)


def scratch_prefix() -> str:
    """How the names of this process's temporary folders begin: `dead_scratch` knows by it whose they are."""
    owner = this_process()
    return f"groundswell-{owner.pid}-{owner.started}-{_tag()}-"


def dead_scratch(folder: Path) -> Iterator[Path]:
    """Temporary folders whose process is no more; those of other machines and containers are not judged."""
    for path in folder.glob("groundswell-*"):
        match = _SCRATCH.match(path.name)
        if match and match[3] == _tag() and _started(int(match[1])) != int(match[2]):
            yield path


@cache
def _tag() -> str:
    return hashlib.sha256(" ".join(_here()).encode()).hexdigest()[:8]
