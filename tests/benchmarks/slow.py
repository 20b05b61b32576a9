"""A folder over HTTP, each answer held back for a while, requests and bytes counted: a bucket far away, on one machine.

`python -m tests.benchmarks.slow FOLDER LATENCY_S PORT_FILE` writes its port to the file when it listens.
`GET /-/counts` tells what was asked since the last time.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections import Counter
from pathlib import Path

from aiohttp import web

COUNTS = "/-/counts"


class SlowFiles:
    """Ranges of files, late; and what was asked for."""

    def __init__(self, folder: Path, latency_s: float) -> None:
        self._folder, self._latency_s = folder.resolve(), latency_s
        self._requests: Counter[str] = Counter()
        self._bytes = 0

    def application(self) -> web.Application:
        """What to serve."""
        app = web.Application()
        app.router.add_get(COUNTS, self._count)
        app.router.add_get("/{path:.+}", self._file)
        return app

    async def _count(self, _request: web.Request) -> web.Response:
        counts = {"requests": self._requests.total(), "objects": len(self._requests), "bytes": self._bytes}
        self._requests, self._bytes = Counter(), 0
        return web.json_response(counts)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self._requests[request.path] += 1
        await asyncio.sleep(self._latency_s)
        path = (self._folder / request.match_info["path"]).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise web.HTTPNotFound
        state = path.stat()
        first, last = _range(request.headers.get("Range", ""), state.st_size)
        whole = first == 0 and last == state.st_size
        headers = {"Accept-Ranges": "bytes", "ETag": f'"{state.st_mtime_ns:x}-{state.st_size:x}"'}
        if not whole:
            headers["Content-Range"] = f"bytes {first}-{last - 1}/{state.st_size}"
        if request.method == "HEAD":
            return web.Response(headers={**headers, "Content-Length": str(last - first)})
        body = await asyncio.to_thread(_read, path, first, last)
        self._bytes += len(body)
        return web.Response(status=200 if whole else 206, body=body, headers=headers)


def _range(asked: str, size: int) -> tuple[int, int]:
    """First byte and the one after the last: of `bytes=3-7`, `bytes=3-`, `bytes=-7`, or of the whole file."""
    found = re.fullmatch(r"bytes=(\d*)-(\d*)", asked)
    if found is None or found[0] == "bytes=-":
        return 0, size
    if not found[1]:
        return max(0, size - int(found[2])), size
    return int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)


def _read(path: Path, first: int, last: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), last - first, first)


async def serve(folder: Path, latency_s: float, port_file: Path) -> None:
    """Until the process is ended."""
    runner = web.AppRunner(SlowFiles(folder, latency_s).application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    waiting = port_file.with_suffix(".new")
    waiting.write_text(str(runner.addresses[0][1]))
    waiting.rename(port_file)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2]), Path(sys.argv[3])))
