"""A consumer beside the listener: a process of its own, begun again whenever it ends."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
"""Before it is begun again: doubled while it ends early."""
_GRACE_S = 60.0
"""What it has to end on request, before it is killed."""

_LOG = logging.getLogger(__name__)


def consumer_command(config: Path, sets: Sequence[str]) -> list[str]:
    """The command line of a consumer that ends with this process."""
    options = [word for each in sets for word in ("--set", each)]
    return [sys.executable, "-m", "pipeline.events.consumer", str(config), *options, f"--with-parent={os.getpid()}"]


class Beside:
    """Keeps one process going; closing it ends the process, gently at first."""

    def __init__(self, command: Sequence[str], *, pause_s: float = _PAUSE_S) -> None:
        self._command, self._pause_s = command, pause_s
        self._stop, self._lock = threading.Event(), threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="beside", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the process; None before the first one began."""
        return None if self._process is None else self._process.pid

    def close(self, grace_s: float = _GRACE_S) -> None:
        """End it: SIGTERM, and SIGKILL for what has not ended then."""
        with self._lock:
            self._stop.set()
            if self._process is not None:
                self._process.terminate()
        if self._process is not None:
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                _LOG.error("the consumer did not end within %g s and is killed", grace_s)
                self._process.kill()
        self._thread.join()

    def _keep(self) -> None:
        pause_s = self._pause_s
        while True:
            began_s = time.monotonic()
            with self._lock:
                if self._stop.is_set():
                    return
                # In a session of its own: Ctrl-C at a terminal is the listener's to pass on, once. What it prints goes
                # to stderr, since stdout is for who started the listener.
                try:
                    self._process = subprocess.Popen(  # noqa: S603 (this program, by its own interpreter)
                        self._command, start_new_session=True, stdout=sys.stderr.fileno()
                    )
                except OSError as error:  # for now there is no memory, or no further process is allowed
                    self._process, cause = None, f"cannot be begun: {error}"
            if self._process is not None:
                cause = f"ended with {self._process.wait()}"
            if self._stop.is_set():
                return
            if time.monotonic() - began_s > _LONGEST_PAUSE_S:
                pause_s = self._pause_s
            _LOG.error("the consumer %s and is begun again in %g s", cause, pause_s)
            self._stop.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
