"""Frozen values ↔ JSON by the types of their fields: what a job was made from, kept so that it can be made again.

Pure. A field that a later version adds is read as its default, one that it drops is ignored: version N reads N-1.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import StoreError
from pipeline.types import Json

T = TypeVar("T")
_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""Floats that JSON has no numbers for."""


def encode(value: Any) -> Json:  # noqa: PLR0911 (one line a kind)
    """A value as JSON-shaped data. Raises TypeError for a type that has no form here."""
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: encode(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, GeoBox):
        return {"crs": str(value.crs), "transform": list(value.transform[:6]), "shape": list(value.shape)}
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): encode(each) for key, each in value.items()}
    if isinstance(value, Sequence):
        return [encode(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted(encode(each) for each in value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def decode(kind: type[T], data: Json) -> T:
    """The value of a type that `encode` made `data` of. Raises StoreError naming the field that does not fit."""
    try:
        value: T = _decode(kind, data, kind.__name__)
    except (LookupError, TypeError, ValueError) as error:
        raise StoreError(
            f"{kind.__name__}: found a value that does not fit ({type(error).__name__}: {error})"
        ) from error
    return value


def _decode(kind: Any, data: Json, where: str) -> Any:  # noqa: PLR0911 (one line a kind)
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return data
    if origin in (Union, types.UnionType):
        return _of_any(inner, data, where)
    if origin is Literal:
        return _literal(inner, data, where)
    if is_dataclass(kind):
        return _dataclass(kind, data, where)
    if kind is GeoBox:
        return GeoBox(tuple(data["shape"]), Affine(*data["transform"]), data["crs"])
    if kind in (datetime, date):
        return kind.fromisoformat(_expect(str, data, where))
    if origin is not None:
        return _container(origin, inner, data, where)
    if kind is float:
        return _WORDS[data] if data in _WORDS else float(_expect((int, float), data, where))
    if issubclass(kind, Enum):
        return kind(data)
    return _expect(kind, data, where)


def _literal(allowed: tuple[Any, ...], data: Json, where: str) -> Any:
    if data not in allowed:
        raise StoreError(f"{where}: found {data!r}, expected one of {allowed}")
    return data


def _container(origin: Any, inner: tuple[Any, ...], data: Json, where: str) -> Any:
    if origin in (dict, Mapping):
        return {key: _decode(inner[1], each, f"{where}.{key}") for key, each in _expect(dict, data, where).items()}
    values = _expect(list, data, where)
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        if len(values) != len(inner):
            raise StoreError(f"{where}: found {len(values)} values, expected {len(inner)}")
        return tuple(_decode(one, each, where) for one, each in zip(inner, values, strict=True))
    made = [_decode(inner[0], each, f"{where}[{number}]") for number, each in enumerate(values)]
    return made if origin is list else frozenset(made) if origin in (set, frozenset) else tuple(made)


def _dataclass(kind: Any, data: Json, where: str) -> Any:
    _expect(dict, data, where)
    hints, values = _hints(kind), {}
    for one in fields(kind):
        if one.name in data:
            values[one.name] = _decode(hints[one.name], data[one.name], f"{where}.{one.name}")
        elif one.default is MISSING and one.default_factory is MISSING:
            raise StoreError(f"{where}.{one.name}: found nothing, expected a value; a newer version may read it")
    return kind(**values)


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, localns={"GeoBox": GeoBox})  # imported there for type checks only


def _of_any(kinds: tuple[Any, ...], data: Json, where: str) -> Any:
    """The first kind of a union that fits: None first, so that it is nothing else."""
    problems = []
    for kind in sorted(kinds, key=lambda one: one is not type(None)):
        try:
            return _decode(kind, data, where)
        except (StoreError, LookupError, TypeError, ValueError) as error:
            problems.append(str(error))
    raise StoreError("; ".join(problems))


def _expect(kind: Any, data: Json, where: str) -> Any:
    if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
        raise StoreError(f"{where}: found {type(data).__name__}, expected {getattr(kind, '__name__', 'a number')}")
    return data
