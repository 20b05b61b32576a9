"""What may stand in a `predict` entry."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from pipeline.config import DerivedProduct, Section, StorageConfig
from pipeline.config.values import NAME_PATTERN, NAME_WORDS, PathOrUrl, SizeBytes
from pipeline.products._stack_config import LayerName

CLASS = "class"
"""Name of the layer of classes."""
CLASS_NODATA = 255
_WHOLE = {"uint8": (0, 255), "int16": (-32768, 32767), "uint16": (0, 65535)}


def _day(value: object) -> object:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("allowed: a date such as 2024-06-01") from None


Day = Annotated[date, BeforeValidator(_day)]


class ChannelConfig(Section):
    """One channel of the model's input: stored * scale + offset of a layer, then clipped."""

    layer: LayerName = Field(description="Layer of the inputs: sentinel2_red, or red where only one of them has it.")
    time: Day | None = Field(
        default=None,
        description="Date of one step of a layer with a time axis; nothing: all steps, with a layout that has a t.",
    )
    scale: float | None = Field(
        default=None, description="Factor from stored number to the model's value; nothing: the layer's own."
    )
    offset: float | None = Field(default=None, description="Added after scale; nothing: the layer's own.")
    clip: tuple[float, float] | None = Field(
        default=None, description="[least, greatest] value that the model is given; nothing: not clipped."
    )
    nodata: float | None = Field(
        default=None, description="Stored number that stands for no value; nothing: the layer's own."
    )
    fill: float = Field(default=0.0, description="Value that the model is given where the layer has none.")

    @model_validator(mode="after")
    def _ascending(self) -> ChannelConfig:
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise ValueError("allowed: clip: [least, greatest] with the smaller one first")
        return self


class ResultConfig(Section):
    """One layer that is written of what the model results in."""

    name: str = Field(
        pattern=NAME_PATTERN, json_schema_extra={"patternErrorMessage": NAME_WORDS}, description="Name of the layer."
    )
    channel: int | None = Field(
        default=None,
        ge=0,
        description="Channel of the model's result, counted from 0; nothing: its place in this list.",
    )
    dtype: Literal["float32", "uint8", "int16", "uint16"] = Field(
        default="float32", description="Type of the stored numbers."
    )
    scale: float = Field(default=1.0, gt=0, description="Value of one stored unit: value = stored * scale + offset.")
    offset: float = Field(default=0.0, description="Value of a stored 0.")
    nodata: float | None = Field(
        default=None,
        description="Stored number that stands for no value; nothing: NaN (float32), 255 or 65535 (uint8, "
        "uint16), -32768 (int16); as the type has it.",
    )
    unit: str = Field(default="1", min_length=1, max_length=64, description="Unit of the values, such as m; 1: none.")
    description: str = Field(
        default="", max_length=500, description="What the layer is, in words; goes into files and items."
    )

    @model_validator(mode="after")
    def _storable(self) -> ResultConfig:
        if self.dtype == "float32":
            if self.nodata is not None or (self.scale, self.offset) != (1.0, 0.0):
                raise ValueError("allowed: scale, offset and nodata only with a whole-number dtype; float32 holds NaN")
        elif self.nodata is not None:
            least, greatest = _WHOLE[self.dtype]
            if not (self.nodata.is_integer() and least <= self.nodata <= greatest):
                raise ValueError(f"allowed: a nodata that {self.dtype} holds, {least} to {greatest}")
        return self

    @property
    def stored_nodata(self) -> float:
        """Nodata, by default as documented."""
        if self.dtype == "float32":
            return float("nan")
        least, greatest = _WHOLE[self.dtype]
        return self.nodata if self.nodata is not None else least or greatest

    @property
    def limits(self) -> tuple[int, int]:
        """Least and greatest stored number that is a value: nodata at an end of the dtype is none."""
        least, greatest = _WHOLE[self.dtype]
        return least + (self.stored_nodata == least), greatest - (self.stored_nodata == greatest)


