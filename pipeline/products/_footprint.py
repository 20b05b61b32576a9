"""Where a scene lies on a tile, by its catalogue footprint alone: for scenes whose pixels could not be read."""

from __future__ import annotations

import warnings

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.errors import NotGeoreferencedWarning
from rasterio.features import rasterize
from shapely.geometry import shape as to_geometry

from pipeline.plan.areas import unwrapped
from pipeline.types import Item

# rasterio 1.4 now and then (1 in 3000, only with several threads) says so of its own scratch raster; pixels are right.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"rasterio\.features")


def footprint(item: Item, geobox: GeoBox) -> NDArray[np.bool_]:
    """(y, x) True where the item's footprint touches the tile; everywhere when it cannot be projected.

    Everywhere, too, when it may go around the globe: what is lost is never said to be less than it is.
    """
    outline = unwrapped(to_geometry(item.geometry))
    west, _, east, _ = outline.bounds
    if east - west >= 180 or not outline.area:
        return np.ones(geobox.shape.yx, np.bool_)
    transformer = Transformer.from_crs(4326, str(geobox.crs), always_xy=True)
    projected = shapely.transform(
        shapely.segmentize(outline, 0.05), lambda xy: np.column_stack(transformer.transform(*xy.T))
    )
    if not np.isfinite(shapely.get_coordinates(projected)).all():
        return np.ones(geobox.shape.yx, np.bool_)
    burned = rasterize(
        [(projected, 1)], out_shape=geobox.shape.yx, transform=geobox.transform, all_touched=True, dtype="uint8"
    )
    return np.asarray(burned, np.bool_)
