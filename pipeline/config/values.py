"""The kinds of value a config holds, each one annotated type with its check and the words that editors show.

`patternErrorMessage` in a schema is the words for a pattern; messages of the loader use the same ones.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, WithJsonSchema

from pipeline.types import Json

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
NAME_WORDS = "up to 64 letters, digits, - and _, the first a letter or a digit"
_SIZE_WORDS = "a size such as 4GiB or 500MB, or a number of bytes"
_TIME_WORDS = "a date such as 2024-06-01 or a time such as 2024-06-01T12:00:00Z"
_UNITS = {"": 1} | {
    prefix + suffix: base**power
    for suffix, base in (("b", 1000), ("ib", 1024))
    for power, prefix in enumerate(("", "k", "m", "g", "t"))
    if prefix + suffix != "ib"
}


def _matching(pattern: str, words: str) -> Json:
    return Field(pattern=pattern, json_schema_extra={"patternErrorMessage": words})


def _folder_or_bucket(value: str) -> str:
    return os.path.expanduser(value).rstrip("/") or "/"  # noqa: PTH111 (a Path would swallow the second / of s3://)


def beside_config(value: str, info: ValidationInfo) -> str:
    """A relative path made absolute, from the folder of the config file; an address as it is."""
    if "://" in value or not info.context:
        return value
    return os.path.abspath(Path(info.context["folder"]) / Path(value).expanduser())  # noqa: PTH100 (keeps symbolic links)


def _utc(value: object) -> datetime:
    try:
        if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d($|[T ])", value):
            value = datetime.fromisoformat(value)
        elif isinstance(value, date) and not isinstance(value, datetime):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"allowed: {_TIME_WORDS}, of a day that the calendar has") from None
    raise ValueError(f"allowed: {_TIME_WORDS}")


def _size_bytes(value: object) -> int:
    match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,9})?) ?([A-Za-z]*)", str(value))
    size_bytes = int(float(match[1]) * _UNITS.get(match[2].lower(), 0)) if match else 0
    if size_bytes < 1:
        raise ValueError(f"allowed: {_SIZE_WORDS}")
    return size_bytes


def _range(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, value
    return tuple(value) if isinstance(value, list) else value


def _ascending(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] > value[1]:
        raise ValueError("allowed: [minimum, maximum] with the smaller one first")
    return value


def _one_or_more(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str) else value


Name = Annotated[str, _matching(NAME_PATTERN, NAME_WORDS)]
"""Safe in a path and in `--set`."""

ArgoName = Annotated[str, _matching(r"^[A-Z][A-Z0-9_]*$", "Argo's name of a parameter in capitals, such as TEMP")]
HttpUrl = Annotated[str, _matching(r"^https?://[^\s/]+(/\S*)?$", "an http:// or https:// address")]

FolderOrBucket = Annotated[
    str,
    _matching(r"^(s3://[^/\s]+(/.*)?|/.*|[^:]+)$", "a folder, or s3://bucket/prefix"),
    AfterValidator(_folder_or_bucket),
]
"""Without a slash at its end; a relative folder counts from the current directory."""

PathOrUrl = Annotated[
    str,
    _matching(r"^((https?|s3)://[^/\s]+.*|/.*|[^:]+)$", "a path, or an http://, https:// or s3:// address"),
    AfterValidator(beside_config),
]
"""A relative path counts from the config file's folder and is made absolute."""

LocalFile = Annotated[
    str, _matching(r"^(/.*|[^:]+)$", "the path of a file on this machine"), AfterValidator(beside_config)
]
"""A relative path counts from the config file's folder and is made absolute."""

UtcTime = Annotated[
    datetime,
    BeforeValidator(_utc),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}),
]
"""Aware, in UTC; a date is its first moment, a time without a zone is UTC."""

SizeBytes = Annotated[
    int,
    BeforeValidator(_size_bytes),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": r"^\d+(\.\d+)? ?([kKmMgGtT]?[iI]?[bB])?$",
                    "patternErrorMessage": _SIZE_WORDS,
                },
                {"type": "integer", "minimum": 1},
            ]
        }
    ),
]
"""Bytes, from `4GiB`, `500MB` or a whole number."""

Workers = Annotated[
    tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]],
    BeforeValidator(_range),
    AfterValidator(_ascending),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "prefixItems": [{"type": "integer", "minimum": 1}] * 2, "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]
"""(minimum, maximum); one number is both."""

_TEXT = {"type": "string", "minLength": 1}
Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]}),
]
"""One text or a list of them."""
