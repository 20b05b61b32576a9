"""What the current items say of one place: stored numbers, the physical values they stand for, and words of quality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import lru_cache
from typing import Any

import numpy as np
from pyproj import Transformer

from pipeline.browse.layers import Layer, layers_of, meanings
from pipeline.browse.shelf import Kept, Shelf
from pipeline.browse.table import Items, Rows, moment
from pipeline.browse.tiles import missing
from pipeline.plan.curves import turned
from pipeline.results.window import WindowReader
from pipeline.types import Grid
from pipeline.write.outputs import Layer as Stored

READS_AT_ONCE = 8
MAX_STEPS = 120
"""Of a series: the newest."""
MAX_HERE = 4
"""Items of one period that a series looks into, on average: tiles overlap at the borders of UTM zones."""
MAX_LOOKED_INTO = 64
"""Items of one period whose box holds a place, the first by tile: tables may have many boxes one upon another."""
Place = tuple[float, float]
"""Longitude, latitude in degrees."""
Answer = dict[str, Any]


def pixel_of(grid: Grid, place: Place) -> tuple[int, int] | None:
    """(row, column) of the pixel that a place lies in; None where it lies in none."""
    a, b, c, d, e, f = grid.transform
    x, y = _to(grid.crs).transform(*place)
    if not (math.isfinite(x) and math.isfinite(y)):
        return None
    x = turned(np.array([x]), grid.crs, c + (a * grid.shape[1] + b * grid.shape[0]) / 2).item()
    determinant = a * e - b * d
    column = math.floor((e * (x - c) - b * (y - f)) / determinant)
    row = math.floor((a * (y - f) - d * (x - c)) / determinant)
    inside = 0 <= row < grid.shape[0] and 0 <= column < grid.shape[1]
    return (row, column) if inside else None


@lru_cache(maxsize=256)
def _to(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", crs, always_xy=True)


def ask_point(shelf: Shelf, items: Items, rows: Rows, place: Place, day: date | None) -> Answer:
    """Every layer of the item of a product and period that lies there, at one day of a time series.

    Of several items the first by tile in which a measurement has a number, as in `open_results`; the others are named.
    Raises AssetError naming a file that cannot be read.
    """
    touched = _there(shelf, items, rows, place)
    if not touched:
        return {"item": None, "layers": [], "others": []}
    for each in touched:
        layers = _values(shelf, each[1], each[2], day)
        if any(one["measures"] and one["value"] is not None for one in layers):
            number, kept, pixel = each
            break
    else:
        number, kept, pixel = touched[0]
        layers = _values(shelf, kept, pixel, day)
    others = [one.document["id"] for each, one, _ in touched if each != number]
    return {"item": {**item_facts(items, number, kept), **_pixel(kept, pixel)}, "layers": layers, "others": others}


def _there(shelf: Shelf, items: Items, rows: Rows, place: Place) -> list[tuple[int, Kept, tuple[int, int] | None]]:
    """The items whose pixels, or, without pixels, whose boxes hold a place."""
    longitude, latitude = place
    near = items.within(rows, (longitude, latitude, longitude, latitude))[:MAX_LOOKED_INTO]
    found = []
    for number, kept in zip(near.tolist(), shelf.kept(items, near), strict=True):
        pixel = pixel_of(kept.output.grid, place) if kept.output else None
        if pixel is not None or kept.output is None:
            found.append((number, kept, pixel))
    return found


def _pixel(kept: Kept, pixel: tuple[int, int] | None) -> Answer:
    if pixel is None or kept.output is None:
        return {}
    return {"row": pixel[0], "column": pixel[1], "crs": kept.output.grid.crs}


def item_facts(items: Items, number: int, kept: Kept) -> Answer:
    """What a reader wants to know of an item, beside its numbers."""
    row, properties = items.row(number), kept.document["properties"]
    named = ("id", "product", "tile", "period", "status", "valid_fraction", "observations_mean", "missing_fraction")
    return {
        **{name: row[name] for name in named},
        "flags": row["flags"] or [],
        "found": (properties.get("groundswell:quality") or {}).get("found") or [],
        "adopted": row["adopted"],
        "start": properties.get("start_datetime"),
        "end": properties.get("end_datetime"),
        "created": properties.get("created"),
        "license": properties.get("license"),
        "attribution": properties.get("attribution"),
        "href": f"stac/{kept.key}",
    }


def _values(shelf: Shelf, kept: Kept, pixel: tuple[int, int] | None, day: date | None) -> list[Answer]:
    if kept.output is None or pixel is None:
        return []
    shown = {one.name: one for one in layers_of([kept]) if one.kind != "composite" and one.day == day}
    stored = {one.band.name: one for one in kept.output.layers if one.day == day}
    read = [(layer, stored[layer.bands[0].name]) for layer in shown.values()]
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        numbers = list(pool.map(lambda pair: _number(shelf, pair[1], pixel), read))
    return [_told(layer, number) for (layer, _), number in zip(read, numbers, strict=True)]


def _number(shelf: Shelf, layer: Stored, pixel: tuple[int, int]) -> float | int:
    """The stored number of one pixel."""
    row, column = pixel
    window = WindowReader(shelf.access)(layer.preferred, slice(row, row + 1), slice(column, column + 1))
    number: float | int = window[0, 0].item()
    return number


def _told(layer: Layer, stored: float) -> Answer:
    (band,) = layer.bands
    absent = not math.isfinite(stored) or (band.nodata is not None and bool(missing(np.asarray(stored), band.nodata)))
    return {
        "name": layer.name,
        "description": band.description,
        "unit": "" if band.unit == "1" else band.unit,
        "stored": stored if math.isfinite(stored) else None,
        "value": None if absent else physical(stored, band.scale, band.offset),
        "words": [] if absent else meanings(layer, stored),
        "measures": not layer.shades and band.nodata is not None,
    }


def physical(stored: float, scale: float, offset: float) -> float:
    """Stored * scale + offset, to ten digits: what binary fractions add behind them means nothing."""
    return float(f"{stored * scale + offset:.10g}")


def ask_series(shelf: Shelf, items: Items, product: str, name: str, place: Place) -> list[Answer]:
    """One band at a place in every period, and on every day of a time series: at most `MAX_STEPS`, the newest.

    Of several items the first by tile that has a number; where none has, the value is null. Raises AssetError.
    """
    longitude, latitude = place
    rows = np.concatenate([rows for (one, _), rows in items.periods.items() if one == product])
    near = items.within(rows, (longitude, latitude, longitude, latitude))[-MAX_STEPS * MAX_HERE :]
    steps: dict[tuple[str, str], list[tuple[Stored, tuple[int, int]]]] = {}
    for number, output in zip(near.tolist(), (one.output for one in shelf.kept(items, near)), strict=True):
        pixel = None if output is None else pixel_of(output.grid, place)
        if output is None or pixel is None:
            continue
        start = moment(items.row(number)["start"]) or ""
        for layer in output.layers:
            if layer.band.name == name:
                when = layer.day.isoformat() if layer.day else start
                steps.setdefault((when, output.period), []).append((layer, pixel))
    newest = sorted(steps.items(), key=lambda one: one[0])[-MAX_STEPS:]
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        values = list(pool.map(lambda one: _first(shelf, one[1]), newest))
    return [
        {"time": when, "period": period, "value": value}
        for ((when, period), _), value in zip(newest, values, strict=True)
    ]


def _first(shelf: Shelf, there: Sequence[tuple[Stored, tuple[int, int]]]) -> float | None:
    """The value of the first item that has one; None where none has."""
    for layer, pixel in there:
        value = _value(layer, _number(shelf, layer, pixel))
        if value is not None:
            return value
    return None


def _value(layer: Stored, stored: float) -> float | None:
    band = layer.band
    absent = not math.isfinite(stored) or (band.nodata is not None and stored == band.nodata)
    return None if absent else physical(stored, band.scale, band.offset)
