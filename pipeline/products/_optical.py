"""What optical products share: a recipe told without the sensor, and the layers of a tile made by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.indices import Index, compute_index
from pipeline.ops.scores import ScoreOf
from pipeline.plan.memory import Holding
from pipeline.products._bands import Bands, Layer
from pipeline.products._composites import Chosen, Composite, Derived, Joined, Reduced, Series
from pipeline.products._layers import (
    CHOSEN_FROM,
    COMPLETE_DAYS,
    COUNT,
    DOY,
    QA,
    SOURCE,
    doy_layer,
    index_band,
    qa_layer,
)
from pipeline.products._sources import ChosenScenes, Masking, Sources, all_scenes, chosen_scenes, clear_scenes
from pipeline.products._strips import Part
from pipeline.products._work import Work, days_of
from pipeline.types import Band, MemoryPlan
from pipeline.write.tile import TileWriter


@dataclass(frozen=True)
class Recipe:
    """What to make of a tile's scenes."""

    bands: Mapping[str, Band]
    standard: Mapping[str, str]
    """Band → its standard name in formulas."""
    scale: float
    """Reflectance of one stored unit."""
    composite: Composite
    score: ScoreOf | None
    """Of a composite that chooses: how well a scene suits a pixel."""
    masking: Masking | None
    reasons: Band | None
    """The layer of reasons, where it is asked for."""
    layers: tuple[str, ...]
    """`source` and `doy`, where they are asked for."""
    indices: tuple[Index, ...]
    resampling: str = "nearest"
    scaled: bool = False
    """Stored numbers are more than shifted, so a copy of them is made."""

    @property
    def holding(self) -> Holding:
        """What making a tile by it holds."""
        bands, kept = len(self.bands), len(self.index_bands)
        # 12 bytes for the count and a layer on its way into files, more for one in floating point.
        floats = any(index.difference is None for index in self.indices)
        tile = 12 + 2 * kept + 8 * floats + 2 * (self.reasons is not None)
        read = 2 * self.scaled + (0 if self.resampling in {"nearest", "bilinear"} else _WARPER_BYTES)
        usual = Holding(tile, read=read)
        if self.masking is not None:
            usual = replace(usual, mask=self.masking.window_bytes)
        match self.composite:
            case Reduced():
                return replace(usual, tile=tile + 2)
            case Chosen():
                return replace(usual, tile=tile + 9, day=0, scene_bits=False)
            case Joined():
                return replace(usual, tile=tile + 2 * bands, day=2 * bands)
            case Series():
                # Layers of some days are on their way at once, whole.
                return replace(usual, tile=tile + 2 * bands + 2 * _LAYERS_AHEAD, day=0)
            case Derived(layers):
                sizes = sum(np.dtype(band.dtype).itemsize for band in layers)
                return replace(usual, tile=tile + sizes, day=2 * bands, fixed_bytes=_COMPUTING_BYTES)

    @property
    def made(self) -> Mapping[str, Band]:
        """The layers that become of the bands, by name."""
        match self.composite:
            case Derived(layers):
                return {band.name: band for band in layers}
            case _:
                return self.bands

    @property
    def names(self) -> frozenset[str]:
        """Of the layers that it makes, but for those of bits."""
        return frozenset({*self.made, *(index.name for index in self.indices), *self.layers, COUNT.name})

    @property
    def index_bands(self) -> set[str]:
        """Bands that an index needs."""
        needed = {name for index in self.indices for name in index.bands}
        return {band for band in self.bands if self.standard[band] in needed}

    def index_layer(self, index: Index, layers: Mapping[str, Layer]) -> NDArray[np.generic]:
        """One index of finished bands."""
        values: NDArray[np.generic] = compute_index(
            index, {self.standard[band]: values for band, values in layers.items()}, self.scale
        )
        return values

    def index_layers(self) -> list[tuple[Index, Band]]:
        """Every index, and what readers need to know of it."""
        ours = {self.standard[band]: band for band in self.bands}
        return [(index, index_band(index, ours)) for index in self.indices]


_LAYERS_AHEAD = 17
_COMPUTING_PX, _COMPUTING_BYTES = 2**17, 128 * 2**20
"""Observations of a band that a product's own function is given at once, and what all threads of it hold."""
_WARPER_BYTES = 8
"""What GDAL's warper holds of a window that it resamples: copies, masks and chunks (measured 7.4 a pixel)."""


@dataclass(frozen=True, eq=False)
class Making:
    """One of the tiles that are made together, and what becomes of it."""

    part: Part
    reasons: Layer | None
    """Why observations were dropped, where that is asked for."""
    writer: TileWriter
    count: Layer
    """Observations that every band rests on; known when all layers are made."""
    preview: dict[str, NDArray[Any]] = field(default_factory=dict)
    """A few pixels of each band, for the picture."""


def find_sources(work: Work, recipe: Recipe) -> tuple[Sources, Layer | None]:
    """Which scene each pixel comes from, and the reasons for dropping the others where they are asked for."""
    reasons = np.zeros(work.geobox.shape, np.uint16) if recipe.reasons is not None else None
    if recipe.masking is None:
        return all_scenes(work), reasons
    if recipe.score is not None:
        return chosen_scenes(work, recipe.masking, recipe.score, reasons), reasons
    return clear_scenes(work, recipe.masking, reasons), reasons


