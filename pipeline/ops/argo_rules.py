"""Argo's times, positions, pressures and greylist: what of them is usable, and which sensors are not to be trusted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.types.levels import NO_FLAG, ODD_FLAG, Flags
from pipeline.types.profiles import Codes

MISSING_FLAG = 9
_JULD_FILL = 999999.0
_POSITION_FILL = 99999.0
_DAY_ONE = np.datetime64("1950-01-01", "us")
_LAST_DAY = float((np.datetime64("2100-01-01") - np.datetime64("1950-01-01")).astype(np.int64))
_DAY_US = 86_400_000_000
_OPEN_END = 99_991_231
_CODES = {"0", "1", "2", "3", "4", "5", "8"}

Bools = NDArray[np.bool_]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Times:
    """When profiles were made; each array of shape (profiles,)."""

    time: NDArray[np.datetime64]
    """datetime64[us], UTC; NaT where there is none."""
    qc: Flags
    missing: Bools
    """Fill, or said to be missing."""
    invalid: Bools
    """Stored, and no time."""


@dataclass(frozen=True)
class Positions:
    """Where profiles were made; each array of shape (profiles,)."""

    latitude: Doubles
    """Degrees north; NaN where there is no position."""
    longitude: Doubles
    """Degrees east, from -180, below 180."""
    qc: Flags
    missing: Bools
    invalid: Bools


@dataclass(frozen=True)
class PressureFaults:
    """What is wrong with the pressure of profiles; each array of shape (profiles,)."""

    missing: Bools
    """The profile does not have PRES."""
    fill: Bools
    """It has, and nothing is stored."""
    not_increasing: Bools
    """A best pressure is not above the one before it."""


def plain_flags(qc: Flags) -> Flags:
    """Flags 0 to 9, and `NO_FLAG` for everything else."""
    return np.where(qc == ODD_FLAG, np.int8(NO_FLAG), qc)


def times(juld: Doubles, juld_qc: Flags) -> Times:
    """Times of JULD, days since 1950-01-01 UTC, to the microsecond; a flag of 3, 4 or 8 takes no time away.

    Missing: fill (999999), or a flag of 9. Invalid: not finite, or not after 1950-01-01 and before 2100.
    """
    missing = (juld == _JULD_FILL) | (juld_qc == MISSING_FLAG)
    valid = (juld > 0) & (juld < _LAST_DAY)
    usable = valid & ~missing
    since = np.rint(np.where(usable, juld, 0.0) * _DAY_US).astype(np.int64).astype("timedelta64[us]")
    time = np.where(usable, _DAY_ONE + since, np.datetime64("NaT", "us"))
    return Times(time, plain_flags(juld_qc), missing, ~valid & ~missing)


def positions(latitude: Doubles, longitude: Doubles, position_qc: Flags) -> Positions:
    """Positions on the globe, of either longitude convention; a flag of 3, 4 or 8 takes no position away.

    Missing: fill (99999) in either, or a flag of 9: floats under ice, and files that store -99.999, -999.999 as theirs.
    Invalid: not finite, latitude beyond 90 degrees, longitude not from -180 to 360.
    """
    missing = (latitude == _POSITION_FILL) | (longitude == _POSITION_FILL) | (position_qc == MISSING_FLAG)
    valid = (np.abs(latitude) <= 90) & (longitude >= -180) & (longitude <= 360)
    usable = valid & ~missing
    east = np.where(longitude >= 180, longitude - 360, longitude)
    return Positions(
        np.where(usable, latitude, np.nan),
        np.where(usable, east, np.nan),
        plain_flags(position_qc),
        missing,
        ~valid & ~missing,
    )


def pressure_faults(
    mode: Codes, stored: Bools, best: NDArray[np.floating], starts: NDArray[np.int64]
) -> PressureFaults:
    """What is wrong with the pressure of each profile; nothing is taken away.

    mode: (profiles,) of PRES, blank where a profile does not have it. stored: (levels,) where PRES is not fill. best:
    (levels,) best pressure, NaN for none: values with bad flags are not looked at unless the quality level takes them.
    """
    profile = np.repeat(np.arange(len(mode)), np.diff(starts))
    has = (mode == b"R") | (mode == b"A") | (mode == b"D")
    any_stored = np.bincount(profile[stored], minlength=len(mode)) > 0
    there = np.flatnonzero(np.isfinite(best))
    pressure, owner = best[there], profile[there]
    falls = (np.diff(pressure) <= 0) & (owner[1:] == owner[:-1])
    not_increasing = np.bincount(owner[1:][falls], minlength=len(mode)) > 0
    return PressureFaults(~has, has & ~any_stored, not_increasing)


@dataclass(frozen=True, order=True)
class Listed:
    """One row of the greylist: a sensor that is not to be trusted from one day to another, both included."""

    wmo: int
    parameter: str
    start: int
    """YYYYMMDD."""
    end: int
    """YYYYMMDD; 99991231 where none is given."""
    flag: int


@dataclass(frozen=True)
class Greylist:
    """Sensors that are not to be trusted."""

    rows: tuple[Listed, ...] = ()
    """Sorted, each once."""
    faults: tuple[str, ...] = ()
    """Lines that say nothing usable, each with what was expected."""

    def of(self, wmo: Collection[int]) -> Greylist:
        """The rows of these floats."""
        return Greylist(tuple(row for row in self.rows if row.wmo in wmo), self.faults)


def read_greylist(lines: Iterable[str]) -> Greylist:
    """The greylist of lines of `ar_greylist.txt`: float, parameter, start, end, flag, comment, data centre.

    A heading and blank lines are passed over; a line without a usable float, parameter, start or flag becomes a fault.
    An empty end is none; an unusable one too, since a sensor that is listed is rather distrusted too long.
    """
    rows, faults = set(), []
    for line in lines:
        # No reader of CSV: a quote in somebody's comment would take the following lines for more of it.
        fields = [field.strip(' \t\r\n\0"') for field in line.split(",")]
        wmo, parameter, start, end, flag = [*fields, "", "", "", "", ""][:5]
        if not any(fields) or wmo == "PLATFORM_CODE":
            continue
        if wmo.isdecimal() and parameter and start.isdecimal() and len(start) >= 8 and flag in _CODES:
            last = int(end[:8]) if end.isdecimal() and len(end) >= 8 else _OPEN_END
            rows.add(Listed(int(wmo), parameter.upper(), int(start[:8]), last, int(flag)))
        else:
            faults.append(f"greylist: {line.strip()!r}: expected float, parameter, start as YYYYMMDD, end, flag 0-8")
    return Greylist(tuple(sorted(rows)), tuple(faults))


def greylisted(
    greylist: Greylist, parameter: str, wmo: NDArray[np.int32], time: NDArray[np.datetime64]
) -> Flags | None:
    """The greylist's flag of a parameter for each profile, (profiles,) int8, `NO_FLAG` for none; None if it lists none.

    wmo, time: (profiles,). A profile without a time counts as listed: no value is good for want of a date. The highest
    flag wins where rows overlap.
    """
    floats = {*np.unique(wmo).tolist()}
    rows = [row for row in greylist.rows if row.parameter == parameter and row.wmo in floats]
    if not rows:
        return None
    days = time.astype("datetime64[D]")
    out = np.full(wmo.shape, NO_FLAG, np.int8)
    for row in rows:
        inside = (days >= _day(row.start)) & (days <= _day(row.end))
        mine = (wmo == row.wmo) & (inside | np.isnat(time))
        out[mine] = np.maximum(out[mine], np.int8(row.flag))
    return out


def _day(number: int) -> np.datetime64:
    """A day of YYYYMMDD; days that no month has run on into the next one."""
    month = np.datetime64(f"{number // 10_000:04d}-01", "M") + (number // 100 % 100 - 1)
    day: np.datetime64 = month.astype("datetime64[D]") + (number % 100 - 1)
    return day
