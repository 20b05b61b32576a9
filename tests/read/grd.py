"""What Sentinel-1 GRD tests share: the real scene, items, and the same computed by GDAL's thin plate splines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling
from rasterio.warp import reproject

from pipeline.types import Asset, Item

SCENE = "S1A_IW_GRDH_1SDV_20180716T004042_20180716T004107_022812_02792A_FD5B"
SHAPE = (837, 1280)
ORIGINAL = (16758, 25611)
"""Of the scene before it was decimated: the last point of either axis names its last pixel."""
INSIDE = GeoBox((300, 400), Affine(200, 0, 640_000, 0, -200, 1_180_000), "EPSG:32643")
"""Well within the scene, at about its own resolution."""


def scene_path(shared_data: Path, polarisation: str = "vv") -> Path:
    return shared_data / f"raster/s1/{SCENE}/measurement/iw-{polarisation}.tiff"


def points(path: Path) -> list[tuple[float, float, float, float]]:
    with rasterio.open(path) as dataset:
        return [(point.row, point.col, point.x, point.y) for point in dataset.gcps[0]]


def middles(path: Path) -> list[GroundControlPoint]:
    """The real scene's points as those of pixels' middles: half an original pixel further."""
    down, right = SHAPE[0] / ORIGINAL[0] / 2, SHAPE[1] / ORIGINAL[1] / 2
    return [GroundControlPoint(row + down, col + right, x, y) for row, col, x, y in points(path)]


def by_gdal(values: NDArray[Any], path: Path, geobox: GeoBox) -> NDArray[np.float32]:
    """Values of the scene's pixels on a target: GDAL's own warper, thin plate splines and bilinear."""
    out = np.full(geobox.shape, np.nan, np.float32)
    reproject(
        values.astype(np.float32),
        out,
        gcps=middles(path),
        src_crs="EPSG:4326",
        src_nodata=np.nan,
        dst_transform=geobox.transform,
        dst_crs=str(geobox.crs),
        dst_nodata=np.nan,
        resampling=Resampling.bilinear,
        tolerance=0.001,
        METHOD="GCP_TPS",
    )
    return out


def item_of(assets: Mapping[str, Path | str], name: str = SCENE, **properties: Any) -> Item:
    """A catalogue's item of files."""
    return Item(
        id=name,
        collection="sentinel-1-grd",
        source="s1",
        time=datetime(2018, 7, 16, 0, 41, tzinfo=UTC),
        solar_day=date(2018, 7, 16),
        geometry={},
        assets={key: Asset(key, str(href), nodata=0 if len(key) == 2 else None) for key, href in assets.items()},
        properties=properties,
    )
