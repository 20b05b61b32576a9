"""One Argo profile file of the demo world: format 3.1, core, bgc or synthetic, of any casts.

Layout: Argo user's manual 3.44, chapter 2, https://doi.org/10.13155/29825.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.netcdf3 import Attribute, Variable, netcdf3

FILL = 99999.0
EPOCH = datetime(1950, 1, 1, tzinfo=UTC)
_LENGTHS = (2, 4, 8, 16, 32, 64, 256)
_UNITS = {"PRES": "decibar", "TEMP": "degree_Celsius", "PSAL": "psu", "DOXY": "micromole/kg", "CHLA": "mg/m3"}
_STANDARD = {
    "PRES": "sea_water_pressure",
    "TEMP": "sea_water_temperature",
    "PSAL": "sea_water_salinity",
    "DOXY": "moles_of_oxygen_per_unit_mass_in_sea_water",
    "CHLA": "mass_concentration_of_chlorophyll_a_in_sea_water",
}
_TYPES = {"core": "Argo profile", "bgc": "B-Argo profile", "synthetic": "Argo synthetic profile"}
_BLANK: dict[str, Attribute] = {"_FillValue": " "}


@dataclass(frozen=True, eq=False)
class Column:
    """One parameter of one profile; what is None is not given: fill values, blank flags."""

    raw: NDArray[np.floating]
    qc: str | None = None
    """One flag a level; None: all 1."""
    adjusted: NDArray[np.floating] | None = None
    adjusted_qc: str | None = None
    error: NDArray[np.floating] | None = None
    mode: str = "R"
    profile_qc: str | None = None
    """PROFILE_<P>_QC to state; None: the one that its flags come to."""


@dataclass(frozen=True, eq=False)
class Cast:
    """One profile: where, when, and what was measured; columns have one length."""

    wmo: int
    cycle: int
    moment: datetime
    latitude: float
    longitude: float
    columns: dict[str, Column]
    direction: str = "A"
    juld_qc: str = "1"
    position_qc: str = "1"
    scheme: str = "Primary sampling: discrete []"
    tests_failed: str = "0"
    """HISTORY_QCTEST of what failed, hexadecimal."""

    @property
    def mode(self) -> str:
        """DATA_MODE: the furthest of its columns'."""
        return next(mode for mode in "DAR" if any(column.mode == mode for column in self.columns.values()))

    @property
    def levels(self) -> int:
        return max(len(column.raw) for column in self.columns.values())


def profile_file(casts: Sequence[Cast], kind: str = "core", updated: str = "20240901000000") -> bytes:
    """A NetCDF-3 file of N_PROF = len(casts) profiles; kind: core, bgc (PRES without flags) or synthetic.

    updated: DATE_UPDATE, YYYYMMDDHHMMSS. Shorter casts are padded with fill values and blank flags.
    """
    names = list(dict.fromkeys(name for cast in casts for name in cast.columns))
    variables = [*_about_file(kind, updated), *_about_casts(casts, kind, names)]
    for name in names:
        variables += _parameter(casts, kind, name)
    variables += _calibration(casts)
    dimensions: dict[str, int | None] = {f"STRING{length}": length for length in _LENGTHS}
    dimensions |= {"DATE_TIME": 14, "N_PROF": len(casts), "N_PARAM": max(len(cast.columns) for cast in casts)}
    dimensions |= {"N_LEVELS": max(cast.levels for cast in casts), "N_CALIB": 1}
    if kind != "synthetic":
        variables += _history(casts, updated)
        dimensions["N_HISTORY"] = None
    attributes: dict[str, Attribute] = {
        "title": "Invented float vertical profile of the demo world",
        "institution": "none",
        "source": "nothing here was measured",
        "user_manual_version": "3.1",
        "Conventions": "Argo-3.1 CF-1.6",
        "featureType": "trajectoryProfile",
    }
    return netcdf3(dimensions, variables, attributes)


def chars(texts: Sequence[str], width: int) -> NDArray[np.bytes_]:
    """Texts as blank-padded bytes, (text, width)."""
    content = b"".join(text.encode("latin-1")[:width].ljust(width) for text in texts)
    return np.frombuffer(content, "S1").reshape(len(texts), width)


def flags(column: Column, adjusted: bool = False) -> str:  # noqa: FBT001, FBT002 - a flag of one call
    """The QC of each level, blank where there is none."""
    if adjusted:
        return column.adjusted_qc or ("1" if column.adjusted is not None else " ") * len(column.raw)
    return column.qc if column.qc is not None else "1" * len(column.raw)


