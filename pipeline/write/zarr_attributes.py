"""What a Zarr store says of its numbers, place and time, in the words that readers know: CF and GeoZarr. Pure.

CF: https://cfconventions.org/cf-conventions/cf-conventions.html (1.11). GeoZarr: the conventions `proj` and `spatial`,
https://github.com/zarr-conventions, which stand beside CF until readers have settled on them.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from odc.geo.geobox import GeoBox
from pyproj import CRS

from pipeline.errors import OutputError
from pipeline.types import Band, Json, Period

TIME_UNITS = "seconds since 1970-01-01T00:00:00Z"
STANDARD_NAMES = {"reflectance": "surface_bidirectional_reflectance"}
"""CF standard name by role of a band."""
_CONVENTIONS = "https://github.com/zarr-conventions"
_SCHEMAS = "https://raw.githubusercontent.com/zarr-conventions"
_GEOZARR = {
    "proj": ("f17cb550-5864-4468-aeb7-f3180cfb622f", "Coordinate reference system information for geospatial data"),
    "spatial": ("689b58e2-cf7b-45e0-9fff-9cfc0883d6b4", "Spatial coordinate information"),
}
"""Identifier and description by name, of version 0.1."""


@dataclass(frozen=True)
class Extent:
    """Where a store is, and when."""

    geobox: GeoBox
    period: Period | None = None
    """None, or without bounds: timeless."""
    days: tuple[date, ...] = ()
    """Of a time series, ascending."""
    days_are: str = "solar day"
    """What a day stands for."""


Variable = tuple[tuple[str, ...], npt.NDArray[Any], dict[str, Json]]
"""Dimensions, values and attributes."""


def band_attributes(band: Band, coordinates: Iterable[str]) -> dict[str, Json]:
    """CF attributes of a band; `_FillValue` as xarray writes it for Zarr v3: a number, for floats the bytes in base64.

    In Zarr v3 the array's own `fill_value` stands for what was never written, and xarray masks by `_FillValue` alone.
    """
    described: dict[str, Json] = {
        "long_name": band.description or band.name,
        "units": band.unit,
        "grid_mapping": "spatial_ref",
        "coordinates": " ".join(coordinates),
    }
    if band.nodata is not None:
        described["_FillValue"] = _fill(band.nodata, np.dtype(band.dtype))
    if band.scale != 1 or band.offset != 0:
        described |= {"scale_factor": float(band.scale), "add_offset": float(band.offset)}
    if band.role in STANDARD_NAMES:
        described["standard_name"] = STANDARD_NAMES[band.role]
    if band.source:
        described["source"] = band.source
    return described | flag_attributes(band)


def flag_attributes(band: Band) -> dict[str, Json]:
    """CF's words for what the bits of a band mean."""
    if not band.flags:
        return {}
    return {
        "flag_masks": [mask for mask, _ in band.flags],
        "flag_meanings": " ".join(meaning for _, meaning in band.flags),
    }


def group_attributes(geobox: GeoBox, tags: Mapping[str, str]) -> dict[str, Json]:
    """Attributes of the whole: rights, and the grid in GeoZarr's words."""
    crs, box = CRS.from_user_input(geobox.crs), geobox.boundingbox
    epsg = geobox.crs.epsg if geobox.crs else None
    return {
        "Conventions": "CF-1.11",
        **{name: value for name, value in tags.items() if not name.startswith("TIFFTAG_")},
        "zarr_conventions": [
            {
                "name": name,
                "uuid": uuid,
                "description": description,
                "schema_url": f"{_SCHEMAS}/{name}/refs/tags/v0.1/schema.json",
                "spec_url": f"{_CONVENTIONS}/{name}/blob/v0.1/README.md",
            }
            for name, (uuid, description) in _GEOZARR.items()
        ],
        **({"proj:code": f"EPSG:{epsg}"} if epsg else {"proj:wkt2": crs.to_wkt()}),
        "spatial:dimensions": ["y", "x"],
        "spatial:shape": list(geobox.shape),
        "spatial:transform": [float(value) for value in geobox.transform[:6]],
        "spatial:bbox": [float(value) for value in (box.left, box.bottom, box.right, box.top)],
        "spatial:registration": "pixel",
    }


def coordinate_variables(extent: Extent) -> dict[str, Variable]:
    """Pixel centres, grid mapping and time, by name. Raises OutputError for a grid that Zarr cannot say (see below)."""
    return {**_place(extent.geobox), **_time(extent)}


def _place(geobox: GeoBox) -> dict[str, Variable]:
    """`x` and `y`, float64 pixel centres, and `spatial_ref`, CF's grid mapping as rioxarray and GDAL read it.

    Raises OutputError for a grid without a CRS, or one that is rotated: a column of it has no x of its own.
    """
    a, b, left, d, e, top = geobox.transform[:6]
    if geobox.crs is None or b or d:
        raise OutputError(
            f"Zarr of the grid {geobox!r}: found {'no CRS' if geobox.crs is None else 'a rotated one'}, expected rows "
            "along x and columns along y of a CRS; write COGs, or choose another grid"
        )
    crs = CRS.from_user_input(geobox.crs)
    axes = {axis.get("axis"): axis for axis in crs.cs_to_cf()}
    rows, columns = geobox.shape
    mapping = {
        **crs.to_cf(),
        "spatial_ref": crs.to_wkt(),
        "GeoTransform": " ".join(str(float(value)) for value in (left, a, b, top, d, e)),
    }
    return {
        "x": (("x",), left + (np.arange(columns) + 0.5) * a, axes.get("X", {})),
        "y": (("y",), top + (np.arange(rows) + 0.5) * e, axes.get("Y", {})),
        "spatial_ref": ((), np.zeros((), np.int64), mapping),
    }


def _time(extent: Extent) -> dict[str, Variable]:
    """`time`: a dimension of days, or else the start of the period with its bounds; nothing for a timeless product."""
    period, days = extent.period, extent.days
    described = {"standard_name": "time", "axis": "T", "units": TIME_UNITS, "calendar": "proleptic_gregorian"}
    if days:
        if list(days) != sorted(set(days)):
            raise OutputError(
                f"days of a time series: found {', '.join(map(str, days))}, expected each once, ascending"
            )
        seconds = [_seconds(datetime(day.year, day.month, day.day, tzinfo=UTC)) for day in days]
        return {"time": (("time",), np.array(seconds, np.int64), {**described, "long_name": extent.days_are})}
    if period is None or period.start is None or period.end is None:
        return {}
    start, end = _seconds(period.start), _seconds(period.end)
    described |= {"long_name": "start of the period", "bounds": "time_bnds"}
    return {
        "time": ((), np.array(start, np.int64), described),
        "time_bnds": (("bnds",), np.array([start, end], np.int64), {}),
    }


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _fill(nodata: float, dtype: np.dtype[Any]) -> Json:
    if dtype.kind == "f":
        return base64.b64encode(struct.pack("<d", nodata)).decode("ascii")
    return int(nodata)
