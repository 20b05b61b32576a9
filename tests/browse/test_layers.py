"""Layers are drawn by what their quantity is, and codes are said in words."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.browse.floats import Cast as Named
from pipeline.browse.floats import Floats
from pipeline.browse.layers import layers_of, meanings, shade_numbers
from pipeline.browse.shelf import Kept
from pipeline.errors import ConfigError
from pipeline.read.access import Access
from pipeline.types import Band, Grid
from pipeline.write.outputs import Layer as Stored
from pipeline.write.outputs import Output
from pipeline.write.store import open_store
from tests.argo_partitions import Cast, write_partition

GRID = Grid("EPSG:32633", (10.0, 0.0, 0.0, 0.0, -10.0, 0.0), (4, 4))


def kept(*bands: Band, said: dict[str, Any] | None = None, ranges: dict[str, Any] | None = None) -> Kept:
    """An item with these bands; said: statistics by band."""
    layers = tuple(Stored(band, None, {}) for band in bands)
    output = Output("p", "t", "2024-06", None, None, "f", "", "", GRID, layers)
    fields = [
        {"name": band.name, "statistics": (said or {})[band.name], "raster:scale": band.scale}
        for band in bands
        if band.name in (said or {})
    ]
    properties = {"groundswell:quality": {"ranges": ranges or {}}}
    return Kept("items/p/t.json", {"properties": properties, "assets": {"a": {"bands": fields}}}, output)


def reflectance(name: str, wavelength: float) -> Band:
    return Band(name, "uint16", 0, 1e-4, common_name=name, center_wavelength_um=wavelength)


def test_composites_come_first_then_bands_by_wavelength_then_codes() -> None:
    bands = [reflectance(name, w) for name, w in (("nir", 0.84), ("red", 0.66), ("green", 0.56), ("blue", 0.49))]
    qa, ndvi = Band("qa", "uint8", None, flags=((1, "empty"),)), Band("ndvi", "int16", -32768, 1e-4)
    names = [layer.name for layer in layers_of([kept(qa, ndvi, *bands)])]
    assert names == ["true-colour", "false-colour", "blue", "green", "red", "nir", "ndvi", "qa"]


def test_a_range_is_what_most_pixels_of_all_items_lie_between() -> None:
    band = reflectance("red", 0.66)
    dark = {"minimum": 100, "maximum": 2000, "mean": 500, "stddev": 100}
    bright = {"minimum": 100, "maximum": 900, "mean": 800, "stddev": 100}
    (layer,) = layers_of([kept(band, said={"red": dark}), kept(band, said={"red": bright})])
    assert (layer.low, layer.high) == (0.03, 0.09)  # mean - 2 deviations of one, the maximum of the other
    assert layer.stored_range == pytest.approx((300, 900))


def test_a_tile_without_one_valid_pixel_has_a_range_from_the_others() -> None:
    band = reflectance("red", 0.66)
    clear = {"minimum": 100, "maximum": 900, "mean": 500, "stddev": 400}
    empty = kept(band, said={"red": {"valid_percent": 0.0}})
    (layer,) = layers_of([empty, kept(band, said={"red": clear})])
    assert (layer.low, layer.high) == (0.01, 0.09)
    assert layers_of([empty])[0].name == "red"


@pytest.mark.parametrize(
    ("band", "colours", "limits"),
    [
        (Band("ndvi", "int16", -32768, 1e-4), "rdylgn", (-0.1, 0.8)),
        (Band("dem_slope", "uint16", 65535, 0.001, unit="degree"), "magma", (0, 32)),
        (Band("aspect", "uint16", 65535, 0.1, unit="degree"), "twilight", (0, 360)),
        (Band("hillshade", "uint8", 0), "gray", (1, 255)),
        (Band("lwir11", "uint16", 0, 0.01, unit="K"), "inferno", (280, 310)),
        (Band("sentinel1_vv", "float32", float("nan")), "gray", (0.01, 0.2)),
        (Band("count", "uint16", None), "viridis", (0, 7)),
        (Band("yield", "float32", float("nan")), "viridis", (3, 9)),
    ],
)
def test_colours_fit_the_quantity(band: Band, colours: str, limits: tuple[float, float]) -> None:
    (layer,) = layers_of([kept(band, ranges={band.name: limits})])
    assert (layer.kind, layer.colours, layer.low, layer.high) == ("continuous", colours, *limits)


def test_a_band_of_one_number_has_a_range_all_the_same() -> None:
    (layer,) = layers_of([kept(Band("yield", "float32", None), ranges={"yield": (5, 5)})])
    assert (layer.low, layer.high) == (4.5, 5.5)


def test_flags_are_named_one_by_one_and_drawn_by_the_last() -> None:
    (layer,) = layers_of([kept(Band("qa", "uint8", None, flags=((1, "empty"), (4, "input_lost"))))])
    assert [meanings(layer, value) for value in (0, 1, 5, 8)] == [
        ["nothing noted"],
        ["empty"],
        ["empty", "input lost"],
        ["nothing noted"],
    ]
    assert shade_numbers(layer, np.array([0, 1, 5, 4, 8], np.uint8)).tolist() == [0, 1, 2, 2, 0]


def test_classes_are_read_from_what_the_band_says_of_them() -> None:
    (layer,) = layers_of([kept(Band("class", "uint8", 255, description="Class (0 water, 1 dry land, 2 tree)"))])
    assert [shade.text for shade in layer.shades] == ["water", "dry land", "tree"]
    assert meanings(layer, 1) == ["dry land"] and meanings(layer, 9) == []
    assert shade_numbers(layer, np.array([0, 2, 9], np.uint8)).tolist() == [0, 2, 255]


@pytest.fixture
def floats(tmp_path: Path) -> Floats:
    levels: dict[str, list[float | None]] = {"PRES": [5.0, 10.0], "TEMP": [15.25, None], "PSAL": [35.1, 35.2]}
    july = datetime(2024, 7, 1, tzinfo=UTC)
    casts = [
        Cast(2900001, 1, 10.0, 179.9, values=levels, flags={"TEMP": [1, 4]}),
        Cast(2900001, 2, 10.5, -179.8, july, values=levels),
        Cast(2900002, 1, None, None, None, levels, position_qc=9),
    ]
    write_partition(tmp_path, "290000x", casts)
    return Floats(open_store(str(tmp_path)), Access())


def test_floats_are_found_at_their_last_place_across_the_antimeridian(floats: Floats) -> None:
    said = floats.within("argo", (179.0, 0.0, -179.0, 20.0))
    place = {"longitude": -179.8, "latitude": 10.5, "time": "2024-07-01T00:00:00Z"}
    assert said == {"floats": [{"wmo": 2900001, "profiles": 2, **place}], "left_out": 0}
    assert floats.within("argo", (0.0, 0.0, 20.0, 20.0))["floats"] == []


def test_profiles_of_a_float_come_in_order_and_one_without_time_or_place_is_there(floats: Floats) -> None:
    assert [(one["cycle"], one["time"]) for one in floats.profiles("argo", 2900001)] == [
        (1, "2024-06-15T00:00:00Z"),
        (2, "2024-07-01T00:00:00Z"),
    ]
    (lost,) = floats.profiles("argo", 2900002)
    assert (lost["time"], lost["longitude"]) == (None, None)


def test_a_profile_has_its_numbers_and_flags_by_level(floats: Floats) -> None:
    said = floats.profile("argo", Named(2900001, 1, "A", "core", 0))
    by_name = {one["name"]: one for one in said["parameters"]}
    assert by_name["PRES"]["best"] == [5.0, 10.0]
    assert by_name["TEMP"]["best"] == [15.25, None] and by_name["TEMP"]["qc"] == [1, None]
    assert by_name["PSAL"]["best"] == [35.1, 35.2]  # as people write them, not as float32 holds them
    with pytest.raises(ConfigError, match="float 2900001: no profile 9 A core 0"):
        floats.profile("argo", Named(2900001, 9, "A", "core", 0))
    with pytest.raises(ConfigError, match="argo: no float 2900009"):
        floats.profiles("argo", 2900009)


def test_a_profile_without_one_good_pressure_can_be_plotted(tmp_path: Path) -> None:
    levels: dict[str, list[float | None]] = {"PRES": [None, None], "TEMP": [15.25, 15.0]}
    write_partition(tmp_path, "290000x", [Cast(2900003, 1, 10.0, 20.0, values=levels)])
    said = Floats(open_store(str(tmp_path)), Access()).profile("argo", Named(2900003, 1, "A", "core", 0))
    assert {one["name"]: one["best"] for one in said["parameters"]}["PRES"] == [None, None]
