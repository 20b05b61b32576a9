"""What a process and all it starts use, seen from outside: CPU, memory, time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psutil

_SAMPLE_S = 0.05


@dataclass
class Use:
    """Of a process tree between two moments."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    """User and system, of living and of ended processes."""
    peak_bytes: int = 0
    """Largest sum of resident sets."""
    workers_bytes: int = 0
    """The same without the first process, where there are others."""


@contextlib.contextmanager
def measured(pid: int) -> Iterator[Use]:
    """Fills in what process `pid` and its descendants use while the block runs."""
    use, over = Use(), threading.Event()
    sampler = threading.Thread(target=_sample, args=(pid, use, over), daemon=True)
    began, cpu = time.perf_counter(), cpu_of(pid)
    sampler.start()
    try:
        yield use
    finally:
        use.wall_s, use.cpu_s = time.perf_counter() - began, cpu_of(pid) - cpu
        over.set()
        sampler.join()


def cpu_of(pid: int) -> float:
    """CPU seconds that a process, its descendants, and those of them that were waited for have used."""
    total = 0.0
    for process in _tree(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def _tree(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _sample(pid: int, use: Use, over: threading.Event) -> None:
    while True:
        resident = []
        for process in _tree(pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                resident.append(process.memory_info().rss)
        use.peak_bytes = max(use.peak_bytes, sum(resident))
        use.workers_bytes = max(use.workers_bytes, sum(resident[1:]) or sum(resident))
        if over.wait(_SAMPLE_S):
            return
