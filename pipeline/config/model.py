"""What may stand in a run's YAML file: one frozen model a section, each key described, unknown keys refused.

Products are modelled by whoever knows them, as subclasses of ProductConfig.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_serializer,
    model_validator,
)

from pipeline.config.area import AreaConfig, GridConfig
from pipeline.config.campaign import MissingAssetsConfig, RunSettings
from pipeline.config.clusters import AnyCluster, ClusterConfig, LocalCluster
from pipeline.config.document import KeyPath
from pipeline.config.period import PeriodConfig
from pipeline.config.quality import QualityConfig
from pipeline.config.section import Section, may_be_left_out
from pipeline.config.source import OutputStorageConfig, SourceConfig
from pipeline.config.stores import StoresConfig
from pipeline.config.values import NAME_PATTERN, NAME_WORDS, FolderOrBucket, Name
from pipeline.config.write import WriteConfig

DEFAULT_REGION = "default"
"""Where sources without a region lie, and the `clusters:` entry of regions without their own."""

SOURCE = (
    "Name of the entry under `sources:` that it is made from; nothing: the one of the product's own name, else the "
    "only one that it can be made from."
)
_BY_NAME: dict[str, Any] = {
    "additionalProperties": False,
    "propertyNames": {"type": "string", "pattern": NAME_PATTERN, "patternErrorMessage": NAME_WORDS},
}


class ProductConfig(Section):
    """Base of every product's parameters: a subclass sets `product: Literal["kind"]` and adds its own keys.

    Values arrive as JSON and are strictly typed: lists become tuples, and a `before` validator returns tuples itself.
    The text of a validator's ValueError says what is allowed (`allowed: …`) and never repeats the value.
    """

    timeless: ClassVar[bool] = False
    """Its only period is `static`: it joins every other, and its source is searched without dates."""
    afloat: ClassVar[bool] = False
    """Its units are buckets of floats: no grid cuts it into tiles, and it needs no area."""
    whole: ClassVar[bool] = False
    """It is made from all that its inputs make, whatever their units and periods; its tiles are its own."""

    product: str = Field(description="Kind of product.")
    name: Name = Field(
        default_factory=lambda data: data["product"],
        description="Name of the product in paths, and in `inputs` of others; unique in the run; nothing: its kind.",
    )
    grid: GridConfig | None = Field(
        default=None, description="Tiles and pixels of this product; nothing: the run's grid."
    )
    period: PeriodConfig | None = Field(default=None, description="Periods of this product; nothing: the run's period.")
    missing_assets: MissingAssetsConfig | None = Field(
        default=None, description="What its jobs do when inputs cannot be read; nothing: run.missing_assets."
    )
    write: WriteConfig | None = Field(default=None, description="Formats of this product; nothing: the run's write.")
    quality: QualityConfig | None = Field(
        default=None,
        description="Limits of this product: the keys given here count in place of those of run.quality; nothing: "
        "all of run.quality.",
    )

    @field_serializer("quality")
    def _given(self, quality: QualityConfig | None) -> dict[str, Any] | None:
        """What was given of it, since the run's keys count for the others."""
        return None if quality is None else quality.model_dump(mode="json", exclude_unset=True)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of the sources that it reads."""
        return ()

    @property
    def upstream(self) -> tuple[str, ...]:
        """Names of the products that it is made from."""
        return ()


class SourceProduct(ProductConfig):
    """Base of what is made from the items of a source."""

    model_config = ConfigDict(json_schema_extra=may_be_left_out("source"))

    source: str = Field(description=SOURCE)

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)


class DerivedProduct(ProductConfig):
    """Base of what is made from other products of the run, tile by tile."""

    inputs: Annotated[tuple[Name, ...], Field(min_length=1)] = Field(
        description="Names of the products of this run that it is made from, on the same grid; they write COG."
    )
    allow_not_terrain_corrected: bool = Field(
        default=False,
        description="Whether radar that is not terrain corrected (sentinel1 with kind: grd) is taken as an input.",
    )

    @property
    def upstream(self) -> tuple[str, ...]:
        return self.inputs


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

    model_config = ConfigDict(json_schema_extra=may_be_left_out("name", "output", "period"))

    name: Name = Field(
        description="Name of the run, in records and reports; nothing: the name of this file without its ending."
    )
    output: FolderOrBucket = Field(
        description="Where everything is written: a folder (a relative one counts from the current directory) or "
        "s3://bucket/prefix; nothing: ./out/ and the run's name."
    )
    storage: OutputStorageConfig = Field(
        default=OutputStorageConfig(),
        description="How to reach the output where it lies on S3: endpoint, profile, region.",
    )
    area: AreaConfig | None = Field(
        default=None,
        description="Where on Earth. May be left out where no product needs it: Argo floats, and a grid of kind "
        "geobox with a shape.",
    )
    grid: GridConfig = Field(
        default=GridConfig(),
        description="Into which tiles the area is cut, and the size and CRS of their pixels; nothing: UTM tiles "
        "of 2048 x 2048 pixels of 10 m.",
    )
    period: PeriodConfig = Field(
        description="When: from start to end, cut into months, years or other periods; nothing, where every product is "
        "without time (dem) or takes floats (argo): all times."
    )
    sources: Mapping[Name, SourceConfig] = Field(
        min_length=1,
        description="Where data comes from, each by a name of your own that products refer to.",
        json_schema_extra=_BY_NAME,
    )
    products: tuple[Annotated[SerializeAsAny[ProductConfig], WrapValidator(_product_of_kind)], ...] = Field(
        min_length=1, description="What to make, one entry a product; `product:` says which kind."
    )
    write: WriteConfig = Field(default=WriteConfig(), description="In which formats results are written; nothing: COG.")
    clusters: Mapping[Name, ClusterConfig] = Field(
        default={},
        description="On which machines jobs run, by cloud region; `default` serves regions without an entry; "
        "nothing: this machine.",
        json_schema_extra=_BY_NAME,
    )
    run: RunSettings = Field(
        default=RunSettings(),
        description="How jobs are run: retries, budget, limits of time, quality, progress, notices.",
    )
    stores: StoresConfig | None = Field(
        default=None,
        description="Databases (PostgreSQL, Redis) that hold the committed profiles of floats for `groundswell "
        "serve`; nothing: none.",
    )

    _variables: dict[KeyPath, str] = PrivateAttr(default_factory=dict)

    def __repr__(self) -> str:
        """Names alone: what came from the environment must not end up in the output of a notebook's cell."""
        return f"RunConfig({self.name}: {', '.join(entry.name for entry in self.products)})"

    __str__ = __repr__

    @model_validator(mode="after")
    def _has_an_area(self) -> Self:
        tiled = [product for product in self.products if not (product.afloat or product.whole)]
        if self.area is None and any(self.grid_of(product).needs_area for product in tiled):
            raise ValueError(
                "found no area; required: such as area: {bbox: [west, south, east, north]}; allowed: none only with "
                "grid: {kind: geobox, shape: ...}"
            )
        return self

    @model_validator(mode="after")
    def _inputs_fit(self) -> Self:
        entries = {product.name: product for product in self.products}
        for product in self.products:
            for name in product.upstream:
                other = entries.get(name)
                if other is None:
                    continue  # told by name and line where names are compared
                if other.afloat != product.whole:
                    what = "profiles" if other.afloat else "tiles"
                    raise ValueError(f"found {name}, which is of {what}, among the inputs of {product.name}")
                if product.whole:
                    continue
                if self.write_of(other).cog is None:
                    raise ValueError(
                        f"found {name} among the inputs of {product.name}, but it writes no COG; allowed: write.cog"
                    )
                if self.grid_of(other) != self.grid_of(product):
                    raise ValueError(
                        f"found {name} among the inputs of {product.name}, on another grid; allowed: one grid for all"
                    )
        return self

    @property
    def variables(self) -> dict[KeyPath, str]:
        """Values that came from the environment, by key path, as they were written: `${VAR}`; never their text."""
        return self._variables

    def region_of(self, product: ProductConfig) -> str:
        """The region a product's jobs run in: its source's; of a derived product, where its first input is made.

        Jobs of a derived product may each be planned elsewhere, where fewer bytes have to move.
        """
        entries = {entry.name: entry for entry in self.products}
        while not product.sources:
            product = entries[product.upstream[0]]
        return self.sources[product.sources[0]].region or DEFAULT_REGION

    def cluster_of(self, region: str) -> AnyCluster:
        """A region's own cluster, else `default`, else a local one."""
        return self.clusters.get(region) or self.clusters.get(DEFAULT_REGION) or LocalCluster()

    def grid_of(self, product: ProductConfig) -> GridConfig:
        """The tiles of a product: its own, else the run's."""
        return product.grid or self.grid

    def period_of(self, product: ProductConfig) -> PeriodConfig:
        """The periods of a product: its own, else the run's."""
        return product.period or self.period

    def write_of(self, product: ProductConfig) -> WriteConfig:
        """How a product is written: its own way, else the run's."""
        return product.write or self.write

    def missing_assets_of(self, product: ProductConfig) -> MissingAssetsConfig:
        """How many inputs a product's jobs may lose: its own rule, else the run's."""
        return product.missing_assets or self.run.missing_assets

    def quality_of(self, product: ProductConfig) -> QualityConfig:
        """What a product's tiles must be like: its own limits, else the run's, key by key."""
        return product.quality.over(self.run.quality) if product.quality else self.run.quality
