"""Calibration and noise annotations in ESA's schema, and what they mean for every pixel, by NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.read.grd import ORIGINAL, SHAPE

Floats = NDArray[np.float64]

LINES = np.array([0.0, 3000, 6000, 9000, 12000, 15000, 18000])
"""The last one lies beyond the image, as in real annotations."""
SAMPLES = np.append(np.arange(0.0, ORIGINAL[1] - 1, 400), ORIGINAL[1] - 1)
NOISE_LINES = np.array([0.0, 5000, 10000, 17000])
NOISE_SAMPLES = np.append(np.arange(0.0, ORIGINAL[1] - 1, 900), ORIGINAL[1] - 1)
SWATHS = ((0, 8888), (8889, 17000), (17001, ORIGINAL[1] - 1))
AZIMUTH_LINES = np.append(np.arange(0.0, ORIGINAL[0] - 1, 70), ORIGINAL[0] - 1)


def gain(line: Floats, sample: Floats) -> Floats:
    """About what sigmaNought is; bent along samples, and a little along lines."""
    return 320 + 40 * np.sin(sample / 9000) + line / 500


SCALES = {"gamma0": 0.95, "sigma0": 1.0, "beta0": 0.8}
ELEMENTS = {"gamma0": "gamma", "sigma0": "sigmaNought", "beta0": "betaNought"}


def noise(line: Floats, sample: Floats) -> Floats:
    return 900 + 300 * np.cos(sample / 2500) + line / 100


def scallop(swath: int, line: Floats) -> Floats:
    return 1 + 0.1 * np.sin(line / 200 + swath)


def expected_gain(backscatter: str) -> Floats:
    """The table at every pixel of the decimated scene, linear between its lines and samples."""
    values = SCALES[backscatter] * gain(*np.meshgrid(LINES, SAMPLES, indexing="ij"))
    return _linear(LINES, SAMPLES, np.array([[float(f"{each:.6e}") for each in row] for row in values]))


def expected_noise() -> Floats:
    """The noise at every pixel of the decimated scene, in squared amplitudes."""
    along = _linear(NOISE_LINES, NOISE_SAMPLES, noise(*np.meshgrid(NOISE_LINES, NOISE_SAMPLES, indexing="ij")))
    lines, samples = image()
    for number, (first, last) in enumerate(SWATHS):
        factor = np.interp(lines, AZIMUTH_LINES, scallop(number, AZIMUTH_LINES))
        inside = (samples >= first - 0.5) & (samples < last + 0.5)
        along[:, inside] *= factor[:, None]
    return along


def image() -> tuple[Floats, Floats]:
    """Original lines and samples of the decimated scene's rows and columns."""
    rows, cols = ((np.arange(side) + 0.5) * whole / side - 0.5 for side, whole in zip(SHAPE, ORIGINAL, strict=True))
    return rows, cols


def _linear(lines: Floats, samples: Floats, values: Floats) -> Floats:
    rows, cols = image()
    wide = np.stack([np.interp(cols, samples, line) for line in values])
    return np.stack([np.interp(rows, lines, column) for column in wide.T], -1)


def write_calibration(path: Path) -> Path:
    """All four tables."""
    vectors = [
        _vector(
            "calibrationVector",
            line,
            SAMPLES,
            {ELEMENTS[name]: scale * gain(np.full_like(SAMPLES, line), SAMPLES) for name, scale in SCALES.items()}
            | {"dn": np.full_like(SAMPLES, 237.0)},
        )
        for line in LINES
    ]
    return _write(path, "calibration", [_list("calibrationVectorList", vectors)])


def write_noise(path: Path, scale: float = 1.0) -> Path:
    """As since IPF 2.9: along range, and along azimuth for each swath."""
    along = [
        _vector(
            "noiseRangeVector",
            line,
            NOISE_SAMPLES,
            {"noiseRangeLut": scale * noise(np.full_like(NOISE_SAMPLES, line), NOISE_SAMPLES)},
        )
        for line in NOISE_LINES
    ]
    blocks = [_block(number, first, last) for number, (first, last) in enumerate(SWATHS)]
    lists = [_list("noiseRangeVectorList", along), _list("noiseAzimuthVectorList", blocks)]
    return _write(path, "noise", lists)


def write_old_noise(path: Path) -> Path:
    """As before IPF 2.9: along range only, under other names."""
    along = [
        _vector(
            "noiseVector", line, NOISE_SAMPLES, {"noiseLut": noise(np.full_like(NOISE_SAMPLES, line), NOISE_SAMPLES)}
        )
        for line in NOISE_LINES
    ]
    return _write(path, "noise", [_list("noiseVectorList", along)])


def _block(number: int, first: int, last: int) -> str:
    return (
        f"<noiseAzimuthVector><swath>IW{number + 1}</swath><firstAzimuthLine>0</firstAzimuthLine>"
        f"<firstRangeSample>{first}</firstRangeSample><lastAzimuthLine>{ORIGINAL[0] - 1}</lastAzimuthLine>"
        f"<lastRangeSample>{last}</lastRangeSample>{_numbers('line', AZIMUTH_LINES, '.0f')}"
        f"{_numbers('noiseAzimuthLut', scallop(number, AZIMUTH_LINES))}</noiseAzimuthVector>"
    )


def _vector(name: str, line: float, samples: Floats, tables: dict[str, Floats]) -> str:
    parts = "".join(_numbers(table, values) for table, values in tables.items())
    time = "<azimuthTime>2018-07-16T00:40:42.000000</azimuthTime>"
    return f"<{name}>{time}<line>{line:.0f}</line>{_numbers('pixel', samples, '.0f')}{parts}</{name}>"


def _numbers(name: str, values: Sequence[float] | Floats, form: str = ".6e") -> str:
    return f'<{name} count="{len(values)}">{" ".join(format(float(each), form) for each in values)}</{name}>'


def _list(name: str, parts: list[str]) -> str:
    return f'<{name} count="{len(parts)}">{"".join(parts)}</{name}>'


def _write(path: Path, root: str, parts: list[str]) -> Path:
    header = "<adsHeader><missionId>S1A</missionId><polarisation>VV</polarisation><mode>IW</mode></adsHeader>"
    path.write_text(f'<?xml version="1.0" encoding="UTF-8"?><{root}>{header}{"".join(parts)}</{root}>')
    return path
