"""`write:`: in which stores results are written."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pipeline.config.section import Section


class CogConfig(Section):
    """Cloud-optimised GeoTIFF, one file a band."""

    compress: Literal["deflate", "zstd"] = Field(
        default="deflate", description="Compression; every reader knows deflate, zstd is faster."
    )
    level: int | None = Field(
        default=None,
        ge=1,
        le=22,
        description="Effort of the compression: deflate 1 to 9, zstd 1 to 22; nothing: what suits each block "
        "(deflate), 9 (zstd).",
    )

    @field_validator("level")
    @classmethod
    def _within_codec(cls, level: int | None, info: ValidationInfo) -> int | None:
        if level is not None and level > 9 and info.data.get("compress") == "deflate":
            raise ValueError("allowed: 1 to 9 for deflate, 1 to 22 for zstd")
        return level


class ZarrConfig(Section):
    """Zarr v3, one store a tile and period."""

    level: int = Field(default=3, ge=1, le=9, description="Effort of zstd, after Blosc's byte shuffle.")
    chunk_px: Literal[64, 128, 256, 512, 1024, 2048] = Field(
        default=512, description="Side of a chunk in pixels, the least that is read at once."
    )
    sharded: bool = Field(
        default=True,
        description="Whether chunks share objects of up to 2048 x 2048 pixels; false: one object a chunk, for "
        "readers without sharding.",
    )


class MosaicConfig(Section):
    """One Icechunk store of all tiles."""


class WriteConfig(Section):
    """What is written: the stores that are named; where no store of tiles is, COG."""

    cog: CogConfig | None = Field(
        default=None,
        description="Cloud-optimised GeoTIFF, one file a band; {} takes the defaults; nothing: written unless zarr is.",
    )
    zarr: ZarrConfig | None = Field(
        default=None, description="Zarr v3, one store a tile and period; {} takes the defaults; nothing: not written."
    )
    mosaic: MosaicConfig | None = Field(
        default=None,
        description="One store of all tiles of a grid as well ({}): an Icechunk store where the extra icechunk is "
        "installed, else a Zarr store that is written once; nothing: none.",
    )

    @model_validator(mode="before")
    @classmethod
    def _cog_unless_another(cls, data: Any) -> Any:
        if isinstance(data, dict) and "cog" not in data and data.get("zarr") is None:
            return {**data, "cog": {}}
        return data

    @model_validator(mode="after")
    def _some_store(self) -> WriteConfig:
        if self.cog is None and self.zarr is None:
            raise ValueError("allowed: cog, zarr or both; cog: null only beside zarr")
        return self
