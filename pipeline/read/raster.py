"""One raster file through rasterio: its true grid, windows of its pixels, and errors that say whose fault it is.

The seam behind which a faster reader goes: everything above asks for `open_raster(...)` and `Raster.read(...)`.
"""

from __future__ import annotations

import logging
import random
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any, TypeVar

import numpy as np
import rasterio
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.session import Session
from rasterio.windows import Window

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.read.access import Access, check_href, gdal_options, gdal_path, redact, secrets, sign
from pipeline.read.probe import PASSING, Finding, probe
from pipeline.types import Asset, Grid

_DRIVERS = ["GTiff", "JP2OpenJPEG"]
_MAX_SIDE = 1_000_000
_MAX_BLOCK_BYTES = 512 * 2**20
_MAX_WINDOW_BYTES = 2**30

# GDAL repeats every failure on this logger, signed addresses included; each one is raised as an AssetError anyway.
logging.getLogger("rasterio").setLevel(logging.CRITICAL)
# The same fact is an error or a note of ours, with the file's name.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"pipeline\.read\.raster")
logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Raster:
    """An open band: its grid and how to read windows of it."""

    dataset: DatasetReader
    band: int
    grid: Grid
    dtype: np.dtype[Any]
    nodata: float | None
    note: str | None
    """Set when the file contradicts its catalogue entry: what was declared, what was found."""

    def read(self, rows: slice, cols: slice) -> np.ndarray:
        """Pixels of a window inside the raster, (rows, cols), in the file's dtype; always whole, never short.

        Raises ValueError before anything is allocated when the window is absurdly large.
        """
        size_bytes = (rows.stop - rows.start) * (cols.stop - cols.start) * self.dtype.itemsize
        if size_bytes > _MAX_WINDOW_BYTES:
            raise ValueError(f"the tile needs {size_bytes:,} bytes of it at once; at most {_MAX_WINDOW_BYTES:,}")
        window = Window.from_slices(rows, cols)
        return np.asarray(self.dataset.read(self.band, window=window))

    def read_coarse(self, max_px: int) -> np.ndarray:
        """The whole raster decimated to at most `max_px` a side, nearest, from the overviews where there are any."""
        factor = max(1.0, max(self.grid.shape) / max_px)
        shape = tuple(max(1, int(side / factor)) for side in self.grid.shape)
        return np.asarray(self.dataset.read(self.band, out_shape=shape))


@contextmanager
def open_raster(asset: Asset, access: Access, *, newer_than: float = 0.0) -> Iterator[Raster]:
    """Open one asset, signed at this moment, with the grid its own header states.

    newer_than: a moment of `time.monotonic()`; credentials lent before it were refused and are not used again.
    Raises PermanentAssetError when the file is no raster we can place (no CRS, ground control points only, absurd
    size, parts elsewhere), and rasterio's errors for the rest: `attempt` turns those into asset errors.
    """
    check_href(asset.href, access)
    address = gdal_path(sign(asset.href, access, newer_than=newer_than))
    with (
        _environment(asset.href, access, newer_than),
        DatasetReader(address, driver=_DRIVERS, sharing=False) as dataset,
    ):
        yield _describe(dataset, asset)


def attempt(asset: Asset, access: Access, item: str, use: Callable[[Raster], T]) -> T:
    """`use(raster)`, tried again while the cause may pass; the error that is left names item, asset, href and cause.

    Raises PermanentAssetError or, when `access.attempts` were not enough, TransientAssetError.
    """
    doubts, refused = 0, 0.0
    for number in range(1, access.attempts + 1):
        began = monotonic()
        try:
            with open_raster(asset, access, newer_than=refused) as raster:
                return use(raster)
        except AssetError as error:
            failure = error
        except (RasterioError, OSError) as error:
            _forget(asset.href, access)
            finding = probe(asset.href, access)
            doubts += finding.cause is None
            refused = began if finding.refused else refused
            failure = _classify(asset, error, finding, once_more=doubts == 1 and "://" in asset.href)
        except ValueError as error:
            failure = PermanentAssetError(asset.href, f"cannot be read: {redact(str(error))}")
        last = number == access.attempts or isinstance(failure, PermanentAssetError)
        if last:
            break
        logger.debug("attempt %d of %d: %s", number, access.attempts, failure)
        time.sleep(0.5 * 2 ** (number - 1) * (1 + random.random()))  # noqa: S311 (jitter, not a secret)
    kind = type(failure)
    raise kind(asset.href, failure.cause, item=item, asset=asset.key, attempts=number) from None


def _classify(asset: Asset, error: Exception, finding: Finding, *, once_more: bool) -> AssetError:
    """Whose fault a GDAL error is: by what the server itself answered, since GDAL's texts seldom tell.

    A remote file whose first bytes look healthy may have been cut on the way: it gets one more attempt before it is
    called damaged.
    """
    # rasterio's own text is often "Read failed. See previous exception": GDAL's reason is the cause behind it.
    message = redact(str(error.__cause__ or error)).removeprefix(gdal_path(asset.href)).strip(" :,")
    status = re.fullmatch(r"HTTP response code: (\d+)", message)
    busy = status is not None and int(status.group(1)) in PASSING
    if finding.transient or (finding.cause is None and (busy or once_more)):
        return TransientAssetError(asset.href, finding.cause or message)
    return PermanentAssetError(asset.href, finding.cause or f"damaged or not readable: {message}")


