"""The address that a verb answers on."""

from __future__ import annotations

import socket

from pipeline.errors import PreflightError


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there, on a free port for 0. Raises PreflightError for an address that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if not 0 <= port < 2**16:
        raise _refused(host, port, "a port is from 0 to 65535")
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise _refused(host, port, error.strerror or str(error)) from error


def _refused(host: str, port: int, cause: str) -> PreflightError:
    return PreflightError(
        f"{host}, port {port}: cannot be listened on ({cause}); choose another with --port, or a free one with --port 0"
    )


def address_of(host: str, listener: socket.socket) -> str:
    """What a browser on this machine is given: `http://host:port/`."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/"
