"""NetCDF-3 classic files of a few arrays, written with the same bytes every time.

The format: https://docs.unidata.ucar.edu/netcdf-c/current/file_format_specifications.html, "The Classic Format".
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DIMENSIONS, _VARIABLES, _ATTRIBUTES = 10, 11, 12
_CHAR = 2
_TYPES = {"S1": _CHAR, "i4": 4, "f4": 5, "f8": 6}

Attribute = str | bytes | np.generic


@dataclass(frozen=True, eq=False)
class Variable:
    """A named array over named dimensions; its dtype is one of S1, int32, float32 and float64."""

    name: str
    dimensions: tuple[str, ...]
    values: NDArray[Any]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def netcdf3(
    dimensions: Mapping[str, int | None], variables: Sequence[Variable], attributes: Mapping[str, Attribute]
) -> bytes:
    """The whole file. dimensions: their lengths, None for the one that grows, along which variables are records.

    A single growing variable is refused: the format then has another padding. Raises ValueError for that and where a
    variable does not have the shape of its dimensions.
    """
    records = _records(dimensions, variables)
    growing = [number for number, one in enumerate(variables) if _grows(one, dimensions)]
    fixed = [number for number in range(len(variables)) if number not in growing]
    stored = [np.ascontiguousarray(one.values, one.values.dtype.newbyteorder(">")) for one in variables]
    sizes = [_size(values.shape[number in growing :], values.itemsize) for number, values in enumerate(stored)]
    begins = [0] * len(variables)
    length = len(_header(dimensions, variables, attributes, records, list(zip(sizes, begins, strict=True))))
    for number in fixed + growing:
        begins[number] = length
        length += sizes[number]
    parts = [_header(dimensions, variables, attributes, records, list(zip(sizes, begins, strict=True)))]
    parts += [_padded(stored[number].tobytes()) for number in fixed]
    parts += [_padded(stored[number][record : record + 1].tobytes()) for record in range(records) for number in growing]
    return b"".join(parts)


def _records(dimensions: Mapping[str, int | None], variables: Sequence[Variable]) -> int:
    """How many records there are: of all that grow the same."""
    found = set()
    for one in variables:
        for place, (name, length) in enumerate(zip(one.dimensions, one.values.shape, strict=True)):
            if dimensions[name] is None and place == 0:
                found.add(length)
            elif dimensions[name] != length:
                raise ValueError(f"{one.name} has {length} along {name}; expected {dimensions[name]}")
    if len(found) > 1 or (found and sum(_grows(one, dimensions) for one in variables) == 1):
        raise ValueError(f"variables have {sorted(found)} records; expected one number, of two variables or more")
    return found.pop() if found else 0


def _grows(variable: Variable, dimensions: Mapping[str, int | None]) -> bool:
    return bool(variable.dimensions) and dimensions[variable.dimensions[0]] is None


def _size(shape: tuple[int, ...], item_bytes: int) -> int:
    """Bytes of a variable or of one record of it, up to the next multiple of four."""
    return -(-math.prod(shape) * item_bytes // 4) * 4


def _header(
    dimensions: Mapping[str, int | None],
    variables: Sequence[Variable],
    attributes: Mapping[str, Attribute],
    records: int,
    places: Sequence[tuple[int, int]],
) -> bytes:
    """places: size and first byte of each variable; a record's for those that grow."""
    order = list(dimensions)
    parts = [b"CDF\x01", struct.pack(">i", records), _list(_DIMENSIONS, len(dimensions))]
    parts += [_name(name) + struct.pack(">i", length or 0) for name, length in dimensions.items()]
    parts += [*_attributes(attributes), _list(_VARIABLES, len(variables))]
    for one, (size, begin) in zip(variables, places, strict=True):
        ids = [order.index(name) for name in one.dimensions]
        parts += [_name(one.name), struct.pack(f">{1 + len(ids)}i", len(ids), *ids), *_attributes(one.attributes)]
        parts.append(struct.pack(">iii", _TYPES[one.values.dtype.str[1:]], size, begin))
    return b"".join(parts)


def _attributes(attributes: Mapping[str, Attribute]) -> list[bytes]:
    parts = [_list(_ATTRIBUTES, len(attributes))]
    for name, value in attributes.items():
        if isinstance(value, np.generic):
            content = np.array([value], value.dtype.newbyteorder(">")).tobytes()
            kind, count = _TYPES[value.dtype.str[1:]], 1
        else:
            content = value.encode("latin-1") if isinstance(value, str) else value
            kind, count = _CHAR, len(content)
        parts.append(_name(name) + struct.pack(">ii", kind, count) + _padded(content))
    return parts


def _list(tag: int, count: int) -> bytes:
    return struct.pack(">ii", tag if count else 0, count)


def _name(name: str) -> bytes:
    return struct.pack(">i", len(name)) + _padded(name.encode("ascii"))


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 4)
