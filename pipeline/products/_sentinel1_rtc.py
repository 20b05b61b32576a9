"""Terrain-corrected gamma0 made of a Sentinel-1 GRD product and an elevation model, by sarsen (the extra `rtc`).

A scene is made once, as files and an item that `sentinel1` takes like any other RTC. Each pixel of the target is found
in the image by the satellite's orbit, and its brightness divided by the area that the terrain around shows the radar
(D. Small, "Flattening gamma", IEEE TGRS 49, 2011).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.shutil import copy
from rasterio.windows import Window

from pipeline.errors import JobError, PreflightError
from pipeline.plan.utm import zone_at, zone_epsg
from pipeline.products._sentinel1_heights import Above, heights_on
from pipeline.products._sentinel1_image import Brightness, open_image
from pipeline.types import Json
from pipeline.write.files import json_bytes

if TYPE_CHECKING:
    import xarray as xr
    from sarsen import Sentinel1SarProduct

BBox = tuple[float, float, float, float]

_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ParseError, ProjError)
"""What sarsen and the readers beneath it raise of a product that is not whole."""

_SHORT = "{dirname}/{prefix}{swath}-{polarization}{ext}"
"""Names of files in the clouds' copies of a SAFE folder, `iw-vv.xml`, as xarray-sentinel is told."""
_WIDEST = 180.0
"""Degrees of longitude that a scene may have, also near a pole."""
_BLOCK_PX = 1024
"""Pixels along the side of what is made at once, and of the terrain around it that may shade it or lie over it."""
_AROUND_PX = 128
_SEED_STEP = (32, 32)
"""Pixels between those whose moment is searched from nothing; the others begin between them."""
_GROUP_PX = 6.0
"""Image pixels along the side of the cells in which areas are summed up: with fewer heights in a cell their number,
not the terrain, decides. At 6 level ground is even to 3 %, at sarsen's 3 to 5 %."""


@dataclass(frozen=True)
class Rtc:
    """How a scene is made."""

    resolution_m: float = 20.0
    crs: str | None = None
    """None: the UTM zone of the middle."""
    bbox: BBox | None = None
    """West, south, east, north in degrees; None: the whole scene."""
    heights: Above = "egm2008"
    """What the elevation model's heights are above."""


def make_rtc(safe: Path, dem: Sequence[Path], folder: Path, how: Rtc) -> Path:
    """Write gamma0 of every polarisation of a SAFE folder as float32 COG (power, NaN where none), and their STAC item.

    dem: files that hold heights in metres, in any CRS; earlier ones win. The item's path is returned. No pixel without
    height, without image or in radar shadow has a value. Raises PreflightError where sarsen or PROJ's geoid is missing,
    and JobError naming the product where it cannot be made.
    """
    try:
        import sarsen  # noqa: F401, PLC0415 (an extra)
    except ImportError as error:
        raise PreflightError(f"RTC from GRD needs sarsen: pip install 'groundswell[rtc]' ({error})") from None
    try:
        with warnings.catch_warnings():
            # sarsen opens radar geometry, which has no transform, and cuts files in chunks of its own.
            warnings.simplefilter("ignore")
            scenes = _open(safe)
            first = next(iter(scenes.values()))
            geobox = _geobox(first, how)
            folder.mkdir(parents=True, exist_ok=True)
            name = f"{safe.resolve().name.removesuffix('.SAFE')}_rtc"
            files = {each: folder / f"{name}_{each}.tif" for each in scenes}
            for each, product in scenes.items():
                _write(_blocks(product, dem, geobox, how), geobox, files[each])
            return _write_item(first, geobox, files, folder / f"{name}.json")
    except _UNREADABLE as error:
        raise JobError(f"{safe}: RTC cannot be made of it: {type(error).__name__}: {error}") from error


