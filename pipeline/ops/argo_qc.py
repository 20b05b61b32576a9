"""Argo's quality control, counted again: letters of whole profiles, tests that failed, statistics of the best values.

Everything is flat, as in `argo_best`. Sources: Argo user's manual (DOI 10.13155/29825), tables 2a and 11; names of the
tests: Argo quality control manuals, for CTD and trajectory data (DOI 10.13155/33951) and for BGC (DOI 10.13155/40879).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.argo_best import usable_modes
from pipeline.plan.argo_rules import GOOD_FLAGS
from pipeline.types.levels import LevelValues
from pipeline.types.profiles import Codes

_NOT_COUNTED = (-2, -1, 0, 9)
"""No flag, none that is known, no quality control, missing."""
_LETTERS = np.array([b"F", b"E", b"D", b"C", b"B", b"A", b" "], "S1")

TEST_NAMES: Mapping[int, str] = {
    1: "platform identification",
    2: "impossible date",
    3: "impossible location",
    4: "position on land",
    5: "impossible speed",
    6: "global range",
    7: "regional range",
    8: "pressure increasing",
    9: "spike",
    10: "top and bottom spike",
    11: "gradient",
    12: "digit rollover",
    13: "stuck value",
    14: "density inversion",
    15: "greylist",
    16: "gross salinity or temperature sensor drift",
    17: "visual quality control",
    18: "frozen profile",
    19: "deepest pressure",
    20: "questionable Argos position",
    21: "near-surface unpumped salinity",
    22: "near-surface mixed air and water",
    23: "deeper than 2000 dbar",
    24: "experimental sensor",
    25: "MEDD",
    26: "conductivity cell temperature",
    56: "pH",
    57: "DOXY",
    58: "CDOM",
    59: "NITRATE",
    60: "PAR",
    61: "IRRADIANCE",
    62: "BBP",
    63: "CHLA",
}
"""By number: bit n of HISTORY_QCTEST is test n."""


def profile_qc(values: LevelValues, starts: NDArray[np.int64]) -> Codes:
    """PROFILE_<PARAMETER>_QC by its definition, (profiles,) S1: the share of good levels, from A (all) to F (none).

    Good are flags 1, 2, 5, 8, of the adjusted values in modes A and D, else of the raw ones; 0, 9 and blank do not
    count. Blank where no level counts.
    """
    sizes = np.diff(starts)
    mode = np.repeat(usable_modes(values), sizes)
    qc = np.where((mode == b"A") | (mode == b"D"), values.adjusted_qc, values.raw_qc)
    profile = np.repeat(np.arange(sizes.size), sizes)
    counted = np.bincount(profile[~np.isin(qc, _NOT_COUNTED)], minlength=sizes.size)
    good = np.bincount(profile[np.isin(qc, GOOD_FLAGS)], minlength=sizes.size)
    # In whole numbers: 3 of 4 is B, whatever a quotient of floats would be.
    steps = (good > 0, 4 * good >= counted, 2 * good >= counted, 4 * good >= 3 * counted, good == counted)
    grade = np.sum(steps, axis=0)
    return _LETTERS[np.where(counted == 0, 6, np.where(good == 0, 0, grade))]


def profile_qc_differs(computed: Codes, stated: Codes) -> NDArray[np.bool_]:
    """True where a file's letter is not what its flags make it; NUL is blank."""
    plain: NDArray[np.bool_] = np.where(stated == b"", b" ", stated) != computed
    return plain


def decode_tests(text: str) -> tuple[int, ...] | None:
    """Numbers of the tests of HISTORY_QCTEST, a hexadecimal sum of 2 to the power of each; None: it is no such sum.

    Several texts, separated by blanks, are joined. Of what is written otherwise one thing is plain enough to be read: a
    decimal power of two with five digits or more, such as 131072 for test 17 alone.
    """
    found = 0
    for word in text.replace("\0", " ").split():
        try:
            bits = int(word, 16)
        except ValueError:
            return None
        if word.isdecimal() and len(word) >= 5 and int(word).bit_count() == 1:
            bits = int(word)
        if bits & 1 or bits >> 64 or bits < 0:
            return None
        found |= bits
    return tuple(number for number in range(1, 64) if found >> number & 1)


def test_names(text: str) -> tuple[str, ...]:
    """Names of the tests of HISTORY_QCTEST, by number; a text that cannot be decoded stands for itself."""
    numbers = decode_tests(text)
    if numbers is None:
        return (f"not decoded: {text.strip()}",)
    return tuple(TEST_NAMES.get(number, f"test {number}") for number in numbers)


@dataclass(frozen=True)
class Statistics:
    """Of one parameter's best values, each array of shape (profiles,); NaN where a profile has none."""

    count: NDArray[np.int32]
    minimum: NDArray[np.float64]
    maximum: NDArray[np.float64]
    mean: NDArray[np.float64]


def statistics(best: NDArray[np.floating], starts: NDArray[np.int64]) -> Statistics:
    """Count, least, greatest and mean of each profile's best values; (levels,), NaN is none. Summed in float64."""
    sizes = np.diff(starts)
    profile = np.repeat(np.arange(sizes.size), sizes)
    there = ~np.isnan(best)
    count = np.bincount(profile[there], minlength=sizes.size)
    made = {name: np.full(sizes.size, np.nan) for name in ("minimum", "maximum", "mean")}
    some = np.flatnonzero(count)
    if some.size:
        values = best[there].astype(np.float64)
        first = (np.cumsum(count) - count)[some]
        made["minimum"][some] = np.minimum.reduceat(values, first)
        made["maximum"][some] = np.maximum.reduceat(values, first)
        made["mean"][some] = np.add.reduceat(values, first) / count[some]
    return Statistics(count.astype(np.int32), **made)
