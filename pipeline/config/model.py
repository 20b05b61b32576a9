"""What may stand in a run's YAML file: one frozen model a section, each key described, unknown keys refused.

Products are modelled by whoever knows them, as subclasses of ProductConfig.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from pipeline.config.document import KeyPath, mask_credentials
from pipeline.config.values import (
    NAME_PATTERN,
    NAME_WORDS,
    FolderOrBucket,
    HttpUrl,
    Name,
    PathOrUrl,
    SizeBytes,
    UtcTime,
    Workers,
)

DEFAULT_REGION = "default"
"""Where sources without a region lie, and the `clusters:` entry of regions without their own."""

_BY_NAME: dict[str, Any] = {
    "additionalProperties": False,
    "propertyNames": {"type": "string", "pattern": NAME_PATTERN, "patternErrorMessage": NAME_WORDS},
}


class Section(BaseModel):
    """One mapping of the file: frozen, unknown keys refused, credentials of URLs masked where it is printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for key, value in super().__repr_args__():
            yield key, mask_credentials(value) if isinstance(value, str) else value


class StorageConfig(Section):
    """How to reach an S3 store."""

    endpoint: HttpUrl | None = Field(default=None, description="Address of an S3 server; nothing: AWS.")
    profile: str | None = Field(
        default=None, description="Profile of the AWS configuration files to take credentials from."
    )
    anonymous: bool = Field(default=False, description="Send no credentials.")


class AreaConfig(Section):
    """Where."""

    bbox: tuple[float, float, float, float] = Field(
        description="West, south, east, north in degrees; west greater than east crosses the antimeridian."
    )

    @field_validator("bbox")
    @classmethod
    def _on_earth(cls, bbox: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        west, south, east, north = bbox
        if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90 and west != east):
            raise ValueError(
                "allowed: [west, south, east, north] in degrees, longitudes from -180 to 180 and not equal, "
                "latitudes from -90 to 90, south below north"
            )
        return bbox


class GridConfig(Section):
    """The tiles and their pixels."""

    kind: Literal["utm"] = Field(default="utm", description="utm: square tiles in each UTM zone.")
    tile_px: int = Field(default=2048, ge=64, multiple_of=16, description="Edge of a tile in pixels.")
    resolution_m: float = Field(default=10.0, gt=0, description="Edge of a pixel in metres.")


class PeriodConfig(Section):
    """When; dates and times are UTC unless they say otherwise."""

    start: UtcTime = Field(description="First moment, included.")
    end: UtcTime = Field(description="Last moment, excluded.")
    every: Literal["month", "span"] = Field(
        default="month", description="One output per calendar month, or one for the span."
    )

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: UtcTime, info: ValidationInfo) -> UtcTime:
        if "start" in info.data and end <= info.data["start"]:
            raise ValueError("allowed: a date or time later than period.start, for the end is excluded")
        return end


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


class CogConfig(Section):
    """Cloud-optimised GeoTIFF."""

    compress: Literal["deflate", "zstd"] = Field(default="deflate", description="Codec; every reader knows deflate.")
    level: int | None = Field(default=None, ge=1, le=22, description="Level of the codec (deflate 1-9, zstd 1-22).")

    @field_validator("level")
    @classmethod
    def _within_codec(cls, level: int | None, info: ValidationInfo) -> int | None:
        if level is not None and level > 9 and info.data.get("compress") == "deflate":
            raise ValueError("allowed: 1 to 9 for deflate, 1 to 22 for zstd")
        return level


class WriteConfig(Section):
    """What is written."""

    cog: CogConfig = Field(default=CogConfig(), description="How COGs are written.")


class MissingAssetsConfig(Section):
    """What a job does when inputs cannot be read."""

    policy: Literal["skip", "fail"] = Field(default="skip", description="Go on without them, or fail the job.")
    max_fraction: float = Field(
        default=0.2, ge=0, le=1, description="With skip: greatest share of a job's inputs to lose."
    )


class ClusterConfig(Section):
    """The Dask cluster of one region."""

    backend: Literal["local"] = Field(default="local", description="local: processes on this machine.")
    workers: Workers | None = Field(
        default=None, description="Number, or [minimum, maximum]; nothing: by this machine."
    )
    threads: int | None = Field(default=None, ge=1, description="Threads of a worker; nothing: by this machine.")
    worker_memory: SizeBytes | None = Field(
        default=None, description="Memory of a worker, such as 4GiB; nothing: a fair share."
    )


