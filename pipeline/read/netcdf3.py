"""NetCDF-3 (CDF-1, CDF-2, CDF-5) by its header alone: where each variable lies, and views of the bytes there."""

from __future__ import annotations

from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.read.netcdf3_header import (
    BEGIN,
    CAUSES,
    CUT,
    FILL,
    FIRST,
    NAME,
    NAME_SIZE,
    RANK,
    RECORDS,
    TYPE,
    WIDTH,
    Table,
    walk,
)

Bytes = bytes | memoryview
_DTYPES = tuple(
    np.dtype(each) for each in ("V1", "i1", "S1", ">i2", ">i4", ">f4", ">f8", "u1", ">u2", ">u4", ">i8", ">u8")
)
"""By NetCDF's number of the type."""
_SCALARS = tuple(Struct(f">{each}") for each in "xbchifdBHIqQ")
"""The same."""


class Netcdf3Error(ValueError):
    """The bytes are no whole, sound NetCDF file; says what was found."""


class HeaderCutError(Netcdf3Error):
    """The bytes end before the header does."""


class Netcdf3:
    """The variables of one file in memory, by name; nothing is copied or converted.

    Raises Netcdf3Error for a damaged header, and where fewer bytes are there than it needs.
    """

    __slots__ = ("_cells", "_data", "_rows", "record_bytes", "records")

    def __init__(self, data: Bytes) -> None:
        header, variables, (self.records, self.record_bytes, length) = _walked(data)
        if length > len(data):
            raise Netcdf3Error(f"cut: holds {len(data)} bytes of {length}")
        text, cells = str(memoryview(data)[:header], "latin-1"), variables.ravel().tolist()
        self._data, self._cells = data, cells  # one list: one of each variable is work for the garbage collector
        self._rows = {text[(at := cells[k + NAME]) : at + cells[k + NAME_SIZE]]: k for k in range(0, len(cells), WIDTH)}

    @property
    def names(self) -> tuple[str, ...]:
        """Of all variables, in the file's order."""
        return tuple(self._rows)

    def get(self, name: str) -> NDArray[Any] | None:
        """A read-only view of a variable, big-endian as stored, fills included; None where it is not there."""
        row = self._rows.get(name)
        if row is None:
            return None
        cells = self._cells
        first, dtype, begin = row + FIRST, _DTYPES[cells[row + TYPE]], cells[row + BEGIN]
        shape = cells[first : first + cells[row + RANK]]
        if not shape or shape[0] != RECORDS:
            return np.ndarray(shape, dtype, self._data, begin)
        shape[0] = self.records
        if not self.records:  # the bytes may end before the place where it would begin
            return np.empty(shape, dtype)
        steps = [dtype.itemsize]
        for length in shape[:1:-1]:
            steps.insert(0, steps[0] * length)
        return np.ndarray(shape, dtype, self._data, begin, (self.record_bytes, *steps[len(shape) == 1 :]))

    def fill(self, name: str) -> Any:
        """The variable's own `_FillValue`, as a number; None where it has none or is not there."""
        row = self._rows.get(name)
        if row is None or not self._cells[row + FILL]:
            return None
        return _SCALARS[self._cells[row + TYPE]].unpack_from(self._data, self._cells[row + FILL])[0]


def expected_bytes(head: Bytes) -> int:
    """The least length of a whole file, from its header; `head` is the file, or enough of it to hold the header.

    "Streaming" records, whose number is not stored, are not counted. HeaderCutError: more of the file is needed.
    """
    return _walked(head)[2][2]


def _walked(data: Bytes) -> tuple[int, Table, tuple[int, int, int]]:
    found = np.frombuffer(data, np.uint8)
    found.flags.writeable = False  # or the walk would be compiled once more for bytes that can be written
    if found.size < 4:
        raise HeaderCutError(f"the header is cut: {found.size} bytes")
    if bytes(data[:3]) != b"CDF" or data[3] not in {1, 2, 5}:
        raise Netcdf3Error(f"begins with {bytes(data[:4])!r}, expected CDF and version 1, 2 or 5")
    walked: tuple[int, Table, tuple[int, int, int]] = walk(found)
    if walked[0] == CUT:
        raise HeaderCutError(f"the header is cut: {found.size} bytes do not hold it")
    if walked[0] < 0:
        raise Netcdf3Error(f"the header is damaged: {CAUSES[walked[0]]}")
    return walked
