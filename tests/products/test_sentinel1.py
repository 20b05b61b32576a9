"""Sentinel-1 composites are what rasterio and NumPy make of the files, in linear power, orbit by orbit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.execute.worker.task import run_job
from pipeline.products.sentinel1 import VERSION
from pipeline.types import Status
from tests.products.radar import (
    TILE,
    TILE_PX,
    TOGETHER,
    Radar,
    item_of,
    layers_of,
    made,
    mosaic,
    plain_layer,
    reduced,
    same,
    written,
)
from tests.worlds import SmallWorld

COMPOSITES: dict[str, Callable[..., Any]] = {
    "mean": np.nanmean,
    "median": np.nanmedian,
    "min": np.nanmin,
    "max": np.nanmax,
    "p20": lambda stack, axis: np.nanpercentile(stack, 20, axis=axis),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_composite_is_numpys_of_warped_power(tmp_path: Path, name: str) -> None:
    radar = Radar(tmp_path)
    for day in range(1, 6):
        radar.add(f"2024-06-{day:02d}", orbit=10 + day)
    layers, _ = made(radar.world(f"{TOGETHER}, composite: {name}"))
    counts = []
    for polarisation in ("vv", "vh"):
        expected = layers_of(radar, polarisation)
        same(layers[polarisation], reduced(expected, COMPOSITES[name]))
        counts.append((~np.isnan(expected)).sum(axis=0))
    np.testing.assert_array_equal(layers["count"], np.minimum(*counts))
    np.testing.assert_array_equal(layers["qa"], (layers["count"] == 0).astype(np.uint8))


@pytest.mark.parametrize("scale", ["db", "amplitude"])
def test_other_scales_become_power_before_they_are_resampled(tmp_path: Path, scale: str) -> None:
    radar = Radar(tmp_path)
    random = np.random.default_rng(0)
    power = random.gamma(4.4, 0.02, (200, 200))
    for day in (1, 2):
        data = 10 * np.log10(power) if scale == "db" else np.sqrt(power) * 300
        radar.add(f"2024-06-0{day}", data=np.where(power < 0.02, -99, data).astype(np.float32), nodata=-99.0)
    layers, _ = made(radar.world(f"{TOGETHER}, input_scale: {scale}, polarisations: [vv]"))
    same(layers["vv"], reduced(layers_of(radar, "vv", scale)))
    # Resampled as it is stored, it would be another number: the test would notice.
    stored = [plain_layer(item["assets"]["vv"]["href"]) for item in radar.items]
    assert scale != "amplitude" or not np.allclose(stored[0] ** 2, layers_of(radar, "vv", scale)[0], rtol=0.01)


def test_decibels_are_made_of_the_finished_composite_and_marked_everywhere(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    for day in (1, 2, 3):
        radar.add(f"2024-06-0{day}")
    power, _ = made(radar.world(TOGETHER))
    world = radar.world(f"{TOGETHER}, scale: db")
    decibels, outcome = made(world)
    expected = reduced(layers_of(radar, "vv"))
    np.testing.assert_allclose(decibels["vv"], 10 * np.log10(expected), atol=1e-4)
    np.testing.assert_allclose(decibels["vv"], 10 * np.log10(power["vv"].astype(np.float64)), rtol=1e-6)
    with np.errstate(invalid="ignore"):
        mean_of_decibels = reduced([10 * np.log10(layer) for layer in layers_of(radar, "vv")])
    assert np.nanmean(decibels["vv"] - mean_of_decibels) > 0.2  # which is biased low
    item = item_of(world, outcome)
    assert item["properties"]["groundswell:radar_scale"] == "db"
    assert "then 10 log10 of it" in item["properties"]["processing:lineage"]
    (band,) = item["assets"]["vv"]["bands"]
    assert (band["unit"], "decibels" in band["description"]) == ("dB", True)
    assert outcome.item_key is not None
    with rasterio.open((world.output / outcome.item_key).parent / item["assets"]["vv"]["href"]) as source:
        assert source.units == ("dB",)
        assert source.tags()["radar_scale"] == "db"


def test_an_orbit_switch_keeps_orbits_apart_unless_asked(tmp_path: Path) -> None:
    """Ascending 117 until June, descending 66 from then on, with a week of both."""
    radar = Radar(tmp_path)
    for time, direction, orbit in (
        ("2024-05-20", "ascending", 117),
        ("2024-06-01", "ascending", 117),
        ("2024-06-01", "descending", 66),
        ("2024-06-13", "descending", 66),
        ("2024-06-14", "descending", 139),
    ):
        radar.add(time, direction, orbit)
    vv = layers_of(radar, "vv")
    apart, _ = made(radar.world())
    assert {key for key in apart if key.startswith("vv")} == {
        "vv-ascending-117",
        "vv-descending-66",
        "vv-descending-139",
    }
    same(apart["vv-ascending-117"], reduced(vv[:2]))
    same(apart["vv-descending-66"], reduced(vv[2:4]))
    same(apart["vv-descending-139"], vv[4])
    total = sum(apart[key].astype(int) for key in apart if key.startswith("count-"))
    np.testing.assert_array_equal(apart["count"], total)

    by_direction, _ = made(radar.world("orbits: direction"))
    same(by_direction["vv-descending"], reduced(vv[2:]))
    together, _ = made(radar.world(TOGETHER))
    same(together["vv"], reduced(vv))
    one, _ = made(radar.world(f"{TOGETHER}, direction: descending, relative_orbits: [66]"))
    same(one["vv"], reduced(vv[2:4]))
    assert {*one} == {"vv", "vh", "count", "qa"}


@pytest.mark.parametrize(("preferred", "least"), [("ascending", 1), ("descending", 2)])
def test_a_preferred_direction_gives_way_pixel_by_pixel(tmp_path: Path, preferred: str, least: int) -> None:
    radar = Radar(tmp_path)
    for day, direction in enumerate(("ascending", "ascending", "descending", "descending"), start=1):
        radar.add(f"2024-06-{day:02d}", direction, 117 if direction == "ascending" else 66)
    layers, _ = made(radar.world(f"{TOGETHER}, prefer: {preferred}, prefer_at_least: {least}, polarisations: [vv]"))
    stack = np.stack(layers_of(radar, "vv"))
    first, second = (stack[:2], stack[2:]) if preferred == "ascending" else (stack[2:], stack[:2])
    enough, instead = ((~np.isnan(part)).sum(axis=0) >= least for part in (first, second))
    expected = np.where(enough, reduced(list(first)), np.where(instead, reduced(list(second)), reduced(list(stack))))
    same(layers["vv"], expected)
    assert {1, 2} <= set(np.unique(layers["orbits"]))
    code = 1 if preferred == "ascending" else 2
    assert (layers["orbits"][enough] == code).all()
    assert (layers["orbits"][~enough & instead] == 3 - code).all()


def test_slices_of_one_pass_are_one_observation(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    north = TILE @ Affine.translation(-20.3, -150.6)
    radar.add("2024-06-01T17:00:00Z", transform=north)
    radar.add("2024-06-01T17:00:25Z", transform=north @ Affine.translation(0, 160))
    layers, outcome = made(radar.world())
    same(layers["vv-ascending-117"], mosaic(layers_of(radar, "vv")))
    assert set(np.unique(layers["count"])) == {0, 1}
    assert layers["count"].mean() > 0.8
    assert outcome.status is Status.DONE


def test_twelve_months_two_of_them_empty(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    for month in range(1, 13):
        if month not in {3, 8}:
            radar.add(f"2024-{month:02d}-10")
    session = radar.world(TOGETHER, every="month").session()
    assert [job.period.id for job in session.plan.jobs] == [f"2024-{m:02d}" for m in range(1, 13) if m not in {3, 8}]
    assert any("2 of 12 tile-periods have no scene" in note for note in session.plan.notes)
    world = SmallWorld(tmp_path / "radar.yaml", tmp_path / "output", tmp_path)
    for number in (0, 9):
        outcome = run_job(session.plan.jobs[number], session.assignments()["sentinel1"], 1)
        same(written(world, outcome)["vv"], layers_of(radar, "vv")[number])


ODD = "composite: median, orbits: together, speckle: {size_px: 5}, border: {px: 2, below: 0.03}"


@pytest.mark.parametrize("entry", [TOGETHER, ODD])
def test_strips_give_the_bytes_of_the_whole(tmp_path: Path, entry: str) -> None:
    """Also on a day with more passes than the memory plan reckons with."""
    radar = Radar(tmp_path)
    for day, orbit in ((1, 10), (1, 20), (1, 30), (1, 40), (2, 10)):
        radar.add(f"2024-06-0{day}", orbit=orbit)
    whole, _ = made(radar.world(entry))
    for rows in (16, 33):
        strips, _ = made(radar.world(entry), strip_rows=rows)
        assert {key: values.tobytes() for key, values in strips.items()} == {
            key: values.tobytes() for key, values in whole.items()
        }


def test_neighbouring_tiles_agree_with_one_that_holds_both(tmp_path: Path) -> None:
    """A filtered, warped pixel is the same whichever tile it is in: cut at 64 columns or not."""
    radar = Radar(tmp_path)
    for day in (1, 2):
        radar.add(f"2024-06-0{day}")
    large, _ = made(radar.world(ODD))
    world = radar.world(ODD)
    world.config.write_text(world.config.read_text().replace("tile_px: 128", "tile_px: 64"))
    session = world.session()
    for job in session.plan.jobs:
        layers = written(world, run_job(job, session.assignments()["sentinel1"], 1))
        left, top = ~TILE @ (job.tile.geobox.transform.c, job.tile.geobox.transform.f)
        part = np.s_[round(top) : round(top) + 64, round(left) : round(left) + 64]
        if large["vv"][part].shape == (64, 64):
            assert layers["vv"].tobytes() == np.ascontiguousarray(large["vv"][part]).tobytes()
            return
    pytest.fail("no small tile lies in the large one")


def exact_bilinear(item: Any, crs: str, transform: Affine) -> NDArray[np.float64]:
    """A scene without gaps on the tile, by pyproj's own coordinates of every pixel; NaN outside of the scene."""
    with rasterio.open(item["assets"]["vv"]["href"]) as source:
        data, to_source = source.read(1).astype(np.float64), Transformer.from_crs(crs, source.crs, always_xy=True)
        cols, rows = ~source.transform @ to_source.transform(
            *(transform @ np.meshgrid(*(np.arange(TILE_PX) + 0.5,) * 2))
        )
    inside = (rows >= 0) & (rows < data.shape[0]) & (cols >= 0) & (cols < data.shape[1])
    down, right = (np.clip(axis - 0.5, 0, size - 1.000001) for axis, size in zip((rows, cols), data.shape, strict=True))
    i, j = down.astype(int), right.astype(int)
    down, right = down - i, right - j
    upper = data[i, j] * (1 - right) + data[i, j + 1] * right
    lower = data[i + 1, j] * (1 - right) + data[i + 1, j + 1] * right
    return np.where(inside, upper * (1 - down) + lower * down, np.nan)


