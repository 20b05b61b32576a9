"""`sources:` and `storage:`: where data comes from, and how a store is reached."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from pipeline.config.section import Section
from pipeline.config.values import HttpUrl, Name, PathOrUrl


class StorageConfig(Section):
    """How to reach an S3 store."""

    endpoint: HttpUrl | None = Field(default=None, description="Address of an S3 server; nothing: AWS.")
    profile: str | None = Field(
        default=None, description="Profile of the AWS configuration files to take credentials from."
    )
    anonymous: bool = Field(default=False, description="Send no credentials.")


class SourceConfig(Section):
    """Where data comes from: a STAC API, or items listed in a file."""

    # For editors; the validator below says it in words.
    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["stac", "collection"]}, {"required": ["items"]}]}
    )

    stac: HttpUrl | None = Field(default=None, description="Address of a STAC API.")
    items: PathOrUrl | None = Field(
        default=None,
        description="Path or address of a static catalogue, collection or item list; "
        "a relative path counts from the folder of this file.",
    )
    collection: str | None = Field(default=None, min_length=1, description="Collection to search; required with stac.")
    region: Name | None = Field(
        default=None, description="Cloud region the data lies in, such as us-west-2; nothing: any."
    )
    sign: Literal["none", "planetary-computer", "requester-pays"] = Field(
        default="none", description="How reading is authorised."
    )
    storage: StorageConfig | None = Field(default=None, description="How to reach the data where it lies on S3.")

    @model_validator(mode="after")
    def _one_catalogue(self) -> Self:
        if (self.stac is None) == (self.items is None):
            found = "neither stac nor items" if self.stac is None else "both stac and items"
            raise ValueError(f"found {found}; allowed: exactly one of them")
        if self.stac is not None and self.collection is None:
            raise ValueError("found stac without collection; required: the name of a collection of that STAC API")
        return self
