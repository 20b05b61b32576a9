"""A region's dates one after another: each day's scenes merged, how much of the region they show, and their files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pipeline.products._bands import Bands, Layer
from pipeline.products._optical import Recipe
from pipeline.products._strips import Part
from pipeline.products._work import days_of
from pipeline.types import Item, Json, MemoryPlan
from pipeline.write.tile import TileWriter


@dataclass(frozen=True, eq=False)
class Day:
    """One date of a region."""

    day: date
    scenes: tuple[Item, ...]
    layers: Mapping[str, Layer]
    """By band: (y, x) stored numbers, 0 outside of the region and where there is none."""
    complete: NDArray[np.bool_]
    """(y, x): every band has a number."""
    valid: float
    """Share of the region's pixels that are complete."""


def read_days(part: Part, recipe: Recipe, memory: MemoryPlan) -> Iterator[Day]:
    """Every date, in order; nothing is composited over dates. Raises MissingAssetsError beyond the policy."""
    work = part.work
    inside = np.ones(work.geobox.shape.yx, np.bool_) if work.inside is None else work.inside
    pixels = np.count_nonzero(inside)
    layers = Bands([part], memory, recipe.resampling).layers(list(recipe.bands))
    for scenes in days_of(work.job.items):
        made = dict(zip(recipe.bands, layers, strict=False))
        work.ledger.check()
        complete = np.logical_and.reduce([values != 0 for values in made.values()])
        items = tuple(work.job.items[scene] for scene in scenes)
        valid = float(np.count_nonzero(complete & inside)) / pixels
        yield Day(items[0].solar_day, items, made, complete, valid)


def is_kept(day: Day, min_valid: float) -> bool:
    """Whether a date shows enough of the region; one without a pixel never does."""
    return day.valid > 0 and day.valid >= min_valid


def write_day(day: Day, sets: Mapping[str, Sequence[str]], recipe: Recipe, writer: TileWriter) -> None:
    """One file for each set of bands; its asset says which scenes it was merged from, and when they were taken."""
    fields: Mapping[str, Json] = {
        "groundswell:valid_fraction": round(day.valid, 6),
        "groundswell:scenes": [item.id for item in day.scenes],
        "groundswell:times": sorted({f"{item.time:%Y-%m-%dT%H:%M:%SZ}" for item in day.scenes}),
    }
    for name, bands in sets.items():
        writer.add_together(name, [(day.layers[band], recipe.bands[band]) for band in bands], day.day, fields)
