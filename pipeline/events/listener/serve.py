"""`python -m pipeline.events.listener CONFIG`: takes what SNS posts over HTTP, behind whatever ends TLS.

Environment: GROUNDSWELL_EVENTS (the config, or its path), HOST, PORT, LOG_LEVEL; and what the config names itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.events import EventsConfig
from pipeline.config.load import load_events
from pipeline.errors import EXIT_DONE, GroundswellError, PreflightError
from pipeline.events.environ import settings, start_log
from pipeline.events.listener.beside import Beside, consumer_command

if TYPE_CHECKING:
    import uvicorn

KEEP_ALIVE_S = 75
"""For which an idle connection stays open: longer than load balancers keep theirs (60 s), so that none of them sends a
request to a connection that is just being closed."""
GRACE_S = 14
"""What requests in hand have to end when the listener is asked to: more than any of them may take."""
_FILES = 200
"""Open files beside connections."""
_EXTRA = ("uvicorn", "httptools", "cryptography", "psycopg", "boto3")

_LOG = logging.getLogger("pipeline.events.listener")


def main(arguments: Sequence[str] | None = None) -> int:
    """Listen until SIGTERM or SIGINT; returns the exit code (see `pipeline.errors`)."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.events.listener", description="Take what SNS posts, and store it before saying so."
    )
    parser.add_argument("config", metavar="CONFIG", type=Path, nargs="?", help="default: GROUNDSWELL_EVENTS")
    parser.add_argument("--set", dest="sets", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args(arguments)
    try:
        return listen(options.config, options.sets)
    except GroundswellError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 (a program of its own)
        return error.exit_code


def listen(config: Path | None, sets: Sequence[str] = (), environ: Mapping[str, str] = os.environ) -> int:
    """What the program does. Raises ConfigError and PreflightError before it has answered anybody.

    The command line comes before HOST and PORT, and these before the file.
    """
    start_log(environ)
    path, all_sets = settings(config, (*_places(environ), *sets), environ)
    rules = load_events(path, all_sets)
    _allow_files(rules.listen.max_connections)
    works = rules.listen.work
    if works is None:
        works = not rules.inbox.get_secret_value().startswith(("postgresql://", "postgres://"))
    with ExitStack() as stack:
        listening = stack.enter_context(closing(bind(rules)))
        server = stack.enter_context(serving(rules, ready=lambda: _say(listening)))
        if works:
            stack.enter_context(closing(Beside(consumer_command(path, sets))))
        asyncio.run(_serve(server, listening))
    return EXIT_DONE


@contextmanager
def serving(
    config: EventsConfig, *, now_s: Callable[[], float] = time.time, ready: Callable[[], None] = lambda: None
) -> Iterator[uvicorn.Server]:
    """A server that is not running yet, over an inbox or a queue that is open until the end of the block.

    ready: called once it answers. Raises PreflightError where a package is missing or the inbox cannot be opened.
    """
    with _needing_extra():
        import uvicorn  # noqa: PLC0415 (an extra)

        from pipeline.events.listener.app import App  # noqa: PLC0415 (the same)
        from pipeline.events.listener.backends import open_sink  # noqa: PLC0415
        from pipeline.events.listener.limits import Limits, bounded  # noqa: PLC0415
        from pipeline.events.listener.numbers import ListenerNumbers  # noqa: PLC0415
        from pipeline.events.listener.posts import Posts  # noqa: PLC0415
        from pipeline.events.proof.sns import Prover  # noqa: PLC0415

    class Server(uvicorn.Server):
        def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
            return nullcontext()  # they are `_serve`'s; uvicorn would end this process by the signal that it got

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

    told = config.listen
    protocol, crowd = bounded(Limits(told.max_body_bytes, told.read_timeout_s, told.max_connections))
    prover = Prover.of(config, now=lambda: datetime.fromtimestamp(now_s(), UTC))
    with ExitStack() as stack:
        sink = stack.enter_context(closing(open_sink(config)))
        posts = stack.enter_context(closing(Posts(config, prover, sink, now_s)))
        yield Server(
            uvicorn.Config(
                App(posts, sink, ListenerNumbers(crowd)),
                http=protocol,
                ws="none",
                loop="asyncio",
                lifespan="off",
                log_config=None,
                log_level="error",  # what is refused is counted, and logged by who refuses it
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )


def bind(config: EventsConfig) -> socket.socket:
    """A socket at the address of the config, which takes connections. Raises PreflightError where it cannot be had."""
    host, port = config.listen.host, config.listen.port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise PreflightError(
            f"listen: {host}:{port} cannot be listened on ({error.strerror or error}); set listen.host and "
            "listen.port, or HOST and PORT, to an address of this machine that is free"
        ) from None


async def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    """Until a signal: the first lets requests in hand end, the second does not."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        server.force_exit = server.should_exit
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    await server.serve(sockets=[listening])


def _say(listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    place = f"[{host}]" if ":" in host else host
    print(f"listening on http://{place}:{port}/sns", flush=True)  # noqa: T201 (whoever started it waits for this line)


def _places(environ: Mapping[str, str]) -> Iterator[str]:
    for name, key in (("HOST", "listen.host"), ("PORT", "listen.port")):
        value = environ.get(name, "").strip()
        if value:
            # A number stays one; what is not is text whatever YAML would make of it, and is refused by the config.
            yield f"{key}={value if value.isdecimal() else json.dumps(value)}"


def _allow_files(connections: int) -> None:
    """As many open files as there may be connections, as far as this process may set that itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            _LOG.warning(
                "listen.max_connections: %d would need %d open files, and %d are allowed", connections, wanted, hard
            )


@contextmanager
def _needing_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise PreflightError(
            f"found no package {error.name}; expected the extra `events`: pip install 'groundswell[events]'"
        ) from error
