"""Laws of the scenes: numbers, classification, offsets and zones tell one consistent story of one ground."""

from __future__ import annotations

import hashlib
from datetime import date
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray
from pyproj import Transformer

from pipeline.demo import demo_truth
from pipeline.demo.scenes import Offset, Scene, outline, pixels, scenes

PX = 256
CLOUDS, SHADOW, GROUND = (8, 9, 10), 3, (4, 5, 6, 7)
OVERCAST = date(2024, 6, 16)
PIXELS_DIGEST = "86e4477e6c3f6513dc825b25750b91919467ec906d0b4945cd37ed53a9e6b2c9"


@lru_cache(maxsize=16)
def _made(scene: Scene) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    return pixels(scene)


def _scene(source: str, day: date, tile: str) -> Scene:
    return next(s for s in scenes(PX) if (s.source, s.seen_by.day, s.place.tile) == (source, day, tile))


def _reflectance(scene: Scene) -> NDArray[np.float64]:
    """(band, y, x), NaN where there are no data: what a right reader gets."""
    numbers = _made(scene)[0].astype(np.float64)
    shift = 1000 if scene.offset is Offset.IN_PIXELS else 0
    return np.where(numbers == 0, np.nan, (numbers - shift) / 10000)


def _centres(scene: Scene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    west, north = scene.corner
    step = np.arange(scene.px) * 10 + 5
    x, y = np.meshgrid(west + step, north - step)
    return x.astype(np.float64), y.astype(np.float64)


def _clear(scene: Scene, grow_px: int = 3) -> NDArray[np.bool_]:
    """At 10 m: no cloud, shadow or nodata within `grow_px` of the 20 m classification; every speck counts."""
    hidden = np.isin(_made(scene)[1], (0, SHADOW, *CLOUDS))
    side = 2 * grow_px + 1
    padded = np.pad(hidden, grow_px)
    grown = np.lib.stride_tricks.sliding_window_view(padded, (side, side)).any(axis=(2, 3))
    return ~np.repeat(np.repeat(grown, 2, axis=0), 2, axis=1)


def test_pixels_are_the_same_on_every_machine() -> None:
    """Pinned: fails when the world changes (raise world.VERSION then) and on a machine that rounds differently."""
    digest = hashlib.sha256()
    for scene in scenes(64):
        for values in pixels(scene):
            digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest() == PIXELS_DIGEST


@pytest.mark.parametrize("scene", scenes(PX), ids=lambda scene: f"{scene.source}-{scene.id}")
def test_number_is_0_exactly_where_class_is_0(scene: Scene) -> None:
    numbers, scl = _made(scene)
    gone = np.repeat(np.repeat(scl == 0, 2, axis=0), 2, axis=1)
    assert numbers.shape == (4, PX, PX) and numbers.dtype == np.uint16
    assert scl.shape == (PX // 2, PX // 2) and scl.dtype == np.uint8
    for band in numbers:
        np.testing.assert_array_equal(band == 0, gone)
    assert gone.any() == scene.seen_by.cut
    assert not gone.all()


@pytest.mark.parametrize(
    "scene",
    [scene for scene in scenes(PX) if scene.seen_by.day != OVERCAST],
    ids=lambda scene: f"{scene.source}-{scene.id}",
)
def test_clear_pixels_are_the_truth_within_noise(scene: Scene) -> None:
    """In every convention, once read rightly; a mask grown by 60 m leaves but the faintest edges of thin cloud."""
    clear = _clear(scene)
    assert clear.mean() > 0.1
    off = np.abs(_reflectance(scene) - demo_truth(*_centres(scene), f"EPSG:{scene.place.epsg}", scene.seen_by.day))
    assert np.quantile(off[:, clear], 0.5) < 0.0004
    assert np.quantile(off[:, clear], 0.9) < 0.0007
    assert off[:, clear].max() < 0.03


def test_clouds_are_bright_and_shadows_dark() -> None:
    seen = 0
    for scene in scenes(PX):
        scl = np.repeat(np.repeat(_made(scene)[1], 2, axis=0), 2, axis=1)
        got, truth = _reflectance(scene), demo_truth(*_centres(scene), f"EPSG:{scene.place.epsg}", scene.seen_by.day)
        thick, shade = scl == 9, scl == SHADOW
        if thick.sum() > 500 and shade.sum() > 500:
            seen += 1
            assert got[:, thick].min() > 0.3
            assert np.median(got[:, shade] / truth[:, shade]) < 0.9
            assert (got[:, shade] < truth[:, shade] + 0.02).all()
    assert seen >= 4


def test_classes_follow_the_ground() -> None:
    scene = _scene("s2", date(2024, 6, 21), "33TTK")
    scl = np.repeat(np.repeat(_made(scene)[1], 2, axis=0), 2, axis=1)
    _, green, red, nir = _reflectance(scene)
    ndvi = (nir - red) / (nir + red)
    assert np.median(ndvi[scl == 4]) > 0.5
    assert np.median(ndvi[scl == 5]) < 0.35
    assert np.median((green - nir)[scl == 6]) > 0


def test_cloud_cover_differs_from_nearly_none_to_nearly_all() -> None:
    cover = {}
    for scene in scenes(PX):
        scl = _made(scene)[1]
        cover[scene.seen_by.day] = float(np.isin(scl[scl > 0], CLOUDS).mean())
    assert min(cover.values()) < 0.05 and max(cover.values()) > 0.8
    assert sum(0.05 < share < 0.6 for share in cover.values()) >= 3


@pytest.mark.parametrize(
    ("day", "source", "conventions"),
    [
        (date(2024, 6, 1), "s2", {Offset.NONE, Offset.IN_PIXELS}),
        (date(2024, 6, 21), "s2", {Offset.REMOVED, Offset.IN_PIXELS}),
        (date(2024, 7, 11), "s2", {Offset.NONE, Offset.REMOVED}),
        (date(2024, 6, 13), "s2", {Offset.REMOVED}),
    ],
)
def test_zones_agree_where_they_overlap(day: date, source: str, conventions: set[Offset]) -> None:
    """The western scene, sampled at the nearest pixel from the eastern grid, shows the same ground on the same day."""
    west, east = _scene(source, day, "32TQQ"), _scene(source, day, "33TTK")
    assert {west.offset, east.offset} == conventions
    x, y = Transformer.from_crs(east.place.epsg, west.place.epsg, always_xy=True).transform(*_centres(east))
    column, row = (np.floor((x - west.corner[0]) / 10).astype(int), np.floor((west.corner[1] - y) / 10).astype(int))
    inside = (column >= 0) & (column < PX) & (row >= 0) & (row < PX) & _clear(east)
    inside[inside] = _clear(west)[row[inside], column[inside]]
    assert inside.sum() > 2000
    off = _reflectance(east)[:, inside] - _reflectance(west)[:, row[inside], column[inside]]
    assert np.abs(np.median(off)) < 0.0005, "no step between the scenes"
    assert np.quantile(np.abs(off), 0.9) < 0.03, "only edges within half a pixel differ"


def test_archives_show_the_same_ground() -> None:
    """The second collection, read with its own convention, equals the first where both look."""
    first, second = _scene("s2", date(2024, 7, 11), "33TTK"), _scene("s2_c1", date(2024, 7, 11), "33TTK")
    shift = (second.corner[0] - first.corner[0]) // 10
    assert first.corner[1] == second.corner[1] and shift < 0
    one, two = _reflectance(first)[:, :, :shift], _reflectance(second)[:, :, -shift:]
    off = np.abs(one - two)
    assert np.quantile(off, 0.99) < 0.002


def test_outline_holds_what_is_valid() -> None:
    """Its area is that of the valid pixels; a cut scene's outline is smaller than its square."""
    for scene in scenes(PX):
        x, y = (np.array(axis) for axis in zip(*outline(scene), strict=True))
        area = float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)
        valid = np.count_nonzero(_made(scene)[1]) * 400.0
        assert area == pytest.approx(valid, rel=0.005), scene.id
        assert (area < (PX * 10) ** 2 - 1) == scene.seen_by.cut


def test_one_pass_is_missing_in_one_zone_and_orbits_are_consistent() -> None:
    tiles: dict[date, set[str]] = {}
    for scene in scenes(PX):
        if scene.source == "s2":
            tiles.setdefault(scene.seen_by.day, set()).add(scene.place.tile)
        days = (scene.seen_by.day - date(2024, 6, 1)).days
        phase = {("S2B", 22): 0, ("S2A", 22): 5, ("S2A", 122): 2, ("S2B", 122): 7}
        assert days % 10 == phase[scene.seen_by.satellite, scene.seen_by.orbit], scene.id
    assert sorted(map(len, tiles.values())) == [1, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("px", [0, -64, 100])
def test_a_size_that_does_not_fit_is_refused(px: int) -> None:
    with pytest.raises(ValueError, match=f"px={px}; expected a positive multiple of 64"):
        scenes(px)
