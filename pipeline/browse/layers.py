"""What there is to draw of a product, and how: range, colours and words of each layer, from what its items say."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.browse.shelf import Kept
from pipeline.types import Band

Colour = tuple[int, int, int, int]
SPREAD = 2.0
"""Standard deviations on both sides of the mean that colours are spent on."""
_COMPOSITES = {
    "true-colour": (("red", "green", "blue"), "True colour"),
    "false-colour": (("nir", "red", "green"), "False colour: near infrared, red, green"),
}
"""By common name of the bands, in the order red, green, blue."""
_VEGETATION = re.compile(r"n?d?(ndvi|evi|savi|ndre|gndvi|lai|fapar)\d*")
_WATER = re.compile(r"(ndwi|mndwi|ndmi|ndsi)\d*")
_MAPS = {"aspect": "twilight", "doy": "twilight", "slope": "magma"}
_CLASSES = re.compile(r"Class \((.+)\)")
_PALETTE = (
    *("4477aa", "ee6677", "228833", "ccbb44", "66ccee", "aa3377"),
    *("997700", "44bb99", "ee99aa", "004488", "bbcc33", "777777"),
)
"""Paul Tol's bright and muted colours, which people with any colour vision tell apart."""
NOTHING_NOTED: Colour = (205, 216, 209, 255)
"""Where a band of flags has none."""


@dataclass(frozen=True)
class Shade:
    """One class, or one flag."""

    value: int
    """Of the class; the mask of the flag; 0: no flag."""
    colour: Colour
    text: str


@dataclass(frozen=True)
class Layer:
    """How one layer is drawn."""

    name: str
    """Of its band, with its day behind an @ in a time series; or of a composite of three bands."""
    title: str
    kind: str
    """`continuous`, `classes`, `flags` or `composite`."""
    bands: tuple[Band, ...]
    """One, or those shown as red, green and blue."""
    day: date | None
    low: float
    """Physical value of the first colour."""
    high: float
    colours: str
    """Name of rio-tiler's colour map; empty where there is none."""
    shades: tuple[Shade, ...] = ()

    @property
    def stored_range(self) -> tuple[float, float]:
        """The range as numbers of the file."""
        band = self.bands[0]
        return (self.low - band.offset) / band.scale, (self.high - band.offset) / band.scale


def layers_of(items: Sequence[Kept]) -> tuple[Layer, ...]:
    """Every layer of some items of a product and period, composites first; ranges are those of all of them together."""
    found: dict[tuple[str, date | None], Band] = {}
    for item in items:
        for layer in item.output.layers if item.output else ():
            found.setdefault((layer.band.name, layer.day), layer.band)
    ranges = _ranges(items)
    singles = [_single(band, day, ranges.get(band.name)) for (_, day), band in found.items()]
    singles.sort(key=lambda one: (one.day or date.min, _place(one.bands[0]), one.name))
    return (*_composites(found, ranges), *singles)


def _place(band: Band) -> float:
    """Spectral bands by wavelength, other measurements, counts and flags."""
    if band.name in {"count", "qa", "reasons", "source", "doy"}:
        return 2e3
    return band.center_wavelength_um or 1e3


def _name(name: str, day: date | None) -> str:
    return name if day is None else f"{name}@{day:%Y-%m-%d}"


def _titled(text: str, day: date | None) -> str:
    return text if day is None else f"{text}, {day:%Y-%m-%d}"


def _composites(
    found: Mapping[tuple[str, date | None], Band], ranges: Mapping[str, tuple[float, float]]
) -> Iterable[Layer]:
    days = sorted({day for _, day in found}, key=lambda day: day or date.min)
    for day in days:
        common: dict[str | None, Band] = {}
        for (_, when), band in found.items():
            if when == day and band.dtype == "uint16":
                common.setdefault(band.common_name or band.name, band)
        for name, (wanted, title) in _COMPOSITES.items():
            bands = tuple(common[one] for one in wanted if one in common)
            if len(bands) == 3:
                high = max(ranges.get(band.name, (0.0, 0.3))[1] for band in bands)
                yield Layer(_name(name, day), _titled(title, day), "composite", bands, day, 0.0, _rounded(high), "")


