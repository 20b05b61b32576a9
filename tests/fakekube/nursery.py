"""Children that `multiprocessing` spawns come from a copy of their parent as it was before it began.

A spawned child is a fresh interpreter that imports everything again, which for a Dask worker is seconds of processor
time. Here a process forks a copy of itself before it starts threads, and has that copy fork each child: as clean, with
everything imported. Linux only: the child's parent ends at once, and the nearest subreaper, the process that asked,
inherits it and can wait for it.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import fcntl
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from multiprocessing import util
from typing import Any, NoReturn

_PR_SET_CHILD_SUBREAPER = 36
_MESSAGE = 2**18
_MOST_FILES = 64
_HIGH = 500
"""File numbers above those that any message may ask for."""


class Left(BaseException):
    """Raised in a forked child so that its stack, with whatever it held, is left before it runs its own program."""

    def __init__(self, arguments: Sequence[str]) -> None:
        super().__init__(arguments)
        self.arguments = arguments


def open_nursery() -> None:
    """Have `multiprocessing` of this process, which has one thread yet, spawn by forking. Raises Left in children."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        ours.close()
        _serve(theirs)
    theirs.close()

    def spawn(path: bytes, args: Sequence[Any], passfds: Sequence[int]) -> int:
        files = sorted(int(each) for each in passfds)
        words = [os.fsdecode(each) for each in args]
        request = json.dumps({"arguments": words, "files": files, "environment": dict(os.environ)}).encode()
        ours.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
        return int(ours.recv(_MESSAGE))

    util.spawnv_passfds = spawn


def _serve(requests: socket.socket) -> NoReturn:
    """Fork what is asked for till the asking process is gone."""
    gc.freeze()
    size = array.array("i").itemsize
    while True:
        content, ancillary, _, _ = requests.recvmsg(_MESSAGE, socket.CMSG_SPACE(_MOST_FILES * size))
        if not content:
            os._exit(0)
        files = array.array("i")
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                files.frombytes(data[: len(data) - len(data) % size])
        answer, ask = os.pipe()
        between = os.fork()
        if between == 0:
            child = os.fork()
            if child == 0:
                _begin(json.loads(content), files)
            os.write(ask, str(child).encode())
            os._exit(0)
        for each in (ask, *files):
            os.close(each)
        os.waitpid(between, 0)  # from now on the child is the asking process's, which may wait for it
        requests.send(os.read(answer, 32))
        os.close(answer)


def _begin(request: dict[str, Any], files: Sequence[int]) -> NoReturn:
    high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _HIGH) for each in files]
    for each in files:
        os.close(each)
    for source, target in zip(high, request["files"], strict=True):
        os.dup2(source, target)
        os.close(source)
    os.environ.clear()
    os.environ.update(request["environment"])
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        with contextlib.suppress(ValueError):
            signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)
    raise Left(request["arguments"])
