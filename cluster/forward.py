"""A port of this machine that leads to a port of a pod, carried by the Kubernetes API."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import httpx
import httpx_ws
import kr8s
import yaml
from anyio.abc import SocketAttribute, SocketStream, TaskGroup
from wsproto.utilities import ProtocolError

_CHUNK = 2**16
_OPEN_S = 30.0
_ERRORS = b"\1"
"""Number of the channel on which the server says why it cannot carry on; 0 has the data."""
_log = logging.getLogger(__name__)

FAULTS = (
    *(kr8s.ServerError, kr8s.APITimeoutError, httpx.HTTPError, httpx_ws.HTTPXWSException, ProtocolError, OSError),
    *(anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream),
    # What kr8s raises for kubeconfigs, and for the commands in them that log in.
    *(ValueError, TypeError, LookupError, RuntimeError, yaml.YAMLError),
)
"""What asking the Kubernetes API may raise, of which none is a fault of this project."""


@dataclass(frozen=True)
class Forward:
    """To one port of one pod."""

    api: kr8s.asyncio.Api
    namespace: str
    pod: str
    port: int

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port of 127.0.0.1, for as long as this lasts; each connection has a way of its own.

        Raises what `Api.open_websocket` does where the way is barred: known at once, not when somebody connects.
        """
        with anyio.fail_after(_OPEN_S):
            async with self._way():
                pass
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, self._carry)
            yield listener.extra(SocketAttribute.local_port)  # noqa: S610 (no Django)
            group.cancel_scope.cancel()

    @asynccontextmanager
    async def _way(self) -> AsyncIterator[httpx_ws.AsyncWebSocketSession]:
        # Its answer is not needed: a login that has run out is renewed by a plain request, never by a WebSocket.
        await self.api.async_version()
        async with self.api.open_websocket(
            namespace=self.namespace, url=f"pods/{self.pod}/portforward", params={"ports": str(self.port)}
        ) as way:
            yield way

    async def _carry(self, near: SocketStream) -> None:
        """Bytes both ways until one side ends. A broken way ends its connection, and never those of others.

        Whoever made it makes another.
        """
        async with near:
            try:
                async with self._way() as far, anyio.create_task_group() as group:
                    group.start_soon(self._up, near, far, group)
                    group.start_soon(self._down, near, far, group)
            except* FAULTS as broken:
                _log.debug("the way to port %d of pod %s broke: %s", self.port, self.pod, broken.exceptions)

    async def _up(self, near: SocketStream, far: httpx_ws.AsyncWebSocketSession, group: TaskGroup) -> None:
        async for data in near:
            for start in range(0, len(data), _CHUNK):
                await far.send_bytes(b"\0" + data[start : start + _CHUNK])
        group.cancel_scope.cancel()

    async def _down(self, near: SocketStream, far: httpx_ws.AsyncWebSocketSession, group: TaskGroup) -> None:
        begun = set[bytes]()
        while True:
            message = await far.receive_bytes()
            channel = message[:1]
            if channel not in begun:  # the first of each channel repeats the port
                begun.add(channel)
            elif channel == _ERRORS:
                _log.debug("port %d of pod %s: %s", self.port, self.pod, message[1:].decode(errors="replace"))
                break
            else:
                await near.send(message[1:])
        group.cancel_scope.cancel()
