"""Smooth noise that has the same bits on every machine: integer hashing and IEEE-exact arithmetic, no libm, no clock.

Fields are float32 arrays of any common shape; places and cells are metres; values lie in [0, 1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Hash = NDArray[np.uint32]


def hashed(a: NDArray[np.integer], b: NDArray[np.integer], seed: int) -> Hash:
    """32 well mixed bits of two integers and a seed (multiply and xor-shift, modulo 2**32)."""
    h: Hash = np.asarray(a).astype(np.uint32) * np.uint32(0x9E3779B1)
    h = h ^ (np.asarray(b).astype(np.uint32) * np.uint32(0x85EBCA77) + np.uint32(seed * 0xC2B2AE3D & 0xFFFFFFFF))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    return h ^ (h >> np.uint32(16))


def share(h: Hash, low_bit: int = 0) -> Field:
    """Ten bits of a hash as a fraction in [0, 1): different `low_bit` give independent fractions."""
    return ((h >> np.uint32(low_bit)) & np.uint32(1023)).astype(np.float32) / np.float32(1024)


def ramp(value: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, and the smooth step 3t² - 2t³ between (`high` may be the smaller one)."""
    t: Field = np.clip((value - np.float32(low)) / np.float32(high - low), np.float32(0), np.float32(1))
    return t * t * (np.float32(3) - np.float32(2) * t)


def floored(value: Field) -> tuple[NDArray[np.int32], Field]:
    """Whole part and fraction: value = whole + fraction, 0 <= fraction < 1."""
    whole = np.floor(value)
    return whole.astype(np.int32), value - whole


def noise(x: Field, y: Field, cell_m: float, seed: int) -> Field:
    """Value noise: hashed values on a lattice of `cell_m`, joined smoothly; features are about two cells wide."""
    (i, u), (j, v) = floored(x / np.float32(cell_m)), floored(y / np.float32(cell_m))
    i0, j0 = int(i.min()), int(j.min())
    columns, rows = int(i.max()) - i0 + 2, int(j.max()) - j0 + 2
    lattice = hashed(np.arange(i0, i0 + columns)[None, :], np.arange(j0, j0 + rows)[:, None], seed)
    values = (lattice >> np.uint32(8)).astype(np.float32).ravel() / np.float32(2**24)
    at = (j - j0) * columns + (i - i0)
    u, v = u * u * (3 - 2 * u), v * v * (3 - 2 * v)
    south: Field = values[at] + (values[at + 1] - values[at]) * u
    north: Field = values[at + columns] + (values[at + columns + 1] - values[at + columns]) * u
    return south + (north - south) * v


def clouded(x: Field, y: Field, cell_m: float, seed: int, octaves: int) -> Field:
    """Sum of `octaves` of noise, each half as wide and half as strong as the one before, turned so no lattice shows."""
    total, weight, norm = np.zeros_like(x), 1.0, 0.0
    for octave in range(octaves):
        total = total + np.float32(weight) * noise(x, y, cell_m, seed + 101 * octave)
        norm, weight, cell_m = norm + weight, weight / 2, cell_m / 2
        x, y = np.float32(0.8) * x - np.float32(0.6) * y, np.float32(0.6) * x + np.float32(0.8) * y
    return total / np.float32(norm)
