"""A process that reads files by the NetCDF library until its input ends. Run by path; imports nothing of the project.

The library never returns from some damaged HDF5 files, and may crash on others; here that costs one file, and not even
a process that is left behind when its parent is killed goes on for ever. On standard input, again and again: a line of
JSON (names, the most bytes their values may take up, the longest time, the length of the file), then the file. On
standard output: a line of JSON, a list of (name, dtype, shape, fill in hexadecimal or null) and then values; or a text
that says why not, and the end.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
from collections.abc import Collection
from contextlib import suppress
from typing import Any

import netCDF4
import numpy as np

_SPARE_BYTES = 4 << 30
"""Of addresses, beside the values twice over: the interpreter, libraries and their threads."""


class RefusedError(ValueError):
    """What was found is no variable of an Argo file."""


def read(data: bytes, names: Collection[str], most_bytes: int) -> list[tuple[list[Any], Any]]:
    """The named variables of the root group that are there: their line of the answer and their values."""
    found = []
    with netCDF4.Dataset("memory", memory=data) as file:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        for name in sorted(set(names) & set(file.variables)):
            variable = file.variables[name]
            dtype = variable.dtype
            if not isinstance(dtype, np.dtype) or dtype.kind not in "iufS":
                raise RefusedError(f"{name} is {dtype}, expected numbers or characters")
            most_bytes -= variable.size * dtype.itemsize  # compressed, a few bytes can claim any size
            if most_bytes < 0:
                raise RefusedError(f"its variables take up more than is allowed, at {name} of shape {variable.shape}")
            values = np.ascontiguousarray(variable[...])
            fill = variable.getncattr("_FillValue") if "_FillValue" in variable.ncattrs() else None
            filled = None if fill is None or dtype.kind == "S" else np.asarray(fill, dtype).tobytes().hex()
            line = [name, values.dtype.str, list(values.shape), filled]
            found.append((line, values))
    return found


def answer(asked: dict[str, Any]) -> None:
    """Answer one request; one that is refused is the last, as the library may be in any state."""
    with suppress(ValueError, OSError):  # not every system can
        most = 2 * asked["most_bytes"] + _SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    out = sys.stdout.buffer
    try:
        found = read(sys.stdin.buffer.read(asked["bytes"]), asked["names"], asked["most_bytes"])
    except (OSError, RuntimeError, ValueError, TypeError, AttributeError, LookupError, MemoryError) as error:
        out.write(json.dumps(str(error) or type(error).__name__).encode() + b"\n")
        out.flush()
        sys.exit()
    out.write(json.dumps([line for line, _ in found]).encode() + b"\n")
    for _, values in found:
        out.write(values.reshape(-1).view(np.uint8))
    out.flush()


def main() -> None:
    """Answer all requests."""
    while line := sys.stdin.buffer.readline():
        asked = json.loads(line)
        signal.alarm(math.ceil(asked["longest_s"]) + 5)  # ends the process, wherever it is; the parent is sooner
        answer(asked)
        signal.alarm(0)


if __name__ == "__main__":
    main()
