"""`python -m tests.benchmarks`: make the data, run everybody in turn, print the table. See `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.contest import Contender, Place, Record, contender
from tests.benchmarks.jobs import Square, neighbours, read_scenes, squares
from tests.benchmarks.places import far_away, on_disk, on_s3
from tests.benchmarks.rates import rates
from tests.benchmarks.startup import startup
from tests.benchmarks.table import Figures, render
from tests.benchmarks.world import make_world, widen

PEERS = ("odc-bottleneck", "odc-xarray", "stackstac")
REMOTE_PEERS = ("odc-bottleneck", "stackstac")
TILES_OF_PEERS = 2
"""Tiles of each run, in turn, so that five runs see all eight."""
RUNS_OF_REMOTE_PEERS = 3
RUNS_OF_NEIGHBOURS = 3
WIDE_BYTES = 12 * 2**30


@dataclass(frozen=True)
class Choice:
    """What to measure."""

    folder: Path
    runs: int
    quick: bool
    """Small scenes: whether it works, not how fast it is."""
    parts: tuple[str, ...]


def main() -> None:
    """Everything, as the command line says."""
    # As Ctrl-C does: the servers and contenders that were started end, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    choice = _choice()
    px = 256 if choice.quick else 2048
    say(f"data in {choice.folder} (BENCH_DATA), {choice.runs} runs (REPEAT), load {os.getloadavg()[0]:.1f}")
    items = make_world(choice.folder, 2 * px)
    work = Path(tempfile.mkdtemp(prefix="run-", dir=choice.folder))
    try:
        records = list(_tiles(choice, items, px, work)) if "tiles" in choice.parts else []
        if "neighbours" in choice.parts:
            records += _neighbours(choice, items, px, work)
        figures = Figures(
            records,
            rates(256 if choice.quick else 2048) if "rates" in choice.parts else {},
            startup(items, work, choice.runs) if "startup" in choice.parts else {},
        )
    finally:
        shutil.rmtree(work)
    (choice.folder / "figures.json").write_text(json.dumps(asdict(figures), indent=1))
    sys.stdout.write(render(figures) + "\n")


def _choice() -> Choice:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    everything = ("tiles", "neighbours", "rates", "startup")
    parser.add_argument("--quick", action="store_true", help="small scenes: whether it works")
    parser.add_argument("--only", nargs="+", choices=everything, default=everything, help="parts to measure")
    given = parser.parse_args()
    home = Path(os.environ.get("BENCH_DATA") or Path(tempfile.gettempdir(), "groundswell-bench"))
    folder = home / "quick" if given.quick else home
    folder.mkdir(parents=True, exist_ok=True)
    return Choice(folder, int(os.environ.get("REPEAT") or 5), given.quick, tuple(given.only))


def say(text: str) -> None:
    """To standard error, so that standard output is the table."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _tiles(choice: Choice, items: Path, px: int, work: Path) -> Iterator[Record]:
    """Eight distinct tiles, each contender in turn, run after run; all of them have made one tile before."""
    warm_up, tiles = squares(read_scenes(items), px)
    with ExitStack() as stack:
        bucket = stack.enter_context(on_s3(items, work / "s3"))
        places = [on_disk(items), stack.enter_context(far_away(items, work / "http"))]
        places += [bucket] if bucket is not None else []

        def begin(name: str, place: Place) -> Contender:
            begun = stack.enter_context(contender(name, place, [warm_up, *tiles], work))
            say(_line(begun.run([warm_up], 0)))
            return begun

        floor = begin("floor", places[0])
        ours = [begin("ours", place) for place in places]
        peers = [begin(name, place) for place in places for name in (PEERS if place is places[0] else REMOTE_PEERS)]
        for run in range(1, choice.runs + 1):
            for tile in tiles:
                yield _said(floor.run([tile], run))
            for one in ours:
                yield _said(one.run(tiles, run))
            for peer in peers:
                near = peer.place is places[0]
                if near or run <= RUNS_OF_REMOTE_PEERS:
                    for tile in _in_turn(tiles, run, TILES_OF_PEERS if near else 1):
                        yield _said(peer.run([tile], run))


def _in_turn(tiles: list[Square], run: int, count: int) -> list[Square]:
    return [tiles[((run - 1) * count + n) % len(tiles)] for n in range(count)]


def _neighbours(choice: Choice, items: Path, px: int, work: Path) -> Iterator[Record]:
    """Sixteen neighbouring tiles in a wide world: as the product groups them, and the floor one by one."""
    if shutil.disk_usage(choice.folder).free < WIDE_BYTES and not choice.quick:
        say(f"no super-tiles: {choice.folder} has less than {WIDE_BYTES >> 30} GiB left")
        return
    wide = on_disk(widen(items, choice.folder / "wide"))
    tiles = neighbours(read_scenes(wide.items), px)
    with contender("floor", wide, tiles, work / "wide") as floor, contender("ours-super", wide, tiles, work) as ours:
        for each in (floor, ours):
            say(_line(each.run(tiles[:1], 0)))
        for run in range(1, min(choice.runs, RUNS_OF_NEIGHBOURS) + 1):
            yield _said(floor.run(tiles, run))
            yield _said(ours.run(tiles, run))


def _said(record: Record) -> Record:
    say(_line(record))
    return record


def _line(record: Record) -> str:
    tiles = len(record.tiles)
    return (
        f"run {record.run}  {record.contender:15s} {record.place:5s} {record.tiles[0]:>8s} x{tiles:<2d} per tile: "
        f"wall {record.wall_s / tiles:6.2f} s  CPU {record.cpu_s / tiles:6.2f} s  "
        f"peak {record.peak_bytes / 1e6:6.0f} MB  load {record.load:.1f}"
    )


if __name__ == "__main__":
    main()
