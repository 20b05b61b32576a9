"""The header of NetCDF-3 as one table of its variables, made by one compiled loop.

Every count is held against the bytes that are there before anything is made of it, and every step goes forward: no
header, however damaged, leads out of its bytes, takes longer than one pass over them or makes more of them.
Source: NetCDF Classic and 64-bit Offset Format Specification (OGC 10-092r3); PnetCDF's specification of CDF-5.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import compiled

Table = NDArray[np.int64]

NAME, NAME_SIZE, TYPE, BEGIN, SIZE, FILL, RANK, FIRST = range(8)
"""Columns: offset and size of the name, NetCDF's type, offset, bytes (of one record), offset of the fill or 0, how many
dimensions, and from `FIRST` on their lengths."""
RECORDS = -1
"""The length of the record dimension, which is a variable's first if it has it."""
MOST_DIMENSIONS = 6
WIDTH = FIRST + MOST_DIMENSIONS
CUT = -1
CAUSES = {
    -2: "a list begins with an unknown tag",
    -3: "a length or an offset is beyond all bounds",
    -4: "a type is none of NetCDF's",
    -5: "a variable has a dimension that is not there, or records along another axis than its first",
    -6: f"a variable has more than {MOST_DIMENSIONS} dimensions",
    -7: "variables overlap each other or the header",
}
_BAD_TAG, _TOO_LARGE, _BAD_TYPE, _BAD_DIMENSION, _TOO_DEEP, _BAD_ORDER = -2, -3, -4, -5, -6, -7
_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_LARGEST = 1 << 56
"""Lengths, sizes and offsets are no larger, so that sums of them stay within 64 bits."""
_SIZES = np.array([0, 1, 1, 2, 4, 4, 8, 1, 2, 4, 8, 8], np.int64)
_FILL_NAME = np.frombuffer(b"_FillValue", np.uint8)


@compiled("Array(u1, 1, 'C', readonly=True)")
def walk(data: NDArray[np.uint8]) -> tuple[int, Table, tuple[int, int, int]]:
    """(length of the header, or `CUT` or a key of `CAUSES`; variables; totals) of a file's start.

    totals: records, bytes of a record, least length of the whole file. data: from its magic number on, at least
    four bytes. A number of records that is not stored is worked out from the bytes that are there ("streaming").
    """
    word, offset = 8 if data[3] == 5 else 4, 4 if data[3] == 1 else 8
    variables, totals = np.zeros((0, WIDTH), np.int64), (0, 0, 0)
    records = _number(data, 4, word)
    streaming = records == (1 << 32) - 1 if word == 4 else records < 0
    at, lengths = _dimensions(data, 4 + word, word)
    if at >= 0:
        at, _, _ = _attributes(data, at, word)
    if at >= 0:
        at, variables = _variables(data, at, (word, offset), lengths)
    if at >= 0:
        at, record_bytes, length = _extent(variables, at, 0 if streaming else records)
        if streaming:
            records = max(data.size - length, 0) // max(record_bytes, 1)
        totals = records, record_bytes, length
    return at, variables, totals


@compiled()
def _number(data: NDArray[np.uint8], at: int, size: int) -> Any:
    """The big-endian number of `size` bytes there; less than 0 where the bytes end."""
    if at < 0 or at + size > data.size:
        return -1
    found: Any = np.int64(0)
    for k in range(size):
        found = (found << 8) | np.int64(data[at + k])
    return found


@compiled()
def _list(data: NDArray[np.uint8], at: int, word: int, tag: int, least: int) -> tuple[int, int]:
    """(offset behind the head of a list, how many it holds); each takes up so many bytes at least."""
    found, count = _number(data, at, 4), _number(data, at + 4, word)
    at += 4 + word
    if count < 0 or count > (data.size - at) // least:
        return CUT, 0
    if found != tag and (found or count):
        return _BAD_TAG, 0
    return at, count


@compiled()
def _name(data: NDArray[np.uint8], at: int, word: int) -> tuple[int, int, int]:
    """(offset behind a name, where it begins, its size)."""
    size = _number(data, at, word)
    if size < 0 or size > data.size - at - word:
        return CUT, 0, 0
    return at + word + (size + 3) // 4 * 4, at + word, size


@compiled()
def _dimensions(data: NDArray[np.uint8], at: int, word: int) -> tuple[int, NDArray[np.int64]]:
    """(offset behind them, their lengths)."""
    at, count = _list(data, at, word, _DIMENSIONS, 2 * word)
    lengths = np.zeros(count, np.int64)
    for k in range(count):
        at, _, _ = _name(data, at, word)
        length = _number(data, at, word)
        if at < 0 or length < 0:
            return CUT, lengths
        if length > _LARGEST:
            return _TOO_LARGE, lengths
        lengths[k] = length or RECORDS
        at += word
    return at, lengths


