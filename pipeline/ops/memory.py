"""Parts of a tile as numba likes arrays best: in one dimension and contiguous, the same types whatever part it is.

A strip's rows or bands are slices whose rows lie apart; numba would compile a loop for each kind of slice, and none of
them would vectorise, as nothing tells it that the pixels of a row lie side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from pipeline.compiled import Kernel

Numbers = NDArray[np.uint16]


def as_source(array: NDArray[Any]) -> NDArray[Any]:
    """All of an array in one dimension, not to be written; copied only if it has gaps."""
    flat = np.ascontiguousarray(array).reshape(-1)
    flat.flags.writeable = False
    return flat


def reduce_in_memory(kernel: Kernel[..., None], stack: Numbers, out: Numbers, count: Numbers, *further: object) -> None:
    """A reducer's loop on any part of a strip (see `call_in_memory`); an empty stack writes zeros."""
    if stack.size:
        call_in_memory(kernel, [stack], [out, count], *further)
    else:
        out[...] = count[...] = 0


def call_in_memory(
    kernel: Kernel[..., None], sources: Sequence[NDArray[Any]], targets: Sequence[NDArray[Any]], *further: object
) -> None:
    """Call a loop with (memory of each source, layout, memory of each target, *further).

    layout: the shape of the first source, then the steps in elements along all axes but the last, array by array.
    A source is copied only if the pixels of its rows lie apart. Raises ValueError where a target's do.
    """
    sources = [array if _in_rows(array) else np.ascontiguousarray(array) for array in sources]
    for array in targets:
        if not _in_rows(array):
            raise ValueError(f"an array to write has steps of {array.strides} bytes; expected rows of adjacent pixels")
    steps = [step // array.itemsize for array in (*sources, *targets) for step in array.strides[:-1]]
    read = [_memory(array) for array in sources]
    for array in read:
        array.flags.writeable = False
    kernel(*read, (*sources[0].shape, *steps), *(_memory(array) for array in targets), *further)


def _in_rows(array: NDArray[Any]) -> bool:
    """Whether the pixels of a row lie side by side, and rows and dates forwards."""
    adjacent = array.shape[-1] == 1 or array.strides[-1] == array.itemsize
    return adjacent and all(step >= 0 and step % array.itemsize == 0 for step in array.strides[:-1])


def _memory(array: NDArray[Any]) -> NDArray[Any]:
    """From the first element to the last in one dimension; what lies between rows is in it and never touched."""
    last = sum((length - 1) * step for length, step in zip(array.shape, array.strides, strict=True))
    return as_strided(array, (last // array.itemsize + 1,), (array.itemsize,))
