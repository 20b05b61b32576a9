"""What a browser may ask: names that are looked up, and numbers within bounds; never an address or a path."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.browse.table import Box

Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1, max_length=300)]
Wmo = Annotated[int, Field(ge=1, le=9_999_999)]
WmoInPath = Annotated[int, Path(ge=1, le=9_999_999)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True)


class PeriodAsked(_Asked):
    """A product in a period."""

    product: Name
    period: Name


class BoxAsked(_Asked):
    """A box in degrees; west greater than east crosses the antimeridian."""

    product: Name
    west: Longitude = -180.0
    south: Latitude = -90.0
    east: Longitude = 180.0
    north: Latitude = 90.0

    @model_validator(mode="after")
    def _not_empty(self) -> BoxAsked:
        if self.south >= self.north or self.west == self.east:
            raise ValueError("the box is empty; expected south < north, and west other than east")
        return self

    @property
    def box(self) -> Box:
        return self.west, self.south, self.east, self.north


class ItemsAsked(BoxAsked):
    """Items of a period in a box."""

    period: Name


class PointAsked(PeriodAsked):
    """A place; layer: one of the day that is meant, in a time series."""

    lon: Longitude
    lat: Latitude
    layer: str = ""


class SeriesAsked(_Asked):
    """One band at a place."""

    product: Name
    band: Name
    lon: Longitude
    lat: Latitude


class ProfileAsked(_Asked):
    """What tells one profile from every other one."""

    product: Name
    wmo: Wmo
    cycle: Annotated[int, Field(ge=0, le=99_999)]
    direction: Literal["A", "D"] = "A"
    kind: Literal["core", "bgc", "synthetic"] = "core"
    index: Annotated[int, Field(ge=0, le=999)] = 0