@compiled()
def _attributes(data: NDArray[np.uint8], at: int, word: int) -> tuple[int, int, int]:
    """(offset behind them, offset of the value of `_FillValue` or 0, its type)."""
    at, count = _list(data, at, word, _ATTRIBUTES, 2 * word + 4)
    fill, fill_type = 0, 0
    for _ in range(count):
        at, name, size = _name(data, at, word)
        stored, length = _number(data, at, 4), _number(data, at + 4, word)
        at += 4 + word
        if length < 0 or length > data.size - at:
            return CUT, 0, 0
        if stored < 1 or stored >= _SIZES.size:
            return _BAD_TYPE, 0, 0
        if length == 1 and size == _FILL_NAME.size and _is_fill(data, name):
            fill, fill_type = at, stored
        at += (length * _SIZES[stored] + 3) // 4 * 4
    return (CUT if at > data.size else at), fill, fill_type


@compiled()
def _is_fill(data: NDArray[np.uint8], name: int) -> bool:
    same = True
    for k in range(_FILL_NAME.size):
        same &= data[name + k] == _FILL_NAME[k]
    return same


@compiled()
def _variables(
    data: NDArray[np.uint8], at: int, widths: tuple[int, int], lengths: NDArray[np.int64]
) -> tuple[int, Table]:
    """(offset behind them, their table); widths: bytes of a count and of an offset."""
    at, count = _list(data, at, widths[0], _VARIABLES, 4 * widths[0] + widths[1] + 8)
    table = np.zeros((count, WIDTH), np.int64)
    for k in range(count):
        at = _variable(data, at, widths, lengths, table[k])
        if at < 0:
            break
    return at, table


@compiled()
def _variable(
    data: NDArray[np.uint8], at: int, widths: tuple[int, int], lengths: NDArray[np.int64], row: NDArray[np.int64]
) -> Any:
    """The offset behind it, or what is wrong; `row` is filled in."""
    word, offset = widths
    at, row[NAME], row[NAME_SIZE] = _name(data, at, word)
    row[RANK] = _number(data, at, word)
    if at < 0 or row[RANK] < 0:
        return CUT
    if row[RANK] > MOST_DIMENSIONS:
        return _TOO_DEEP
    at += word
    items = _shape(data, at, word, lengths, row)
    if items < 0:
        return items
    at, fill, fill_type = _attributes(data, at + row[RANK] * word, word)
    row[TYPE] = _number(data, at, 4)
    if at < 0 or row[TYPE] < 0:
        return min(at, CUT)
    if row[TYPE] < 1 or row[TYPE] >= _SIZES.size:
        return _BAD_TYPE
    row[FILL] = fill if fill_type == row[TYPE] else 0
    row[SIZE] = _product(items, _SIZES[row[TYPE]])
    at += 4 + word  # the stored size is padded, and some writers get it wrong
    row[BEGIN] = _number(data, at, offset)
    return CUT if row[BEGIN] < 0 else at + offset


@compiled()
def _shape(data: NDArray[np.uint8], at: int, word: int, lengths: NDArray[np.int64], row: NDArray[np.int64]) -> Any:
    """How many items a variable (or a record of it) has, or what is wrong; the lengths are put into `row`."""
    items: Any = np.int64(1)
    for d in range(row[RANK]):
        place = _number(data, at + d * word, word)
        if place < 0:
            return CUT
        if place >= lengths.size or (d and lengths[place] == RECORDS):
            return _BAD_DIMENSION
        row[FIRST + d] = lengths[place]
        items = _product(items, max(lengths[place], 1))
    return items


@compiled()
def _product(first: int, second: int) -> int:
    """Of two numbers that are not negative, or `_LARGEST` where it is more."""
    return _LARGEST if second and first > _LARGEST // second else first * second


@compiled()
def _extent(variables: Table, end: int, records: int) -> tuple[int, Any, Any]:
    """(end of the header, or what is wrong; bytes of a record; least length of the file).

    Variables follow the header in the order of their definition, those with records behind the others: the C library
    refuses files that are in any other order, too.
    """
    sizes: Any = np.int64(0)
    before, length, record_bytes, last, last_size, recorded = end, end, sizes, sizes, sizes, 0
    for with_records in (False, True):
        for k in range(len(variables)):
            row = variables[k]
            if (row[RANK] > 0 and row[FIRST] == RECORDS) != with_records:
                continue
            if row[BEGIN] < before or row[BEGIN] > _LARGEST:
                return _BAD_ORDER, record_bytes, 0
            before = row[BEGIN] + row[SIZE]
            if with_records:
                record_bytes = min(record_bytes + (row[SIZE] + 3) // 4 * 4, _LARGEST)
                recorded, last, last_size = recorded + 1, row[BEGIN], row[SIZE]
            else:
                length = before
    if recorded == 1:
        record_bytes = last_size  # alone it is not padded
    if recorded and records > 0:
        length = last + _product(records - 1, record_bytes) + last_size
    return end, record_bytes, length