def _forget(href: str, access: Access) -> None:
    """Drop what GDAL keeps of a remote file, failures and cut bodies included, or every later attempt would see them.

    GDAL offers that only when a file is closed. Source: its documentation of CPL_VSIL_CURL_NON_CACHED; GDAL issue 1244.
    """
    if "://" not in href:
        return
    with (
        suppress(RasterioError, OSError, AssetError),
        _environment(href, access, CPL_VSIL_CURL_NON_CACHED="/vsicurl/:/vsis3/"),
    ):
        DatasetReader(gdal_path(sign(href, access)), driver=_DRIVERS, sharing=False).close()


class _Keys(Session):  # type: ignore[misc]
    """Credentials that last for one open: rasterio takes them from a session only."""

    def __init__(self, options: dict[str, str]) -> None:
        self._options = options

    def get_credential_options(self) -> dict[str, str]:
        return self._options


def _environment(href: str, access: Access, newer_than: float = 0.0, **more: str) -> rasterio.Env:
    """GDAL as one open needs it. Raises AssetError when the source's credentials cannot be had."""
    lent = secrets(href, access, newer_than=newer_than)
    return rasterio.Env(session=_Keys(lent) if lent else None, **gdal_options(href, access), **more)


def _describe(dataset: DatasetReader, asset: Asset) -> Raster:
    """The open dataset as a Raster, or a refusal by name."""
    height, width = dataset.height, dataset.width
    if not 0 < height <= _MAX_SIDE or not 0 < width <= _MAX_SIDE:
        raise PermanentAssetError(asset.href, f"absurd size {width} x {height} pixels; at most {_MAX_SIDE} a side")
    if not 1 <= asset.band <= dataset.count:
        raise PermanentAssetError(asset.href, f"band {asset.band} asked for; the file has {dataset.count}")
    dtype = np.dtype(dataset.dtypes[asset.band - 1])
    rows, cols = dataset.block_shapes[asset.band - 1]
    if rows * cols * dtype.itemsize > _MAX_BLOCK_BYTES:
        raise PermanentAssetError(
            asset.href, f"one block decodes to {rows * cols * dtype.itemsize} bytes; at most {_MAX_BLOCK_BYTES}"
        )
    elsewhere = dataset.tags(ns="OVERVIEWS").keys() & {"OVERVIEW_FILE", "MASK_FILE"}
    if elsewhere:
        # GDAL would open that address, whatever it is, as soon as overviews are asked for.
        raise PermanentAssetError(asset.href, f"refused: its tag {min(elsewhere)} points to another file")
    grid, note = _true_grid(dataset, asset)
    nodata = dataset.nodatavals[asset.band - 1]
    return Raster(dataset, asset.band, grid, dtype, asset.nodata if nodata is None else nodata, note)


def _true_grid(dataset: DatasetReader, asset: Asset) -> tuple[Grid, str | None]:
    """The header's grid; the declared one only where the header has none and the shapes agree."""
    shape = (dataset.height, dataset.width)
    declared = asset.grid
    crs = dataset.crs
    # A plane of somebody's own (LOCAL_CS) is none: it does not say where on the earth it lies.
    if not crs or not (crs.is_projected or crs.is_geographic):
        if declared is not None and declared.shape == shape and not dataset.gcps[0]:
            return declared, f"{asset.href}: no CRS in the file; the catalogue's {declared.crs} was used"
        found = (
            "only ground control points" if dataset.gcps[0] else f"a local one, {crs.to_wkt()[:60]}…" if crs else "none"
        )
        said = "none" if declared is None else f"a grid of {declared.shape}, the file has {shape}"
        raise PermanentAssetError(asset.href, f"no usable CRS: the file has {found}, the catalogue {said}")
    code = crs.to_epsg()
    grid = Grid(f"EPSG:{code}" if code else crs.to_wkt(), tuple(dataset.transform[:6]), shape)
    if declared is None or _same_grid(grid, declared):
        return grid, None
    return grid, (
        f"{asset.href}: the catalogue declares {declared.crs[:40]} {declared.shape} at {declared.transform[0]:g}, "
        f"the file has {grid.crs[:40]} {grid.shape} at {grid.transform[0]:g}; the file's own grid was used"
    )


def _same_grid(one: Grid, other: Grid) -> bool:
    tolerance = 1e-6 * max(abs(one.transform[0]), abs(one.transform[4]), 1e-12)
    close = all(
        abs(a - b) <= max(tolerance, 1e-12 * abs(a)) for a, b in zip(one.transform, other.transform, strict=True)
    )
    return one.shape == other.shape and close and _same_crs(one.crs, other.crs)


@lru_cache(maxsize=256)
def _same_crs(one: str, other: str) -> bool:
    """Equal as reference systems, however they are written; what PROJ does not know equals nothing."""
    try:
        return one == other or CRS.from_user_input(one) == CRS.from_user_input(other)
    except ProjError:
        return False
