"""Sentinel-1's calibration and noise annotations: what their XML says, and its tables for the pixels of a window.

Source: ESA, Sentinel-1 Product Specification (S1-RS-MDA-52-7441), the data sets `calibration` and `noise`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.calibration import Blocks, Table

TABLES: Final[Mapping[str, str]] = {"gamma0": "gamma", "sigma0": "sigmaNought", "beta0": "betaNought"}
"""What a table turns amplitudes into → its element in the annotation."""
_LEAST_NOISE = 1.0
"""Noise is in squared amplitudes, so hundreds; before IPF 2.5 (2015) the tables were on a scale of their own."""
_MOST_BLOCKS = 1000
"""Of noise along azimuth: products have some tens. Each is looked at for every row of a window."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Vectors:
    """Numbers along some lines of an image, each at samples of its own."""

    lines: Floats
    """Increasing; 0 is the image's first."""
    samples: tuple[Floats, ...]
    values: tuple[Floats, ...]

    def table(self, lines: Floats, samples: Floats) -> Table:
        """At the lines and samples of a window; beyond the outermost ones they go on unchanged.

        A pixel's number does not depend on the window.
        """
        most = len(self.lines) - 1
        upper = np.clip(np.searchsorted(self.lines, lines, side="right") - 1, 0, max(most - 1, 0))
        lower = np.minimum(upper + 1, most)
        first, last = int(upper.min()), int(lower.max()) + 1
        values = [np.interp(samples, self.samples[k], self.values[k]) for k in range(first, last)]
        apart = np.maximum(self.lines[lower] - self.lines[upper], 1.0)
        share = np.clip((lines - self.lines[upper]) / apart, 0, 1)
        return Table(np.array(values), (upper - first).astype(np.int64), share)


@dataclass(frozen=True, eq=False)
class Block:
    """How the noise changes from line to line, in one rectangle of the image."""

    lines: tuple[float, float]
    """First and last, both of them in it."""
    samples: tuple[float, float]
    at: Floats
    factors: Floats


@dataclass(frozen=True, eq=False)
class Noise:
    """Thermal noise in squared amplitudes."""

    along_range: Vectors
    along_azimuth: tuple[Block, ...]
    """None of them before IPF 2.9 (March 2018)."""

    def tables(self, lines: Floats, samples: Floats) -> tuple[Table, Blocks]:
        """At the lines and samples of a window, both increasing."""
        factors = np.full((len(lines), len(self.along_azimuth)), np.nan)
        columns = np.zeros((len(self.along_azimuth), 2), np.int64)
        for number, block in enumerate(self.along_azimuth):
            inside = (lines >= block.lines[0] - 0.5) & (lines < block.lines[1] + 0.5)
            factors[inside, number] = np.interp(lines[inside], block.at, block.factors)
            columns[number] = np.searchsorted(samples, (block.samples[0] - 0.5, block.samples[1] + 0.5))
        return self.along_range.table(lines, samples), Blocks(factors, columns)


def parse_calibration(data: bytes) -> Mapping[str, Vectors]:
    """The tables of a calibration annotation, by what they turn amplitudes into. Raises ValueError."""
    root = _root(data, "calibration")
    vectors = root.findall("calibrationVectorList/calibrationVector")
    return {name: _vectors(vectors, element, f"{element} of the calibration") for name, element in TABLES.items()}


def parse_noise(data: bytes) -> Noise:
    """A noise annotation of any IPF since 2.5. Raises ValueError."""
    root = _root(data, "noise")
    vectors, element = root.findall("noiseRangeVectorList/noiseRangeVector"), "noiseRangeLut"
    if not vectors:
        vectors, element = root.findall("noiseVectorList/noiseVector"), "noiseLut"
    along_range = _vectors(vectors, element, "the noise along range", least=0.0)
    largest = max(float(values.max()) for values in along_range.values)
    if 0 < largest < _LEAST_NOISE:
        raise ValueError(
            f"its largest noise is {largest:g} where hundreds are usual: on the scale of products before IPF 2.5; "
            f"set remove_noise: false for them"
        )
    blocks = root.findall("noiseAzimuthVectorList/noiseAzimuthVector")
    if len(blocks) > _MOST_BLOCKS:
        raise ValueError(f"{len(blocks)} blocks of noise along azimuth, at most {_MOST_BLOCKS} were expected")
    return Noise(along_range, tuple(map(_block, blocks)))


class _NoEntities(ET.TreeBuilder):
    """Refuses a document type, in whatever encoding: only that can define entities."""

    def doctype(self, *_: object) -> None:
        raise ValueError("it has a document type of its own, which no annotation needs")


def _root(data: bytes, name: str) -> ET.Element:
    try:
        root = ET.fromstring(data, ET.XMLParser(target=_NoEntities()))  # noqa: S314 (entities need a document type)
    except (ET.ParseError, LookupError) as error:  # an encoding that nobody knows is a LookupError
        raise ValueError(f"no XML: {error}") from None
    if root.tag != name:
        raise ValueError(f"its root is <{root.tag}>, expected <{name}>")
    return root


def _vectors(elements: Iterable[ET.Element], name: str, what: str, least: float | None = None) -> Vectors:
    """least: None where numbers must be above 0, since something is divided by them."""
    rows: dict[float, tuple[Floats, Floats]] = {}
    known: dict[bytes, Floats] = {}
    for element in elements:
        line = _numbers(element, "line")
        samples, values = _numbers(element, "pixel"), _numbers(element, name)
        if line.size != 1 or samples.size != values.size or (np.diff(samples) <= 0).any():
            raise ValueError(f"{what}: {line.size} lines, {samples.size} samples and {values.size} numbers in a vector")
        if (values <= 0).any() if least is None else (values < least).any():
            raise ValueError(f"{what}: {float(values.min()):g} at line {line[0]:g}")
        rows[float(line[0])] = known.setdefault(samples.tobytes(), samples), values
    if not rows:
        raise ValueError(f"{what}: none in it")
    lines = sorted(rows)
    return Vectors(np.array(lines), *(tuple(rows[line][part] for line in lines) for part in (0, 1)))


def _block(element: ET.Element) -> Block:
    at, factors = _numbers(element, "line"), _numbers(element, "noiseAzimuthLut")
    if at.size != factors.size or (np.diff(at) <= 0).any():
        raise ValueError(f"the noise along azimuth: {at.size} lines and {factors.size} numbers in a vector")
    # Wave mode and the first of these products leave the rectangle out: it is the whole image.
    names = ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
    top, bottom, left, right = (
        float(_numbers(element, name)[0]) if element.find(name) is not None else open_end
        for name, open_end in zip(names, (-np.inf, np.inf, -np.inf, np.inf), strict=True)
    )
    return Block((top, bottom), (left, right), at, factors)


def _numbers(element: ET.Element, name: str) -> Floats:
    text = element.findtext(name)
    if not text or not text.strip():
        raise ValueError(f"<{element.tag}> without {name}")
    try:
        values = np.array(text.split(), np.float64)
    except ValueError:
        raise ValueError(f"{name} holds {text.strip()[:40]!r}, expected numbers") from None
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds numbers that are not finite")
    return values