class PredictConfig(DerivedProduct):
    """What a model says of the inputs, pixel by pixel."""

    product: Literal["predict"] = Field(description="A model of your own in ONNX format, applied to other products.")
    model: PathOrUrl = Field(
        description="The ONNX model, weights included: a file beside this one, or https:// or s3://."
    )
    digest: str | None = Field(
        default=None,
        validate_default=True,
        pattern=r"^[0-9a-f]{64}$",
        json_schema_extra={"patternErrorMessage": "a SHA-256 of 64 hexadecimal digits, as sha256sum prints it"},
        description="SHA-256 of the model, as sha256sum prints it; nothing: taken from the file; required for "
        "https:// and s3://.",
    )
    storage: StorageConfig | None = Field(
        default=None,
        description="How to reach the model where it lies on S3; nothing: AWS with the default credentials.",
    )
    output: str | None = Field(
        default=None, description="Name of the model's result that is used; nothing: its only one."
    )
    channels: tuple[ChannelConfig, ...] = Field(
        min_length=1, description="The model's input channels, in its order: which layer each is, and how it is scaled."
    )
    layout: Literal["nchw", "nhwc", "ntchw", "nthwc"] = Field(
        default="nchw",
        description="Order of the axes of the model's input: n windows, t times, c channels, h rows, w columns.",
    )
    window_px: int = Field(
        default=256, ge=8, le=4096, description="Side in pixels of the windows that the model takes."
    )
    overlap_px: int = Field(
        default=64,
        ge=0,
        le=2048,
        description="Pixels by which neighbouring windows' results overlap, so that no seam shows.",
    )
    crop_px: int = Field(
        default=0, ge=0, le=1024, description="Pixels by which a result is smaller than its window, on each side."
    )
    blend: Literal["cosine", "linear", "none"] = Field(
        default="cosine",
        description="How overlapping results pass into each other: cosine, linear, or none (each pixel from the "
        "nearest window).",
    )
    batch: int = Field(default=4, ge=1, le=1024, description="Number of windows that the model is given at once.")
    results: tuple[ResultConfig, ...] = Field(
        default=(), description="Layers to write of the model's result; nothing: none but `classes`."
    )
    classes: tuple[str, ...] = Field(
        default=(),
        max_length=CLASS_NODATA,
        description="Names of the model's classes in order: writes a layer `class` with the number of the "
        "greatest channel after blending, or the model's own result where that is one channel of "
        "whole numbers.",
    )
    missing: Literal["any", "all"] = Field(
        default="any",
        description="Where a pixel is left out: any (a channel has no value there), or all (no channel has one).",
    )
    working_memory: SizeBytes | None = Field(
        default=None,
        description="Memory that the model uses for one batch, as 2GiB; nothing: 1 KiB for each pixel of its windows.",
    )

    @field_validator("digest")
    @classmethod
    def _digest_of_file(cls, digest: str | None, info: ValidationInfo) -> str | None:
        """That of a file is found here, so that whoever has the entry knows which model was meant."""
        model = info.data.get("model")
        if model is None:
            return digest  # refused by itself
        if digest is None and "://" in model:
            raise ValueError("found a model elsewhere; allowed: with its digest, as sha256sum prints it")
        if "://" in model or (digest is not None and not Path(model).is_file()):
            return digest
        found = file_digest(Path(model))
        if digest not in {None, found}:
            raise ValueError(f"found a file with another digest; allowed: {found}")
        return found

    @model_validator(mode="after")
    def _consistent(self) -> PredictConfig:
        names = [result.name for result in self.results]
        if not names and not self.classes:
            raise ValueError("allowed: results or classes, or both")
        taken = {*names} & {"count", "qa", *([CLASS] if self.classes else [])}
        if len({*names}) < len(names) or taken:
            raise ValueError(f"allowed: every name once in results, and not {CLASS}, count or qa")
        if len({*self.inputs}) < len(self.inputs):
            raise ValueError("allowed: every name once in inputs")
        if self.overlap_px > (self.window_px - 2 * self.crop_px) // 2:
            raise ValueError("allowed: overlap_px up to half of a result (window_px - 2 * crop_px)")
        if self.layout[1] == "t" and any(channel.time for channel in self.channels):
            raise ValueError("allowed: time only with a layout without t")
        return self

    @property
    def file_sha256(self) -> str:
        """Digest of the model."""
        if self.digest is None:
            raise TypeError("expected a validated entry, whose digest is known")
        return self.digest

    def parameters(self) -> dict[str, Any]:
        """What of the entry changes pixels or files: never where the model lies."""
        keys = {
            "inputs",
            "output",
            "channels",
            "layout",
            "window_px",
            "overlap_px",
            "crop_px",
            "blend",
            "batch",
            "results",
        }
        return self.model_dump(mode="json", include={*keys, "classes", "missing", "digest"})


def file_digest(path: Path) -> str:
    """SHA-256 of a file. Raises ValueError, in words of what is allowed, where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ValueError(f"found no such file ({error.strerror}); allowed: an ONNX model") from error