def _open(safe: Path) -> dict[str, Sentinel1SarProduct]:
    """Every polarisation that is there: geometry by sarsen, brightness by us. Raises JobError where there is no GRD."""
    from sarsen import Sentinel1SarProduct  # noqa: PLC0415 (an extra)

    class Scene(Sentinel1SarProduct):
        @cached_property
        def measurement(self) -> Any:
            """Kept: to understand the annotation takes seconds."""
            return super().measurement

        def beta_nought(self) -> Any:  # type: ignore[override]  # theirs is kept by a cache, which is its type
            """Only what is asked for is read: sarsen's own calibrates the whole image, in gigabytes."""
            return Brightness(image_of[self.measurement_group], self.measurement.attrs)

    manifest = str(safe / "manifest.safe")
    # Manifests name the files as ESA does, in the clouds' copies too.
    names = {"override_product_files": _SHORT} if any((safe / "annotation").glob("??-??.xml")) else {}
    groups = Sentinel1SarProduct(manifest, kwargs=names).all_measurement_groups()
    found = {group.split("/")[1].lower(): Scene(manifest, group, kwargs=names) for group in groups}
    found = {each: product for each, product in found.items() if product.product_type == "GRD"}
    if not found:
        raise JobError(f"{safe}: found {groups or 'no measurement'}; expected the polarisations of GRD")
    image_of = {product.measurement_group: open_image(safe, each) for each, product in found.items()}
    return dict(found)


def _geobox(product: Sentinel1SarProduct, how: Rtc) -> GeoBox:
    """The target: whole multiples of the resolution around the box."""
    west, south, east, north = how.bbox or product.product_info()["geospatial_bbox"]
    if east - west > _WIDEST:
        raise JobError(
            f"it lies at {west:g}..{east:g} degrees, so over the antimeridian: give --bbox on one side of it"
        )
    crs = how.crs or f"EPSG:{zone_epsg(zone_at((west + east) / 2, (south + north) / 2))}"
    bounds = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform_bounds(west, south, east, north)
    return GeoBox.from_bbox(bounds, crs=crs, resolution=how.resolution_m)


