"""A process that does batches: of a file, one; of `-`, those that come as lines on its standard input, until that ends.

On standard output there is nothing but the lines of `pipeline.events.consumer.batches`; whatever else is printed goes
to standard error. A process whose input ends while it works has lost its parent: it ends as well.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from pipeline.config import load_events
from pipeline.config.events import EventsConfig
from pipeline.errors import EXIT_BAD_CONFIG, EXIT_DONE, EXIT_JOBS_FAILED, GroundswellError
from pipeline.events.consumer.batches import Batch, BatchError, Over, Where, ended_line, over_line, read_batch
from pipeline.events.environ import start_log
from pipeline.events.event import Ended

_ORPHAN_S = 20.0
"""For jobs in flight to be committed, after the parent is gone."""
_log = logging.getLogger("pipeline.events.consumer.batch")


class Answers:
    """Writes the lines of one batch, each target once, from any thread."""

    def __init__(self, batch: Batch, out: TextIO) -> None:
        self._left, self._out, self._lock = set(batch.targets), out, threading.Lock()
        self._token = batch.token

    def tell(self, ended: Ended) -> None:
        """Of a target that is not the batch's, or was told of, nothing is written."""
        with self._lock:
            if ended.target in self._left:
                self._left.remove(ended.target)
                self._write(ended_line(ended))

    def over(self, error: GroundswellError | None) -> bool:
        """Write the last line; whether every target had its own."""
        with self._lock:
            cause = "" if not self._left else str(error or f"nothing was said of {len(self._left)} targets")
            self._write(over_line(Over(" ".join(cause.split()))))
            return not self._left

    def _write(self, line: str) -> None:
        self._out.write(self._token + line + "\n")
        self._out.flush()


class Configs:
    """The file of rules, read again where it has changed."""

    def __init__(self) -> None:
        self._of: Where | None = None
        self._state = (0, 0)
        self._config: EventsConfig

    def get(self, where: Where) -> EventsConfig:
        """Raises ConfigError."""
        try:
            found = where.path.stat()
        except OSError:
            self._of = None  # load_events says what is wrong
            return load_events(where.path, where.sets)
        state = (found.st_mtime_ns, found.st_size)
        if (self._of, self._state) != (where, state):
            self._config = load_events(where.path, where.sets)
            self._of, self._state = where, state
        return self._config


def run_batch(batch: Batch, configs: Configs, out: TextIO) -> bool:
    """Do one batch and write its lines; whether every target had its own."""
    answers = Answers(batch, out)
    try:
        _do(batch, configs.get(batch.where), answers.tell)
    except GroundswellError as error:
        _log.error("rule %s: %s", batch.rule, error)
        return answers.over(error)
    return answers.over(None)


def _do(batch: Batch, config: EventsConfig, tell: Callable[[Ended], None]) -> None:
    rule = config.rules.get(batch.rule)
    if rule is None:
        known = ", ".join(config.rules)
        raise BatchError(f"{batch.where.path}: found no rule {batch.rule}, expected one of {known}")
    if rule.check is not None:
        from pipeline.events.jobs.checking import check_objects  # noqa: PLC0415 (heavy)

        check_objects(config, batch.rule, batch.targets, tell)
    else:
        from pipeline.events.jobs.runs import run_targets  # noqa: PLC0415 (heavy)

        run_targets(config, batch.rule, batch.targets, tell)


def _own_output() -> TextIO:
    """Standard output for this module alone; what others print there goes to standard error."""
    sys.stdout.flush()
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return own


class _Parent:
    """The lines that the parent writes, and its end."""

    def __init__(self) -> None:
        self.batches = queue.SimpleQueue[str | None]()
        """None: there will be no more."""
        self.busy, self.gone = threading.Event(), threading.Event()

    def listen(self) -> None:
        """Until the input ends. By system calls: a reader of Python's could not be left waiting at the end."""
        rest = b""
        while data := os.read(0, 2**16):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.batches.put(line.decode())
        self.gone.set()
        self.batches.put(None)
        if self.busy.is_set():
            _log.warning("the process that asked for this is gone: ending")
            os.kill(os.getpid(), signal.SIGTERM)  # a run finishes and commits what is in flight
            threading.Event().wait(_ORPHAN_S)
            _end_group()


def _end_group() -> None:
    """End this process with all that it started, where it leads a group of its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(EXIT_JOBS_FAILED)


def serve(out: TextIO) -> int:
    """Do what comes on standard input, one after the other, until it ends."""
    parent, configs = _Parent(), Configs()
    threading.Thread(target=parent.listen, name="parent", daemon=True).start()
    while (line := parent.batches.get()) is not None:
        parent.busy.set()
        if parent.gone.is_set():
            break
        run_batch(read_batch(line), configs, out)
        parent.busy.clear()
    return EXIT_DONE


def main(arguments: Sequence[str]) -> int:
    """FILE, or `-`; returns the exit code: 0 where every target got its line, of failed ones too."""
    out = _own_output()
    start_log()
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")  # it sets its own level, also of its workers
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m pipeline.events.consumer.batch FILE|-\n")
        return EXIT_BAD_CONFIG
    if arguments[0] == "-":
        return serve(out)
    try:
        batch = read_batch(Path(arguments[0]).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BatchError) as error:
        sys.stderr.write(f"error: {arguments[0]}: {error}\n")
        return EXIT_BAD_CONFIG
    return EXIT_DONE if run_batch(batch, Configs(), out) else EXIT_JOBS_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
