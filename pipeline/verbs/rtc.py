"""`groundswell rtc`: terrain-corrected scenes made of Sentinel-1 GRD, for `sentinel1` to take as its source."""

from __future__ import annotations

import argparse
import math

from pyproj import CRS
from pyproj.exceptions import ProjError

from pipeline.errors import ConfigError
from pipeline.products._sentinel1_rtc import Rtc, make_rtc
from pipeline.verbs._answer import Answer


def run(options: argparse.Namespace) -> Answer:
    """Make the files and the item of one SAFE folder. Raises ConfigError for a place or a pixel that is none."""
    bbox = tuple(options.bbox) if options.bbox else None
    _check(options)
    how = Rtc(options.resolution, options.crs, bbox, options.heights)
    item = make_rtc(options.safe, options.dem, options.to, how)
    return Answer(f"rtc: {item}; name it under a source's items")


def _check(options: argparse.Namespace) -> None:
    if not 0 < options.resolution < math.inf:
        raise ConfigError(f"--resolution {options.resolution:g}: expected metres above 0")
    if options.bbox:
        west, south, east, north = options.bbox
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            found = " ".join(f"{each:g}" for each in options.bbox)
            raise ConfigError(f"--bbox {found}: expected west < east within -180..180, south < north within -90..90")
    if options.crs and not _in_metres(options.crs):
        raise ConfigError(f"--crs {options.crs}: expected a projection in metres, such as EPSG:32633")


def _in_metres(crs: str) -> bool:
    try:
        found = CRS.from_user_input(crs)
    except ProjError:
        return False
    return found.is_projected and all(axis.unit_conversion_factor == 1 for axis in found.axis_info)
