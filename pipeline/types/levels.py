"""Profiles as flat columns: one entry a profile, one a level, whatever files they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.types.profiles import Codes, Floats

MISSING = 9.969209968386869e36
"""No number: NetCDF's default fill, the same in float32 and float64. A stored NaN or infinity stays what it is."""
NO_FLAG = -1
"""A QC character that is blank or NUL, or a variable that the file does not have."""
ODD_FLAG = -2
"""A QC character that is neither a digit nor blank."""
KINDS = ("core", "bgc", "synthetic")

Flags = NDArray[np.int8]
"""0 to 9, `NO_FLAG` or `ODD_FLAG`."""


@dataclass(frozen=True)
class LevelValues:
    """One parameter of all profiles, in native byte order; float64 where any file has doubles, else float32."""

    raw: Floats
    raw_qc: Flags
    adjusted: Floats
    adjusted_qc: Flags
    adjusted_error: Floats
    """The five of shape (levels,); `MISSING` and `NO_FLAG` where there is nothing."""
    mode: Codes
    """Of shape (profiles,), as are the others below: `R`, `A` or `D`; blank where a profile lacks the parameter."""
    profile_qc: Codes
    """PROFILE_<P>_QC as the file has it; blank where none."""
    has: NDArray[np.bool_]
    """Whether the profile's file has the variable at all."""
    has_adjusted: NDArray[np.bool_]


@dataclass(frozen=True)
class Levels:
    """Many files as one table in two parts; profiles in the order of files, levels in the order of profiles."""

    paths: tuple[str, ...]
    file: NDArray[np.int32]
    """Of shape (profiles,), as all up to `padding`: place in `paths`."""
    row: NDArray[np.int32]
    """Place in the file's N_PROF."""
    wmo: NDArray[np.int32]
    cycle: NDArray[np.int32]
    direction: Codes
    kind: NDArray[np.int8]
    """Place in `KINDS`."""
    index: NDArray[np.int32]
    data_mode: Codes
    juld: NDArray[np.float64]
    """Days since 1950-01-01 UTC, as stored: fills are not yet told from times, nor from positions below."""
    juld_qc: Flags
    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    position_qc: Flags
    padding: NDArray[np.int32]
    """Trailing levels that were left out, since none of the parameters has a number or a flag there."""
    starts: NDArray[np.int64]
    """Of shape (profiles + 1,): the levels of profile p are `starts[p]:starts[p + 1]`; it may have none."""
    profile: NDArray[np.int32]
    """Of shape (levels,): place among the profiles."""
    level: NDArray[np.int32]
    """Of shape (levels,): place in the file's N_LEVELS."""
    values: Mapping[str, LevelValues]
    """Every parameter that was asked for, also where no file has it."""
