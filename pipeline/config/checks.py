"""`check:`: what the data of an object must be like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.config.grades import NumberSpan, Severity, Share, Span
from pipeline.config.section import Section
from pipeline.config.values import SizeBytes, Texts

Level = Literal["pass", "warn", "fail"]
Kind = Literal["table", "raster", "array"]
Exact = Literal[
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"
]  # fmt: skip
ColumnType = Literal["integer", "number", "text", "boolean", "date", "time"] | Exact
Value = bool | int | float | str
Text = Annotated[str, Field(min_length=1)]

_SEVERITY = "What it counts where this is not kept, and a limit does not say warn or fail itself."


class ColumnConfig(Section):
    """What a column of a table must be like."""

    type: ColumnType | None = Field(
        default=None, description="Type; of CSV, whether the text can be read so; nothing: any, of CSV text."
    )
    required: bool = Field(default=True, description="Whether the column must be there.")
    format: str | None = Field(
        default=None, min_length=1, description="Of CSV: how dates and times are written, as %d/%m/%Y; nothing: ISO."
    )
    nulls: Share | None = Field(default=None, description="Largest share of rows without a value; nothing: any.")
    range: Span | None = Field(default=None, description="[lowest, highest] number or time; null: open.")
    values: tuple[Value, ...] | None = Field(default=None, min_length=1, description="The values that are allowed.")
    pattern: str | None = Field(
        default=None, min_length=1, description="Regular expression (of Rust's kind) that a whole text must match."
    )
    unique: bool = Field(default=False, description="Whether no value may come twice.")
    severity: Severity = Field(default="fail", description=_SEVERITY)

    @model_validator(mode="after")
    def _fits_type(self) -> Self:
        if self.pattern is not None:
            _check_pattern(self.pattern)
            if self.type not in {None, "text"}:
                raise ValueError(f"found pattern with type {self.type}; allowed: only with text")
        times = [each for _, pair in (self.range.graded(self.severity) if self.range else ()) for each in pair]
        if any(isinstance(each, datetime) for each in times) and self.type not in {"date", "time"}:
            raise ValueError("found a time in range; allowed: only with type: date or time")
        if any(isinstance(each, float) for each in times) and self.type in {"text", "boolean", "date", "time"}:
            raise ValueError(f"found a number in range of {self.type}; allowed: {_ends(self.type)}")
        if times and self.type is None:
            raise ValueError("found range without type; required: type, since text has no range")
        if self.values is not None and not _fit(self.values, self.type):
            raise ValueError(f"found values {list(self.values)} with type {self.type}; allowed: values of that type")
        if self.format is not None and self.type not in {"date", "time"}:
            raise ValueError("found format; allowed: only with type: date or time")
        return self


def _fit(values: tuple[Value, ...], kind: str | None) -> bool:
    """Whether values may be those of a column; text may be written as a number."""
    if kind is None or kind == "text":
        return True
    if kind == "boolean":
        return all(isinstance(value, bool) for value in values)
    number = float | int if kind == "number" or kind.startswith("float") else int
    return kind not in {"date", "time"} and all(
        isinstance(value, number) and not isinstance(value, bool) for value in values
    )


def _ends(kind: str) -> str:
    return "times such as 2024-01-01" if kind in {"date", "time"} else "no range"


def _check_pattern(pattern: str) -> None:
    """Raises ValueError for what Rust's regular expressions, which take linear time, do not know."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"found pattern {pattern!r}: {error}; allowed: a regular expression") from None
    if re.search(r"\(\?(<?[=!]|P=|\()|(?<!\\)(\\\\)*\\[1-9]", pattern):
        raise ValueError(f"found pattern {pattern!r}; allowed: none that looks around or refers back")


class TableConfig(Section):
    """What a table, CSV or Parquet, must be like."""

    columns: Mapping[Text, ColumnConfig] = Field(
        default={}, description="By name; of CSV, one without a name is (column N), counted from 1."
    )
    others: Level = Field(default="pass", description="What columns count that are not named.")
    ordered: bool = Field(default=False, description="Whether the columns must stand in this order.")
    key: Texts = Field(default=(), description="Columns whose values together name a row: none twice, none missing.")
    rows: NumberSpan | None = Field(default=None, description="[least, most] rows; null: any.")
    separator: str = Field(default=",", min_length=1, max_length=1, description="Of CSV: between values; a tab: \\t.")
    quote: str = Field(default='"', min_length=1, max_length=1, description="Of CSV: around values.")
    missing: tuple[str, ...] = Field(default=("",), description="Of CSV: texts that stand for no value.")
    severity: Severity = Field(default="fail", description=_SEVERITY)


class BandConfig(Section):
    """What a band of a raster must be like."""

    dtype: Texts = Field(default=(), description="Type of number, such as uint16; one or several; nothing: any.")
    nodata_share: Share | None = Field(default=None, description="Largest share of pixels without a number.")
    range: NumberSpan | None = Field(default=None, description="[lowest, highest] number as stored; null: open.")
    values: tuple[float, ...] | None = Field(default=None, min_length=1, description="The numbers that are allowed.")
    severity: Severity = Field(default="fail", description=_SEVERITY)


