"""Parameters of the product `dem`."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from pipeline.config import Section, SourceProduct

LayerName = Literal["elevation", "slope", "slope_median", "aspect", "hillshade"]


class HillshadeConfig(Section):
    """Where the light of the hillshade comes from."""

    azimuth: Annotated[float, Field(ge=0, lt=360)] = Field(
        default=315.0, description="Where the light comes from, in degrees clockwise from the top of the grid."
    )
    altitude: Annotated[float, Field(gt=0, le=90)] = Field(
        default=45.0, description="Height of the light in degrees above the horizon."
    )


class DemConfig(SourceProduct):
    """Heights and what is made of them, on the grid of the run; it has no time and joins every period."""

    timeless: ClassVar[bool] = True

    product: Literal["dem"] = Field(
        description="dem: heights, and what is derived from them, from Copernicus GLO-30/90 or any other "
        "elevation model."
    )
    layers: tuple[LayerName, ...] = Field(
        default=("elevation", "slope"),
        min_length=1,
        description="Layers to write: elevation (m), slope and aspect (degrees), hillshade, slope_median (median "
        "of slope over 5 x 5 pixels).",
    )
    hillshade: HillshadeConfig = Field(
        default=HillshadeConfig(), description="With the layer hillshade: where its light comes from."
    )
    absent: Literal["auto", "sea", "nodata"] = Field(
        default="auto",
        description="What a cell of one degree without a file means: auto (0 m where a table knows no land there, "
        "a missing input elsewhere), sea (always 0 m), nodata (no data). A tile that no file reaches "
        "is made where all of it is 0 m.",
    )
    heights: str = Field(
        default="EGM2008 geoid (EPSG:3855)",
        min_length=1,
        description="Surface that heights count from; written into the output.",
    )

    @field_validator("layers")
    @classmethod
    def _once(cls, layers: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(layers)) != len(layers):
            raise ValueError("allowed: every name once in layers")
        return layers
