"""Answers that do not end at once: watches, logs, port-forwards and commands in a container."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import aiohttp
from aiohttp import web

from tests.fakekube.errors import ApiError, Json
from tests.fakekube.resources import Resource
from tests.fakekube.store import Change, Store

_POLL_S = 0.1
_CHUNK = 2**18
_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io")
_OUTPUT, _STATUS = b"\x01", b"\x03"
_MAKES_STREAMS_S = 0.5
_BOOKMARK_S = 20.0
"""Three times in a server's minute: kopf 1.45 drops a watch that is silent for 70 s, and where an object comes in just
that moment, whoever takes it from there is cancelled with it. The operator is deaf to that kind from then on."""

Fits = Callable[[Json], bool]


async def watch(store: Store, resource: Resource, request: web.Request, fits: Fits) -> web.StreamResponse:
    """Changes of a kind as JSON lines, till the client goes or its timeout comes."""
    query = request.query
    since, initial = query.get("resourceVersion", ""), query.get("sendInitialEvents") == "true"
    bookmarks = query.get("allowWatchBookmarks") == "true"
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    end = time.monotonic() + float(query.get("timeoutSeconds") or 3600)
    changed = store.watcher()
    try:
        place, revision = len(store.log), store.revision
        if initial or since in {"", "0"}:
            for each in store.list(resource.plural, fit=fits, version=resource.api_version):
                await _line(response, "ADDED", each)
            if initial:
                await _line(response, "BOOKMARK", _bookmark(resource, revision, {"k8s.io/initial-events-end": "true"}))
        else:
            place = bisect_right(store.log, int(since), key=lambda change: change.revision)
        spoken = time.monotonic()
        while time.monotonic() < end and request.transport and not request.transport.is_closing():
            changed.clear()
            while place < len(store.log):
                change = store.log[place]
                place += 1
                if change.key == resource.key and (kind := _seen(change, fits)):
                    await _line(response, kind, change.value)
                    spoken = time.monotonic()
            if bookmarks and time.monotonic() - spoken > _BOOKMARK_S:
                await _line(response, "BOOKMARK", _bookmark(resource, store.revision))
                spoken = time.monotonic()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(5.0, _BOOKMARK_S, max(0.01, end - time.monotonic())))
    except ConnectionResetError:
        pass
    finally:
        store.unwatch(changed)
    return response


def _seen(change: Change, fits: Fits) -> str | None:
    """What a watch with selectors calls a change: an object that fits no longer is deleted, for that watch."""
    fitted = change.before is not None and fits(change.before)
    if change.kind == "DELETED":
        return "DELETED" if fitted else None
    if fits(change.value):
        return "MODIFIED" if fitted else "ADDED"
    return "DELETED" if fitted else None


async def _line(response: web.StreamResponse, kind: str, value: Json) -> None:
    await response.write(json.dumps({"type": kind, "object": value}).encode() + b"\n")


def _bookmark(resource: Resource, revision: int, annotations: Mapping[str, str] | None = None) -> Json:
    meta = {"resourceVersion": str(revision), **({"annotations": annotations} if annotations else {})}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}


async def log(request: web.Request, path: Path, alive: Callable[[], bool]) -> web.StreamResponse:
    """A container's output; with `follow` as long as it runs."""
    content = _read(path, 0)
    if tail := request.query.get("tailLines"):
        shown = b"".join(content.splitlines(keepends=True)[-int(tail) :])
    else:
        shown = content
    if request.query.get("follow") not in {"true", "True", "1"}:
        return web.Response(body=shown, content_type="text/plain")
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    await response.prepare(request)
    with contextlib.suppress(ConnectionResetError):
        await response.write(shown)
        place, running = len(content), True
        while running:
            running = alive()
            more = _read(path, place)
            place += len(more)
            await response.write(more)
            await asyncio.sleep(_POLL_S)
    return response


def _read(path: Path, place: int) -> bytes:
    if not path.exists():
        return b""
    with path.open("rb") as file:
        file.seek(place)
        return file.read()


async def forward(request: web.Request, address: str | None) -> web.StreamResponse:
    """One port of a pod through a websocket: channel 0 is data, channel 1 errors. Raises ApiError 400, 404."""
    port = int(request.query["ports"].split(",")[0])
    if not address:
        raise ApiError(404, "NotFound", "unable to forward port because pod is not running")
    socket = web.WebSocketResponse(protocols=("v4.channel.k8s.io", "channel.k8s.io"), max_msg_size=0)
    await socket.prepare(request)
    for channel in (b"\x00", b"\x01"):
        await socket.send_bytes(channel + port.to_bytes(2, "little"))
    try:
        reader, writer = await asyncio.open_connection(address, port)
    except OSError as error:
        await socket.send_bytes(b"\x01" + str(error).encode())
        await socket.close()
        return socket
    down = asyncio.create_task(_down(reader, socket))
    try:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY and message.data[:1] == b"\x00":
                writer.write(message.data[1:])
                await writer.drain()
    except ConnectionError:
        pass
    finally:
        down.cancel()
        writer.close()
    return socket


async def _down(reader: asyncio.StreamReader, socket: web.WebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            await socket.send_bytes(b"\x00" + data)
    await socket.close()


async def execute(
    request: web.Request, run: Callable[[Sequence[str]], Awaitable[tuple[int, str]]]
) -> web.StreamResponse:
    """A command in a container: its output, then its exit code on the status channel."""
    if "upgrade" not in request.headers.get("Connection", "").lower():
        raise ApiError(400, "BadRequest", "Upgrade request required")
    code, output = await run(request.query.getall("command"))
    socket = web.WebSocketResponse(protocols=_PROTOCOLS, max_msg_size=0)
    await socket.prepare(request)
    # kubectl before 1.33 reads while it still makes the streams to read into, and drops what comes before
    # them (kubernetes/kubernetes#131203). On a node it has the time that a process takes to start.
    await asyncio.sleep(_MAKES_STREAMS_S)
    await socket.send_bytes(_OUTPUT + output.encode())
    status: Json = {"metadata": {}, "status": "Success"}
    if code:
        causes = [{"reason": "ExitCode", "message": str(code)}]
        message = f"command terminated with exit code {code}"
        status = {"metadata": {}, "status": "Failure", "reason": "NonZeroExitCode", "message": message}
        status["details"] = {"causes": causes}
    await socket.send_bytes(_STATUS + json.dumps(status).encode())
    await socket.close()
    return socket
