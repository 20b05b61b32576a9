"""The water of the demo world's lake, far deeper than it looks, and what the sensors of a float make of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import numpy as np
from numpy.typing import NDArray

from pipeline.demo.argo_file import FILL, Column
from pipeline.demo.noise import Field, hashed, ramp, share

Pressure = NDArray[np.float32]
OFFSET_DBAR = 0.4
"""How much too deep a float believes to be; delayed mode takes it out."""
DRIFT_PER_CYCLE = 0.004
"""How much saltier a conductivity cell finds the same water from cycle to cycle; delayed mode takes it out too."""
_ERRORS = {"PRES": 2.4, "TEMP": 0.002, "PSAL": 0.01, "DOXY": 4.0, "CHLA": 0.1}
_DIGITS = {"PRES": 10, "TEMP": 1000, "PSAL": 1000, "DOXY": 100, "CHLA": 1000}


def demo_water(pres: Pressure, day: date) -> dict[str, Field]:
    """True TEMP (degree Celsius), PSAL, DOXY (micromole/kg) and CHLA (mg/m3) at pressures (dbar) on a day."""
    p = np.asarray(pres, np.float32)
    warmth = np.float32(8) + np.float32(5) * ramp(np.full_like(p, day.timetuple().tm_yday), 152, 213)
    temp = np.float32(13.2) + warmth * ramp(p, 70, 9) + np.float32(1.2) * ramp(p, 700, 70)
    psal = np.float32(37.6) + ramp(p, 10, 250) - np.float32(0.25) * ramp(p, 250, 1800)
    doxy = np.float32(230) - np.float32(50) * ramp(p, 40, 350) + np.float32(15) * ramp(p, 350, 1500)
    chla = np.float32(0.05) + np.float32(1.2) * ramp(p, 5, 45) * ramp(p, 110, 55)
    return {"TEMP": temp, "PSAL": psal, "DOXY": doxy, "CHLA": chla}


def pressures(wmo: int, cycle: int, *, near_surface: bool = False) -> Pressure:
    """Where a float measures, in tenths of a dbar from the surface to 2000 dbar; no two cycles alike."""
    if near_surface:
        tenths = np.arange(3, 100, 9)
    else:
        steps = ((10, 200, 10), (200, 2000, 50), (2000, 10_000, 500), (10_000, 20_001, 1000))
        tenths = np.concatenate([np.arange(*step) for step in steps])
    jitter = hashed(np.full(tenths.size, cycle), tenths, wmo) % np.uint32(6)
    return ((tenths + jitter.astype(np.int64)) / 10).astype(np.float32)


def sampled(where: Pressure, day: date, cycle: int, modes: Mapping[str, str]) -> dict[str, Column]:
    """What one profile holds. where: true pressures; modes: R, A or D of each parameter.

    Delayed mode is the truth, rounded to what is stored. Real time has the float's offset and drift; one temperature is
    a spike (flag 4: no adjusted value), one salinity is doubted (flag 3). Adjusted in real time: the offset only.
    """
    truth = {"PRES": where, **demo_water(where, day)}
    spike, doubted = (int(hashed(np.array([cycle]), np.array([where.size]), seed)[0]) % where.size for seed in (51, 52))
    columns = {}
    for name, mode in modes.items():
        raw, wrong = truth[name].astype(np.float64), np.zeros(where.size, bool)
        if name == "PRES":
            raw = raw + OFFSET_DBAR
        elif name == "PSAL":
            raw = raw + DRIFT_PER_CYCLE * cycle
        elif name == "TEMP":
            wrong[spike] = True
            raw[spike] += 6
        adjusted = truth[name] if mode == "D" or name == "PRES" else raw
        qc = np.where(wrong, "4", "1")
        if name == "PSAL":
            qc[doubted] = "3"
        columns[name] = _column(name, mode, _rounded(name, raw), _rounded(name, adjusted), "".join(qc))
    return columns


def _column(name: str, mode: str, raw: Pressure, adjusted: Pressure, qc: str) -> Column:
    """By mode: without adjusted values, with them, or with them and their errors and no value where the flag is 4."""
    if mode == "R":
        return Column(raw, qc)
    if mode == "A":
        return Column(raw, qc, adjusted, qc, mode="A")
    bad = np.array([flag == "4" for flag in qc])
    settled = qc.replace("3", "1")
    error = np.where(bad, FILL, _ERRORS[name])
    return Column(raw, qc, np.where(bad, FILL, adjusted), settled, error, mode="D")


def _rounded(name: str, values: NDArray[np.floating]) -> Pressure:
    """To the digits that are stored; exact, so the same on every machine."""
    digits = _DIGITS[name]
    return (np.rint(np.asarray(values, np.float64) * digits) / digits).astype(np.float32)


def places(wmo: int, cycle: int) -> tuple[float, float]:
    """Metres east and north of the ground's origin where a float comes up: within 300 m of the lake's middle."""
    h = hashed(np.array([cycle // 2]), np.array([wmo]), 53)[0]
    return 1300 + 600 * (float(share(h)) - 0.5), 1240 + 400 * (float(share(h, 12)) - 0.5)