def _blocks(
    product: Sentinel1SarProduct, dem: Sequence[Path], geobox: GeoBox, how: Rtc
) -> Iterator[tuple[slice, slice, NDArray[np.float32]]]:
    """Gamma0 of one block of the target after the other: memory is that of a block.

    Each is made on pixels no larger than the image's, with the terrain around it, and averaged. Raises JobError where
    no block has a height, or none a value.
    """
    finer = math.ceil(how.resolution_m / product.measurement.attrs["range_pixel_spacing"] - 1e-6)
    side = max(1, _BLOCK_PX // finer)
    known = valued = False
    for top, left in itertools.product(*(range(0, size, side) for size in geobox.shape)):
        rows, cols = (
            slice(start, min(start + side, size)) for start, size in zip((top, left), geobox.shape, strict=True)
        )
        transform = geobox.transform @ Affine.translation(cols.start, rows.start) @ Affine.scale(1 / finer)
        shape = [(part.stop - part.start) * finer + 2 * _AROUND_PX for part in (rows, cols)]
        box = GeoBox(tuple(shape), transform @ Affine.translation(-_AROUND_PX, -_AROUND_PX), geobox.crs)
        heights = heights_on(dem, box, how.heights)
        if np.isfinite(heights).any():
            known = True
            power = _averaged(_flattened(product, box, heights), finer)
            valued |= bool(np.isfinite(power).any())
            yield rows, cols, power
    if not valued:
        safe, where = Path(product.product_urlpath).parent, tuple(geobox.extent.to_crs("EPSG:4326").boundingbox)
        lacks = "value: its image or orbit does not reach there" if known else f"height in {', '.join(map(str, dem))}"
        raise JobError(f"{safe}: no pixel within {where} has a {lacks}")


def _averaged(power: NDArray[np.float32], finer: int) -> NDArray[np.float32]:
    """Means of squares within what lies around; NaN where less than half of one is known."""
    inner = power[_AROUND_PX:-_AROUND_PX, _AROUND_PX:-_AROUND_PX]
    parts = inner.reshape(inner.shape[0] // finer, finer, -1, finer)
    known = np.isfinite(parts)
    count = known.sum((1, 3))
    total = np.where(known, parts, 0).sum((1, 3), dtype=np.float64)
    return np.where(2 * count >= finer**2, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _flattened(product: Sentinel1SarProduct, geobox: GeoBox, heights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gamma0 on a block, (y, x); NaN where there is none."""
    import dask  # noqa: PLC0415 (sarsen's way to compute)
    from sarsen.apps import do_terrain_correction  # noqa: PLC0415 (an extra)

    known = np.isfinite(heights)
    made, _ = do_terrain_correction(
        product,
        _raster(geobox, np.where(known, heights, 0)),  # sea level, where nothing is known and no value comes of it
        correct_radiometry="gamma_bilinear",
        interp_method="linear",
        grouping_area_factor=(_GROUP_PX, _GROUP_PX),
        seed_step=_SEED_STEP,
    )
    with dask.config.set(scheduler="synchronous"):
        power = np.asarray(made.compute(), np.float32)[::-1]
    # No area is seen where the terrain hides itself.
    return np.where(known & np.isfinite(power), power, np.float32(np.nan))


def _raster(geobox: GeoBox, heights: NDArray[Any]) -> xr.DataArray:
    """Heights as sarsen takes them: from south to north, in one dask chunk."""
    import rioxarray  # noqa: F401, PLC0415 (gives arrays their `.rio`)
    import xarray as xr  # noqa: PLC0415 (slow to import)

    a, _, c, _, e, f = geobox.transform[:6]
    x, y = (
        origin + step * (np.arange(side) + 0.5)
        for origin, step, side in ((c, a, geobox.shape[1]), (f, e, geobox.shape[0]))
    )
    raster = xr.DataArray(heights[::-1], coords={"y": y[::-1], "x": x}, dims=("y", "x"), name="dem")
    placed: xr.DataArray = raster.chunk().rio.write_crs(str(geobox.crs))
    return placed


def _write(blocks: Iterator[tuple[slice, slice, NDArray[np.float32]]], geobox: GeoBox, path: Path) -> None:
    part = path.with_suffix(".part.tif")
    form = {"height": geobox.shape[0], "width": geobox.shape[1], "crs": str(geobox.crs), "transform": geobox.transform}
    try:
        with rasterio.open(
            part, "w", driver="GTiff", count=1, dtype="float32", nodata=np.nan, tiled=True, BIGTIFF="IF_SAFER", **form
        ) as dataset:
            for rows, cols, power in blocks:
                dataset.write(power, 1, window=Window.from_slices(rows, cols))
        copy(part, path, driver="COG", compress="ZSTD", predictor="FLOATING_POINT", overview_resampling="average")
    finally:
        part.unlink(missing_ok=True)


def _write_item(product: Sentinel1SarProduct, geobox: GeoBox, files: dict[str, Path], path: Path) -> Path:
    """The item that a config names as the source's `items`."""
    said = product.measurement.attrs
    extent = geobox.extent.to_crs("EPSG:4326")
    start, stop = (f"{said[name]}Z" for name in ("start_time", "stop_time"))
    grid = {
        "proj:code": str(geobox.crs),
        "proj:shape": list(geobox.shape),
        "proj:transform": list(geobox.transform[:6]),
    }
    item: Json = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": path.stem,
        "geometry": extent.json,
        "bbox": list(extent.boundingbox),
        "properties": {
            "datetime": start,
            "start_datetime": start,
            "end_datetime": stop,
            "platform": f"sentinel-1{str(said['number']).lower()}",
            "constellation": "sentinel-1",
            "sar:product_type": "RTC",
            "sar:instrument_mode": said["mode"],
            "sat:orbit_state": str(said["pass"]).lower(),
            "sat:relative_orbit": said["relative_orbit_number"],
            "sat:absolute_orbit": said["orbit_number"],
            "attribution": f"Contains modified Copernicus Sentinel data {start[:4]}",
        },
        "links": [],
        "assets": {
            each: {
                "href": f"./{file.name}",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
                "title": f"{each.upper()}, terrain-corrected gamma0 in linear power",
                "bands": [{"name": each, "nodata": "nan", "data_type": "float32"}],
                **grid,
            }
            for each, file in files.items()
        },
    }
    path.write_bytes(json_bytes(item))
    return path
