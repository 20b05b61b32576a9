"""Seawater by TEOS-10: depth, absolute salinity, conservative temperature, density anomaly.

Source: IOC, SCOR and IAPSO 2010, "The international thermodynamic equation of seawater", through its reference library
GSW. All take numbers or arrays that broadcast, compute in float64, and give NaN where an input, or what comes out, is
not finite.
"""

from __future__ import annotations

from dataclasses import dataclass

import gsw
import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]

_LEAST_DBAR, _GREATEST_DBAR = -100.0, 12_000.0
"""Sensors drift some dbar below zero; the deepest place of all oceans has 11 200 dbar."""


@dataclass(frozen=True)
class Seawater:
    """What equation-of-state work starts from; arrays of one shape."""

    absolute_salinity: Doubles
    """g/kg."""
    conservative_temperature: Doubles
    """degC."""
    sigma0: Doubles
    """Potential density at 0 dbar minus 1000, kg/m3."""


def depth_m(pressure_dbar: ArrayLike, latitude: ArrayLike) -> Doubles:
    """Depth below the surface in metres, positive down, of a sea pressure in dbar at a latitude in degrees north.

    NaN also for pressures that no sea has, below -100 or above 12 000 dbar.
    """
    pressure, north = _finite(pressure_dbar, latitude)
    real = (pressure >= _LEAST_DBAR) & (pressure <= _GREATEST_DBAR)
    return -_quiet(gsw.z_from_p, np.where(real, pressure, np.nan), north)


def absolute_salinity(psal: ArrayLike, pressure_dbar: ArrayLike, longitude: ArrayLike, latitude: ArrayLike) -> Doubles:
    """Absolute salinity in g/kg of a practical salinity (PSS-78); it depends on the place, as waters differ."""
    return _quiet(gsw.SA_from_SP, *_finite(psal, pressure_dbar, longitude, latitude))


def conservative_temperature(salinity: ArrayLike, temperature: ArrayLike, pressure_dbar: ArrayLike) -> Doubles:
    """Conservative temperature in degC of absolute salinity (g/kg) and in-situ temperature (degC, ITS-90)."""
    return _quiet(gsw.CT_from_t, *_finite(salinity, temperature, pressure_dbar))


def sigma0(salinity: ArrayLike, conservative: ArrayLike) -> Doubles:
    """Potential density anomaly in kg/m3 at 0 dbar of absolute salinity and conservative temperature."""
    return _quiet(gsw.sigma0, *_finite(salinity, conservative))


def seawater(
    pressure_dbar: ArrayLike, temperature: ArrayLike, psal: ArrayLike, longitude: ArrayLike, latitude: ArrayLike
) -> Seawater:
    """All three of what a float measured; longitude and latitude in degrees east and north."""
    salinity = absolute_salinity(psal, pressure_dbar, longitude, latitude)
    conservative = conservative_temperature(salinity, temperature, pressure_dbar)
    return Seawater(salinity, conservative, sigma0(salinity, conservative))


def _finite(*values: ArrayLike) -> list[Doubles]:
    """float64 arrays of one shape, NaN in all where any is not finite: no infinity may come back as a number."""
    arrays = np.broadcast_arrays(*(np.asarray(value, np.float64) for value in values))
    known = np.logical_and.reduce([np.isfinite(array) for array in arrays])
    return [np.where(known, array, np.nan) for array in arrays]


def _quiet(function: object, *values: Doubles) -> Doubles:
    with np.errstate(all="ignore"):
        made = function(*values)  # type: ignore[operator]
    return np.where(np.isfinite(made), made, np.nan)
