"""What may stand in a `sentinel2` entry, and the facts of the instrument's bands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pipeline.config import Section
from pipeline.ops.mask import MARGIN, ClassMask
from pipeline.products._optical_config import OpticalConfig
from pipeline.types import Band

SCALE = 1e-4
"""Reflectance of one stored unit."""


@dataclass(frozen=True)
class S2Band:
    """One band of the MultiSpectral Instrument."""

    number: str
    common_name: str
    wavelength_um: float
    gsd_m: int
    standard: str
    """Its name in the formulas of spectral indices (`pipeline/ops/indices.py`)."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Asset keys that mean it, best first."""
        return self.number, f"{self.number}_{self.gsd_m}m"


# Names as in Earth Search v1; centre wavelengths of Sentinel-2A from ESA's spectral response functions.
BANDS: Mapping[str, S2Band] = {
    "coastal": S2Band("B01", "coastal", 0.443, 60, "A"),
    "blue": S2Band("B02", "blue", 0.490, 10, "B"),
    "green": S2Band("B03", "green", 0.560, 10, "G"),
    "red": S2Band("B04", "red", 0.665, 10, "R"),
    "rededge1": S2Band("B05", "rededge071", 0.704, 20, "RE1"),
    "rededge2": S2Band("B06", "rededge075", 0.740, 20, "RE2"),
    "rededge3": S2Band("B07", "rededge078", 0.783, 20, "RE3"),
    "nir": S2Band("B08", "nir", 0.842, 10, "N"),
    "nir08": S2Band("B8A", "nir08", 0.865, 20, "N2"),
    "nir09": S2Band("B09", "nir09", 0.945, 60, "WV"),
    "swir16": S2Band("B11", "swir16", 1.610, 20, "S1"),
    "swir22": S2Band("B12", "swir22", 2.190, 20, "S2"),
}
BandName = Annotated[
    Literal[
        "coastal",
        "blue",
        "green",
        "red",
        "rededge1",
        "rededge2",
        "rededge3",
        "nir",
        "nir08",
        "nir09",
        "swir16",
        "swir22",
    ],
    Field(
        json_schema_extra={
            "synonyms": {
                number: name for name, band in BANDS.items() for number in (band.number, band.number.replace("B0", "B"))
            }
        }
    ),
]
MASK = "scl"
MASK_KEYS = ("SCL", "SCL_20m")
MASK_WORDS: Mapping[int, str] = dict(
    enumerate(
        (
            *("no_data", "defective", "dark", "cloud_shadow", "vegetation", "bare", "water", "unclassified"),
            *("cloud_medium", "cloud_high", "thin_cirrus", "snow", "margin"),
        )
    )
)
"""The classes of SCL by number, and what lies within the grown margin of masked ones."""
CLOUDS = frozenset({3, 8, 9, 10, MARGIN})
"""Mask codes that mean cloud or its shadow."""


class MaskConfig(Section):
    """Which scene classes are masked, and how far around them, in pixels of the 20 m classification."""

    classes: tuple[
        Annotated[
            int,
            Field(
                ge=0,
                le=11,
                json_schema_extra={
                    "patternErrorMessage": "the number of a class, such as 3 (cloud shadow), 8 and 9 (cloud), 10 (thin "
                    "cirrus), 11 (snow)"
                },
            ),
        ],
        ...,
    ] = Field(
        default=(0, 1, 3, 8, 9, 10),
        description="SCL classes to drop: 0 no data (always), 1 defective, 2 dark, 3 cloud shadow, 4 vegetation, "
        "5 bare, 6 water, 7 unclassified, 8 cloud medium, 9 cloud high, 10 thin cirrus, 11 snow.",
    )
    open_px: int = Field(
        default=1,
        ge=0,
        le=20,
        description="Masked specks smaller than this radius, in pixels of 20 m, are taken for bright ground and "
        "kept; 0: none is.",
    )
    dilate_px: int = Field(default=3, ge=0, le=50, description="Masked areas grow by this radius, in pixels of 20 m.")

    def as_class_mask(self) -> ClassMask:
        return ClassMask(self.classes, self.open_px, self.dilate_px)


class Sentinel2Config(OpticalConfig):
    """Sentinel-2 L2A: surface reflectance, masked and composited, with indices."""

    standard: ClassVar[Mapping[str, str]] = {name: band.standard for name, band in BANDS.items()}

    product: Literal["sentinel2"] = Field(description="Sentinel-2 L2A surface reflectance composites.")
    bands: tuple[BandName, ...] = Field(
        default=("blue", "green", "red", "nir"),
        min_length=1,
        description="Bands to make, by their common names: blue, green, red, nir (10 m), rededge1 to rededge3, "
        "nir08, swir16, swir22 (20 m), coastal, nir09 (60 m).",
    )
    mask: MaskConfig | None = Field(
        MaskConfig(),
        description="Cloud mask from the scene classification (SCL); {} takes the defaults; null: no mask.",
    )


def reflectance_band(name: str) -> Band:
    """What readers need to know of one band."""
    facts = BANDS[name]
    return Band(
        name=name,
        dtype="uint16",
        nodata=0,
        scale=SCALE,
        description=f"Surface reflectance, Sentinel-2 {facts.number}",
        common_name=facts.common_name,
        center_wavelength_um=facts.wavelength_um,
        role="reflectance",
    )
