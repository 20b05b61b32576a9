"""The Zarr store of a grid: its axes, its variables and what they mean, in CF's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.argo_grid import Cells
from pipeline.ops.argo_layers import SURFACE_DBAR
from pipeline.products._argo_grid_config import ArgoGridConfig
from pipeline.products._argo_grid_gather import Sums
from pipeline.types import Job, Json, Rights
from pipeline.write.zarr_attributes import TIME_UNITS
from pipeline.write.zarr_grid import CHUNK_NUMBERS, Coordinate, GridStore, GridVariable

STATISTICS = ("count", "std", "sem")
"""Suffixes of what stands beside each mean."""
_MEANINGS: Mapping[str, tuple[str, str, str]] = {
    "ct": ("degree_C", "Conservative Temperature (TEOS-10)", "sea_water_conservative_temperature"),
    "sa": ("g kg-1", "Absolute Salinity (TEOS-10)", "sea_water_absolute_salinity"),
    "sigma0": ("kg m-3", "Potential density at 0 dbar minus 1000 kg m-3 (TEOS-10)", "sea_water_sigma_theta"),
    "temp": ("degree_C", "In-situ temperature (ITS-90)", "sea_water_temperature"),
    "psal": ("1", "Practical salinity (PSS-78)", "sea_water_practical_salinity"),
    "doxy": ("umol kg-1", "Dissolved oxygen", "moles_of_oxygen_per_unit_mass_in_sea_water"),
    "chla": ("mg m-3", "Chlorophyll a", "mass_concentration_of_chlorophyll_a_in_sea_water"),
    "nitrate": ("umol kg-1", "Nitrate", "moles_of_nitrate_per_unit_mass_in_sea_water"),
    "ph_in_situ_total": ("1", "pH, in situ, total scale", "sea_water_ph_reported_on_total_scale"),
}
"""Unit, long name and CF standard name."""


def begin_store(folder: Path, job: Job, config: ArgoGridConfig, cells: Cells, rights: Rights) -> GridStore:
    """A store for the months, levels, latitudes and longitudes of a job. Raises OutputError."""
    attributes = {
        "title": f"{job.product} {job.tile.id} {job.period.id}",
        "license": rights.license,
        "attribution": rights.attribution,
        "source": f"Argo profiles of {config.kind} files, {config.profiles}",
        "comment": f"Monotone cubic interpolation between levels at most {config.max_gap_dbar:g} dbar or "
        f"{config.max_gap_fraction:.0%} of the pressure apart, nothing beyond a profile's levels; cells hold their "
        "western and southern edges; standard errors take profiles for independent of each other.",
    }
    axes = coordinates(job, config, cells)
    return GridStore(folder, axes, list(variables(config)), attributes, months_together(config, cells))


def months_together(config: ArgoGridConfig, cells: Cells) -> int:
    """How many months lie in one chunk: one, but for small regions."""
    return min(cells.months, max(1, CHUNK_NUMBERS // (cells.rows * cells.columns * len(config.levels_dbar))))


def coordinates(job: Job, config: ArgoGridConfig, cells: Cells) -> dict[str, Coordinate]:
    """Axes with their bounds: months (cut where the period is), pressures, centres of cells."""
    half = cells.side / 2
    months = cells.month.astype("datetime64[s]").astype(np.int64)
    ends = (cells.month + 1).astype("datetime64[s]").astype(np.int64)
    start, end = (_seconds(moment) for moment in (job.period.start, job.period.end))
    bounds = np.stack([np.maximum(months, start), np.minimum(ends, end)], axis=1)
    sides = np.array([-half, half])
    time = {"standard_name": "time", "axis": "T", "units": TIME_UNITS, "calendar": "proleptic_gregorian"}
    down = {"standard_name": "sea_water_pressure", "axis": "Z", "units": "dbar", "positive": "down"}
    north = {"standard_name": "latitude", "axis": "Y", "units": "degrees_north", "bounds": "latitude_bnds"}
    east = {"standard_name": "longitude", "axis": "X", "units": "degrees_east", "bounds": "longitude_bnds"}
    return {
        "time": Coordinate(("time",), bounds[:, 0], {**time, "long_name": "start of the month", "bounds": "time_bnds"}),
        "time_bnds": Coordinate(("time", "bnds"), bounds),
        "pressure": Coordinate(("pressure",), np.asarray(config.levels_dbar, np.float64), down),
        "latitude": Coordinate(("latitude",), cells.latitude, north),
        "latitude_bnds": Coordinate(("latitude", "bnds"), cells.latitude[:, None] + sides),
        "longitude": Coordinate(("longitude",), cells.longitude, east),
        "longitude_bnds": Coordinate(("longitude", "bnds"), cells.longitude[:, None] + sides),
    }


def _seconds(moment: datetime | None) -> int:
    if moment is None:
        raise ValueError("a grid of months needs a period with start and end")
    return int(moment.timestamp())


def variables(config: ArgoGridConfig) -> Iterator[GridVariable]:
    """Mean, count, standard deviation and standard error of everything; profiles and floats of each cell."""
    flat = ("time", "latitude", "longitude")
    deep = ("time", "pressure", "latitude", "longitude")
    for name in config.variables:
        yield from _four(name, deep, _said(name))
    for name in config.columns_of_water:
        yield from _four(name, flat, _of_column(name, config))
    for name, text in (("profiles", "Profiles in the cell"), ("floats", "Floats that profiled in the cell")):
        yield GridVariable(name, flat, "int32", {"long_name": text, "units": "1"})


def _said(name: str) -> dict[str, Json]:
    if name not in _MEANINGS:
        return {"long_name": name.upper()}
    unit, text, standard = _MEANINGS[name]
    return {"long_name": text, "standard_name": standard, "units": unit}


def _of_column(name: str, config: ArgoGridConfig) -> dict[str, Json]:
    layer = config.mixed_layer
    if layer is not None and name == "mld":
        return {
            "long_name": "Mixed-layer depth",
            "standard_name": "ocean_mixed_layer_thickness_defined_by_sigma_theta",
            "units": "m",
            "comment": f"Where sigma0 is {layer.density_kg_m3:g} kg m-3 above that at {layer.reference_dbar:g} dbar; "
            "linear between levels",
        }
    limits = dict(zip(config.columns_of_water[-len(config.heat_content) :], config.heat_content, strict=True))
    top, bottom = limits[name]
    return {
        "long_name": f"Ocean heat content from {top:g} to {bottom:g} dbar, against 0 degree_C",
        "units": "J m-2",
        "comment": "cp0 / g times the integral of Conservative Temperature over pressure (TEOS-10); a first level down "
        f"to {SURFACE_DBAR:g} dbar stands for what is above it",
    }


def _four(name: str, dims: tuple[str, ...], said: Mapping[str, Json]) -> Iterator[GridVariable]:
    beside = " ".join(f"{name}_{each}" for each in STATISTICS)
    text = said["long_name"]
    unit = {"units": said["units"]} if "units" in said else {}
    mean = {**said, "cell_methods": "area: time: mean", "ancillary_variables": beside}
    yield GridVariable(name, dims, "float32", mean)
    count = {"long_name": f"{text}: profiles", "standard_name": "number_of_observations", "units": "1"}
    yield GridVariable(f"{name}_count", dims, "int32", count)
    spread = {"long_name": f"{text}: standard deviation (n - 1)", "cell_methods": "area: time: standard_deviation"}
    yield GridVariable(f"{name}_std", dims, "float32", {**spread, **unit})
    yield GridVariable(f"{name}_sem", dims, "float32", {"long_name": f"{text}: standard error of the mean", **unit})


def layers_of(sums: Sums, months: tuple[int, int], cells: Cells) -> Iterator[tuple[str, NDArray[Any]]]:
    """Every statistic of some months by name: (month, pressure, latitude, longitude), or without pressure.

    months: the first, and the one after the last.
    """
    a_month, count = cells.rows * cells.columns, months[1] - months[0]
    low, high = np.searchsorted(sums.cells, [months[0] * a_month, months[1] * a_month])
    month, place = np.divmod(sums.cells[low:high] - months[0] * a_month, a_month)
    for name, moments in sums.moments.items():
        parts: dict[str, NDArray[Any]] = {
            "": moments.means,
            "_count": moments.count,
            "_std": moments.deviations,
            "_sem": moments.errors,
        }
        for suffix, values in parts.items():
            dtype, fill = (np.int32, 0) if suffix == "_count" else (np.float32, np.nan)
            dense = np.full((count, values.shape[1], a_month), fill, dtype)
            dense[month, :, place] = values[low:high]
            shaped = dense.reshape(count, -1, cells.rows, cells.columns)
            yield name + suffix, shaped[:, 0] if name in sums.flat else shaped


def tally(cell: NDArray[np.int64], months: tuple[int, int], cells: Cells) -> NDArray[np.int32]:
    """(month, latitude, longitude): how often the cells of some months occur."""
    a_month, count = cells.rows * cells.columns, months[1] - months[0]
    mine = cell[(cell >= months[0] * a_month) & (cell < months[1] * a_month)] - months[0] * a_month
    found = np.bincount(mine, minlength=count * a_month)
    return found.astype(np.int32).reshape(count, cells.rows, cells.columns)
