"""Servers that tests start end with them, also where those are killed and no fixture is left to do it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PID = "pid"
"""Name of the file that says which process group is to be ended: written by who starts it, removed by who ends it."""
_WATCH = """
read -r _ && exit
kill -s "$2" -- "-$(cat "$1/pid")"
[ "$3" = keep ] || { sleep 2; rm -rf -- "$1"; }
"""


@contextmanager
def guarded(folder: Path, *, number: str = "KILL", keep: bool = False) -> Iterator[None]:
    """Around the life of a server: where this process is gone before the block ends, so is the server, and its folder.

    number: of the signal, by name; keep: the folder is another's to remove. A process of its own waits for the end of a
    pipe that only this one holds open; a signal to the parent's death would come with the end of its thread.
    """
    watch = subprocess.Popen(
        ["sh", "-c", _WATCH, "sh", str(folder), number, "keep" if keep else ""],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        watch.communicate(b"\n")
