"""The keys that every optical product has: composite, its scores, further layers, indices, harmonisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.config import Section, SourceProduct
from pipeline.ops.indices import Index, find_index, known_index

CHOSEN = ("best_pixel", "latest", "least_cloudy")
"""Composites that choose one scene a pixel for all bands."""
_COMPOSITES = ("median", "mean", "min", "max", *CHOSEN, "geomedian", "none")
_COMPOSITE_WORDS = f"one of {', '.join(_COMPOSITES)}, or a percentile, p1 to p99"

CompositeName = Annotated[
    str,
    Field(
        pattern=rf"^({'|'.join(_COMPOSITES)}|p[1-9][0-9]?)$",
        examples=[*_COMPOSITES],
        json_schema_extra={"patternErrorMessage": _COMPOSITE_WORDS},
    ),
]


def _known(name: str) -> str:
    known_index(name)
    return name


IndexName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z][A-Za-z0-9]{0,31}$",
        json_schema_extra={"patternErrorMessage": "the name of a spectral index, such as ndvi or evi"},
    ),
    AfterValidator(_known),
]
Resampling = Literal["nearest", "bilinear", "cubic", "average"]
LayerName = Literal["source", "doy", "reasons"]
Coefficients = tuple[Annotated[float, Field(gt=0, le=100)], Annotated[float, Field(ge=-10, le=10)]]


def plain_name(name: str) -> str:
    """A platform's name as all catalogues mean it: `LANDSAT_7` is `landsat-7`."""
    return name.lower().replace("_", "-").replace(" ", "-")


class BestPixelConfig(Section):
    """What makes a pixel the best one of its period: far from masked ones, and near the wanted day."""

    distance_weight: float = Field(
        default=1.0, ge=0, le=1000, description="Weight of the distance to masked pixels, against day_weight."
    )
    distance_px: int = Field(
        default=50,
        ge=1,
        le=200,
        description="Distance to masked pixels, in pixels of the mask, beyond which further is no better.",
    )
    day_weight: float = Field(
        default=1.0, ge=0, le=1000, description="Weight of the closeness to the wanted day, against distance_weight."
    )
    target_doy: int | None = Field(
        default=None, ge=1, le=366, description="Wanted day of the year (1 to 366); nothing: the middle of the period."
    )
    sigma_days: float | None = Field(
        default=None,
        gt=0,
        le=3660,
        description="Days away from the wanted day at which closeness has fallen to 0.61; nothing: a quarter of "
        "the period.",
    )

    @model_validator(mode="after")
    def _weighed(self) -> BestPixelConfig:
        if self.distance_weight + self.day_weight == 0:
            raise ValueError("allowed: distance_weight or day_weight above 0")
        return self


class DatesConfig(Section):
    """A few good days of each month, the same for all tiles of a cell of 300/360 degrees."""

    max_cloud: float = Field(
        default=30.0, gt=0, le=100, description="Cloud cover in percent (0 to 100) that a good day stays below."
    )
    per_month: int = Field(default=2, ge=1, le=31, description="Days of a month to take, at most.")


class OpticalConfig(SourceProduct):
    """Base of the optical products; a subclass says which `bands` and what `mask` it has, and their standard names."""

    standard: ClassVar[Mapping[str, str]] = {}
    """Every band of the sensor → its standard name in formulas."""

    composite: CompositeName = Field(
        default="median",
        description="How the observations of a period become one pixel: median, mean, min, max, p1 to p99 "
        "(percentiles), best_pixel, latest, least_cloudy (one scene a pixel, for all bands), "
        "geomedian, or none (every observation, as a time series).",
    )
    resampling: Resampling = Field(
        default="nearest",
        description="How the pixels of a scene on another grid become the tile's: nearest, bilinear, cubic or average. "
        "Masks are always nearest.",
    )
    best_pixel: BestPixelConfig = Field(
        default=BestPixelConfig(), description="With composite: best_pixel, what makes a pixel the best one."
    )
    layers: tuple[LayerName, ...] | None = Field(
        default=None,
        description="Layers beside the bands, count and qa: source and doy (which scene and which day of the year "
        "a pixel comes from), reasons (why observations were masked); nothing: source and doy where "
        "the composite chooses scenes.",
    )
    indices: tuple[IndexName, ...] = Field(
        default=(),
        description="Spectral indices of the composited bands, by their names in spyndex: ndvi, evi, ndmi, bsi ...",
    )
    harmonise: Mapping[str, Mapping[str, Coefficients]] = Field(
        default={},
        description="Corrections of reflectance before compositing, by platform, constellation or source, and "
        "band: {sentinel-2b: {red: [gain, offset]}} makes it gain * reflectance + offset.",
    )
    dates: DatesConfig | None = Field(
        default=None,
        description="Take only a few good days of each month, by the catalogue's eo:cloud_cover; nothing: all scenes.",
    )
    bands: tuple[str, ...] = Field(default=(), min_length=1, description="Bands to make, by their common names.")
    mask: Section | None = Field(default=None, description="Which observations are dropped; null: no mask.")

    @property
    def extra_layers(self) -> tuple[str, ...]:
        """Layers beside the bands, count and qa, by default as documented."""
        usual = ("source", "doy") if self.composite in CHOSEN else ()
        return usual if self.layers is None else self.layers

    def found_indices(self) -> tuple[Index, ...]:
        """The indices with their formulas."""
        return tuple(find_index(name, [self.standard[band] for band in self.bands]) for name in self.indices)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """The rules between the keys, in words of what is allowed."""
        bands, layers = self.bands, self.layers or ()
        for what, names in (("bands", bands), ("layers", layers), ("indices", [name.lower() for name in self.indices])):
            if len(set(names)) != len(names):
                raise ValueError(f"allowed: every name once in {what}")
        for layer in {*layers} & {"source", "doy"}:
            if self.composite not in CHOSEN:
                raise ValueError(f"allowed: {layer} in layers only with a composite that chooses ({', '.join(CHOSEN)})")
        if "reasons" in layers and self.mask is None:
            raise ValueError("allowed: reasons in layers only with a mask")
        if len({plain_name(name) for name in self.harmonise}) != len(self.harmonise):
            raise ValueError("allowed: every name once in harmonise, in capitals or small letters")
        if {band for each in self.harmonise.values() for band in each} - {*bands}:
            raise ValueError(f"allowed: bands that are made in harmonise ({', '.join(bands)})")
        self._check_indices(bands)
        return self

    def _check_indices(self, bands: tuple[str, ...]) -> None:
        ours = {name: band for band, name in self.standard.items()}
        for name in self.indices:
            needs = [ours[band] for band in find_index(name, ours).bands]
            if not {*needs} <= {*bands}:
                raise ValueError(f"allowed: {name} in indices only where bands has {' and '.join(needs)}")
            if name.lower() in {*bands, "count", "qa", "source", "doy", "reasons"}:
                raise ValueError(f"allowed: indices with names of their own; {name} is a layer")
