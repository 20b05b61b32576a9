"""What optical products share: scenes masked by a classification, merged per day, composited strip by strip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.errors import PermanentAssetError
from pipeline.ops.composite import median
from pipeline.ops.mask import NODATA, ClassMask, clear_mask
from pipeline.products._base import Context, Ledger
from pipeline.products._footprint import footprint
from pipeline.read.access import Access
from pipeline.read.gather import claim, observe
from pipeline.read.layer import SourceWindow, Target, check_integers, read_window
from pipeline.types import Asset, Item, Job


@dataclass(frozen=True, eq=False)
class Work:
    """One job while it runs."""

    job: Job
    context: Context
    pool: ThreadPoolExecutor
    ledger: Ledger
    masked: bool
    planes: NDArray[np.uint8]
    """(bytes, y, x): bit s is set where scene s provides its day's pixel; at most one scene a day does."""
    lost: NDArray[np.bool_]
    """(y, x): an input that covers the pixel was lost."""
    lost_lock: Lock
    accept: Callable[[str, Asset], None]
    """(item id, asset) → raises AssetError for a band whose numbers are not what the product takes them for."""

    @property
    def geobox(self) -> GeoBox:
        return self.job.tile.geobox

    def mark(self, scene: int, rows: slice) -> tuple[NDArray[np.uint8], int]:
        """The bits of one scene on some rows: (plane, bit). Without a mask every scene may provide every pixel."""
        if not self.masked:
            return self.planes[0, rows], 1
        return self.planes[scene // 8, rows], 1 << (scene % 8)


@contextmanager
def start_work(
    job: Job, context: Context, bands: int, accept: Callable[[str, Asset], None], *, masked: bool
) -> Iterator[Work]:
    """Everything one job holds while it runs; `bands` counts the assets read per scene besides the mask."""
    height, width = job.tile.geobox.shape
    deep = (len(job.items) + 7) // 8 if masked else 1
    with ThreadPoolExecutor(context.threads) as pool:
        yield Work(
            job,
            context,
            pool,
            Ledger(job, context, len(job.items) * (bands + masked)),
            masked,
            np.full((deep, height, width), 0 if masked else 255, np.uint8),
            np.zeros((height, width), np.bool_),
            Lock(),
            accept,
        )


def mask_scenes(work: Work, band: str, mask: ClassMask, weight: int) -> None:
    """Set each scene's bits: clear by its own classification, and not provided by an earlier scene of the same day.

    Law: a pixel of a day comes from one scene, in every band. A scene whose classification is lost takes its other
    assets along: `weight` assets in all. Raises MissingAssetsError beyond the policy.
    """
    items = work.job.items

    target = Target.rows_of(work.geobox)

    def clear(item: Item) -> tuple[NDArray[np.bool_], SourceWindow] | None:
        return work.ledger.read(
            item, band, lambda asset: clear_window(asset, work.context.access, item.id, target, mask), weight
        )

    scenes = zip(range(len(items)), items, work.pool.map(clear, items), strict=True)
    for _, same_day in groupby(scenes, key=lambda scene: scene[1].solar_day):
        taken = np.zeros(work.lost.shape, np.bool_)
        for number, item, result in same_day:
            if work.ledger.lost(item, band):
                work.lost[footprint(item, work.geobox)] = True
            elif result is not None:
                keep, window = result
                work.ledger.note(window.note)
                claim(keep, window.corner, window.pixels, taken, *work.mark(number, slice(None)))
    work.ledger.check()


def clear_window(
    asset: Asset, access: Access, item: str, target: Target, mask: ClassMask
) -> tuple[NDArray[np.bool_], SourceWindow] | None:
    """True = keep, on the classification's own pixels, read far enough around the target that the edge is right.

    None where the classification does not reach it. Raises AssetError.
    """
    found = read_window(asset, access, item, target, pad=mask.reach_px)
    if found is None:
        return None
    if found.data.dtype.kind not in "iu" or (found.data.size and int(found.data.max()) > 255):
        raise PermanentAssetError(
            asset.href, f"classes are {found.data.dtype}; expected codes 0..11", item=item, asset=asset.key
        )
    # What is no class, or the file's own nodata, says nothing of the pixel: no data.
    known = (found.data >= 0) & (found.data <= 11)
    if found.nodata is not None:
        known &= found.data != found.nodata
    return clear_mask(np.where(known, found.data, NODATA).astype(np.uint8), mask), found


def composite(work: Work, band: str, shifts: Sequence[int]) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Median and number of observations of one band, (y, x) uint16 each, strip by strip.

    shifts: added to the stored numbers of each scene. Values stay within 1..65534; 0 is no observation. What cannot be
    read goes into the ledger and onto `work.lost`.
    """
    height, width = work.geobox.shape
    days = [
        list(scenes) for _, scenes in groupby(range(len(shifts)), key=lambda scene: work.job.items[scene].solar_day)
    ]
    values, count = np.empty((height, width), np.uint16), np.empty((height, width), np.uint16)
    for first in range(0, height, work.job.memory.strip_rows):
        rows = slice(first, min(height, first + work.job.memory.strip_rows))
        stack = np.zeros((len(days), rows.stop - rows.start, width), np.uint16)

        def read_day(day: int, rows: slice = rows, stack: NDArray[np.uint16] = stack) -> None:
            for scene in days[day]:
                _read_scene(work, scene, band, shifts[scene], (rows, stack[day]))

        list(work.pool.map(read_day, range(len(days))))
        step = -(-stack.shape[1] // work.context.threads)
        parts = [slice(top, top + step) for top in range(0, stack.shape[1], step)]
        ends = ((stack[:, part], values[rows][part], count[rows][part]) for part in parts)
        list(work.pool.map(lambda arrays: median(*arrays), ends))
    return values, count


def _read_scene(work: Work, scene: int, band: str, shift: int, strip: tuple[slice, NDArray[np.uint16]]) -> None:
    """Carry one scene's clear pixels into its day's strip; a scene that provides none there is not read."""
    rows, out = strip
    item = work.job.items[scene]
    plane, bit = work.mark(scene, rows)
    wanted = (plane & bit).astype(np.bool_)
    if not wanted.any():
        return

    def carry(asset: Asset) -> bool:
        work.accept(item.id, asset)
        found = read_window(asset, work.context.access, item.id, Target.rows_of(work.geobox, rows.start, rows.stop))
        if found is not None:
            check_integers(found, asset, item.id)
            work.ledger.note(found.note)
            nodata = 0 if found.nodata is None else found.nodata
            observe(found.data, found.corner, found.pixels, (rows.start, 0), (plane, bit), (nodata, shift), out)
        return True

    if work.ledger.read(item, band, carry) is None:
        wanted = wanted if work.masked else footprint(item, work.geobox)[rows]
        # NumPy lets go of the GIL within `|=`: two readers could undo each other's marks.
        with work.lost_lock:
            work.lost[rows] |= wanted
