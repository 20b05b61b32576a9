"""Where items lie, as GeoJSON: their outlines, or, where they are too many for a screen, how many lie in each cell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import shapely

from pipeline.browse.table import Box, Items, Rows, moment

MAX_OUTLINES = 2000
CELLS = 24
"""Along each side of what is looked at, where outlines would be too many."""
Document = dict[str, Any]


def outlines(items: Items, rows: Rows, box: Box) -> Document:
    """A FeatureCollection of the items that a box touches; `total` says how many, `cells` whether they are counted."""
    touched = items.within(rows, box)
    counted = len(touched) > MAX_OUTLINES
    features = _cells(items, touched, box) if counted else _items(items, touched)
    return {"type": "FeatureCollection", "total": len(touched), "cells": counted, "features": list(features)}


def _items(items: Items, rows: Rows) -> Iterator[Document]:
    table = items.table.take(rows)
    geometries = shapely.from_wkb(table["geometry"].to_pylist())
    named = ("id", "tile", "period", "status", "flags", "adopted", "valid_fraction", "observations_mean")
    plain = table.select([*named, "missing_fraction", "start"]).to_pylist()
    for geometry, said in zip(geometries, plain, strict=True):
        properties = {**said, "start": moment(said["start"]), "flags": said["flags"] or []}
        yield {"type": "Feature", "geometry": shapely.geometry.mapping(geometry), "properties": properties}


def _cells(items: Items, rows: Rows, box: Box) -> Iterator[Document]:
    """Rectangles with the number of items whose middles lie in them."""
    west, south, east, north = box
    east = east + 360 if east < west else east
    low, bottom, high, top = items.boxes[rows].T
    x = np.where(high < low, (low + high + 360) / 2, (low + high) / 2)
    x = west + np.mod(x - west, 360) if east - west < 360 else x
    columns = np.clip(((x - west) / (east - west) * CELLS).astype(int), 0, CELLS - 1)
    lines = np.clip((((bottom + top) / 2 - south) / (north - south) * CELLS).astype(int), 0, CELLS - 1)
    counts = np.bincount(lines * CELLS + columns, minlength=CELLS * CELLS)
    wide, tall = (east - west) / CELLS, (north - south) / CELLS
    for cell in np.flatnonzero(counts).tolist():
        line, column = divmod(cell, CELLS)
        left, lower = west + column * wide, south + line * tall
        ring = shapely.geometry.box(left, lower, left + wide, lower + tall)
        said = {"count": int(counts[cell])}
        yield {"type": "Feature", "geometry": shapely.geometry.mapping(ring), "properties": said}
