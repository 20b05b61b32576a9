"""Every composite by name: how the observations of a period become one pixel. A new one is one entry here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.composite import Reducer, maximum, mean, median, minimum, percentile
from pipeline.ops.geomedian import geomedian
from pipeline.ops.scores import BestPixel, ScoreOf, by_clear_share, by_day
from pipeline.products._optical_config import BestPixelConfig
from pipeline.types import Band, Job

Joint = Callable[[NDArray[np.uint16], NDArray[np.uint16], NDArray[np.uint16]], None]
"""(stack (band, time, y, x), out (band, y, x), count (y, x)): writes the last two in place; 0 = no observation."""
Observations = Mapping[str, NDArray[np.float32]]
"""Reflectance by band, (day, y, x): one observation a solar day, NaN where there is none or it is masked."""


@dataclass(frozen=True)
class Reduced:
    """Each band on its own: all observations of a pixel to one number."""

    reducer: Reducer


@dataclass(frozen=True)
class Chosen:
    """One scene a pixel, for all bands: the one of the highest score; only what is chosen is read."""

    score: Callable[[BestPixelConfig, Job], ScoreOf]
    by_distance: bool = False
    """Whether a score depends on the distance to masked pixels."""


@dataclass(frozen=True)
class Joined:
    """All bands of a pixel at once."""

    joint: Joint


@dataclass(frozen=True)
class Series:
    """Nothing is reduced: a layer per band and solar day."""


@dataclass(frozen=True)
class Derived:
    """Layers of another meaning than the bands', made of all observations of each pixel by itself."""

    layers: tuple[Band, ...]
    compute: Callable[[Observations], Mapping[str, NDArray[Any]]]
    """Some rows of the tile → every layer (y, x) of them, by name."""
    what: str
    """What they are, in a few words, for the item's lineage."""

    def of(self, stack: NDArray[np.uint16], bands: Mapping[str, float]) -> dict[str, NDArray[Any]]:
        """Every layer of stored observations (band, day, y, x); bands: the reflectance of one unit, by name."""
        observed = {}
        for (name, scale), stored in zip(bands.items(), stack, strict=True):
            observed[name] = np.where(stored != 0, stored * np.float32(scale), np.float32(np.nan))
        made = self.compute(observed)
        return {band.name: np.asarray(made[band.name]).astype(band.dtype, copy=False) for band in self.layers}


Composite = Reduced | Chosen | Joined | Series | Derived


def composite_named(name: str) -> Composite:
    """The composite of a name that the config accepted."""
    found = re.fullmatch(r"p(\d+)", name)
    return Reduced(percentile(int(found[1]))) if found else _COMPOSITES[name]


def _best_pixel(config: BestPixelConfig, job: Job) -> ScoreOf:
    """For the period's middle, with its ends two sigmas away, or for the day of the year that is asked for."""
    times = [item.time for item in job.items]
    start, end = job.period.start or min(times), job.period.end or max(times)
    span = min((end - start) / timedelta(days=1), 365)
    return BestPixel(
        target=config.target_doy or start + (end - start) / 2,
        sigma_days=config.sigma_days or max(span / 4, 0.25),
        distance_px=config.distance_px,
        distance_weight=config.distance_weight,
        day_weight=config.day_weight,
    )


_COMPOSITES: dict[str, Composite] = {
    "median": Reduced(median),
    "mean": Reduced(mean),
    "min": Reduced(minimum),
    "max": Reduced(maximum),
    "best_pixel": Chosen(_best_pixel, by_distance=True),
    "latest": Chosen(lambda *_: by_day),
    "least_cloudy": Chosen(lambda *_: by_clear_share),
    "geomedian": Joined(geomedian),
    "none": Series(),
}
