"""What may stand in a `sentinel1` entry."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from pipeline.config import Section, SourceProduct
from pipeline.ops.radar import Border, Speckle

Polarisation = Literal["vv", "vh", "hh", "hv"]
Direction = Literal["ascending", "descending"]

_COMPOSITES = "mean, median, min, max, a percentile p1 to p99, or none (the time series)"
_DECIBELS = (
    "composites are made of linear power, where speckle averages out; a mean of decibels is that of logarithms, too "
    "low by 0.5 dB at 4.4 looks and by 2.5 dB at one. For decibels write scale: db, which converts the finished "
    "composite"
)


def _of_power(name: str) -> str:
    if re.search(r"db|decibel|log", name, re.IGNORECASE):
        raise ValueError(f"allowed: {_COMPOSITES}; {_DECIBELS}")
    if not re.fullmatch(r"mean|median|min|max|none|p[1-9][0-9]?", name):
        raise ValueError(f"allowed: {_COMPOSITES}")
    return name


def _in_power(name: str) -> str:
    if name != "power":
        raise ValueError(f"allowed: power; {_DECIBELS}")
    return name


class BorderConfig(Section):
    """Noise at the edges of the swath, which older scenes have."""

    px: int = Field(
        default=0, ge=0, le=200, description="Noise is dropped within this many pixels of the scene's edge; 0: none is."
    )
    below: float | None = Field(
        default=None, gt=0, le=10, description="Only pixels whose power is below this are dropped there; nothing: all."
    )

    @model_validator(mode="after")
    def _near(self) -> BorderConfig:
        if self.below is not None and not self.px:
            raise ValueError("allowed: below only with px, how near to the edge noise is dropped")
        return self

    def as_border(self) -> Border:
        return Border(self.px, self.below)


class RadarMaskConfig(Section):
    """What a scene says of layover and radar shadow."""

    of: tuple[Literal["layover", "shadow"], ...] = Field(
        default=("layover", "shadow"), min_length=1, description="What is dropped: layover, shadow, or both."
    )
    asset: str | None = Field(
        default=None,
        min_length=1,
        description="Key of the asset that marks them; nothing: `mask` of OPERA's scenes and `ls_map` of HyP3's, "
        "where there is one.",
    )
    values: Literal["opera", "hyp3"] = Field(
        default="opera",
        description="What its numbers mean, with `asset`: opera (1 shadow, 2 layover, 3 both, 255 invalid) or hyp3 "
        "(bits: 4 layover, 16 shadow).",
    )
    codes: tuple[Annotated[int, Field(ge=0, le=255)], ...] | None = Field(
        default=None,
        min_length=1,
        description="With `asset`: the numbers to drop; nothing: those that `values` knows.",
    )

    @model_validator(mode="after")
    def _named(self) -> RadarMaskConfig:
        if self.asset is None and (self.values, self.codes) != ("opera", None):
            raise ValueError("allowed: values and codes only with asset")
        if self.asset in get_args(Polarisation):
            raise ValueError("allowed: an asset that is no polarisation")
        return self


class SpeckleConfig(Section):
    """A speckle filter, on each scene's own pixels."""

    method: Literal["lee", "enhanced_lee"] = Field(
        default="lee", description="lee: Lee (1980); enhanced_lee: Lopes, Touzi and Nezry (1990)."
    )
    size_px: int = Field(default=7, ge=3, le=31, description="Side of the filter's window in pixels of the scene; odd.")
    looks: float = Field(
        default=4.4,
        gt=0,
        le=1000,
        description="Equivalent number of looks of a scene: 4.4 for IW GRDH, 10.7 for EW GRDM.",
    )

    @model_validator(mode="after")
    def _odd(self) -> SpeckleConfig:
        if self.size_px % 2 == 0:
            raise ValueError("allowed: an odd size_px, so that the window has a middle")
        return self

    def as_speckle(self) -> Speckle:
        return Speckle(self.method, self.size_px, self.looks)


