"""What may stand in a `matchups` entry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pydantic import ConfigDict, Field, ValidationError, model_validator

from pipeline.config import ProductConfig
from pipeline.config.model import SOURCE
from pipeline.config.section import may_be_left_out
from pipeline.config.values import Name
from pipeline.products import landsat, sentinel2
from pipeline.products._argo_grid_config import RegionConfig
from pipeline.products._optical_config import OpticalConfig
from pipeline.products._optical_sensor import Sensor
from pipeline.types import Tile

SENSORS: Mapping[str, Sensor[Any]] = {"landsat": landsat.SENSOR, "sentinel2": sentinel2.SENSOR}
BandName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        json_schema_extra={"patternErrorMessage": "the name of a band, such as red"},
    ),
]


class MatchupsConfig(ProductConfig):
    """Satellite pixels around the profiles of floats, one row a profile and scene."""

    model_config = ConfigDict(json_schema_extra=may_be_left_out("source"))

    whole: ClassVar[bool] = True

    product: Literal["matchups"] = Field(description="Satellite pixels at the places and times of floats, as a table.")
    inputs: Annotated[tuple[Name, ...], Field(min_length=1, max_length=1)] = Field(
        description="Name of the argo product of this run whose profiles are matched, in a list: [argo]."
    )
    source: str = Field(description=SOURCE)
    regions: Mapping[Name, RegionConfig] = Field(
        min_length=1,
        description="Boxes or polygons, each by a name of your own; one table for each and for every period.",
    )
    sensor: Literal["sentinel2", "landsat"] | None = Field(
        default=None,
        description="Product whose bands, offsets and masks the scenes have; nothing: any raster, with numbers as "
        "the catalogue scales them.",
    )
    bands: Annotated[tuple[BandName, ...], Field(min_length=1)] = Field(
        description="Bands of the sensor, or asset keys, to read."
    )
    clear: bool = Field(
        default=True, description="With sensor: whether only pixels count that its usual mask calls clear."
    )
    tolerance_hours: float = Field(
        default=24.0,
        gt=0,
        le=24 * 31,
        description="Greatest time between profile and scene, before or after, in hours.",
    )
    window_px: int = Field(
        default=3,
        ge=1,
        le=101,
        description="Side of the window of pixels around a profile, in pixels of the first band; odd.",
    )
    surface_dbar: float = Field(
        default=10.0,
        gt=0,
        le=12000,
        description="Water down to this pressure, in dbar, is averaged, as what a satellite can see.",
    )
    kinds: tuple[Literal["core", "bgc", "synthetic"], ...] = Field(
        default=(),
        description="Which files' profiles are matched: core, bgc, synthetic; nothing: all, though one water "
        "column may be in several.",
    )

    @property
    def sources(self) -> tuple[str, ...]:
        return (self.source,)

    @property
    def upstream(self) -> tuple[str, ...]:
        return self.inputs

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if self.window_px % 2 == 0:
            raise ValueError("allowed: an odd window_px, so that a pixel is in the middle")
        if len(set(self.bands)) != len(self.bands):
            raise ValueError("allowed: every band once")
        if self.sensor is not None:
            try:
                self.optical  # noqa: B018 (it is looked up for what it refuses)
            except ValidationError as error:
                problem = error.errors()[0]
                place = ".".join(map(str, problem["loc"]))
                raise ValueError(f"{place}: {problem['msg']}; allowed: bands of {self.sensor}") from None
        return self

    @property
    def optical(self) -> OpticalConfig | None:
        """The entry of the sensor's own product that reads the same; None: numbers as the catalogue scales them."""
        if self.sensor is None:
            return None
        entry: dict[str, Any] = {"product": self.sensor, "source": self.source, "bands": self.bands}
        if not self.clear:
            entry["mask"] = None
        model: type[OpticalConfig] = SENSORS[self.sensor].model
        return model.model_validate_json(json.dumps(entry), strict=True)

    @property
    def prefix(self) -> str:
        """What names of columns of its bands begin with."""
        return self.source.replace("-", "_")

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """One a region: a single cell around its outline, which is in the fingerprint."""
        return tuple(_tile(name, region) for name, region in self.regions.items())


def _tile(name: str, region: RegionConfig) -> Tile:
    outline = region.outline
    west, south, east, north = outline.bounds
    cell = GeoBox((1, 1), Affine(east - west, 0.0, west, 0.0, south - north, north), "EPSG:4326")
    return Tile(name, cell, shapely.to_wkt(outline, 6, trim=True))