def profile_qc(column: Column) -> str:
    """PROFILE_<P>_QC by reference table 2a: the share of good flags (1, 2, 5, 8) among those that say anything."""
    if column.profile_qc is not None:
        return column.profile_qc
    known = [flag for flag in flags(column, adjusted=column.adjusted is not None) if flag not in "09 "]
    if not known:
        return " "
    good = sum(flag in "1258" for flag in known)
    return (
        next(letter for letter, least in zip("ABCDE", (4, 3, 2, 1, 0), strict=True) if 4 * good >= least * len(known))
        if good
        else "F"
    )


def _about_file(kind: str, updated: str) -> Iterator[Variable]:
    texts = {
        "DATA_TYPE": (_TYPES[kind], 32),
        "FORMAT_VERSION": ("3.1", 4),
        "HANDBOOK_VERSION": ("1.2", 4),
        "REFERENCE_DATE_TIME": ("19500101000000", 14),
        "DATE_CREATION": ("20240602000000", 14),
        "DATE_UPDATE": (updated, 14),
    }
    for name, (text, width) in texts.items():
        yield Variable(name, (_string(width),), chars([text], width)[0], _BLANK)


def _about_casts(casts: Sequence[Cast], kind: str, names: Sequence[str]) -> Iterator[Variable]:
    widths = {
        "PLATFORM_NUMBER": ([str(cast.wmo) for cast in casts], 8),
        "PROJECT_NAME": (["demo world"] * len(casts), 64),
        "PI_NAME": (["nobody"] * len(casts), 64),
        "DATA_CENTRE": (["IN" if cast.wmo < 9900200 else "IF" for cast in casts], 2),
        "PLATFORM_TYPE": (["INVENTED"] * len(casts), 32),
        "FLOAT_SERIAL_NO": ([f"demo-{cast.wmo % 1000}" for cast in casts], 32),
        "FIRMWARE_VERSION": (["0"] * len(casts), 32),
        "WMO_INST_TYPE": (["846"] * len(casts), 4),
        "POSITIONING_SYSTEM": (["GPS"] * len(casts), 8),
    }
    if kind != "synthetic":
        widths["VERTICAL_SAMPLING_SCHEME"] = ([cast.scheme for cast in casts], 256)
    for name, (texts, width) in widths.items():
        yield Variable(name, ("N_PROF", _string(width)), chars(texts, width), _BLANK)
    n_param = max(len(cast.columns) for cast in casts)
    width = 16 if kind == "core" else 64
    listed = [[*cast.columns, *[""] * (n_param - len(cast.columns))] for cast in casts]
    yield Variable(
        "STATION_PARAMETERS",
        ("N_PROF", "N_PARAM", _string(width)),
        np.stack([chars(row, width) for row in listed]),
        _BLANK,
    )
    yield from _letters(casts, kind, names, n_param)
    yield from _numbers(casts)


def _letters(casts: Sequence[Cast], kind: str, names: Sequence[str], n_param: int) -> Iterator[Variable]:
    """What is one character a profile, or one a profile and parameter."""
    modes = ["".join(column.mode for column in cast.columns.values()).ljust(n_param) for cast in casts]
    letters = {
        "DIRECTION": [cast.direction for cast in casts],
        "JULD_QC": [cast.juld_qc for cast in casts],
        "POSITION_QC": [cast.position_qc for cast in casts],
    }
    if kind != "synthetic":
        letters["DATA_MODE"] = [cast.mode for cast in casts]
    for name in names:
        if (kind, name) != ("bgc", "PRES"):
            own = [cast.columns.get(name) for cast in casts]
            letters[f"PROFILE_{name}_QC"] = [" " if column is None else profile_qc(column) for column in own]
    for name, each in letters.items():
        yield Variable(name, ("N_PROF",), chars(each, 1)[:, 0], _BLANK)
    if kind != "core":
        yield Variable("PARAMETER_DATA_MODE", ("N_PROF", "N_PARAM"), chars(modes, n_param), _BLANK)


