"""What may stand in a `glaciers` entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pipeline.config import SourceProduct
from pipeline.products import landsat, sentinel2
from pipeline.products._landsat_config import LandsatMaskConfig
from pipeline.products._optical_config import OpticalConfig, Resampling
from pipeline.products._optical_sensor import Sensor
from pipeline.products._sentinel2_config import MaskConfig

SENSORS: Mapping[str, Sensor[Any]] = {"sentinel2": sentinel2.SENSOR, "landsat": landsat.SENSOR}
MASKS: Mapping[str, type[MaskConfig | LandsatMaskConfig]] = {"sentinel2": MaskConfig, "landsat": LandsatMaskConfig}
SAME: Mapping[str, Mapping[str, str]] = {"sentinel2": {}, "landsat": {"nir": "nir08"}}
"""Further names of bands."""
ALL = "bands"
"""The set that bands without one of their own are in."""

BandSet = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,31}$",
        json_schema_extra={"patternErrorMessage": "up to 32 small letters, digits and _, the first a letter"},
    ),
]


class GlaciersConfig(SourceProduct):
    """Every date of a region as one picture, clipped to the region."""

    product: Literal["glaciers"] = Field(
        description="Every date of each region of the area: the day's scenes merged, clipped to the region's polygon."
    )
    sensor: Literal["sentinel2", "landsat"] = Field(
        default="sentinel2", description="Which sensor's scenes the source holds: sentinel2 or landsat."
    )
    bands: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        default=("nir",),
        description="Bands to make, by the sensor's names; nir, where crevasses show best, is known to both.",
    )
    band_sets: Mapping[BandSet, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(
        default={},
        description="Which bands share a file, by the name of the file: {colour: [red, green, blue]}; the others "
        "are in the file `bands`.",
    )
    mask: MaskConfig | LandsatMaskConfig | None = Field(
        default=None,
        description="Which observations are dropped, as for the sensor's own product ({} takes its defaults); "
        "null: none, so that clouds are judged by whoever looks.",
    )
    resampling: Resampling = Field(
        default="nearest",
        description="How scenes of another CRS or grid become the region's: nearest, bilinear, cubic or average. "
        "Pixels of the region's own grid are copied.",
    )
    all_touched: bool = Field(
        default=False,
        description="Whether every pixel that the polygon touches is kept, not only those whose centre lies in it.",
    )
    min_valid: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Dates that show a smaller share (0 to 1) of the region are left out, by name; so are dates "
        "that show nothing.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        keys = list(MASKS[self.sensor].model_fields)
        if self.mask is not None and self.mask.model_fields_set - {*keys}:
            raise ValueError(f"allowed: a mask of {', '.join(keys)} ({self.sensor})")
        known = list(SENSORS[self.sensor].model.standard)
        names = self.made
        if len(set(names)) != len(names) or {*names} - {*known}:
            raise ValueError(f"allowed: every name once in bands, of {', '.join(known)} ({self.sensor})")
        listed = [band for bands in self._listed.values() for band in bands]
        if len(set(listed)) != len(listed) or {*listed} - {*names}:
            raise ValueError(f"allowed: bands that are made, each in one of band_sets ({', '.join(names)})")
        if ALL in self.band_sets and {*listed} != {*names}:
            raise ValueError(f"allowed: a set of the name {ALL} only where every band is in a set")
        return self

    @property
    def made(self) -> tuple[str, ...]:
        """The bands by the names of their layers."""
        return self._named(self.bands)

    @property
    def sets(self) -> Mapping[str, tuple[str, ...]]:
        """Every file of a date, and the bands in it."""
        listed = {band for bands in self._listed.values() for band in bands}
        rest = tuple(band for band in self.made if band not in listed)
        return {**self._listed, **({ALL: rest} if rest else {})}

    @property
    def _listed(self) -> Mapping[str, tuple[str, ...]]:
        return {name: self._named(bands) for name, bands in self.band_sets.items()}

    def _named(self, bands: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(SAME[self.sensor].get(band, band) for band in bands)

    @property
    def optical(self) -> OpticalConfig:
        """The entry of the sensor's own product that reads the same observations."""
        mask = None
        if self.mask is not None:
            # What stands there may fit the masks of several sensors; this one's decides.
            mask = MASKS[self.sensor].model_validate(self.mask.model_dump(exclude_unset=True))
        entry: OpticalConfig = SENSORS[self.sensor].model(
            product=self.sensor,
            name=self.name,
            source=self.source,
            bands=self.made,
            mask=mask,
            composite="none",
            resampling=self.resampling,
        )
        return entry