@pytest.mark.parametrize(
    ("place", "zones"),
    [((12.004, 45.0), (32632, 32633)), ((23.99, 71.0), (32634, 32635)), ((179.99, -17.0), (32760, 32701))],
)
def test_at_a_zones_edge_the_antimeridian_and_71_north_scenes_of_both_zones_fit(
    tmp_path: Path, place: tuple[float, float], zones: tuple[int, int]
) -> None:
    radar = Radar(tmp_path)
    rows, cols = np.indices((400, 400))
    smooth = (0.1 + 0.05 * np.sin((rows + 2 * cols) / 40)).astype(np.float32)
    for day, zone in enumerate(zones, start=1):
        x, y = Transformer.from_crs(4326, zone, always_xy=True).transform(*place)
        corner = Affine(10, 0, round(x) - 2003.7, 0, -10, round(y) + 2001.3)
        radar.add(f"2024-06-0{day}", crs=f"EPSG:{zone}", transform=corner, data=smooth, polarisations=("vv",))
    world = radar.world(f"{TOGETHER}, polarisations: [vv]", at=place)
    session = world.session()
    job = session.plan.jobs[0]
    assert len(job.items) == 2
    outcome = run_job(job, session.assignments()["sentinel1"], 1)
    layers, geobox = written(world, outcome), job.tile.geobox
    expected = [exact_bilinear(item, str(geobox.crs), geobox.transform) for item in radar.items]
    assert (layers["count"] == 2).mean() > 0.9
    np.testing.assert_array_equal(layers["count"], (~np.isnan(expected)).sum(axis=0))
    same(layers["vv"], reduced(expected))


