"""`write:`: in which formats results are written."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.config.section import Section


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
