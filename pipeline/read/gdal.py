"""The reader for every file that the fast one leaves alone: windows through rasterio, so through GDAL."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from rasterio.session import Session
from rasterio.windows import Window

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.read.access import Access, gdal_options, gdal_path, secrets, sign
from pipeline.read.carry import Carry
from pipeline.read.gcps import gcp_grid
from pipeline.read.place import check_block, check_size, check_window, coarse_shape, contradiction, scaled
from pipeline.types import Asset, Grid

_DRIVERS = ["GTiff", "JP2OpenJPEG"]

# GDAL repeats every failure on this logger, signed addresses included; each one is raised as an AssetError anyway.
logging.getLogger("rasterio").setLevel(logging.CRITICAL)
# The same fact is an error or a note of ours, with the file's name.
warnings.filterwarnings("ignore", category=NotGeoreferencedWarning, module=r"pipeline\.read\.gdal")


@dataclass(frozen=True, eq=False)
class GdalRaster:
    """An open band of a dataset of GDAL's: `pipeline.read.raster.Raster`."""

    dataset: DatasetReader
    band: int
    grid: Grid
    nodata: float | None
    note: str | None
    address: str = field(repr=False)
    """As GDAL opened it: it may be signed."""
    opened: ExitStack = field(repr=False)
    """Closes what is opened later, such as overviews."""

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.dataset.dtypes[self.band - 1])
        return dtype

    @property
    def says_nodata(self) -> bool:
        return self.dataset.nodatavals[self.band - 1] is not None

    @property
    def block(self) -> tuple[int, int]:
        rows, cols = self.dataset.block_shapes[self.band - 1]
        return int(rows), int(cols)

    def read(
        self,
        rows: slice,
        cols: slice,
        *,
        need: NDArray[np.bool_] | None = None,  # noqa: ARG002 (the seam's; every pixel is read here)
        carry: Carry | None = None,  # noqa: ARG002 (the seam's; GDAL has a cache of its own)
        below: int | None = None,  # noqa: ARG002 (the same)
    ) -> NDArray[Any]:
        check_window(rows, cols, self.dtype)
        return np.asarray(self.dataset.read(self.band, window=Window.from_slices(rows, cols)))

    def read_coarse(self, max_px: int) -> NDArray[Any]:
        return np.asarray(self.dataset.read(self.band, out_shape=coarse_shape(self.grid.shape, max_px)))

    def overview(self, factor: float) -> GdalRaster:
        best = self
        for level in range(len(self.dataset.overviews(self.band)) if factor > 1 else 0):
            reduced = DatasetReader(self.address, driver=_DRIVERS, sharing=False, overview_level=level)
            self.opened.enter_context(reduced)
            if max(self.dataset.height / reduced.height, self.dataset.width / reduced.width) > factor:
                break
            best = replace(self, dataset=reduced, grid=scaled(self.grid, (reduced.height, reduced.width)))
        return best


@contextmanager
def open_gdal(asset: Asset, access: Access, newer_than: float = 0.0, *, gcps: bool = False) -> Iterator[GdalRaster]:
    """Open one asset, signed at this moment; gcps: also where nothing but ground control points says where it lies.

    Raises PermanentAssetError when the file is no raster we can place (no CRS, ground control points only, absurd
    size, parts elsewhere), and rasterio's errors for the rest.
    """
    address = gdal_path(sign(asset.href, access, newer_than=newer_than))
    with (
        _environment(asset.href, access, newer_than),
        ExitStack() as opened,
        DatasetReader(address, driver=_DRIVERS, sharing=False) as dataset,
    ):
        grid = _gcp_grid(dataset, asset) if gcps else None
        yield _describe(dataset, asset, address, opened, grid)


def forget(href: str, access: Access) -> None:
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


def _describe(dataset: DatasetReader, asset: Asset, address: str, opened: ExitStack, placed: Grid | None) -> GdalRaster:
    """The open dataset as a raster, or a refusal by name. placed: its grid, where its header's is not asked for."""
    check_size(asset, (dataset.height, dataset.width), dataset.count)
    check_block(asset, dataset.block_shapes[asset.band - 1], np.dtype(dataset.dtypes[asset.band - 1]))
    elsewhere = {tag for tag in dataset.tags(ns="OVERVIEWS") if tag.upper() in {"OVERVIEW_FILE", "MASK_FILE"}}
    if elsewhere:
        # GDAL would open that address, whatever it is, as soon as overviews are asked for, in either case.
        raise PermanentAssetError(asset.href, f"refused: its tag {min(elsewhere)} points to another file")
    grid, note = _true_grid(dataset, asset) if placed is None else (placed, None)
    nodata = dataset.nodatavals[asset.band - 1]
    nodata = asset.nodata if nodata is None else nodata
    return GdalRaster(dataset, asset.band, grid, nodata, note, address, opened)


def _gcp_grid(dataset: DatasetReader, asset: Asset) -> Grid | None:
    """The grid that its ground control points give; None where it has a CRS of its own, or no such points.

    What the catalogue declares is not compared: it knows no more than the file, and some invent a transform.
    """
    points, crs = dataset.gcps
    if dataset.crs or not points or not crs:
        return None
    places = [(point.row, point.col, point.x, point.y) for point in points]
    try:
        return gcp_grid(places, crs.to_wkt(), (dataset.height, dataset.width))
    except ValueError as error:
        raise PermanentAssetError(asset.href, f"cannot be placed: {error}") from None


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
    return grid, contradiction(asset, grid)
