"""What may stand in a `landsat` entry, and the facts of the instruments' bands.

Source: USGS, Landsat 8-9 and Landsat 4-7 Collection 2 Level 2 Science Product Guides (LSDS-1619, LSDS-1618).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.config import Section
from pipeline.ops.mask import DEFECTIVE, MARGIN, NODATA, ClassMask
from pipeline.products._optical_config import OpticalConfig
from pipeline.types import Band

LWIR = "lwir"
"""The band of surface temperature."""
SCALE, KELVIN = 1e-4, 0.01
"""Reflectance and kelvins of one stored unit."""
QA, RADSAT = "qa_pixel", "qa_radsat"
PLATFORMS: Mapping[str, str] = {
    "landsat-4": "tm",
    "landsat-5": "tm",
    "landsat-7": "etm",
    "landsat-8": "oli",
    "landsat-9": "oli",
}
"""Platform → its kind of instrument."""


@dataclass(frozen=True)
class LandsatBand:
    """One band, by its number on each kind of instrument: the same number is another band on another one."""

    standard: str
    """Its name in the formulas of spectral indices (`pipeline/ops/indices.py`)."""
    wavelength_um: float
    """Of its centre on OLI and TIRS."""
    numbers: Mapping[str, int]
    """Kind of instrument → its number there."""
    names: tuple[str, ...] = ()
    """Names that mean it on every instrument."""

    def keys(self) -> tuple[str, ...]:
        """Asset keys and band names that mean it, best first; a bare number only on platforms where it does."""
        instruments = {"tm": "TM", "etm": "ETM", "oli": "OLI"}
        named = tuple(f"{instruments[kind]}_B{number}" for kind, number in self.numbers.items())
        files = tuple(
            f"SR_B{self.numbers[kind]}{ending}@{platform}"
            for platform, kind in PLATFORMS.items()
            if kind in self.numbers
            for ending in ("", ".TIF")
        )
        return (*self.names, *named, *files)


BANDS: Mapping[str, LandsatBand] = {
    "coastal": LandsatBand("A", 0.443, {"oli": 1}),
    "blue": LandsatBand("B", 0.482, {"tm": 1, "etm": 1, "oli": 2}),
    "green": LandsatBand("G", 0.561, {"tm": 2, "etm": 2, "oli": 3}),
    "red": LandsatBand("R", 0.655, {"tm": 3, "etm": 3, "oli": 4}),
    "nir08": LandsatBand("N", 0.865, {"tm": 4, "etm": 4, "oli": 5}, ("nir",)),
    "swir16": LandsatBand("S1", 1.609, {"tm": 5, "etm": 5, "oli": 6}),
    "swir22": LandsatBand("S2", 2.201, {"tm": 7, "etm": 7, "oli": 7}),
}
THERMAL_NAMES = (
    *("lwir11", "tir11", "tir", "TIRS_B10", "TM_B6", "ETM_B6"),
    *("ST_B10", "ST_B10.TIF", "ST_B6", "ST_B6.TIF"),
)
"""No instrument has both ST_B6 and ST_B10."""

CLOUD, SHADOW, CIRRUS, DILATED, SNOW, WATER, KEPT = range(2, 9)
"""Mask codes; the first two are those of `ops/mask.py`."""
WORDS: Mapping[int, str] = {
    NODATA: "fill",
    DEFECTIVE: "saturated",
    CLOUD: "cloud",
    SHADOW: "cloud_shadow",
    CIRRUS: "cirrus",
    DILATED: "dilated_cloud",
    SNOW: "snow",
    WATER: "water",
    MARGIN: "margin",
}
CLOUDS = frozenset({CLOUD, SHADOW, CIRRUS, DILATED, MARGIN})
"""Mask codes that mean cloud or its shadow."""


@dataclass(frozen=True)
class Flag:
    """A reason to drop a pixel that some bits of QA_PIXEL give."""

    code: int
    """Its mask code."""
    shift: int
    bits: int = 1
    least: int = 1
    """The number in those bits from which on it is given; of a confidence 1 is low, 2 medium, 3 high."""


FLAGS: Mapping[str, Flag] = {
    "cloud": Flag(CLOUD, 3),
    "cloud_high": Flag(CLOUD, 8, 2, 3),
    "cloud_medium": Flag(CLOUD, 8, 2, 2),
    "cloud_shadow": Flag(SHADOW, 4),
    "shadow_high": Flag(SHADOW, 10, 2, 3),
    "cirrus": Flag(CIRRUS, 2),
    "cirrus_high": Flag(CIRRUS, 14, 2, 3),
    "dilated_cloud": Flag(DILATED, 1),
    "snow": Flag(SNOW, 5),
    "snow_high": Flag(SNOW, 12, 2, 3),
    "water": Flag(WATER, 7),
}
"""By name; of several reasons the first one counts."""

FlagName = Literal[
    "cloud",
    "cloud_high",
    "cloud_medium",
    "cloud_shadow",
    "shadow_high",
    "cirrus",
    "cirrus_high",
    "dilated_cloud",
    "snow",
    "snow_high",
    "water",
]
Named = Literal["coastal", "blue", "green", "red", "nir08", "nir", "swir16", "swir22", "lwir"]


def _common(name: Named) -> Named:
    return "nir08" if name == "nir" else name


BandName = Annotated[Named, AfterValidator(_common)]


class LandsatMaskConfig(Section):
    """Which flags of QA_PIXEL and QA_RADSAT drop a pixel, and how far around them; fill is always dropped."""

    drop: tuple[FlagName, ...] = Field(
        default=("dilated_cloud", "cirrus", "cloud", "cloud_shadow"),
        description="Flags of QA_PIXEL that drop a pixel: dilated_cloud, cirrus (OLI only), cloud, cloud_shadow, snow, "
        "water; by confidence: cloud_medium (or high), cloud_high, shadow_high, snow_high, cirrus_high.",
    )
    saturated: Literal["any", "made", "keep"] = Field(
        default="any",
        description="Pixels that QA_RADSAT flags: any (dropped, whatever bit is set), made (dropped where one of the "
        "bands that are made is saturated, or the pixel was dropped or hidden by terrain), keep.",
    )
    open_px: int = Field(
        default=0,
        ge=0,
        le=20,
        description="Masked specks smaller than this radius, in pixels of 30 m, are taken for bright ground and "
        "kept; 0: none is.",
    )
    dilate_px: int = Field(
        default=0,
        ge=0,
        le=50,
        description="Masked areas grow by this radius, in pixels of 30 m; the flag dilated_cloud has a margin already.",
    )

    def as_class_mask(self) -> ClassMask:
        return ClassMask((NODATA, *sorted({FLAGS[name].code for name in self.drop})), self.open_px, self.dilate_px)


class LandsatConfig(OpticalConfig):
    """Landsat 4-9 Collection 2 Level 2: reflectance and surface temperature, masked and composited."""

    # No formula uses the temperature: it is no reflectance.
    standard: ClassVar[Mapping[str, str]] = {**{name: band.standard for name, band in BANDS.items()}, LWIR: LWIR}

    product: Literal["landsat"] = Field(description="Landsat 4-9 surface reflectance and temperature composites.")
    bands: tuple[BandName, ...] = Field(
        default=("blue", "green", "red", "nir08"),
        min_length=1,
        description="Bands to make: coastal, blue, green, red, nir08 (or nir), swir16, swir22, and lwir, the "
        "surface temperature in kelvins.",
    )
    mask: LandsatMaskConfig | None = Field(
        LandsatMaskConfig(), description="Cloud mask from QA_PIXEL and QA_RADSAT; {} takes the defaults; null: no mask."
    )

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if self.composite == "geomedian" and LWIR in self.bands:
            raise ValueError("allowed: composite geomedian of reflectances alone; lwir is a temperature")
        return self


def landsat_band(name: str) -> Band:
    """What readers need to know of one band."""
    if name == LWIR:
        return Band(
            name=name,
            dtype="uint16",
            nodata=0,
            scale=KELVIN,
            unit="K",
            description="Surface temperature, Landsat Collection 2",
            common_name="lwir",
            center_wavelength_um=10.9,
            role="temperature",
        )
    return Band(
        name=name,
        dtype="uint16",
        nodata=0,
        scale=SCALE,
        description="Surface reflectance, Landsat Collection 2",
        common_name=name,
        center_wavelength_um=BANDS[name].wavelength_um,
        role="reflectance",
    )