class RasterConfig(Section):
    """What a raster, GeoTIFF or JPEG 2000, must be like."""

    formats: tuple[Literal["GeoTIFF", "JPEG 2000"], ...] = Field(
        default=("GeoTIFF", "JPEG 2000"), min_length=1, description="Formats that are taken."
    )
    crs: Texts = Field(default=(), description="Reference systems, such as EPSG:32633; one or several; nothing: any.")
    georeferenced: bool = Field(
        default=True, description="Whether it must have a reference system, or ground control points."
    )
    resolution: tuple[float, float] | None = Field(
        default=None, description="[x, y] of a pixel in units of the reference system, both positive."
    )
    size_px: tuple[int, int] | None = Field(default=None, description="[columns, rows].")
    within: tuple[float, float, float, float] | None = Field(
        default=None, description="[west, south, east, north] in degrees in which all of it must lie."
    )
    bands: int | None = Field(default=None, ge=1, description="Number of bands.")
    nodata: float | Literal["none", "nan"] | None = Field(
        default=None, description="Value for no data that the file must declare, nan, or none; nothing: any."
    )
    tiled: bool | None = Field(default=None, description="Whether it must be stored in tiles, or must not.")
    overviews: bool | None = Field(default=None, description="Whether it must have overviews, or must not.")
    each: BandConfig = Field(default=BandConfig(), description="Of every band.")
    band: Mapping[int, BandConfig] = Field(default={}, description="Of single bands, by number from 1, in place of it.")
    severity: Severity = Field(default="fail", description=_SEVERITY)


class VariableConfig(Section):
    """What a variable or coordinate of an array file must be like."""

    type: Exact | Literal["integer", "number", "text", "time"] | None = Field(
        default=None, description="Type as stored, or its family."
    )
    required: bool = Field(default=True, description="Whether it must be there.")
    dims: tuple[Text, ...] | None = Field(default=None, description="Its dimensions, in order, by their own names.")
    units: str | None = Field(default=None, min_length=1, description="Its attribute `units`.")
    attributes: Mapping[str, Value | None] = Field(default={}, description="Others, by name; null: any value.")
    nulls: Share | None = Field(default=None, description="Largest share of values that are fill or NaN.")
    range: NumberSpan | None = Field(
        default=None, description="[lowest, highest] value, scale and offset applied; null: open."
    )
    increasing: bool = Field(default=False, description="Whether each value must be greater than the one before.")
    severity: Severity = Field(default="fail", description=_SEVERITY)


class ArrayConfig(Section):
    """What an array file, NetCDF or Zarr, must be like."""

    variables: Mapping[Text, VariableConfig] = Field(
        default={}, description="Variables and coordinates, by name; those of groups: group/name."
    )
    others: Level = Field(default="pass", description="What data variables count that are not named.")
    dims: Mapping[Text, int | None] = Field(
        default={}, description="Dimensions, by name as variables, and their lengths; null: any length."
    )
    attributes: Mapping[str, Value | None] = Field(
        default={}, description="Of the file, such as Conventions; null: any value."
    )
    severity: Severity = Field(default="fail", description=_SEVERITY)


class ChecksumConfig(Section):
    """What the bytes are compared with; SHA-256 that S3 keeps is always compared."""

    sidecar: Texts = Field(
        default=(),
        description="Endings of objects beside it that hold its checksum, .sha256, .sha1, .sha512 or .md5; "
        "the first that is there counts.",
    )
    etag: bool = Field(
        default=False, description="Compare the ETag where it is an MD5; it is none of objects encrypted by KMS."
    )
    required: bool = Field(default=False, description="Whether there must be a checksum to compare with.")
    severity: Severity = Field(default="fail", description=_SEVERITY)

    @model_validator(mode="after")
    def _known(self) -> Self:
        strange = [each for each in self.sidecar if each not in {".sha256", ".sha1", ".sha512", ".md5"}]
        if strange:
            raise ValueError(f"found sidecar {strange[0]!r}; allowed: .sha256, .sha512, .sha1, .md5")
        return self


class CheckConfig(Section):
    """What an object's data must be like; without any key it must be readable to its end."""

    kind: Literal["auto"] | Kind = Field(default="auto", description="auto: by the bytes; else only this kind.")
    suffix: Level = Field(default="fail", description="What an ending counts that contradicts the bytes.")
    size: tuple[SizeBytes | None, SizeBytes | None] = Field(
        default=(None, None), description="[least, most] bytes, such as [1KiB, 2GiB]; null: any."
    )
    checksum: ChecksumConfig = Field(default=ChecksumConfig(), description="Its checksum.")
    table: TableConfig | None = Field(default=None, description="What a table must be like.")
    raster: RasterConfig | None = Field(default=None, description="What a raster must be like.")
    array: ArrayConfig | None = Field(default=None, description="What an array file must be like.")
    examples: int = Field(default=5, ge=0, le=100, description="Values that are shown of each finding.")
    memory: SizeBytes = Field(default=2 * 2**30, description="Memory that reading one object may take.")
    cpu_s: float = Field(default=600, ge=1, description="Seconds of computing that reading one object may take.")

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
