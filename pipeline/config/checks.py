"""`check:`: what the data of an object must be like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.columns import SEVERITY, Exact, TableConfig, Text, Value
from pipeline.config.grades import NumberSpan, Severity, Share
from pipeline.config.quality import Level
from pipeline.config.section import Section
from pipeline.config.values import SizeBytes, Texts

Kind = Literal["table", "raster", "array"]


class BandConfig(Section):
    """What a band of a raster must be like."""

    dtype: Texts = Field(default=(), description="Type of number, such as uint16; one or several; nothing: any.")
    nodata_share: Share | None = Field(
        default=None,
        description="Largest share (0 to 1) of pixels without a value, as 0.6 or {warn: 0.6, fail: 0.99}; "
        "nothing: any.",
    )
    range: NumberSpan | None = Field(
        default=None,
        description="[lowest, highest] number as stored, or {warn: [...], fail: [...]}; an end that is null is "
        "open; nothing: any.",
    )
    values: tuple[float, ...] | None = Field(
        default=None, min_length=1, description="The only numbers that are allowed; nothing: any."
    )
    severity: Severity = Field(default="fail", description=SEVERITY)


class RasterConfig(Section):
    """What a raster, GeoTIFF or JPEG 2000, must be like."""

    formats: tuple[Literal["GeoTIFF", "JPEG 2000"], ...] = Field(
        default=("GeoTIFF", "JPEG 2000"), min_length=1, description="Formats that are taken."
    )
    crs: Texts = Field(
        default=(),
        description="Coordinate reference systems that are allowed, such as EPSG:32633; one or several; nothing: any.",
    )
    georeferenced: bool = Field(
        default=True, description="Whether it must have a CRS and a transform, or ground control points."
    )
    resolution: tuple[float, float] | None = Field(
        default=None, description="[x, y] size of a pixel in units of the CRS, both positive; nothing: any."
    )
    size_px: tuple[int, int] | None = Field(
        default=None, description="[columns, rows] that it must have; nothing: any."
    )
    within: tuple[float, float, float, float] | None = Field(
        default=None,
        description="[west, south, east, north] in degrees in which all of it must lie; nothing: anywhere.",
    )
    bands: int | None = Field(default=None, ge=1, description="Number of bands that it must have; nothing: any.")
    nodata: float | Literal["none", "nan"] | None = Field(
        default=None,
        description="Value for no data that the file must declare: a number, nan, or none (it declares no such "
        "value); nothing: any.",
    )
    tiled: bool | None = Field(
        default=None, description="Whether it must be stored in tiles (true) or must not (false); nothing: either."
    )
    overviews: bool | None = Field(
        default=None, description="Whether it must have overviews (true) or must not (false); nothing: either."
    )
    each: BandConfig = Field(default=BandConfig(), description="What every band must be like.")
    band: Mapping[int, BandConfig] = Field(
        default={}, description="What single bands must be like, by number from 1, in place of `each`."
    )
    severity: Severity = Field(default="fail", description=SEVERITY)


class VariableConfig(Section):
    """What a variable or coordinate of an array file must be like."""

    type: Exact | Literal["integer", "number", "text", "time"] | None = Field(
        default=None,
        description="Type as stored, such as float32, or its family: integer, number, text, time; nothing: any.",
    )
    required: bool = Field(default=True, description="Whether it must be there.")
    dims: tuple[Text, ...] | None = Field(default=None, description="Names of its dimensions, in order; nothing: any.")
    units: str | None = Field(
        default=None, min_length=1, description="Text that its attribute `units` must have; nothing: any."
    )
    attributes: Mapping[str, Value | None] = Field(
        default={}, description="Further attributes that it must have, by name; null: any value."
    )
    nulls: Share | None = Field(
        default=None,
        description="Largest share (0 to 1) of values that are fill or NaN, as 0.1 or {warn: 0.1, fail: 0.5}; "
        "nothing: any.",
    )
    range: NumberSpan | None = Field(
        default=None,
        description="[lowest, highest] value after scale and offset, or {warn: [...], fail: [...]}; an end that "
        "is null is open; nothing: any.",
    )
    increasing: bool = Field(default=False, description="Whether each value must be greater than the one before.")
    severity: Severity = Field(default="fail", description=SEVERITY)


class ArrayConfig(Section):
    """What an array file, NetCDF or Zarr, must be like."""

    variables: Mapping[Text, VariableConfig] = Field(
        default={}, description="What variables and coordinates must be like, by name; those of groups are group/name."
    )
    others: Level = Field(
        default="pass", description="What data variables count that are not named: pass, warn or fail."
    )
    dims: Mapping[Text, int | None] = Field(
        default={}, description="Dimensions that it must have, by name, and their lengths; null: any length."
    )
    attributes: Mapping[str, Value | None] = Field(
        default={}, description="Attributes that the file must have, such as Conventions; null: any value."
    )
    severity: Severity = Field(default="fail", description=SEVERITY)


class ChecksumConfig(Section):
    """What the bytes are compared with; SHA-256 that S3 keeps is always compared."""

    sidecar: Texts = Field(
        default=(),
        description="Endings of files beside it that hold its checksum: .sha256, .sha1, .sha512 or .md5; the "
        "first that is there counts; nothing: none is looked for.",
    )
    etag: bool = Field(
        default=False,
        description="Whether the ETag is compared where it is an MD5 (it is none of objects encrypted by KMS).",
    )
    required: bool = Field(default=False, description="Whether there must be a checksum to compare with.")
    severity: Severity = Field(default="fail", description=SEVERITY)

    @model_validator(mode="after")
    def _known(self) -> Self:
        strange = [each for each in self.sidecar if each not in {".sha256", ".sha1", ".sha512", ".md5"}]
        if strange:
            raise ValueError(f"found sidecar {strange[0]!r}; allowed: .sha256, .sha512, .sha1, .md5")
        return self


class CheckConfig(Section):
    """What an object's data must be like; without any key it must be readable to its end."""

    kind: Literal["auto"] | Kind = Field(
        default="auto", description="Which kind of data it must be: table, raster, array; auto: found from the bytes."
    )
    suffix: Level = Field(
        default="fail", description="What it counts when a file's ending contradicts its bytes: pass, warn or fail."
    )
    size: tuple[SizeBytes | None, SizeBytes | None] = Field(
        default=(None, None), description="[least, most] bytes, such as [1KiB, 2GiB]; null: any."
    )
    checksum: ChecksumConfig = Field(
        default=ChecksumConfig(), description="What its checksum is compared with; one that S3 keeps always is."
    )
    table: TableConfig | None = Field(
        default=None, description="What a table (CSV, Parquet) must be like; nothing: readable to its end."
    )
    raster: RasterConfig | None = Field(
        default=None,
        description="What a raster (GeoTIFF, JPEG 2000) must be like; nothing: readable to its last block.",
    )
    array: ArrayConfig | None = Field(
        default=None, description="What an array file (NetCDF, Zarr) must be like; nothing: readable to its last chunk."
    )
    examples: int = Field(default=5, ge=0, le=100, description="Number of offending values shown with each finding.")
    memory: SizeBytes = Field(
        default=2 * 2**30,
        description="Most memory that reading one object may take, as 2GiB; then it counts as failed.",
    )
    cpu_s: float = Field(
        default=600,
        ge=1,
        description="Most seconds of computing that reading one object may take; then it counts as failed.",
    )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of data that are taken."""
        named: dict[Kind, Any] = {"table": self.table, "raster": self.raster, "array": self.array}
        if self.kind != "auto":
            return (self.kind,)
        return tuple(kind for kind, section in named.items() if section is not None) or tuple(named)

    @model_validator(mode="after")
    def _one_story(self) -> Self:
        for kind in ("table", "raster", "array"):
            if self.kind not in {"auto", kind} and getattr(self, kind) is not None:
                raise ValueError(f"found {kind} with kind: {self.kind}; allowed: kind: auto, or the section of it only")
        return self
