"""Profiles in a file of their own: CF's discrete sampling geometry in NetCDF, or the same as Zarr."""

from __future__ import annotations

import math
import os
from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.errors import OutputError
from pipeline.products._argo_lazy import CHUNK_NUMBERS
from pipeline.write.zarr import consolidate

if TYPE_CHECKING:
    import xarray as xr

_SINCE = "seconds since 1950-01-01T00:00:00Z"
"""Argo's own reference date."""


def save_netcdf(profiles: xr.Dataset, path: Path | str) -> Path:
    """Profiles as a NetCDF-4 file of CF's featureType profile, in the incomplete multidimensional representation.

    profiles: of `open_profiles`, or any part of it. Chunks are computed and written one after the other, under a name
    of their own until the file is whole. Source: CF-1.11, 9.3.2 and H.3.2. Raises OutputError where it cannot be
    written, and what computing raises.
    """
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    described = _described(profiles)
    try:
        described.to_netcdf(part, format="NETCDF4", engine="netcdf4", encoding=_encoding(described))
        part.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: could not be written: {error}") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def save_zarr(profiles: xr.Dataset, path: Path | str) -> Path:
    """The same Dataset as a Zarr v3 store, in chunks of equal size; `xarray.open_zarr` gives it back.

    Raises OutputError where something is there already, or it cannot be written.
    """
    target = Path(path)
    if target.exists():
        raise OutputError(f"{target}: something is there already; remove it, or choose another place")
    described = _described(profiles)
    for variable in described.variables.values():
        variable.encoding = {}
        if variable.dtype.kind == "U":  # Zarr v3 has text of any length, and no other
            variable.data = variable.values.astype(object)
    try:
        described.to_zarr(target, zarr_format=3, consolidated=False, encoding=_time(described))
        consolidate(target)
    except OSError as error:
        raise OutputError(f"{target}: could not be written: {error}") from error
    return target


def _described(profiles: xr.Dataset) -> xr.Dataset:
    """With what CF asks for: an id of each profile, axes, and the pressure as vertical coordinate."""
    size = max(1, CHUNK_NUMBERS // max(1, profiles.sizes["level"]))
    found = profiles.copy().chunk(profile=size, level=-1) if profiles.chunks else profiles.copy()
    found = found.assign_coords(PROFILE_ID=("profile", _ids(profiles), {"cf_role": "profile_id"}))
    for name, axis in (("TIME", "T"), ("LATITUDE", "Y"), ("LONGITUDE", "X"), ("PRES", "Z")):
        if name in found:
            found[name].attrs["axis"] = axis
    if "PRES" in found:
        found["PRES"].attrs["positive"] = "down"
        found = found.set_coords("PRES")
    return found.assign_attrs(Conventions="CF-1.11", featureType="profile")


def _ids(profiles: xr.Dataset) -> Any:
    names = ("PLATFORM_NUMBER", "CYCLE_NUMBER", "DIRECTION", "KIND", "PROFILE_INDEX")
    rows = zip(*(profiles[name].values.tolist() for name in names), strict=True)
    return np.array(["{}_{:03d}{}_{}_{}".format(*row) for row in rows], np.str_).reshape(profiles.sizes["profile"])


def _encoding(profiles: xr.Dataset) -> dict[Hashable, dict[str, Any]]:
    made: dict[Hashable, dict[str, Any]] = {}
    for name, variable in profiles.variables.items():
        if variable.dtype.kind == "U":
            made[name] = {"dtype": "S1"}
        elif variable.dtype.kind in "if":
            fill = math.nan if variable.dtype.kind == "f" else None
            made[name] = {"zlib": True, "complevel": 1, "shuffle": True, "_FillValue": fill}
            if variable.ndim == 2 and variable.chunks:
                made[name]["chunksizes"] = tuple(max(1, *sizes) for sizes in variable.chunks)
    return {**made, **_time(profiles)}


def _time(profiles: xr.Dataset) -> dict[Hashable, dict[str, Any]]:
    there = [name for name, variable in profiles.variables.items() if variable.dtype.kind == "M"]
    return {name: {"units": _SINCE, "dtype": "float64", "_FillValue": math.nan} for name in there}