class Sentinel1Config(SourceProduct):
    """Sentinel-1 radar backscatter, composited in linear power."""

    product: Literal["sentinel1"] = Field(description="Sentinel-1 radar backscatter composites.")
    kind: Literal["rtc", "grd"] = Field(
        default="rtc",
        description="What the scenes are: rtc (radiometrically terrain corrected gamma0, on a map grid) or grd (ground "
        "range, on control points: calibrated and geocoded, marked as not terrain corrected).",
    )
    backscatter: Literal["gamma0", "sigma0", "beta0"] = Field(
        default="gamma0",
        description="With kind: grd: which backscatter the scenes are calibrated to, over the ellipsoid.",
    )
    remove_noise: bool = Field(
        default=True, description="With kind: grd: whether thermal noise is taken away where it is known."
    )
    polarisations: tuple[Polarisation, ...] = Field(
        default=("vv", "vh"), min_length=1, description="Polarisations to make: vv, vh, hh, hv."
    )
    input_scale: Literal["power", "db", "amplitude"] = Field(
        default="power",
        description="With kind: rtc: how the scenes store backscatter, power, db or amplitude; it is made linear "
        "power before anything else.",
    )
    composite: Annotated[str, AfterValidator(_of_power)] = Field(
        default="mean", description=f"How the observations of a period become one, in linear power: {_COMPOSITES}."
    )
    average_in: Annotated[str, AfterValidator(_in_power)] = Field(
        default="power",
        description="Only power is allowed: means of decibels are wrong; the key may be written to say so.",
    )
    scale: Literal["power", "db"] = Field(
        default="power",
        description="How finished layers are stored: power (linear), or db (10 log10 of the composite).",
    )
    orbits: Literal["apart", "direction", "together"] = Field(
        default="apart",
        description="Which observations become one layer: those of one relative orbit and direction (apart: "
        "vv-ascending-117), of one direction (direction: vv-ascending, vv-descending), or all "
        "(together: vv).",
    )
    direction: Direction | None = Field(default=None, description="Take only passes of this direction; nothing: both.")
    relative_orbits: tuple[Annotated[int, Field(ge=1, le=175)], ...] | None = Field(
        default=None, min_length=1, description="Take only these relative orbits (1 to 175); nothing: all."
    )
    prefer: Direction | None = Field(
        default=None,
        description="With orbits: together, a pixel takes observations of this direction where it has "
        "prefer_at_least of them, else of the other where it has as many, else both; nothing: both.",
    )
    prefer_at_least: int = Field(
        default=1, ge=1, le=1000, description="Number of observations that are enough for prefer."
    )
    resampling: Literal["nearest", "bilinear"] = Field(
        default="bilinear", description="How a scene's pixels become the tile's, in linear power: nearest or bilinear."
    )
    border: BorderConfig = Field(
        default=BorderConfig(),
        description="Noise at the swath's edges, which scenes before 2018 have; nothing is dropped by default.",
    )
    mask: RadarMaskConfig | None = Field(
        default=RadarMaskConfig(),
        description="Drop layover and radar shadow where scenes mark them; {} takes the defaults; null: kept.",
    )
    speckle: SpeckleConfig | None = Field(
        default=None, description="Speckle filter on each scene's own pixels; null: none."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Sentinel1Config:
        for what, names in (("polarisations", self.polarisations), ("relative_orbits", self.relative_orbits or ())):
            if len(set(names)) != len(names):
                raise ValueError(f"allowed: every name once in {what}")
        if self.prefer is not None and (self.orbits != "together" or self.direction is not None):
            raise ValueError("allowed: prefer only with orbits: together and without direction")
        if self.prefer is None and self.prefer_at_least != 1:
            raise ValueError("allowed: prefer_at_least only with prefer")
        if self.composite == "none" and not (self.orbits == "apart" or self.one_orbit):
            raise ValueError(
                "allowed: composite: none with orbits: apart, or with one direction and one of relative_orbits: two "
                "passes of one day would have one name"
            )
        if self.composite == "none" and self.prefer is not None:
            raise ValueError("allowed: prefer only with a composite")
        self._check_kind()
        return self

    def _check_kind(self) -> None:
        if self.kind == "grd" and (self.input_scale, self.resampling) != ("power", "bilinear"):
            raise ValueError(
                "allowed: input_scale and resampling only with kind: rtc; grd is calibrated, then bilinear"
            )
        if self.kind == "grd" and self.mask is not None and self.mask.asset is not None:
            raise ValueError("allowed: mask.asset only with kind: rtc")
        if self.kind == "rtc" and (self.backscatter, self.remove_noise) != ("gamma0", True):
            raise ValueError("allowed: backscatter and remove_noise only with kind: grd; rtc is gamma0 already")

    @property
    def one_orbit(self) -> bool:
        """Whether all that is asked for is one relative orbit in one direction."""
        return self.direction is not None and len(self.relative_orbits or ()) == 1

    @property
    def needs_direction(self) -> bool:
        """Whether a scene of unknown orbit direction cannot be used."""
        return self.orbits != "together" or self.direction is not None or self.prefer is not None

    @property
    def needs_number(self) -> bool:
        """Whether a scene of unknown relative orbit cannot be used."""
        return self.orbits == "apart" or self.relative_orbits is not None
