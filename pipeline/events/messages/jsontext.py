"""JSON from strangers: whatever it is, reading it takes linear time and bounded memory, and means one thing only."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import NoReturn

from pipeline.events.refusals import MessageError
from pipeline.types import Json

MAX_BYTES = 2**20
"""Of a message; SNS and SQS send 256 KiB, and of late up to 1 MiB."""
MAX_DEPTH = 64
"""Lists and objects inside each other; a STAC item has about ten."""
_MAX_DIGITS = 19
"""Of an integer of 64 bits."""
_SHOWN = 60
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""A string, or the rest of the text where it does not end: no character is looked at twice."""
_NO_BRACKET = re.compile(r"[^\[\]{}]+")
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")


def read_json(text: bytes | str, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Json:
    """The value of a JSON text.

    Raises MessageError for what is larger or deeper than allowed (never RecursionError), not UTF-8, not JSON by
    RFC 8259 (NaN and Infinity are not), or means different things to different readers: an object with a key twice, a
    number that no double or 64-bit integer holds, half of a surrogate pair, and U+0000, which no database keeps.
    """
    plain = _decoded(text, max_bytes)
    many = plain.count("[") + plain.count("{") > max_depth  # with fewer there is nothing to measure
    if many and _depth(plain) > max_depth:
        raise MessageError(f"found more than {max_depth} lists and objects inside each other; that is the limit")
    try:
        value = json.loads(
            plain,
            object_pairs_hook=_object,
            parse_float=_float,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except json.JSONDecodeError as error:
        found = f"{plain[:_SHOWN]!r}{' ...' if len(plain) > _SHOWN else ''}"
        raise MessageError(f"found no JSON: {error.msg} at character {error.pos}, in {found}") from None
    if "\\u" in plain:  # UTF-8 itself has neither, and JSON has U+0000 only as an escape
        _check_texts(value)
    return value


def _decoded(text: bytes | str, max_bytes: int) -> str:
    try:
        encoded = text if isinstance(text, bytes) else text.encode()
        if len(encoded) > max_bytes:
            raise MessageError(f"found {len(encoded)} bytes; the limit is {max_bytes}")
        return encoded.decode()
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise MessageError(f"found no UTF-8: {error.reason}; expected JSON in UTF-8") from None


def _depth(text: str) -> int:
    """How many lists and objects are open at once at most, brackets in strings aside."""
    brackets = _NO_BRACKET.sub("", _STRING.sub("", text))
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0)


def _object(pairs: Sequence[tuple[str, Json]]) -> Json:
    found: dict[str, Json] = {}
    for name, value in pairs:
        if name in found:
            raise MessageError(f"found the key {name[:_SHOWN]!r} twice in one object; expected each once")
        found[name] = value
    return found


def _check_texts(value: Json) -> None:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend((*one, *one.values()))
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, str) and ("\0" in one or _HALF_CHARACTER.search(one)):
            raise MessageError(
                f"found U+0000 or half of a surrogate pair in {one[:_SHOWN]!r}; expected characters that can be stored"
            )


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise MessageError(f"found the number {text[:_SHOWN]}, which no double holds")
    return number


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > _MAX_DIGITS:
        raise MessageError(f"found a number of {len(text)} digits; the limit is {_MAX_DIGITS}")
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise MessageError(f"found the number {text}; the limit is 64 bits")
    return number


def _constant(text: str) -> NoReturn:
    raise MessageError(f"found {text}, which is not JSON")
