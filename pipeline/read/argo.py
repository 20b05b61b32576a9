"""One Argo profile file, from its bytes to arrays as they are stored. Core, B and synthetic, one cycle or many.

Formats 2.2 to 3.1: what an older one lacks is blank or left out. What no rule of the format allows is an error that
names the variable. Source: Argo user's manual (doi 10.13155/29825), chapter 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.plan.argo_schema import TEXTS
from pipeline.read.argo_fields import (
    CHARACTER,
    DOUBLE,
    INTEGER,
    FieldError,
    characters,
    codes,
    directions,
    measured,
    numbers,
    platforms,
    station_parameters,
    stripped,
    text,
    texts,
)
from pipeline.read.netcdf import Variables, open_netcdf
from pipeline.read.netcdf3 import Bytes, Netcdf3Error
from pipeline.read.netcdf_library import Library, LibraryLostError, NotNetcdfError
from pipeline.types.profiles import Codes, ProfileFile

_OTHERS = (
    "DATA_TYPE",
    "FORMAT_VERSION",
    "DATE_UPDATE",
    "PLATFORM_NUMBER",
    "CYCLE_NUMBER",
    "DIRECTION",
    "DATA_MODE",
    "PARAMETER_DATA_MODE",
    "STATION_PARAMETERS",
    "JULD",
    "JULD_QC",
    "LATITUDE",
    "LONGITUDE",
    "POSITION_QC",
    "HISTORY_ACTION",
    "HISTORY_QCTEST",
)
_KINDS = {"ARGO PROFILE": "core", "B-ARGO PROFILE": "bgc", "ARGO SYNTHETIC PROFILE": "synthetic"}
"""By DATA_TYPE in capitals: format 2.2 has `ARGO profile`."""
_BLANK = frozenset({b"", b" "})
_ACTION_BYTES = 4


def read_profiles(data: Bytes, path: str, parameters: Sequence[str], library: Library | None = None) -> ProfileFile:
    """All profiles of a file with the asked parameters that it has, as stored; arrays view `data` where they can.

    data: the whole file. path: its name, in errors and in the result. parameters: names such as `TEMP`; spectra, with a
    third axis, are never read. library: for many files, since NetCDF-4 costs a process. Raises PermanentAssetError for
    what is no whole, sound profile file, and TransientAssetError where that process was lost.
    """
    asked = tuple(parameters)
    try:
        return _read(open_netcdf(data, _names(asked), library), path, asked)
    except LibraryLostError as error:
        raise TransientAssetError(path, str(error)) from error
    except (NotNetcdfError, Netcdf3Error, FieldError) as error:
        raise PermanentAssetError(path, str(error)) from error


@lru_cache(maxsize=64)
def _names(asked: tuple[str, ...]) -> frozenset[str]:
    """Every variable that is looked at."""
    beside = [parameter + part for parameter in asked for part in ("", "_QC", "_ADJUSTED", "_ADJUSTED_QC")]
    errors = [f"{parameter}_ADJUSTED_ERROR" for parameter in asked]
    return frozenset({*TEXTS, *_OTHERS, *beside, *errors, *(f"PROFILE_{parameter}_QC" for parameter in asked)})


def _read(file: Variables, path: str, asked: tuple[str, ...]) -> ProfileFile:
    kind = _kind(file)
    cycle = numbers(file, "CYCLE_NUMBER", INTEGER)
    count = len(cycle)
    wmo, direction = platforms(file, count), directions(file, count, path)
    slots = station_parameters(file, count)
    mode, of_slot = characters(file, "DATA_MODE", count), characters(file, "PARAMETER_DATA_MODE", count, 2)
    if mode is None:
        mode = _best_mode(of_slot, count)
    found = {name: values for name in asked if (values := measured(file, name, count)) is not None}
    shapes = {name: values.raw.shape for name, values in found.items()}
    if len(set(shapes.values())) > 1:
        raise FieldError(f"parameters differ in their number of levels: {shapes}")
    performed, failed = _tests(file, count)
    return ProfileFile(
        path=path,
        kind=kind,
        wmo=wmo,
        cycle=cycle,
        direction=direction,
        index=_indices(wmo, cycle, direction),
        data_mode=mode,
        juld=numbers(file, "JULD", DOUBLE, count),
        juld_qc=codes(file, "JULD_QC", count),
        latitude=numbers(file, "LATITUDE", DOUBLE, count),
        longitude=numbers(file, "LONGITUDE", DOUBLE, count),
        position_qc=codes(file, "POSITION_QC", count),
        parameters=tuple(tuple(filter(None, names)) for names in slots),
        parameter_mode={name: _mode_of(name, slots, mode, of_slot) for name in found},
        profile_qc={name: codes(file, f"PROFILE_{name}_QC", count) for name in found},
        measured=found,
        unread=tuple(sorted({name for names in set(slots) for name in names if name} - found.keys())),
        texts={name: each for name in TEXTS if (each := texts(file, name, count)) is not None},
        tests_performed=performed,
        tests_failed=failed,
        format_version=text(file, "FORMAT_VERSION"),
        date_update=text(file, "DATE_UPDATE"),
    )


def _kind(file: Variables) -> str:
    found = text(file, "DATA_TYPE")
    kind = _KINDS.get(found.upper())
    if kind is None:
        raise FieldError(f"DATA_TYPE is {found!r}, expected a profile file: {', '.join(_KINDS)}")
    return kind


def _best_mode(of_slot: Codes | None, count: int) -> Codes:
    """Of the modes of a profile's parameters."""
    if of_slot is None:
        raise FieldError("both DATA_MODE and PARAMETER_DATA_MODE are missing")
    best = np.full(count, b"R", CHARACTER)
    for mode in (b"A", b"D"):
        best[(of_slot == mode).any(axis=1)] = mode
    return best