def _numbers(casts: Sequence[Cast]) -> Iterator[Variable]:
    days = np.array([(cast.moment - EPOCH).total_seconds() / 86400 for cast in casts])
    time: dict[str, Attribute] = {"units": "days since 1950-01-01 00:00:00 UTC", "_FillValue": np.float64(999999)}
    place: dict[str, Attribute] = {"_FillValue": np.float64(FILL)}
    counts: dict[str, Attribute] = {"_FillValue": np.int32(99999)}
    yield Variable("CYCLE_NUMBER", ("N_PROF",), np.array([cast.cycle for cast in casts], np.int32), counts)
    yield Variable("CONFIG_MISSION_NUMBER", ("N_PROF",), np.ones(len(casts), np.int32), counts)
    yield Variable("JULD", ("N_PROF",), days, {"standard_name": "time", **time, "axis": "T"})
    yield Variable("JULD_LOCATION", ("N_PROF",), days, time)
    for name, unit, axis in (("LATITUDE", "degree_north", "Y"), ("LONGITUDE", "degree_east", "X")):
        values = np.array([getattr(cast, name.lower()) for cast in casts], np.float64)
        yield Variable(name, ("N_PROF",), values, {"units": unit, **place, "axis": axis})


def _parameter(casts: Sequence[Cast], kind: str, name: str) -> Iterator[Variable]:
    """Values as found, and where the kind of file has them: flags, adjusted values, their flags and errors."""
    n_levels = max(cast.levels for cast in casts)
    empty = Column(np.empty(0))
    own = [cast.columns.get(name, empty) for cast in casts]
    about: dict[str, Attribute] = {"_FillValue": np.float32(FILL), "units": _UNITS.get(name, "1")}
    full = {**about, **({"standard_name": _STANDARD[name]} if name in _STANDARD else {})}
    shape = ("N_PROF", "N_LEVELS")

    def values(arrays: Sequence[NDArray[Any] | None]) -> NDArray[np.float32]:
        out = np.full((len(casts), n_levels), FILL, np.float32)
        for row, array in zip(out, arrays, strict=True):
            row[: 0 if array is None else len(array)] = () if array is None else array
        return out

    yield Variable(name, shape, values([one.raw for one in own]), full)
    if (kind, name) == ("bgc", "PRES"):
        return
    yield Variable(f"{name}_QC", shape, chars([flags(one) for one in own], n_levels), _BLANK)
    yield Variable(f"{name}_ADJUSTED", shape, values([one.adjusted for one in own]), full)
    adjusted = [flags(one, adjusted=True) for one in own]
    yield Variable(f"{name}_ADJUSTED_QC", shape, chars(adjusted, n_levels), _BLANK)
    yield Variable(f"{name}_ADJUSTED_ERROR", shape, values([one.error for one in own]), about)


def _calibration(casts: Sequence[Cast]) -> Iterator[Variable]:
    """What was done to adjusted values; one comment is Latin-1, as some files' are."""
    n_param = max(len(cast.columns) for cast in casts)
    listed = [[*cast.columns, *[""] * (n_param - len(cast.columns))] for cast in casts]
    said = [["étalonnage inventé" if name == "PSAL" else "" for name in row] for row in listed]
    for key, texts in (("PARAMETER", listed), ("SCIENTIFIC_CALIB_COMMENT", said)):
        width = 64 if key == "PARAMETER" else 256
        values = np.stack([chars(row, width)[None] for row in texts])
        yield Variable(key, ("N_PROF", "N_CALIB", "N_PARAM", _string(width)), values, _BLANK)


def _history(casts: Sequence[Cast], updated: str) -> Iterator[Variable]:
    """Two records: the real-time tests that were done (QCP$), and those that failed (QCF$)."""
    rows = {
        "HISTORY_INSTITUTION": (("IN", "IN"), 4),
        "HISTORY_STEP": (("ARGQ", "ARGQ"), 4),
        "HISTORY_DATE": ((updated, updated), 14),
        "HISTORY_ACTION": (("QCP$", "QCF$"), 4),
    }
    for name, (texts, width) in rows.items():
        values = np.repeat(chars(texts, width)[:, None], len(casts), axis=1)
        yield Variable(name, ("N_HISTORY", "N_PROF", _string(width)), values, _BLANK)
    tests = np.stack([chars(["D7B7E"] * len(casts), 16), chars([cast.tests_failed for cast in casts], 16)])
    yield Variable("HISTORY_QCTEST", ("N_HISTORY", "N_PROF", "STRING16"), tests, _BLANK)


def _string(width: int) -> str:
    return "DATE_TIME" if width == 14 else f"STRING{width}"
