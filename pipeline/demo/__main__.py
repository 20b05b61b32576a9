"""python -m pipeline.demo [FOLDER]: make the demo world (default ./demo-world), or say that it is there already."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from pipeline.demo.world import build_world
from pipeline.errors import EXIT_DONE, GroundswellError


def main(arguments: list[str] | None = None) -> int:
    """Make the world and say briefly what it is; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.demo", description="Make the small offline demo world.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo-world"), metavar="FOLDER")
    folder: Path = parser.parse_args(arguments).folder
    started = time.monotonic()
    try:
        world = build_world(folder)
    except GroundswellError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    done = f"made in {time.monotonic() - started:.0f} s" if world.made else "already there, left as it is"
    print(f"Demo world in {world.folder.resolve()}: {done}.")
    print(f"  {world.items} items like those of Sentinel-2, Sentinel-1, Landsat and the Copernicus DEM; June and July")
    print(
        "  2024, on both sides of the edge of two UTM zones; and a GDAC of four Argo floats; one file of each is broken"
    )
    print("  on purpose")
    print(
        f"  {world.files} files, {world.size_bytes / 1e6:.0f} MB, digest {world.digest[:12]}; README.md there says more"
    )
    return EXIT_DONE


if __name__ == "__main__":
    sys.exit(main())
