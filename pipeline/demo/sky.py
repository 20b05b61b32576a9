"""What stands between the ground and the satellite: clouds, their shadows, and the classes a scene reports of them.

The sky of a day is a function of the same places as the ground, so all scenes of one pass see one sky. Fields are
float32, (y, x); clouds live on the 20 m grid of the scene classification (SCL) and are smooth between its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.land import Land
from pipeline.demo.noise import Field, clouded, hashed, noise, ramp, share

_CLOUD = (0.62, 0.61, 0.60, 0.66)
_SHADE = (0.45, 0.50, 0.56, 0.62)
"""How much of its light a place loses in full shadow, by band: blue sky light still reaches it."""
_SUN = (0.5, -0.866)
"""Where the sun stands at ten past ten UTC in June: azimuth 150 degrees, elevation 63."""
_SHADOW_M_PER_HEIGHT_M = 0.51
_ROOF = 0.17
"""Blue reflectance over 20 m from which the classifier may take a roof for a cloud."""


@dataclass(frozen=True)
class Sky:
    """One day's weather; the lower the threshold, the more of the sky is covered."""

    seed: int
    clear_below: float
    """Clouds stand where the day's noise (mean 0.5) passes this."""
    height_m: float = 1400.0
    veil_below: float = 1.0
    """High thin cloud where its own noise passes this; 1: none."""


@dataclass(frozen=True)
class Weather:
    """The sky over one scene at 20 m: opacity of clouds and depth of shadows, both 0..1, and clouds' brightness."""

    opacity: Field
    shadow: Field
    shine: Field


def weather(sky: Sky, x: Field, y: Field) -> Weather:
    """The sky over places (metres east and north of the ground's origin), seen from straight above."""
    reach = np.float32(sky.height_m * _SHADOW_M_PER_HEIGHT_M)
    body = clouded(x, y, 1700, sky.seed, 6)
    thick = ramp(body, sky.clear_below, sky.clear_below + 0.10)
    toward_sun = clouded(x + reach * np.float32(_SUN[0]), y + reach * np.float32(_SUN[1]), 1700, sky.seed, 6)
    veil = np.zeros_like(thick)
    if sky.veil_below < 1:
        streaks = noise(0.25 * x + 0.2 * y, y - 0.8 * x, 900, sky.seed + 7)
        streaks = 0.7 * streaks + 0.3 * clouded(x, y, 500, sky.seed + 8, 4)
        veil = 0.22 * ramp(streaks, sky.veil_below, sky.veil_below + 0.15)
    shine = 0.72 + 1.3 * np.clip(body - np.float32(sky.clear_below), 0, np.float32(0.3))
    shadow = ramp(toward_sun, sky.clear_below + 0.02, sky.clear_below + 0.09)
    return Weather(thick + veil * (1 - thick), shadow, shine)


def seen(ground: Field, over: Weather) -> Field:
    """Reflectance (band, y, x) at 10 m as the satellite sees it: ground in shadow, behind cloud. over: at 20 m."""
    return seen_alike(ground, Weather(*(_doubled(field) for field in (over.opacity, over.shadow, over.shine))))


def seen_alike(ground: Field, over: Weather) -> Field:
    """The same with ground and sky on one grid."""
    out = np.empty_like(ground)
    for band in range(len(ground)):
        lit = ground[band] * (1 - np.float32(_SHADE[band]) * over.shadow)
        out[band] = lit + (np.float32(_CLOUD[band]) * over.shine - lit) * over.opacity
    return out


def classify(land: Land, ground: Field, over: Weather, gone: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Scene classification at 20 m: cloud over shadow over ground, 0 where `gone`; wrong where the real one errs.

    As in life it is too shy at the edges of clouds and shadows, and takes some bright roofs for cloud: a mask has to
    drop single pixels (opening) and grow (dilation). land, ground: at 10 m.
    """
    blue, red, nir = (_halved(ground[band]) for band in (0, 2, 3))
    greenness = (nir - red) / (nir + red)
    scl = np.where(greenness > np.float32(0.42), np.uint8(4), np.uint8(5))
    scl[(greenness > np.float32(0.30)) & (greenness <= np.float32(0.33))] = 7
    scl[_halved(land.water) > 0.5] = 6
    rows, columns = (np.arange(side) for side in scl.shape)
    mistaken = share(hashed(columns[None, :], rows[:, None], 31)) < 0.25
    scl[(blue > np.float32(_ROOF)) & mistaken] = 8
    scl[over.shadow > np.float32(0.08)] = 3
    for above, code in ((0.004, 7), (0.03, 10), (0.30, 8), (0.75, 9)):
        scl[over.opacity > np.float32(above)] = code
    scl[gone] = 0
    return scl


def _halved(field: Field) -> Field:
    """Mean of every 2 x 2 pixels."""
    return (field[0::2, 0::2] + field[0::2, 1::2] + field[1::2, 0::2] + field[1::2, 1::2]) * np.float32(0.25)


def _doubled(field: Field) -> Field:
    """Twice the pixels in both directions, linear between old centres, flat beyond the outermost."""
    for axis in (0, 1):
        padded = np.pad(field, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        middle, before, after = (np.take(padded, range(k, k + field.shape[axis]), axis) for k in (1, 0, 2))
        pair = [np.float32(0.75) * middle + np.float32(0.25) * side for side in (before, after)]
        shape = (field.shape[0] * 2, field.shape[1]) if axis == 0 else (field.shape[0], field.shape[1] * 2)
        field = np.stack(pair, axis + 1).reshape(shape)
    return field
