"""Variables of an Argo file with the types and shapes that the format gives them, or an error that names one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.read.netcdf import Variables
from pipeline.types.profiles import Codes, Floats, Measured

FILL = 99999.0
"""Of a parameter whose variable names none."""
CHARACTER, DOUBLE, INTEGER = np.dtype("S1"), np.dtype("f8"), np.dtype("i4")
_CODES = frozenset({CHARACTER})
_FLOATS = frozenset(np.dtype(each) for each in (">f4", ">f8", "<f4", "<f8"))
_PADDING = " \0\t\r\n"
_DIRECTIONS, _BLANKS = frozenset(b"AD"), frozenset(b" \0")
_KEPT_BYTES = 4096
"""Rows of STATION_PARAMETERS up to this size are taken apart once: most files have the same."""


class FieldError(ValueError):
    """A variable is missing, or is not what the format says."""


def numbers(file: Variables, name: str, dtype: np.dtype[Any], count: int | None = None) -> NDArray[Any]:
    """One number a profile, in native byte order; without a count, however many there are."""
    found = file.get(name)
    if found is None:
        raise FieldError(f"{name} is missing")
    if found.ndim != 1 or (count is not None and len(found) != count):
        raise FieldError(
            f"{name} has the shape {found.shape}, expected one number for each of {count or 'the'} profiles"
        )
    if found.dtype.kind != dtype.kind or found.dtype.itemsize > dtype.itemsize:
        raise FieldError(f"{name} is {found.dtype}, expected {dtype}")
    return found.astype(dtype)


def characters(file: Variables, name: str, count: int, axes: int = 1) -> Codes | None:
    """Characters on so many axes, profiles along the first; None where the file does not have them."""
    found = file.get(name)
    if found is None:
        return None
    if found.dtype != CHARACTER or found.ndim != axes or len(found) != count:
        raise FieldError(
            f"{name} is {found.dtype} of shape {found.shape}, expected characters on {axes} axes for {count} profiles"
        )
    return found


def codes(file: Variables, name: str, count: int) -> Codes:
    """One character a profile; blanks where the file does not have them."""
    found = characters(file, name, count)
    return np.full(count, b" ", CHARACTER) if found is None else found


def stripped(raw: bytes) -> str:
    """A text without its padding; a NUL ends it, as what stands behind one is the remains of another."""
    text = raw.decode("latin-1").strip(_PADDING)
    return text.partition("\0")[0].rstrip() if "\0" in text else text


def text(file: Variables, name: str) -> str:
    """A text of the whole file; empty where there is none."""
    found = file.get(name)
    return "" if found is None or found.dtype != CHARACTER else stripped(found.tobytes())


def texts(file: Variables, name: str, count: int) -> tuple[str, ...] | None:
    """One text a profile; None where the file does not have them."""
    found = characters(file, name, count, 2)
    if found is None:
        return None
    raw, width = found.tobytes(), found.shape[1]
    if count == 1:
        return (stripped(raw),)
    return tuple(stripped(raw[k : k + width]) for k in range(0, len(raw), width)) if width else ("",) * count


def platforms(file: Variables, count: int) -> NDArray[np.int32]:
    """WMO numbers."""
    found = texts(file, "PLATFORM_NUMBER", count)
    if found is None:
        raise FieldError("PLATFORM_NUMBER is missing")
    for each in set(found):
        if not (each.isascii() and each.isdigit() and len(each) <= 9):
            raise FieldError(f"PLATFORM_NUMBER is {each!r}, expected a WMO number of 5 or 7 digits")
    return np.array([int(each) for each in found], INTEGER)


def directions(file: Variables, count: int, path: str) -> Codes:
    """`A` or `D`; where none is given the file's name decides, which ends in D for a descending profile."""
    found = codes(file, "DIRECTION", count)
    different = set(found.tobytes()) - _DIRECTIONS
    if not different:
        return found
    if different - _BLANKS:
        raise FieldError(f"DIRECTION is {chr(max(different))!r}, expected A or D")
    blank = (found == b" ") | (found == b"")
    return np.where(blank, np.bytes_(b"D" if path.endswith("D.nc") else b"A"), found)


def station_parameters(file: Variables, count: int) -> list[tuple[str, ...]]:
    """Of each profile the parameters by slot; empty where a slot is not used."""
    found = characters(file, "STATION_PARAMETERS", count, 3)
    if found is None:
        raise FieldError("STATION_PARAMETERS is missing")
    raw, width, size = found.tobytes(), found.shape[2], found.shape[1] * found.shape[2]
    if not size:
        return [()] * count
    rows = [raw[k : k + size] for k in range(0, len(raw), size)]
    take = _slots if size <= _KEPT_BYTES else _slots.__wrapped__
    known = {row: take(row, width) for row in set(rows)}
    return [known[row] for row in rows]


@lru_cache(maxsize=1024)
def _slots(row: bytes, width: int) -> tuple[str, ...]:
    return tuple(stripped(row[k : k + width]) for k in range(0, len(row), width))


def measured(file: Variables, name: str, count: int) -> Measured | None:
    """A parameter with what stands beside it; None where the file does not have it, or has spectra of it."""
    raw = file.get(name)
    if raw is None or raw.ndim > 2:
        return None
    if raw.dtype not in _FLOATS or raw.ndim != 2 or len(raw) != count:
        raise FieldError(f"{name} is {raw.dtype} of shape {raw.shape}, expected floating point of ({count}, N_LEVELS)")
    fill = _fill(file, name)
    return Measured(
        raw=raw,
        raw_qc=_beside(file, f"{name}_QC", raw.shape, _CODES),
        adjusted=_floats(file, f"{name}_ADJUSTED", raw.shape, fill),
        adjusted_qc=_beside(file, f"{name}_ADJUSTED_QC", raw.shape, _CODES),
        adjusted_error=_floats(file, f"{name}_ADJUSTED_ERROR", raw.shape, fill),
        fill=fill,
    )


def _fill(file: Variables, name: str) -> float:
    """A fill of NaN says nothing that the values do not say: they stay NaN."""
    found = file.fill(name)
    return FILL if found is None or found != found else float(found)  # noqa: PLR0124 (a NaN is not)


def _beside(file: Variables, name: str, shape: tuple[int, ...], dtypes: frozenset[np.dtype[Any]]) -> Any:
    found = file.get(name)
    if found is not None and (found.dtype not in dtypes or found.shape != shape):
        raise FieldError(f"{name} is {found.dtype} of shape {found.shape}, expected {shape} as its parameter has")
    return found


def _floats(file: Variables, name: str, shape: tuple[int, ...], fill: float) -> Floats | None:
    """Adjusted values or their errors, with the fill of the parameter's raw values."""
    found: Floats | None = _beside(file, name, shape, _FLOATS)
    if found is None or (own := _fill(file, name)) == fill:
        return found
    return np.where(found == own, found.dtype.type(fill), found)
