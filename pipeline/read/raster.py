"""The seam of reading: what a raster is to everybody above, which reader opens it, and whose fault a failure is.

Two readers: `geotiff` for the files that scenes come in, `gdal` for all others. Both give the same pixels.
"""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from time import monotonic
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioError

from pipeline.errors import AssetError, PermanentAssetError, TransientAssetError
from pipeline.read.access import Access, check_href, gdal_path, redact
from pipeline.read.carry import Carry
from pipeline.read.fetch import ChangedError, CutError, Unsupported
from pipeline.read.gdal import GdalRaster, forget, open_gdal
from pipeline.read.geotiff import open_geotiff
from pipeline.read.probe import PASSING, Finding, probe
from pipeline.types import Asset, Grid

logger = logging.getLogger(__name__)
T = TypeVar("T")


class Raster(Protocol):
    """An open band: its grid and how to read windows of it. Valid while the file is open."""

    @property
    def grid(self) -> Grid: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def nodata(self) -> float | None: ...
    @property
    def says_nodata(self) -> bool:
        """Whether the file itself says what nodata is, so that whoever made its overviews knew."""

    @property
    def note(self) -> str | None:
        """Set when the file contradicts its catalogue entry: what was declared, what was found."""

    @property
    def block(self) -> tuple[int, int]:
        """(rows, columns) that are unpacked together."""

    def read(
        self,
        rows: slice,
        cols: slice,
        *,
        need: NDArray[np.bool_] | None = None,
        carry: Carry | None = None,
        below: int | None = None,
    ) -> NDArray[Any]:
        """Pixels of a window inside the raster, (rows, cols), in the file's dtype; always whole, never short.

        need: over the blocks that the window touches, (block rows, block columns), which of them matter. What pixels
        the others have is left open: the fast reader does not fetch them, and they are 0. None: all matter.
        carry: unpacked blocks that an earlier read has left are taken from it, and those that reach row `below` of the
        raster or beyond are left in it, for the read of the next strip, which begins there.

        Raises ValueError before anything is allocated when the window is absurdly large.
        """

    def read_coarse(self, max_px: int) -> NDArray[Any]:
        """The whole raster decimated to at most `max_px` a side, nearest, from the overviews where there are any."""

    def overview(self, factor: float) -> Raster:
        """The coarsest level whose pixels are at most `factor` times as large as at full resolution, or itself."""


@contextmanager
def open_raster(asset: Asset, access: Access, *, newer_than: float = 0.0, gcps: bool = False) -> Iterator[Raster]:
    """Open one asset, signed at this moment, with the grid its own header states, by the fastest reader that can.

    newer_than: a moment of `time.monotonic()`; credentials lent before it were refused and are not used again.
    gcps: a file with nothing but a lattice of ground control points is placed by those: its grid is a `GcpGrid`.
    Raises PermanentAssetError when the file is no raster we can place (no CRS, ground control points only, absurd
    size, parts elsewhere), and OSError or rasterio's errors for the rest: `attempt` turns those into asset errors.
    """
    check_href(asset.href, access)
    with ExitStack() as opened:

        def slow() -> GdalRaster:
            return opened.enter_context(open_gdal(asset, access, newer_than, gcps=gcps))

        raster: Raster
        try:
            raster = opened.enter_context(open_geotiff(asset, access, newer_than, slow))
        except Unsupported as reason:
            logger.debug("%s: read by GDAL: %s", redact(asset.href), reason)
            raster = slow()
        yield raster


def attempt(asset: Asset, access: Access, item: str, use: Callable[[Raster], T], *, gcps: bool = False) -> T:
    """`use(raster)`, tried again while the cause may pass; the error that is left names item, asset, href and cause.

    gcps: as for `open_raster`.

    Raises PermanentAssetError or, when `access.attempts` were not enough, TransientAssetError.
    """
    doubts, refused = 0, 0.0
    for number in range(1, access.attempts + 1):
        began = monotonic()
        try:
            with open_raster(asset, access, newer_than=refused, gcps=gcps) as raster:
                return use(raster)
        except AssetError as error:
            failure = error
        except (RasterioError, OSError) as error:
            if isinstance(error, RasterioError):
                forget(asset.href, access)
            finding = probe(asset.href, access)
            doubts += finding.cause is None
            refused = began if finding.refused else refused
            failure = _classify(asset, error, finding, once_more=doubts == 1 and "://" in asset.href)
        except ValueError as error:
            failure = PermanentAssetError(asset.href, f"cannot be read: {redact(str(error))}")
        last = number == access.attempts or isinstance(failure, PermanentAssetError)
        if last:
            break
        logger.debug("attempt %d of %d: %s", number, access.attempts, redact(str(failure)))
        time.sleep(0.5 * 2 ** (number - 1) * (1 + random.random()))  # noqa: S311 (jitter, not a secret)
    kind = type(failure)
    raise kind(asset.href, failure.cause, item=item, asset=asset.key, attempts=number) from None


def _classify(asset: Asset, error: Exception, finding: Finding, *, once_more: bool) -> AssetError:
    """Whose fault a failed read is: by what the server itself answered, since the readers' texts seldom tell.

    A remote file whose first bytes look healthy may have been cut on the way: it gets one more attempt before it is
    called damaged.
    """
    # rasterio's own text is often "Read failed. See previous exception": GDAL's reason is the cause behind it.
    message = redact(str(error.__cause__ or error)).removeprefix(gdal_path(asset.href)).strip(" :,")
    status = re.fullmatch(r"HTTP response code: (\d+)", message)
    passing = isinstance(error, ChangedError | CutError) or (status is not None and int(status.group(1)) in PASSING)
    if finding.transient or (finding.cause is None and (passing or once_more)):
        return TransientAssetError(asset.href, finding.cause or message)
    return PermanentAssetError(asset.href, finding.cause or f"damaged or not readable: {message}")