def make_layers(tiles: Sequence[Making], recipe: Recipe, memory: MemoryPlan) -> None:
    """Every band, index and further layer of every tile, handed to its writer one at a time.

    Raises MissingAssetsError and OutputError.
    """
    bands = Bands([tile.part for tile in tiles], memory, recipe.resampling)
    if isinstance(recipe.composite, Series):
        (only,) = tiles
        _series(bands, only, recipe)
    else:
        _composited(bands, tiles, recipe)
    meaning = {Chosen: CHOSEN_FROM, Reduced: COUNT}.get(type(recipe.composite), COMPLETE_DAYS)
    for tile in tiles:
        work, sources, writer = tile.part.work, tile.part.sources, tile.writer
        writer.add(tile.count, meaning)
        writer.add(qa_layer(tile.count, work.lost), QA)
        if isinstance(sources, ChosenScenes):
            if "source" in recipe.layers:
                writer.add(sources.source, SOURCE)
            if "doy" in recipe.layers:
                writer.add(doy_layer(sources.source, work.job.items), DOY)
        if recipe.reasons is not None and tile.reasons is not None:
            writer.add(tile.reasons, recipe.reasons)


def _composited(bands: Bands, tiles: Sequence[Making], recipe: Recipe) -> None:
    """One layer per band, and the indices of them."""
    kept: list[dict[str, Layer]] = [{} for _ in tiles]
    for tile in tiles:
        tile.count.fill(np.iinfo(np.uint16).max)
    for name, layers in _finished(bands, tiles, recipe):
        for tile, mine, (values, count) in zip(tiles, kept, layers, strict=True):
            tile.part.work.ledger.check()
            np.minimum(tile.count, count, out=tile.count)
            tile.preview[name] = small(values)
            tile.writer.add(values, recipe.made[name])
            if name in recipe.index_bands:
                mine[name] = values
    for tile, mine in zip(tiles, kept, strict=True):
        for index, band in recipe.index_layers():
            tile.writer.add(recipe.index_layer(index, mine), band)


def _finished(
    bands: Bands, tiles: Sequence[Making], recipe: Recipe
) -> Iterator[tuple[str, list[tuple[NDArray[Any], Layer]]]]:
    """(name, values and count of each tile) of each layer, in order."""
    match recipe.composite:
        case Reduced(reducer):
            for name in recipe.bands:
                yield name, bands.reduce(name, reducer)
        case Joined(joint):
            together = bands.reduce_jointly(list(recipe.bands), joint)
            for number, name in enumerate(recipe.bands):
                yield name, [(values[number], count) for values, count in together]
        case Chosen():
            for name in recipe.bands:
                picked = zip(tiles, bands.pick(name), strict=True)
                yield name, [(values, _days(tile, values)) for tile, values in picked]
        case Derived() as derived:
            made = _derived(bands, tiles, recipe, derived)
            for name in recipe.made:
                yield name, [(layers[name], count) for layers, count in made]


def _derived(
    bands: Bands, tiles: Sequence[Making], recipe: Recipe, derived: Derived
) -> list[tuple[dict[str, NDArray[Any]], Layer]]:
    """Each tile's layers by name, and on how many days every band has a number."""
    shapes = [tile.count.shape for tile in tiles]
    made = [
        ({band.name: np.empty(shape, band.dtype) for band in derived.layers}, np.empty(shape, np.uint16))
        for shape in shapes
    ]
    scales = {name: band.scale for name, band in recipe.bands.items()}

    def compute(number: int, rows: slice, stack: NDArray[np.uint16]) -> None:
        layers, count = made[number]
        for name, values in derived.of(stack, scales).items():
            layers[name][rows] = values
        count[rows] = complete_days(stack)

    bands.visit(list(recipe.bands), compute, _COMPUTING_PX)
    return made


def complete_days(stack: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """On how many days every band has a number, of observations (band, day, y, x)."""
    days: NDArray[np.uint16] = (stack != 0).all(axis=0).sum(axis=0, dtype=np.uint16)
    return days


def _days(tile: Making, values: Layer) -> Layer:
    """From how many days the pixels that have a number were chosen."""
    sources = tile.part.sources
    if not isinstance(sources, ChosenScenes):
        raise TypeError(f"expected chosen scenes, found {type(sources).__name__}")
    return np.where(values != 0, sources.days, np.uint16(0))


def _series(bands: Bands, tile: Making, recipe: Recipe) -> None:
    """One layer per band and solar day of one tile, and the indices of each day."""
    work, shape = tile.part.work, tile.count.shape
    tile.count.fill(0)
    layers = bands.layers(list(recipe.bands))
    for scenes in days_of(work.job.items):
        day, complete, kept = work.job.items[scenes[0]].solar_day, np.ones(shape, np.bool_), dict[str, Layer]()
        for name, values in zip(recipe.bands, layers, strict=False):
            complete &= values != 0
            seen = tile.preview.setdefault(name, np.zeros_like(small(values)))
            np.copyto(seen, small(values), where=seen == 0)
            tile.writer.add(values, recipe.bands[name], day)
            if name in recipe.index_bands:
                kept[name] = values
        work.ledger.check()
        for index, band in recipe.index_layers():
            tile.writer.add(recipe.index_layer(index, kept), band, day)
        np.add(tile.count, complete, out=tile.count)


def small(values: NDArray[Any]) -> NDArray[Any]:
    """About 256 pixels a side."""
    stride = max(1, max(values.shape) // 256)
    # A tile may be narrower than half a stride.
    top, left = (min(stride, side) // 2 for side in values.shape)
    return values[top::stride, left::stride].copy()
