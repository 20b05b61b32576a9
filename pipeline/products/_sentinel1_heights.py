"""Heights above the ellipsoid on a block of pixels, from files of them above it or above the geoid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from pyproj.exceptions import ProjError

from pipeline.errors import PreflightError
from pipeline.read.access import Access
from pipeline.read.layer import Target, read_floats
from pipeline.types import Asset

Above = Literal["egm2008", "ellipsoid"]
GEOID, _GEOID_FILE = "EPSG:9518", "us_nga_egm08_25.tif"
"""WGS 84 with heights above EGM2008, which Copernicus DEM has; and PROJ's grid of it."""
_GEOID_STEP = 32
"""Pixels between those at which the geoid is asked for: it bends over kilometres."""


def heights_on(dem: Sequence[Path], geobox: GeoBox, above: Above) -> NDArray[np.float32]:
    """Metres above the ellipsoid at every pixel, NaN where no file has any; earlier files win.

    Raises AssetError for a file that cannot be read, and PreflightError where PROJ has not the geoid's grid.
    """
    out = np.full(geobox.shape, np.nan, np.float32)
    for number, path in enumerate(dem):
        found = read_floats(Asset(f"dem-{number}", str(path)), Access(), "elevation", Target.rows_of(geobox))
        np.copyto(out, found, where=np.isnan(out))
    return out + geoid(geobox) if above == "egm2008" and np.isfinite(out).any() else out


def geoid(geobox: GeoBox) -> NDArray[np.float32]:
    """Metres from the ellipsoid up to EGM2008, at every pixel. Raises PreflightError where PROJ has not its grid."""
    rows, cols = (np.append(np.arange(0, side - 1, _GEOID_STEP), side - 1) for side in geobox.shape)
    at = np.meshgrid(cols + 0.5, rows + 0.5)
    a, b, c, d, e, f = geobox.transform[:6]
    x, y = a * at[0] + b * at[1] + c, d * at[0] + e * at[1] + f
    lon, lat = Transformer.from_crs(str(geobox.crs), "EPSG:4326", always_xy=True).transform(x, y)
    try:
        up = Transformer.from_crs(GEOID, "EPSG:4979", always_xy=True, only_best=True, allow_ballpark=False)
        found = np.asarray(up.transform(lon, lat, np.zeros_like(lon))[2])
    except ProjError as error:
        raise PreflightError(_no_geoid(str(error))) from None
    if not np.isfinite(found).all():
        raise PreflightError(_no_geoid("it gave no height"))
    wide = np.stack([np.interp(np.arange(geobox.shape[1]), cols, line) for line in found])
    return np.stack([np.interp(np.arange(geobox.shape[0]), rows, line) for line in wide.T], -1).astype(np.float32)


def _no_geoid(found: str) -> str:
    return (
        f"heights above EGM2008 need PROJ's grid {_GEOID_FILE}: projsync --file {_GEOID_FILE}, or say that the heights "
        f"are above the ellipsoid ({found})"
    )
