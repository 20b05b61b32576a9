"""Radar backscatter in linear power: from the numbers of a file, cleaned on the scene's own pixels, to decibels last.

Power here is float32, NaN where there is none, C-contiguous. Noise is multiplicative in power and averages out there;
a mean of decibels is the logarithm of the geometric mean, which is too low by about 2.5 dB at one look and 0.5 dB at
4.4 looks. So nothing but `to_db` knows decibels, and it comes last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled
from pipeline.ops.memory import call_in_memory

Power = NDArray[np.float32]
InputScale = Literal["power", "db", "amplitude"]
_CODES: Final[dict[InputScale, int]] = {"power": 0, "db": 1, "amplitude": 2}
_ENOUGH_PX = 1000
"""Pixels from which the signs of a sample's numbers say something about their scale."""


@compiled("f4[::1], f4, i8")
def _as_power(values: Power, nodata: np.float32, code: int) -> bool:
    """In place; whether a number is seldom seen in that scale, so that its being that scale is worth a look."""
    odd = False
    for k in range(values.size):
        value = values[k]
        if value == nodata or not np.isfinite(value):
            values[k] = np.nan
            continue
        odd |= (value > 0 or value < -100) if code == 1 else value < -1
        if code == 1:
            value = np.float32(math.pow(10.0, np.float64(value) * 0.1))
        elif code == 2:
            value = value * value if value > 0 else np.float32(0)
        values[k] = value if value > 0 and np.isfinite(value) else np.float32(np.nan)
    return odd


def as_power(data: NDArray[Any], input_scale: InputScale, nodata: float | None) -> tuple[Power, bool]:
    """A copy of a file's numbers as linear power; nodata, power that is not above 0, and what is not finite are NaN.

    Radar power is positive: zero and less is what a processor leaves where it measured nothing, or took more noise away
    than there was signal. power: as it is; db: 10^(x/10); amplitude: x². Also whether a number is so odd that
    `other_scale` should be asked: if none is, then none is in any part of the data.
    """
    # Always a copy: a reader may lend the same pixels to somebody else.
    power: Power = np.array(data, np.float32, order="C")
    odd = _as_power(power.reshape(-1), np.float32(np.nan if nodata is None else nodata), _CODES[input_scale])
    return power, bool(odd)


def other_scale(sample: NDArray[Any], input_scale: InputScale, nodata: float | None) -> str | None:
    """Why a sample of a scene's numbers is plainly of another scale than it is taken for; None where it is not.

    Power and amplitude: most are below -1, which is more than noise can take away. db: none is below 0, where nearly
    all must be, or most whole numbers are below -100. A few numbers say too little.
    """
    numbers = sample[np.isfinite(sample) & (sample != nodata)]
    if numbers.size < _ENOUGH_PX:
        return None
    if input_scale != "db" and (low := np.count_nonzero(numbers < -1)) > numbers.size / 2:
        return (
            f"{low} of {numbers.size} numbers in the scene's middle are below -1, which {input_scale} never is: they "
            "look like decibels; expected input_scale: db"
        )
    if input_scale == "db" and not (numbers < 0).any():
        return (
            f"none of {numbers.size} numbers in the scene's middle is negative, as backscatter in decibels mostly is; "
            "expected input_scale: power or amplitude"
        )
    whole = input_scale == "db" and numbers.dtype.kind in "iu"
    if whole and (low := np.count_nonzero(numbers < -100)) > numbers.size / 2:
        return (
            f"{low} of {numbers.size} numbers in the scene's middle are below -100, which decibels never are: they "
            "look like parts of decibels; expected decibels themselves"
        )
    return None


@compiled("f4[::1]")
def _to_db(values: Power) -> None:
    for k in range(values.size):
        value = np.float64(values[k])
        values[k] = np.float32(10.0 * math.log10(value) if value > 0 else np.nan)


def to_db(power: Power) -> Power:
    """10 log10 of power, in a new array; NaN where there is none, and where it is 0, which has no decibels."""
    decibels = np.array(power, np.float32, order="C")
    _to_db(decibels.reshape(-1))
    return decibels


@compiled("f4[:,::1], i8, f4")
def _drop_border(power: Power, px: int, below: np.float32) -> None:
    rows, cols = power.shape
    near = np.zeros((rows, cols), np.uint8)
    for r in range(rows):
        last = -px - 1
        for c in range(cols):
            last = c if np.isnan(power[r, c]) else last
            near[r, c] |= np.uint8(c - last <= px)
        last = cols + px
        for c in range(cols - 1, -1, -1):
            last = c if np.isnan(power[r, c]) else last
            near[r, c] |= np.uint8(last - c <= px)
    above, beneath = np.full(cols, -px - 1), np.full((rows + 1, cols), rows + px)
    for r in range(rows - 1, -1, -1):
        for c in range(cols):
            beneath[r, c] = r if near[r, c] else beneath[r + 1, c]
    for r in range(rows):
        for c in range(cols):
            above[c] = r if near[r, c] else above[c]
            close = (r - above[c] <= px) | (beneath[r, c] - r <= px)
            power[r, c] = np.float32(np.nan) if close and power[r, c] < below else power[r, c]


