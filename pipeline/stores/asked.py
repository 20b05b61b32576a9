"""What may be asked of the HTTP API: query parameters, unknown ones refused, cursors, and names of profiles."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from pipeline.config.stores import Box
from pipeline.stores.queries import Filter, Place

Kind = Literal["core", "bgc", "synthetic"]
Identity = tuple[int, int, str, str, int]

_BOX: TypeAdapter[Box] = TypeAdapter(Box)
_ID = re.compile(r"(\d{5,7})_(\d{1,5})(D?)_(core|bgc|synthetic)_(\d{1,4})", re.ASCII)

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00", re.ASCII)
"""A time as PostgreSQL writes it in UTC; Python takes others too, which PostgreSQL does not."""


def _box(text: str) -> Box:
    """`west,south,east,north`. Raises ValueError, and pydantic's ValidationError is one."""
    return _BOX.validate_python(tuple(map(float, text.split(","))))


def _checked(text: str) -> str:
    try:
        _box(text)
    except ValueError:
        raise ValueError("allowed: west,south,east,north in degrees; west > east crosses the 180th meridian") from None
    return text


# A text, since of a query a tuple would be made of as many parameters of one name.
BoxText = Annotated[
    str,
    AfterValidator(_checked),
    Field(
        max_length=200,
        description="west,south,east,north; west > east crosses the 180th meridian.",
        examples=["50,5,78,26"],
    ),
]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Page(_Asked):
    limit: int = Field(default=100, ge=1, le=1000, description="Items of a page at most.")
    cursor: str | None = Field(default=None, max_length=200, description="`next` of the page before.")


class _Chosen(_Asked):
    start: datetime | None = Field(default=None, description="Included; without a zone it is UTC.")
    end: datetime | None = Field(default=None, description="Not included.")
    kind: Kind | None = None
    data_mode: Literal["R", "A", "D"] | None = None
    parameter: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9_]{1,64}$", description="That they have, such as doxy."
    )

    def filter(self) -> Filter:
        """As it is asked of PostgreSQL."""
        parameter = self.parameter.lower() if self.parameter else None
        return Filter(None, None, self.start, self.end, self.kind, self.data_mode, parameter)


class FloatsAsked(_Page):
    """Which floats."""

    bbox: BoxText | None = None

    @property
    def box(self) -> Box | None:
        """Where they are."""
        return None if self.bbox is None else _box(self.bbox)


class ProfilesAsked(_Chosen, FloatsAsked):
    """Which profiles."""

    wmo: int | None = Field(default=None, ge=1, le=9_999_999)

    def filter(self) -> Filter:
        return replace(super().filter(), wmo=self.wmo, box=self.box)


class NearestAsked(_Chosen):
    """Near what."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    limit: int = Field(default=10, ge=1, le=100, description="Profiles at most.")


class ProfileAsked(_Asked):
    """What of a profile."""

    originals: bool = Field(default=False, description="Also what its file says: raw, adjusted, and their flags.")


def identity_of(name: str) -> Identity | None:
    """What a profile's id says; None where it is none."""
    match = _ID.fullmatch(name)
    return match and (int(match[1]), int(match[2]), match[3] or "A", match[4], int(match[5]))


def cursor_of(after: tuple[object, ...] | None) -> str | None:
    """Where a page ends, as one word."""
    return None if after is None else base64.urlsafe_b64encode(json.dumps(after).encode()).decode().rstrip("=")


def number_after(cursor: str | None) -> int:
    """Of floats. Raises ValueError for a cursor that is none of theirs."""
    match _read(cursor):
        case None:
            return 0
        case [int(number)] if _whole(number) and 0 <= number < 10**7:
            return number
    raise ValueError


def place_after(cursor: str | None) -> Place | None:
    """Of profiles. Raises ValueError for a cursor that is none of theirs."""
    match _read(cursor):
        case None:
            return None
        case [str(moment), int(wmo), int(cycle), "A" | "D" as direction, str(kind), int(index)] if kind in get_args(
            Kind
        ) and all(_whole(each) and abs(each) < 2**31 for each in (wmo, cycle, index)):
            if moment != "-infinity":
                datetime.fromisoformat(moment if _MOMENT.fullmatch(moment) else "")
            return moment, wmo, cycle, direction, kind, index
    raise ValueError


def _whole(number: int) -> bool:
    return not isinstance(number, bool)  # which Python takes for 0 and 1, and PostgreSQL does not


def _read(cursor: str | None) -> object:
    return (
        None
        if cursor is None
        else json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    )
