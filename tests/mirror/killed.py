"""A process that fetches into a local copy until somebody kills it: `python killed.py ROOT ADDRESS COUNT`.

It forks one child for every line on its standard input, so that what a child has to import is imported once, and prints
the child's number; an empty line waits for the child, and prints how it ended.
"""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import aclosing
from pathlib import Path

from pipeline.mirror.disk import reconcile, sweep_parts
from pipeline.mirror.fetch import Want, open_mirrors
from pipeline.mirror.manifest import Manifest, open_manifest
from tests.mirror.gdacs import gdac_of, path_of, profile_bytes


async def fetch(manifest: Manifest, address: str, wants: list[Want]) -> None:
    async with open_mirrors(gdac_of(address)) as mirrors, aclosing(mirrors.fetch(wants, manifest.root)) as results:
        async for got in results:
            if got.state == "fetched":
                manifest.record(got)


def work(root: Path, address: str, count: int, version: str) -> None:
    """One sync: what is held in that version is kept, the rest fetched."""
    with open_manifest(root) as manifest:
        reconcile(manifest)
        held = {row["path"]: row["version"] for row in manifest.table().to_pylist()}
        wants = [Want(path_of(k), version) for k in range(count)]
        asyncio.run(fetch(manifest, address, [want for want in wants if held.get(want.path) != want.version]))
        sweep_parts(root)


def main() -> None:
    root, address, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    profile_bytes()
    child = 0
    for line in sys.stdin:
        if line.strip():
            child = os.fork()
            if not child:
                work(root, address, count, line.strip())
                os._exit(0)
            answer = child
        else:
            answer = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