@dataclass(frozen=True)
class Border:
    """Noise along the edges of a swath: what is weak, or anything at all, close to where there is nothing."""

    px: int = 0
    """Pixels of the scene, along rows and columns; 0: nothing is dropped."""
    below: float | None = None
    """Power under which a pixel so close is dropped; None: whatever it has."""

    def apply(self, power: Power) -> None:
        """Drop it in place. What lies beyond the array is not taken for missing."""
        if self.px:
            _drop_border(power, self.px, np.float32(np.inf if self.below is None else self.below))


@compiled("f4[:,::1], i8, f8, b1, f4[:,::1]")
def _lee(power: Power, half: int, looks: float, enhanced: bool, out: Power) -> None:  # noqa: FBT001
    rows, cols = power.shape
    sums, squares, counts = np.empty(cols), np.empty(cols), np.empty(cols)
    noise = 1 / looks
    cu, most = math.sqrt(noise), math.sqrt(1 + 2 * noise)
    for r in range(rows):
        sums[:], squares[:], counts[:] = 0, 0, 0
        for near in range(max(0, r - half), min(rows, r + half + 1)):
            for c in range(cols):
                value = np.float64(power[near, c])
                there = value == value  # noqa: PLR0124 (NaN is not itself)
                sums[c] += value if there else 0.0
                squares[c] += value * value if there else 0.0
                counts[c] += 1.0 if there else 0.0
        for c in range(cols):
            total = square = count = 0.0
            for near in range(max(0, c - half), min(cols, c + half + 1)):
                total += sums[near]
                square += squares[near]
                count += counts[near]
            value = np.float64(power[r, c])
            if np.isnan(value):
                out[r, c] = np.nan
                continue
            mean = total / count
            varied = max(square / count - mean * mean, 0.0) / (mean * mean)
            if enhanced:
                ci = math.sqrt(varied)
                if ci >= most:
                    weight = 1.0
                elif ci <= cu:
                    weight = 0.0
                else:
                    weight = 1 - math.exp(-(ci - cu) / (most - ci))
            else:
                weight = 1 - noise / varied if varied > noise else 0.0
            out[r, c] = np.float32(mean + weight * (value - mean))


@dataclass(frozen=True)
class Speckle:
    """A filter that takes speckle away where the ground looks even, and leaves edges and points.

    lee: mean + (1 - Cu²/Ci²)(x - mean), Cu² = 1/looks, Ci the local coefficient of variation (J.-S. Lee, IEEE PAMI
    2(2), 1980). enhanced_lee: the mean up to Cu, the pixel itself from sqrt(1 + 2/looks) on, between them the pixel's
    weight is 1 - exp(-(Ci - Cu)/(Cmax - Ci)) (Lopes, Touzi and Nezry, IEEE TGRS 28(6), 1990, damping 1).
    """

    method: Literal["lee", "enhanced_lee"] = "lee"
    size_px: int = 7
    """Side of the window, odd."""
    looks: float = 4.4
    """Equivalent number of looks of one scene."""

    @property
    def reach_px(self) -> int:
        return self.size_px // 2

    def apply(self, power: Power) -> Power:
        """(y, x) filtered; missing pixels stay missing and count for nothing.

        Sums are taken afresh for each pixel: its value depends on the window around it, not on where the array begins.
        """
        out = np.empty_like(power)
        _lee(power, self.reach_px, self.looks, self.method == "enhanced_lee", out)
        return out


@compiled("Array(f4, 1, 'C', readonly=True), UniTuple(i8, 6), u1[::1], u1[::1], i8")
def _directions(stack: Power, layout: Any, used: NDArray[np.uint8], wanted: NDArray[np.uint8], least: int) -> None:
    dates, rows, cols, date_step, row_step, used_step = layout
    first, second = np.empty(cols, np.uint16), np.empty(cols, np.uint16)
    for r in range(rows):
        first[:] = 0
        second[:] = 0
        for t in range(dates):
            count = first if wanted[t] else second
            source = stack[t * date_step + r * row_step : t * date_step + r * row_step + cols]
            for c in range(cols):
                count[c] += np.uint16(source[c] == source[c])
        for c in range(cols):
            one, other = np.uint8(first[c] > 0), np.uint8(second[c] > 0)
            enough, instead = first[c] >= least, second[c] >= least
            used[r * used_step + c] = np.uint8(1) if enough else np.uint8(2) if instead else one | other << 1


def prefer(stack: NDArray[np.float32], wanted: NDArray[np.uint8], least: int, used: NDArray[np.uint8]) -> None:
    """Leave each pixel, in place, its wanted observations where it has `least` of them, else the others, else all.

    The others are taken alone where they are `least` or more. stack: (time, y, x). wanted: (time,) 1 or 0. used: (y, x)
    becomes 1 where wanted observations are left, 2 where others are, 3 both, 0 none.
    """
    if not stack.size:
        used[...] = 0
        return
    call_in_memory(_directions, [stack], [used], wanted, least)
    for date, is_wanted in zip(stack, wanted, strict=True):
        np.copyto(date, np.float32(np.nan), where=used == (2 if is_wanted else 1))