def _mode_of(name: str, slots: Sequence[tuple[str, ...]], mode: Codes, of_slot: Codes | None) -> Codes:
    """A parameter's mode in each profile: its own where the file has such, else the profile's."""
    found = [b" "] * len(slots)
    for profile, names in enumerate(slots):
        if name in names:
            place = names.index(name)
            own = b"" if of_slot is None or place >= of_slot.shape[1] else of_slot[profile, place]
            found[profile] = mode[profile] if own in _BLANK else own
    return np.array(found, CHARACTER)


def _indices(wmo: NDArray[np.int32], cycle: NDArray[np.int32], direction: Codes) -> NDArray[np.int32]:
    """Of each profile, how many of the same float, cycle and direction stand before it."""
    index = np.zeros(len(wmo), INTEGER)
    if len(wmo) > 1:
        seen: dict[tuple[int, int, bytes], int] = {}
        for profile, key in enumerate(zip(wmo.tolist(), cycle.tolist(), direction.tolist(), strict=True)):
            index[profile] = seen[key] = seen.get(key, -1) + 1
    return index


def _tests(file: Variables, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of each profile the tests performed (QCP$) and failed (QCF$): the different texts of HISTORY_QCTEST, by blanks.

    All records count: some data centres write one a step, others one a parameter.
    """
    action, tests = file.get("HISTORY_ACTION"), file.get("HISTORY_QCTEST")
    if action is None or tests is None:
        return ("",) * count, ("",) * count
    expected = (len(action), count, _ACTION_BYTES) if action.ndim else ()
    if (
        action.shape != expected
        or tests.shape[:-1] != expected[:-1]
        or action.dtype != CHARACTER
        or tests.dtype != CHARACTER
    ):
        raise FieldError(f"HISTORY_ACTION is {action.dtype} of shape {action.shape}, HISTORY_QCTEST {tests.shape}")
    raw = action.tobytes()
    return _texts_of(b"QCP$", raw, tests), _texts_of(b"QCF$", raw, tests)


def _texts_of(name: bytes, actions: bytes, tests: Codes) -> tuple[str, ...]:
    """The texts of one action; actions: the characters of all records of all profiles."""
    count = tests.shape[1]
    found: list[dict[str, None]] = [{} for _ in range(count)]
    at = actions.find(name)
    while at >= 0:
        if at % _ACTION_BYTES == 0:
            record, profile = divmod(at // _ACTION_BYTES, count)
            found[profile][stripped(tests[record, profile].tobytes())] = None
        at = actions.find(name, at + 1)
    return tuple([" ".join(filter(None, each)) for each in found])
