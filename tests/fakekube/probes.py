"""Probes of a container: a request, a connection or a command, by the clock of the probe."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aiohttp

from tests.fakekube.errors import Json

Run = Callable[[Sequence[str]], Awaitable[tuple[int, str]]]

EAGER_S = 0.1
"""Before a container is ready it is asked this often, whatever its probe says: tests have no time."""


async def passes(probe: Json, container: Json, address: str, run: Run) -> bool:
    """Whether one probe answers well within its time."""
    timeout = float(probe.get("timeoutSeconds", 1))
    try:
        async with asyncio.timeout(max(timeout, 1.0)):
            if "exec" in probe:
                code, _ = await run(probe["exec"]["command"])
                return code == 0
            if "tcpSocket" in probe:
                _, writer = await asyncio.open_connection(address, _port(probe["tcpSocket"]["port"], container))
                writer.close()
                return True
            if "httpGet" in probe:
                return await _answers(probe["httpGet"], container, address)
    except (OSError, TimeoutError, aiohttp.ClientError):
        return False
    return True


async def _answers(get: Json, container: Json, address: str) -> bool:
    scheme = str(get.get("scheme", "HTTP")).lower()
    url = f"{scheme}://{address}:{_port(get['port'], container)}{get.get('path', '/')}"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=False) as answer:
        return 200 <= answer.status < 400


def _port(port: int | str, container: Json) -> int:
    if isinstance(port, int):
        return port
    named = {each.get("name"): each["containerPort"] for each in container.get("ports") or ()}
    return int(named[port])
