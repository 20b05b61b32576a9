"""`python -m pipeline.compiled`: compile every loop for every declared signature, so that workers compile nothing.

Meant for the build of an image. Machine code is for one kind of processor: name the oldest that will run it by
NUMBA_CPU_NAME and NUMBA_CPU_FEATURES (such as `x86-64-v3` and an empty string) here and where it runs.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

from pipeline.compiled import kernels


def main() -> int:
    """Fill the cache and say what and where; exit code 1 when nothing can be kept."""
    for module in pkgutil.walk_packages([str(Path(__file__).parents[1])], "pipeline."):
        # Where loops stand: the layers that touch pixels. The others import what may not be installed.
        if module.name.startswith(("pipeline.ops", "pipeline.read", "pipeline.write")):
            importlib.import_module(module.name)
    from numba.core.registry import cpu_target  # noqa: PLC0415 (heavy)

    from pipeline.compiled.cache import folders, save  # noqa: PLC0415 (imports numba)

    folder = save("writable", b"")
    if folder is None:
        tried = ", ".join(str(each) for each in folders())
        sys.stderr.write(f"no compiled loop can be kept: {tried} cannot be written; set NUMBA_CACHE_DIR\n")
        return 1
    (folder / "writable").unlink(missing_ok=True)  # another of these may have been first
    ways = [(kernel.dispatcher, f"({signature},)") for kernel in kernels() for signature in kernel.signatures]
    for dispatcher, signature in ways:
        dispatcher.compile(signature)
    made = sum(signature in dispatcher.stats.cache_misses for dispatcher, signature in ways)
    _, name, _ = cpu_target.target_context.codegen().magic_tuple()
    sys.stdout.write(f"{folder}: {len(ways)} loops for {name}, {made} of them compiled now\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
