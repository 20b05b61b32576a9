"""Loops for the tests: one that calls another and takes a number from this module."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

STEP = 3
TABLE = np.array([10, 20, 30])


@compiled()
def scaled(value: int) -> int:
    """An inner loop's part."""
    return value * STEP


@compiled("i8[::1]", "i8[:]")
def total(values: NDArray[np.int64]) -> int:
    """The sum of every scaled number, and of a table."""
    result: int = TABLE[2]
    for k in range(values.size):
        result += scaled(values[k])
    return result


@compiled("i8, i8")
def quotient(one: int, other: int) -> int:
    """By nothing, too."""
    return one // other
