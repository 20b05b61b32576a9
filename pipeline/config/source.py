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
_SIGNS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=": "eq", "==": "eq", "!=": "neq", "ne": "neq"}
_NEEDED = ("id", "collection", "geometry", "properties", "assets")
"""Of an item: its place, its time, what products decide by, its files."""


class StorageConfig(Section):
    """How to reach an S3 store."""

    endpoint: HttpUrl | None = Field(
        default=None, description="Address of an S3 server, such as http://127.0.0.1:9000; nothing: AWS."
    )
    profile: str | None = Field(
        default=None,
        description="Profile of the AWS configuration files (~/.aws) to take credentials from; nothing: the "
        "default ones.",
    )
    anonymous: bool = Field(default=False, description="Whether no credentials are sent, as public buckets allow.")


class OutputStorageConfig(StorageConfig):
    """How to reach the output where it is on S3, and where that lies."""

    region: Name | None = Field(
        default=None,
        description="Cloud region that the output lies in; what it costs to read it elsewhere is priced by it; "
        "nothing: unknown.",
    )


class FieldsConfig(Section):
    """Which fields of the items an API is asked for."""

    include: tuple[str, ...] = Field(
        default=(), description="Only these fields, and what every item needs; nothing: all."
    )
    exclude: tuple[str, ...] = Field(default=(), description="All fields but these.")

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

    stac: HttpUrl | None = Field(
        default=None, description="Address of a STAC API; exactly one of stac, items and gdac."
    )
    items: PathOrUrl | None = Field(
        default=None,
        description="In place of stac: path or address of a static catalogue, collection, item list or "
        "stac-geoparquet file; a relative path counts from this file's folder.",
    )
    collection: Texts | None = Field(
        default=None, min_length=1, description="With stac: collection to search, or a list of them; required."
    )
    query: Mapping[str, Mapping[str, Json]] = Field(
        default={},
        description='Limits on properties of the items, by property and operator: {"eo:cloud_cover": {lt: 80}}; '
        "operators are eq, neq, lt, lte, gt, gte, in, startsWith, endsWith, contains.",
    )
    filter: str | Mapping[str, Json] | None = Field(
        default=None, description="With stac: CQL2, as text or as JSON, that the API evaluates."
    )
    fields: FieldsConfig | None = Field(
        default=None, description="With stac: which fields of the items the API is asked for; nothing: all."
    )
    region: Name | None = Field(
        default=None,
        description="Cloud region the data lies in, such as us-west-2: its jobs run there; nothing: no matter.",
    )
    prefer: Literal["https", "s3"] | None = Field(
        default=None,
        description="Which address of a file is read where an item gives several; nothing: one in the source's "
        "region, else the item's own.",
    )
    sign: Literal["none", "planetary-computer", "earthdata", "requester-pays"] = Field(
        default="none",
        description="How reading is authorised: none, planetary-computer (signed addresses), earthdata (NASA's "
        "login), requester-pays (your AWS account is billed).",
    )
    s3_credentials: HttpUrl | None = Field(
        default=None,
        description="With sign: earthdata, the address that lends S3 credentials; nothing: by the name of the bucket.",
    )
    storage: StorageConfig | None = Field(
        default=None,
        description="How to reach the data where it lies on S3; nothing: AWS with the default credentials.",
    )

    @field_validator("query")
    @classmethod
    def _known_operators(cls, query: Mapping[str, Mapping[str, Json]]) -> Mapping[str, Mapping[str, Json]]:
        used = [limit for limits in query.values() for limit in limits.items()]
        lists = all(isinstance(value, list) for operator, value in used if operator == "in")
        strange = [operator for operator, _ in used if operator not in OPERATORS]
        if strange or not all(query.values()) or not lists:
            meant = f" (did you mean {_SIGNS[strange[0]]}?)" if strange and strange[0] in _SIGNS else ""
            found = f"found {', '.join(strange)}{meant}; " if strange else ""
            raise ValueError(
                f"{found}allowed: for each property a mapping of {', '.join(OPERATORS)} to a value, of in to a list"
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
            raise ValueError("found stac without collection; required: collection, such as sentinel-2-l2a")
        for key in ("filter", "fields"):
            if self.stac is None and getattr(self, key) is not None:
                raise ValueError(f"found {key} beside {found[0]}; allowed: with stac only; query works with both")
        if self.s3_credentials is not None and self.sign != "earthdata":
            raise ValueError("found s3_credentials without sign: earthdata; allowed: both or neither")
        return self
