"""The process that all containers are forked from: it has imported what they need, and runs nothing itself.

It reads requests as JSON lines from a socket, and writes there what became of them. It ends, and all that it started
with it, when the other end of the socket is closed.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import logging
import os
import random
import runpy
import selectors
import shutil
import signal
import socket
import sys
import time
import traceback
import types
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from tests.fakekube import inside
from tests.fakekube.nursery import Left, open_nursery

_PR_SET_CHILD_SUBREAPER = 36
_SELF = {"python", "python3", Path(sys.executable).name}


class Zygote:
    """Forks, reaps and signals process groups; `serve` returns in each child what that is to run."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._running: set[int] = set()
        self._buffer = b""

    def serve(self) -> dict[str, Any]:
        wake, woken = socket.socketpair()
        wake.settimeout(0)
        woken.settimeout(0)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._say({"ready": True})
        with selectors.DefaultSelector() as selector:
            selector.register(self._line, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is woken:
                        woken.recv(4096)
                        self._reap()
                        continue
                    for request in self._requests():
                        child = self._handle(request)
                        if child is not None:
                            wake.close()
                            woken.close()
                            return child

    def _requests(self) -> list[dict[str, Any]]:
        data = self._line.recv(2**16)
        if not data:
            self._end()
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._line.sendall(json.dumps(message).encode() + b"\n")

    def _handle(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Do as asked; the request itself, in the child that it makes."""
        if "signal" in request:
            if request["pid"] in self._running:  # else its number may already be somebody else's
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(request["pid"], request["signal"])
            return None
        pid = os.fork()
        if pid == 0:
            return request
        self._running.add(pid)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)  # the child does so too: whoever comes first
        self._say({"id": request["id"], "pid": pid})
        return None

    def _reap(self) -> bool:
        """Take note of all that ended; whether anything is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid in self._running:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)  # nothing outlives a container's first process
                self._running.discard(pid)
                self._say({"pid": pid, "code": os.waitstatus_to_exitcode(status)})

    def _end(self) -> None:
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        end = time.monotonic() + 5
        while self._reap() and time.monotonic() < end:
            time.sleep(0.01)
        os._exit(0)


def run(request: dict[str, Any]) -> None:
    """Become what a request asks for."""
    with contextlib.suppress(OSError):
        os.setpgid(0, 0)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    random.seed()
    sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115 (the container's, till it ends)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    arguments = request["arguments"]
    try:
        _python(arguments)
    except Left as left:
        _become_main()
        place = left.arguments.index("-c")
        sys.argv = ["-c", *left.arguments[place + 2 :]]
        exec(left.arguments[place + 1], sys.modules["__main__"].__dict__)  # noqa: S102 (as `python -c` does)


def _become_main() -> None:
    """A `__main__` that is not this file: multiprocessing would import it again in each child."""
    sys.modules["__main__"] = types.ModuleType("__main__")


def _python(arguments: Sequence[str]) -> None:
    """Run a command within this process where it is Python of this environment, else as another program."""
    name, rest = Path(arguments[0]).name, list(arguments[1:])
    while name in _SELF and rest and rest[0] in {"-u", "-B", "-I"}:
        rest.pop(0)
    script = {each.name: each for each in entry_points(group="console_scripts")}.get(name)
    known = (name in _SELF and rest and (rest[0] in {"-m", "-c"} or rest[0].endswith(".py"))) or script is not None
    if not known:
        _execute(arguments)
    inside.install()
    _configure()
    open_nursery()
    _become_main()
    if script is not None:
        sys.argv = [arguments[0], *rest]
        sys.exit(script.load()())
    sys.path.insert(0, "" if rest[0] in {"-m", "-c"} else str(Path(rest[0]).resolve().parent))
    if rest[0] == "-m":
        sys.argv = rest[1:]
        runpy.run_module(rest[1], run_name="__main__", alter_sys=True)
    elif rest[0] == "-c":
        sys.argv = ["-c", *rest[2:]]
        exec(rest[1], sys.modules["__main__"].__dict__)  # noqa: S102 (as `python -c` does)
    else:
        sys.argv = rest
        runpy.run_path(rest[0], run_name="__main__")


def _configure() -> None:
    """Read anew what libraries read from the environment when they were imported."""
    for name in ("kubernetes", "kubernetes_asyncio"):
        if module := sys.modules.get(f"{name}.config.kube_config"):
            vars(module)["KUBE_CONFIG_DEFAULT_LOCATION"] = os.environ.get("KUBECONFIG", "~/.kube/config")
    dask = sys.modules.get("dask")
    if dask is not None:
        dask.config.paths = dask.config._get_paths()
        dask.config.refresh()
        for logger in list(logging.Logger.manager.loggerDict.values()):
            if isinstance(logger, logging.Logger):
                logger.handlers.clear()
        log = importlib.import_module("distributed.config")
        log.initialize_logging(dask.config.config)


def _execute(arguments: Sequence[str]) -> None:
    program = shutil.which(arguments[0], path=os.environ.get("PATH"))
    if program is None:
        print(f"exec: {arguments[0]}: executable file not found in $PATH", file=sys.stderr)  # noqa: T201
        os._exit(127)
    os.execve(program, list(arguments), os.environ)  # noqa: S606 (the container's own command)


def main() -> None:
    """Import what is named, then serve the socket whose number is given."""
    number, *modules = sys.argv[1:]
    line = socket.socket(fileno=int(number))
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError:
            traceback.print_exc()  # containers that need it will say so themselves
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    gc.collect()
    gc.freeze()
    request = Zygote(line).serve()
    line.close()
    run(request)


if __name__ == "__main__":
    main()
