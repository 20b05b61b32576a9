"""`area:` and `grid:`: where, and in which tiles and pixels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from pipeline.config.section import Section


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
