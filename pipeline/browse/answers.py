"""What the page is told of products and layers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from pipeline.browse.layers import Layer, layers_of
from pipeline.browse.shelf import Kept, Shelf, rows_of
from pipeline.browse.table import Items, Rows, moment
from pipeline.browse.tiles import ramp
from pipeline.errors import ConfigError
from pipeline.types import joined_attributions

SAMPLE = 16
"""Items of a product and period that its layers are taken from, evenly over all of them."""
KEPT_LAYERS = 256
_ACROSS = {True: 6, False: 2}
"""Items that one map tile may span: with overviews, and without."""
Answer = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """Some items of a product and period, and the layers that they have."""

    items: tuple[Kept, ...]
    layers: tuple[Layer, ...]

    def layer(self, name: str) -> Layer:
        """The layer of that name. Raises ConfigError, naming those there are."""
        for one in self.layers:
            if one.name == name:
                return one
        raise ConfigError(f"no layer {name!r}; found {', '.join(one.name for one in self.layers) or 'none'}")


class Samples:
    """Samples of an output, each taken once as long as nothing new is current."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._current: Items | None = None
        self._sample = lru_cache(maxsize=KEPT_LAYERS)(self._take)

    def of(self, items: Items, product: str, period: str) -> Sample:
        """Raises ConfigError for a product or period that is not there, and StoreError."""
        rows_of(items, product, period)
        if items is not self._current:  # what was taken of others would hold their table in memory
            self._current = items
            self._sample.cache_clear()
        return self._sample(items, product, period)

    def _take(self, items: Items, product: str, period: str) -> Sample:
        rows = items.periods[product, period]
        picked = rows if len(rows) <= SAMPLE else rows[np.linspace(0, len(rows) - 1, SAMPLE).astype(int)]
        kept = tuple(self._shelf.kept(items, picked))
        return Sample(kept, layers_of(kept))


def product_answers(shelf: Shelf) -> Answer:
    """Products and their periods, in the order of time, with the box of each product."""
    items = shelf.items()
    found = []
    for product in items.products:
        periods = {period: items.periods[product, period] for period in items.periods_of(product)}
        starts = {period: moment(items.row(int(rows[0]))["start"]) for period, rows in periods.items()}
        every = np.concatenate(list(periods.values()))
        listed = [{"id": period, "start": starts[period], "items": len(rows)} for period, rows in periods.items()]
        found.append({"name": product, "items": len(every), "bounds": items.bounds(every), "periods": listed})
    return {"output": shelf.store.uri, "version": items.version, "products": found}


def layer_answer(items: Items, rows: Rows, sample: Sample) -> Answer:
    """What can be drawn of a product and period, from which zoom, and under which rights."""
    said = [one.document["properties"] for one in sample.items]
    return {
        "kind": _kind(sample),
        "layers": [_layer(one) for one in sample.layers],
        "min_zoom": _min_zoom(items, rows, sample) if sample.layers else 0,
        "bounds": items.bounds(rows),
        "license": ", ".join(sorted({str(one["license"]) for one in said if one.get("license")})),
        "attribution": joined_attributions(str(one["attribution"]) for one in said if one.get("attribution")),
        "assets": sorted({key for one in sample.items for key in one.document["assets"]}),
    }


def _kind(sample: Sample) -> str:
    """`pixels`, `floats` (tables of profiles) or `outlines` (anything else: where it lies is all that is drawn)."""
    if sample.layers:
        return "pixels"
    return "floats" if all("levels" in one.document["assets"] for one in sample.items) else "outlines"


def _layer(layer: Layer) -> Answer:
    (first, *_) = layer.bands
    return {
        "name": layer.name,
        "title": layer.title,
        "kind": layer.kind,
        "description": "" if layer.kind == "composite" else first.description,
        "unit": "" if first.unit == "1" else first.unit,
        "bands": [band.name for band in layer.bands],
        "day": layer.day.isoformat() if layer.day else None,
        "dtype": first.dtype,
        "nodata": first.nodata if first.nodata is not None and math.isfinite(first.nodata) else None,
        "scale": first.scale,
        "offset": first.offset,
        "low": layer.low,
        "high": layer.high,
        "colours": ramp(layer.colours) if layer.colours else [],
        "shades": [{"colour": "#{:02x}{:02x}{:02x}".format(*one.colour), "text": one.text} for one in layer.shades],
    }


def _min_zoom(items: Items, rows: Rows, sample: Sample) -> int:
    """The first zoom at which a map tile spans so few items that all of them can be drawn."""
    low, _, high, _ = items.boxes[rows].T
    wide = float(np.median(np.where(high < low, high + 360, high) - low))
    outputs = [one.output for one in sample.items if one.output]
    overviews = all("cog" in layer.sources for output in outputs for layer in output.layers)
    if wide <= 0:
        return 0
    return max(0, math.ceil(math.log2(360 / (_ACROSS[overviews] * wide))))
