"""`sources:` and `storage:`: where data comes from, and how a store is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from pipeline.config.gdac import GDAC_KEYS, GdacKeys
from pipeline.config.section import Section
from pipeline.config.values import HttpUrl, Name, PathOrUrl, Texts
from pipeline.types import Json

OPERATORS = ("eq", "neq", "lt", "lte", "gt", "gte", "in", "startsWith", "endsWith", "contains")
"""Of STAC's `query`; each is also applied here, to what a server or a file gives."""
_NEEDED = ("id", "collection", "geometry", "properties", "assets")
"""Of an item: its place, its time, what products decide by, its files."""


class StorageConfig(Section):
    """How to reach an S3 store."""

    endpoint: HttpUrl | None = Field(default=None, description="Address of an S3 server; nothing: AWS.")
    profile: str | None = Field(
        default=None, description="Profile of the AWS configuration files to take credentials from."
    )
    anonymous: bool = Field(default=False, description="Send no credentials.")


class OutputStorageConfig(StorageConfig):
    """How to reach the output where it is on S3, and where that lies."""

    region: Name | None = Field(
        default=None,
        description="Cloud region that the output lies in; products made of other products are priced by it.",
    )


class FieldsConfig(Section):
    """Which fields of the items an API is asked for."""

    include: tuple[str, ...] = Field(default=(), description="Only these, and what every item needs.")
    exclude: tuple[str, ...] = Field(default=(), description="All but these.")

    @field_validator("include")
    @classmethod
    def _with_needed(cls, include: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*_NEEDED, *include))) if include else ()

    @field_validator("exclude")
    @classmethod
    def _without_needed(cls, exclude: tuple[str, ...]) -> tuple[str, ...]:
        if any(one in _NEEDED or one.startswith("properties.") for one in exclude):
            raise ValueError(f"allowed: anything but {', '.join(_NEEDED)} and what is in properties, which is needed")
        return exclude


class SourceConfig(GdacKeys):
    """Where data comes from: a STAC API, items listed in a file, or a GDAC of Argo."""

    # For editors; the validator below says it in words.
    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["stac", "collection"]}, {"required": ["items"]}, {"required": ["gdac"]}]
        }
    )

    stac: HttpUrl | None = Field(default=None, description="Address of a STAC API.")
    items: PathOrUrl | None = Field(
        default=None,
        description="Path or address of a static catalogue, collection, item list or stac-geoparquet file; "
        "a relative path counts from the folder of this file.",
    )
    collection: Texts | None = Field(
        default=None, min_length=1, description="Collection to search, or a list of them; required with stac."
    )
    query: Mapping[str, Mapping[str, Json]] = Field(
        default={}, description='Limits on properties of the items, such as {"eo:cloud_cover": {lt: 80}}.'
    )
    filter: str | Mapping[str, Json] | None = Field(
        default=None, description="CQL2, as text or as JSON, for a STAC API that evaluates it."
    )
    fields: FieldsConfig | None = Field(default=None, description="Which fields of the items a STAC API is asked for.")
    region: Name | None = Field(
        default=None, description="Cloud region the data lies in, such as us-west-2; nothing: any."
    )
    prefer: Literal["https", "s3"] | None = Field(
        default=None, description="Which address of a file is read where an item gives several; nothing: by region."
    )
    sign: Literal["none", "planetary-computer", "earthdata", "requester-pays"] = Field(
        default="none", description="How reading is authorised."
    )
    s3_credentials: HttpUrl | None = Field(
        default=None,
        description="With sign: earthdata, the address that lends S3 credentials; nothing: by the name of the bucket.",
    )
    storage: StorageConfig | None = Field(default=None, description="How to reach the data where it lies on S3.")

    @field_validator("query")
    @classmethod
    def _known_operators(cls, query: Mapping[str, Mapping[str, Json]]) -> Mapping[str, Mapping[str, Json]]:
        used = [limit for limits in query.values() for limit in limits.items()]
        lists = all(isinstance(value, list) for operator, value in used if operator == "in")
        if not {operator for operator, _ in used} <= set(OPERATORS) or not all(query.values()) or not lists:
            raise ValueError(
                f"allowed: for each property a mapping of {', '.join(OPERATORS)} to a value, of in to a list"
            )
        return query

    @model_validator(mode="after")
    def _one_catalogue(self) -> Self:
        found = [key for key in ("stac", "items", "gdac") if getattr(self, key) is not None]
        if len(found) != 1:
            raise ValueError(f"found {' and '.join(found) or 'none'}; allowed: exactly one of stac, items and gdac")
        if self.gdac is None and (strange := sorted(self.model_fields_set.intersection(GDAC_KEYS))):
            raise ValueError(f"found {', '.join(strange)} without gdac; allowed: beside gdac only")
        if self.stac is not None and self.collection is None:
            raise ValueError("found stac without collection; required: the name of a collection of that STAC API")
        for key in ("filter", "fields"):
            if self.stac is None and getattr(self, key) is not None:
                raise ValueError(f"found {key} beside {found[0]}; allowed: with stac only; query works with both")
        if self.s3_credentials is not None and self.sign != "earthdata":
            raise ValueError("found s3_credentials without sign: earthdata; allowed: both or neither")
        return self
