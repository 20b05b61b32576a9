"""Tasks that do to their worker process what real ones may: hang, crash, take all memory. Each job says by its tile."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from pipeline.plan.groups import Group
from pipeline.types import Job, Outcome, Status

HANG_S = 600.0


def run_hard(group: Group, folder: str, attempt: int) -> list[Outcome]:
    """Each job leaves a line of its begin, and then does what its tile says; all others take a moment.

    `sleep…`: waits without end; `late…`: so too, after it was committed; `hold…`: so too, and never gives
    back the interpreter; `crash…`; `hog…`; `leave…`: its worker is taken away, the first time.
    """
    return [_one(job, Path(folder), attempt) for job in group.jobs]


def _one(job: Job, folder: Path, attempt: int) -> Outcome:
    name = job.tile.id
    with (folder / name).open("a") as lines:
        lines.write(f"{os.getpid()}\n")
    begun = len((folder / name).read_text().splitlines())
    if name.startswith("sleep"):
        time.sleep(HANG_S)
    elif name.startswith("late"):
        (folder / "committed").touch()
        time.sleep(HANG_S)
    elif name.startswith("hold"):
        ctypes.PyDLL(None).sleep(int(HANG_S))
    elif name.startswith("crash"):
        ctypes.string_at(0)
    elif name.startswith("hog"):
        _take_all()
    elif name.startswith("leave") and begun == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    else:
        time.sleep(0.05)
    return Outcome(job.id, job.region, job.fingerprint, Status.DONE, attempts=attempt)


def _take_all() -> None:
    taken: list[bytes] = []
    end = time.monotonic() + HANG_S
    while time.monotonic() < end:
        if len(taken) < 150:
            taken.append(os.urandom(2**20) * 4)
        time.sleep(0.005)