def test_who_made_the_scenes_terrain_corrected_is_said_beside_copernicus(tmp_path: Path) -> None:
    """The Planetary Computer's RTC is under CC BY 4.0, by Catalyst; its items do not say so, its collection does."""
    radar = Radar(tmp_path)
    radar.add("2024-06-01", collection="sentinel-1-rtc")
    world = radar.world(f"{TOGETHER}, polarisations: [vv]")
    item = item_of(world, made(world)[1])
    said = item["properties"]
    assert "Contains modified Copernicus Sentinel data 2024" in said["attribution"]
    assert "Catalyst" in said["attribution"]
    assert {each["name"] for each in said["providers"]} >= {"European Union/ESA/Copernicus", "Catalyst", "Microsoft"}
    licences = {link["href"] for link in item["links"] if link["rel"] == "license"}
    assert "https://creativecommons.org/licenses/by/4.0/" in licences
    assert any("Sentinel_Data_Legal_Notice" in href for href in licences)
    radar.items[0]["collection"] = "tests-rtc"
    assert (
        "Catalyst"
        not in item_of(world, made(radar.world(f"{TOGETHER}, polarisations: [vv]"))[1])["properties"]["attribution"]
    )


def test_pixels_change_only_with_the_version(tmp_path: Path) -> None:
    """If this fails, pixels changed: raise VERSION and put the new digest here."""
    radar = Radar(tmp_path)
    for day, direction in enumerate(("ascending", "descending", "ascending"), start=1):
        radar.add(f"2024-06-{day:02d}", direction, 117 if direction == "ascending" else 66)
    layers, _ = made(radar.world("composite: median, speckle: {size_px: 3}"))
    digest = hashlib.sha256()
    for key in sorted(layers):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(layers[key]).tobytes())
    assert (VERSION, digest.hexdigest()[:16]) == (1, "0cdaf4b73e50aeeb")
