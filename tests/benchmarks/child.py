"""One contender as a process of its own: takes tiles by name, line by line, and answers what it came to.

`python -m tests.benchmarks.child CONTENDER SETUP.json`; each line on standard input is a list of names, each answer a
line of JSON that begins with RESULT.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.jobs import Square, read_scenes

Run = Callable[[Sequence[Square]], dict[str, Any]]


def main() -> None:
    """Serve until standard input ends."""
    # rasterio warns of arrays without a place, which is what both peers hand to its warper.
    warnings.filterwarnings("ignore", message="Dataset has no geotransform")
    contender, setup = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    tiles = {tile["name"]: Square(**tile) for tile in setup["tiles"]}
    run, close = _contender(contender, setup)
    try:
        for line in sys.stdin:
            answer = run([tiles[name] for name in json.loads(line)])
            sys.stdout.write(f"RESULT {json.dumps(answer)}\n")
            sys.stdout.flush()
    finally:
        close()


def _contender(name: str, setup: dict[str, Any]) -> tuple[Run, Callable[[], None]]:
    folder = Path(setup["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    if name.startswith("ours"):
        from tests.benchmarks.ours import Ours  # noqa: PLC0415 (what one contender imports, another must not)

        ours = Ours(folder, setup["items"], setup["source"], neighbours=name == "ours-super")
        return ours.run, ours.close
    from tests.benchmarks.floor import Floor, write_cog  # noqa: PLC0415

    if name == "floor":
        floor = Floor(read_scenes(Path(setup["items"])))

        def make(tile: Square) -> tuple[Any, dict[str, int]]:
            made = floor.make(tile)
            return made.image, {"objects": made.objects, "blocks": made.blocks, "bytes": made.bytes}

    else:
        from tests.benchmarks.peers import Peers  # noqa: PLC0415

        peers = Peers(Path(setup["items"]), remote=setup["remote"])

        def make(tile: Square) -> tuple[Any, dict[str, int]]:
            image, tasks = peers.make(name, tile)
            return image, {"tasks": tasks}

    def run(chosen: Sequence[Square]) -> dict[str, Any]:
        answer: dict[str, Any] = {"compute_cpu_s": 0.0, "write_cpu_s": 0.0}
        for tile in chosen:
            began = time.process_time()
            image, counts = make(tile)
            made = time.process_time()
            write_cog(image, tile, folder / f"{tile.name}.tif")
            answer["compute_cpu_s"] += made - began
            answer["write_cpu_s"] += time.process_time() - made
            for key, count in counts.items():
                answer[key] = answer.get(key, 0) + count
        return answer

    return run, lambda: None


if __name__ == "__main__":
    main()
