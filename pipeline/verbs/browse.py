"""`groundswell browse`: a map page over an output, and its STAC catalogue, for a browser on this machine."""

from __future__ import annotations

import argparse
import ipaddress
import socket
from contextlib import suppress

from rich.console import Console

from pipeline.errors import PreflightError
from pipeline.verbs._answer import Answer
from pipeline.verbs._listening import address_of, listen
from pipeline.verbs._output import open_output

_EXTRA = ("fastapi", "rio_tiler", "uvicorn")
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
LAST_ANSWERS_S = 3
"""What is being answered when it is ended may take so long."""


def run(options: argparse.Namespace) -> Answer:
    """Answer until interrupted.

    Raises PreflightError without the extra, where nothing of this project lies, and for an address that cannot be had;
    NothingToDoError where nothing is current.
    """
    try:
        import uvicorn  # noqa: PLC0415 (an extra)

        from pipeline.browse.app import make_app  # noqa: PLC0415 (the same)
        from pipeline.browse.shelf import Shelf, refuse_empty  # noqa: PLC0415 (Arrow)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise PreflightError(
            f"found no package {error.name}; expected the extra `browse`: pip install 'groundswell[browse]'"
        ) from error

    store = open_output(options)
    shelf = Shelf(store)
    refuse_empty(shelf)
    with listen(options.host, options.port) as listener:
        address = address_of(options.host, listener)
        Console(soft_wrap=True, highlight=False).print(
            f"{address}  the map of {store.uri}\n"
            f"{address}stac/catalog.json  its catalogue, for STAC Browser\n"
            "Ctrl-C ends"
        )
        app = make_app(shelf, options.origins, _names(options.host))
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=LAST_ANSWERS_S)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
    return Answer("browse: ended")


def _names(host: str) -> list[str]:
    """What the page may be called; any name where it listens on all addresses, whose names nobody has said."""
    with suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            return []
    return [*_LOCAL, f"[{host}]" if ":" in host else host.lower(), socket.gethostname().lower()]