class RunSettings(Section):
    """How jobs are run."""

    retries: int = Field(default=3, ge=0, description="Further attempts at what failed for a passing reason.")
    missing_assets: MissingAssetsConfig = Field(
        default=MissingAssetsConfig(), description="When inputs cannot be read."
    )


class ProductConfig(Section):
    """Base of every product's parameters: a subclass sets `product: Literal["kind"]` and adds its own keys.

    Values arrive as JSON and are strictly typed: lists become tuples, and a `before` validator returns tuples itself.
    The text of a validator's ValueError says what is allowed (`allowed: …`) and never repeats the value.
    """

    product: str = Field(description="Kind of product.")
    name: Name = Field(
        default_factory=lambda data: data["product"],
        description="Unique in the run and used in paths; default: the kind.",
    )
    source: str = Field(description="Name of the source it is made from.")
    missing_assets: MissingAssetsConfig | None = Field(default=None, description="In place of run.missing_assets.")
    write: WriteConfig | None = Field(default=None, description="In place of the run's write.")


def _product_of_kind(value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> ProductConfig:
    models: Mapping[str, type[ProductConfig]] | None = (info.context or {}).get("products")
    if models is None or not isinstance(value, dict):
        product: ProductConfig = handler(value)
        return product
    if "product" not in value:
        raise ValidationError.from_exception_data("product", [{"type": "missing", "loc": ("product",), "input": None}])
    model = models.get(value["product"]) if isinstance(value["product"], str) else None
    if model is None:
        unknown = {"type": "literal_error", "loc": ("product",), "input": None, "ctx": {"expected": ", ".join(models)}}
        raise ValidationError.from_exception_data("product", [unknown])  # type: ignore[list-item]
    return model.model_validate_json(json.dumps(value), strict=True, context=info.context)


class RunConfig(Section):
    """One run: what to make, from where, for which area and time, and where it is written."""

    name: Name = Field(description="Name of the run.")
    output: FolderOrBucket = Field(
        description="Where it is written; a relative folder counts from the current directory."
    )
    storage: StorageConfig = Field(default=StorageConfig(), description="How to reach the output where it is on S3.")
    area: AreaConfig = Field(description="Where.")
    grid: GridConfig = Field(default=GridConfig(), description="The tiles and their pixels.")
    period: PeriodConfig = Field(description="When.")
    sources: Mapping[Name, SourceConfig] = Field(
        min_length=1, description="Where data comes from, by a name of your own.", json_schema_extra=_BY_NAME
    )
    products: tuple[Annotated[SerializeAsAny[ProductConfig], WrapValidator(_product_of_kind)], ...] = Field(
        min_length=1, description="What to make."
    )
    write: WriteConfig = Field(default=WriteConfig(), description="What is written.")
    clusters: Mapping[Name, ClusterConfig] = Field(
        default={}, description="Clusters by region; `default` serves the others.", json_schema_extra=_BY_NAME
    )
    run: RunSettings = Field(default=RunSettings(), description="How jobs are run.")

    _variables: dict[KeyPath, str] = PrivateAttr(default_factory=dict)

    @property
    def variables(self) -> dict[KeyPath, str]:
        """Values that came from the environment, by key path, as they were written: `${VAR}`; never their text."""
        return self._variables

    def region_of(self, product: ProductConfig) -> str:
        """The region a product's jobs run in: its source's."""
        return self.sources[product.source].region or DEFAULT_REGION

    def cluster_of(self, region: str) -> ClusterConfig:
        """A region's own cluster, else `default`, else a local one."""
        return self.clusters.get(region) or self.clusters.get(DEFAULT_REGION) or ClusterConfig()

    def write_of(self, product: ProductConfig) -> WriteConfig:
        """How a product is written: its own way, else the run's."""
        return product.write or self.write

    def missing_assets_of(self, product: ProductConfig) -> MissingAssetsConfig:
        """How many inputs a product's jobs may lose: its own rule, else the run's."""
        return product.missing_assets or self.run.missing_assets
