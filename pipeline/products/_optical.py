"""What optical products share: a recipe told without the sensor, and the layers of a tile made by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.indices import Index, compute_index
from pipeline.ops.linear import Linear
from pipeline.ops.scores import ScoreOf
from pipeline.plan.memory import Holding
from pipeline.products._composites import Chosen, Composite, Joined, Reduced, Series
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
from pipeline.products._strips import Bands, Layer
from pipeline.products._work import Work, days_of
from pipeline.types import Band
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

    @property
    def holding(self) -> Holding:
        """What making a tile by it holds."""
        bands, kept = len(self.bands), len(self.index_bands)
        # 12 bytes for the count and a layer on its way into files, more for one in floating point.
        floats = any(index.difference is None for index in self.indices)
        tile = 12 + 2 * kept + 8 * floats + 2 * (self.reasons is not None)
        match self.composite:
            case Reduced():
                return Holding(tile + 2)
            case Chosen():
                return Holding(tile + 9, day=0, scene_bits=False)
            case Joined():
                return Holding(tile + 2 * bands, day=2 * bands)
            case Series():
                # Layers of some days are on their way at once, whole.
                return Holding(tile + 2 * bands + 2 * _LAYERS_AHEAD, day=0)

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


@dataclass(eq=False)
class Tile:
    """What is known of a tile when its layers are written."""

    count: Layer
    preview: dict[str, Layer] = field(default_factory=dict)
    """A few pixels of each band, for the picture."""


def find_sources(work: Work, recipe: Recipe) -> tuple[Sources, Layer | None]:
    """Which scene each pixel comes from, and the reasons for dropping the others where they are asked for."""
    reasons = np.zeros(work.geobox.shape, np.uint16) if recipe.reasons is not None else None
    if recipe.masking is None:
        return all_scenes(work), reasons
    if recipe.score is not None:
        return chosen_scenes(work, recipe.masking, recipe.score, reasons), reasons
    return clear_scenes(work, recipe.masking, reasons), reasons


def make_layers(
    work: Work,
    recipe: Recipe,
    sources: tuple[Sources, Layer | None],
    linears: Sequence[Mapping[str, Linear]],
    writer: TileWriter,
) -> Tile:
    """Every band, index and further layer, handed to the writer one at a time.

    sources: as `find_sources` gives them. linears: by scene and band. Raises MissingAssetsError and OutputError.
    """
    found, reasons = sources
    bands = Bands(work, found, linears)
    tile = (
        _series(bands, recipe, writer) if isinstance(recipe.composite, Series) else _composited(bands, recipe, writer)
    )
    meaning = {Chosen: CHOSEN_FROM, Joined: COMPLETE_DAYS, Series: COMPLETE_DAYS}.get(type(recipe.composite), COUNT)
    writer.add(tile.count, meaning)
    writer.add(qa_layer(tile.count, work.lost), QA)
    if isinstance(found, ChosenScenes):
        if "source" in recipe.layers:
            writer.add(found.source, SOURCE)
        if "doy" in recipe.layers:
            writer.add(doy_layer(found.source, work.job.items), DOY)
    if recipe.reasons is not None and reasons is not None:
        writer.add(reasons, recipe.reasons)
    return tile


def _composited(bands: Bands, recipe: Recipe, writer: TileWriter) -> Tile:
    """One layer per band, and the indices of them."""
    tile = Tile(np.full(bands.work.geobox.shape, np.iinfo(np.uint16).max, np.uint16))
    kept: dict[str, Layer] = {}
    for name, values, count in _finished(bands, recipe):
        np.minimum(tile.count, count, out=tile.count)
        tile.preview[name] = _preview(values)
        writer.add(values, recipe.bands[name])
        if name in recipe.index_bands:
            kept[name] = values
    for index, band in recipe.index_layers():
        writer.add(recipe.index_layer(index, kept), band)
    return tile


def _finished(bands: Bands, recipe: Recipe) -> Iterator[tuple[str, Layer, Layer]]:
    """(name, composite, count) of each band, in order."""
    ledger = bands.work.ledger
    match recipe.composite:
        case Reduced(reducer):
            for name in recipe.bands:
                values, count = bands.reduce(name, reducer)
                ledger.check()
                yield name, values, count
        case Joined(joint):
            together, count = bands.reduce_jointly(list(recipe.bands), joint)
            ledger.check()
            yield from ((name, values, count) for name, values in zip(recipe.bands, together, strict=True))
        case Chosen() if isinstance(bands.sources, ChosenScenes):
            for name in recipe.bands:
                values = bands.pick(name)
                ledger.check()
                yield name, values, np.where(values != 0, bands.sources.days, np.uint16(0))


def _series(bands: Bands, recipe: Recipe, writer: TileWriter) -> Tile:
    """One layer per band and solar day, and the indices of each day."""
    work, shape = bands.work, bands.work.geobox.shape
    tile = Tile(np.zeros(shape, np.uint16))
    layers = bands.layers(list(recipe.bands))
    for scenes in days_of(work.job.items):
        day, complete, kept = work.job.items[scenes[0]].solar_day, np.ones(shape, np.bool_), dict[str, Layer]()
        for name, values in zip(recipe.bands, layers, strict=False):
            complete &= values != 0
            seen = tile.preview.setdefault(name, np.zeros_like(_preview(values)))
            np.copyto(seen, _preview(values), where=seen == 0)
            writer.add(values, recipe.bands[name], day)
            if name in recipe.index_bands:
                kept[name] = values
        work.ledger.check()
        for index, band in recipe.index_layers():
            writer.add(recipe.index_layer(index, kept), band, day)
        tile.count += complete
    return tile


def _preview(values: Layer) -> Layer:
    """About 256 pixels a side."""
    stride = max(1, max(values.shape) // 256)
    # A tile may be narrower than half a stride.
    top, left = (min(stride, side) // 2 for side in values.shape)
    return values[top::stride, left::stride].copy()