def _single(band: Band, day: date | None, found: tuple[float, float] | None) -> Layer:
    name, title = _name(band.name, day), _titled(band.name, day)
    if band.flags:
        shades = (Shade(0, NOTHING_NOTED, "nothing noted"), *_shades((m, words_of(t)) for m, t in band.flags))
        return Layer(name, title, "flags", (band,), day, 0, len(shades) - 1, "", shades)
    if match := _CLASSES.fullmatch(band.description):
        numbered = (one.partition(" ") for one in match[1].split(", "))
        shades = _shades((int(number), text) for number, _, text in numbered if number.isdecimal())
        return Layer(name, title, "classes", (band,), day, 0, len(shades) - 1, "", shades)
    low, high = _fixed(band) or _readable(band, found or (0.0, 1.0))
    return Layer(name, title, "continuous", (band,), day, low, high, _colours(band))


def _readable(band: Band, found: tuple[float, float]) -> tuple[float, float]:
    """A range with short numbers; counts begin at none."""
    if band.name == "count":
        return 0.0, max(1.0, math.ceil(found[1]))
    low, high = map(_rounded, found)
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _shades(values: Iterable[tuple[int, str]]) -> tuple[Shade, ...]:
    return tuple(
        Shade(value, _colour(_PALETTE[number % len(_PALETTE)]), text) for number, (value, text) in enumerate(values)
    )


def _colour(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue, 255


def _fixed(band: Band) -> tuple[float, float] | None:
    """The range of quantities that have one."""
    return {"hillshade": (1.0, 255.0), "aspect": (0.0, 360.0), "doy": (1.0, 366.0)}.get(band.name)


def _colours(band: Band) -> str:
    """A colour map that people read a quantity by."""
    name = band.name.rpartition("_")[2]
    if name in _MAPS:
        return _MAPS[name]
    if _VEGETATION.fullmatch(name):
        return "rdylgn"
    if _WATER.fullmatch(name):
        return "brbg"
    if band.unit in {"K", "degree_Celsius"}:
        return "inferno"
    measured = band.center_wavelength_um is not None or band.common_name is not None
    return "gray" if measured or name in {"hillshade", "vv", "vh", "hh", "hv"} else "viridis"


def _ranges(items: Sequence[Kept]) -> dict[str, tuple[float, float]]:
    """By band, physical values that most pixels of some items lie between."""
    found: dict[str, tuple[float, float]] = {}
    for item in items:
        told = dict(((item.document["properties"].get("groundswell:quality") or {}).get("ranges") or {}).items())
        measured = (band for asset in item.document["assets"].values() for band in asset.get("bands") or ())
        # Of a band without one valid pixel, statistics say only that.
        told |= {band["name"]: _usual(band) for band in measured if "mean" in band.get("statistics", {})}
        for name, (low, high) in told.items():
            known = found.get(name, (low, high))
            found[name] = min(known[0], low), max(known[1], high)
    return found


def _usual(band: Mapping[str, Any]) -> tuple[float, float]:
    said = band["statistics"]
    scale, offset = band.get("raster:scale") or 1.0, band.get("raster:offset") or 0.0
    low = max(said["minimum"], said["mean"] - SPREAD * said["stddev"])
    high = min(said["maximum"], said["mean"] + SPREAD * said["stddev"])
    return low * scale + offset, high * scale + offset


def _rounded(value: float) -> float:
    """To two digits: a legend is read, not computed with."""
    return float(f"{value:.2g}") if math.isfinite(value) else 0.0


def words_of(text: str) -> str:
    """A meaning as it is read."""
    return text.replace("_", " ")


def meanings(layer: Layer, stored: float) -> list[str]:
    """What a stored number of a layer of flags or classes says, in words; empty for a measurement."""
    value = int(stored) if layer.shades and math.isfinite(stored) else 0
    if layer.kind == "flags":
        noted = [shade.text for shade in layer.shades if shade.value & value]
        return noted or [layer.shades[0].text]
    return [shade.text for shade in layer.shades if shade.value == value]


def shade_numbers(layer: Layer, stored: NDArray[Any]) -> NDArray[np.uint8]:
    """Stored numbers of flags or classes as numbers of their shades; of several flags the last, 255: none."""
    numbers = np.full(stored.shape, 0 if layer.kind == "flags" else 255, np.uint8)
    for number, shade in enumerate(layer.shades):
        if layer.kind == "classes":
            numbers[stored == shade.value] = number
        elif shade.value:
            numbers[(stored & shade.value) != 0] = number
    return numbers
