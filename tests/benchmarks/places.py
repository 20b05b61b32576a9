"""Where scenes can lie: on disk, on a real S3 server, behind 40 ms of latency. Servers are processes of their own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.benchmarks.contest import ROOT, Counts, Place
from tests.benchmarks.slow import COUNTS
from tests.servers.weed import find_weed, free_ports, run_weed

LATENCY_S = 0.04
_START_S = 30


def on_disk(items: Path) -> Place:
    return Place("disk", items)


@contextlib.contextmanager
def far_away(items: Path, folder: Path, latency_s: float = LATENCY_S) -> Iterator[Place]:
    """The scenes over HTTP, the first byte of each answer late."""
    folder.mkdir(parents=True, exist_ok=True)
    port_file = folder / "port"
    port_file.unlink(missing_ok=True)
    root = _root(items)
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.slow", str(root), str(latency_s), str(port_file)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        deadline = time.monotonic() + _START_S
        while not port_file.is_file():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no HTTP server within {_START_S} s (exit code {process.poll()})")
            time.sleep(0.02)
        address = f"http://127.0.0.1:{port_file.read_text()}"

        def counts() -> Counts:
            with urllib.request.urlopen(address + COUNTS) as answer:  # noqa: S310 (its own server)
                found: Counts = json.load(answer)
            return found

        yield Place("http", _elsewhere(items, root, address, folder / "items.json"), counts=counts)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def on_s3(items: Path, folder: Path) -> Iterator[Place | None]:
    """The scenes in a bucket of a server on this machine; None where the server's binary is missing."""
    binary = find_weed()
    if binary is None:
        yield None
        return
    root, (port,) = _root(items), free_ports(1)
    folder.mkdir(parents=True)
    with run_weed(binary, folder, (f"-metricsPort={port}",)) as server:
        bucket = server.make_bucket("bench")
        files = [path for path in root.rglob("*.tif") if path.is_file()]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda path: server.client().put(str(path), f"{bucket}/{path.relative_to(root)}"), files))
        seen = _metrics(port)

        def counts() -> Counts:
            nonlocal seen
            before, seen = seen, _metrics(port)
            return {name: seen[name] - before[name] for name in seen}

        gdal = {
            "AWS_S3_ENDPOINT": server.endpoint.removeprefix("http://"),
            "AWS_HTTPS": "NO",
            "AWS_VIRTUAL_HOSTING": "FALSE",
            "AWS_REGION": "us-east-1",
        }
        moved = _elsewhere(items, root, f"s3://{bucket}", folder / "items.json")
        source = {"storage": {"endpoint": server.endpoint}}
        yield Place("s3", moved, source, server.environment, gdal, counts)


def _metrics(port: int) -> dict[str, int]:
    """The server's own count of requests and bytes sent since it began."""
    names = {"SeaweedFS_s3_request_total": "requests", "SeaweedFS_s3_bucket_traffic_sent_bytes_total": "bytes"}
    found = dict.fromkeys(names.values(), 0)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        for line in answer.read().decode().splitlines():
            name = names.get(line.partition("{")[0])
            if name is not None:
                found[name] += int(float(line.split()[-1]))
    return found


def _root(items: Path) -> Path:
    """The folder that holds all of an item list's files."""
    features = json.loads(items.read_text())["features"]
    return Path(os.path.commonpath([asset["href"] for item in features for asset in item["assets"].values()]))


def _elsewhere(items: Path, root: Path, address: str, path: Path) -> Path:
    """The item list with other addresses."""
    path.write_text(items.read_text().replace(f'"{root}/', f'"{address}/'))
    return path
