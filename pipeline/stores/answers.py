"""What the HTTP API answers, as its OpenAPI document describes it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pipeline.types import Json

Number = float | Literal["NaN", "Infinity", "-Infinity"] | None
Numbers = Annotated[list[Number] | None, Field(description="By level; null where the profile has none.")]
Flags = Annotated[list[int | None] | None, Field(description="By level, of Argo's reference table 2.")]


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Float(_Answer):
    """One float."""

    wmo: int
    dac: str = Field(description="Who distributes its data.")
    profiles: int
    first_time: datetime | None
    last_time: datetime | None
    latitude: float | None = Field(description="Where it was last known to be.")
    longitude: float | None
    parameters: list[str]
    metadata: Mapping[str, Json] | None = Field(description="Of its newest profile.")


class ProfileSummary(_Answer):
    """One profile without its measurements."""

    id: str = Field(description="wmo_cycle, with D when descending, _kind_index.", examples=["2902269_1_core_0"])
    wmo: int
    cycle: int
    direction: Literal["A", "D"]
    kind: Literal["core", "bgc", "synthetic"]
    profile_index: int
    time: datetime | None
    time_qc: int | None
    latitude: float | None
    longitude: float | None
    position_qc: int | None
    data_mode: Literal["R", "A", "D"] | None = Field(description="Real time, adjusted in real time, or delayed mode.")
    levels: int
    file: str = Field(description="Below dac/ of a GDAC.")
    version: str = Field(description="When the file was last changed: YYYYMMDDHHMMSS.")


class NearProfile(ProfileSummary):
    """One profile and its distance from a place."""

    distance_km: float = Field(description="On a sphere of 6371.0088 km.")


class Measurement(_Answer):
    """The numbers of one parameter: best values, their flags and errors."""

    mode: Literal["R", "A", "D"] | None
    value: Numbers
    qc: Flags
    error: Numbers
    raw: Numbers = None
    raw_qc: Flags = None
    adjusted: Numbers = None
    adjusted_qc: Flags = None
    adjusted_error: Numbers = None


class Profile(ProfileSummary):
    """One profile with its measurements, by parameter."""

    metadata: Mapping[str, Json] | None
    statistics: Mapping[str, Json] | None
    measurements: dict[str, Measurement]


class Region(_Answer):
    """A box whose latest profiles are kept at hand."""

    name: str
    west: float
    south: float
    east: float
    north: float


class Health(_Answer):
    """Whether there is anything to answer from."""

    postgres: Literal["ok"]
    redis: Literal["ok", "down", "none"]
    partitions: int
    profiles: int
    loaded_at: datetime | None


Item = TypeVar("Item")


class Paged(_Answer, Generic[Item]):
    """One page; `next` is the `cursor` of the one that follows."""

    items: list[Item]
    next: str | None
