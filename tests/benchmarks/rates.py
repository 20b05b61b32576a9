"""Single kernels on one core, beside those that are commonly used: how many times as fast, as paired CPU times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import bottleneck  # type: ignore[import-untyped]
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.warp import reproject

from pipeline.ops.composite import median
from pipeline.read.gather import gather
from pipeline.read.pixelmap import pixel_map
from pipeline.read.resample import pad_px, resample
from pipeline.types import Grid

TIMES = 16
REPEATS = 5


def rates(px: int) -> dict[str, dict[str, float]]:
    """By kernel: Mpx/s a core of ours and of the other's, and the ratio of their CPU times."""
    return {"median": _median(px), "nearest": _warp("nearest", px), "bilinear": _warp("bilinear", px)}


def _median(px: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    stack = rng.integers(1, 6000, (TIMES, px, px), np.uint16)
    stack[rng.random(stack.shape, np.float32) < 0.3] = 0
    floats = np.where(stack == 0, np.nan, stack).astype(np.float32)
    out, count = (np.empty((px, px), np.uint16) for _ in range(2))
    found = _paired(px * px, lambda: median(stack, out, count), lambda: bottleneck.nanmedian(floats, axis=0))
    _agree("median", out, np.rint(np.nan_to_num(bottleneck.nanmedian(floats, axis=0))))
    return found


def _warp(method: str, px: int) -> dict[str, float]:
    """A 16-bit band from zone 33 to a tile of zone 32."""
    source = Grid("EPSG:32633", (10.0, 0.0, 266_520.0, 0.0, -10.0, 5_347_860.0), (4096, 4096))
    target = GeoBox((px, px), Affine(10, 0, 714_960, 0, -10, 5_342_020), "EPSG:32632")
    data = np.random.default_rng(0).integers(1, 6000, source.shape, np.uint16)
    out, warped = (np.zeros(target.shape, np.uint16) for _ in range(2))
    plan = pixel_map(source, target)
    window = plan.window((0, px), None, pad_px(method, source, target))
    if window is None:
        raise RuntimeError("the tile lies outside of the source")
    rows, cols = window
    part = np.ascontiguousarray(data[rows, cols])
    corner = rows.start, cols.start

    def ours() -> None:
        if method == "nearest":
            gather(part, corner, plan, (0, 0), out)
        else:
            out[:] = resample(part, corner, (source, target), ((0, px), (0, px)), method, 0)

    def gdal() -> None:
        reproject(
            part,
            warped,
            src_transform=Affine(*source.transform) @ Affine.translation(corner[1], corner[0]),
            src_crs=source.crs,
            dst_transform=target.transform,
            dst_crs=str(target.crs),
            src_nodata=0,
            dst_nodata=0,
            resampling=Resampling[method],
            num_threads=1,
            # Or a turned window counts as decimated, and GDAL takes twice as many pixels into account.
            XSCALE=1,
            YSCALE=1,
        )

    found = _paired(px * px, ours, gdal)
    _agree(method, out, warped)
    return found


def _agree(kernel: str, ours: NDArray[Any], theirs: NDArray[Any]) -> None:
    """Raise RuntimeError where two did not do the same: GDAL's coordinates are up to an eighth of a pixel off.

    So of noise a twentieth of the nearest pixels may be the next ones.
    """
    far = np.abs(ours.astype(np.int64) - theirs.astype(np.int64)) > (0 if kernel != "bilinear" else 6000 // 8)
    if far.mean() > (0 if kernel == "median" else 0.1):
        raise RuntimeError(f"{kernel}: {far.mean():.1%} of the pixels differ: the two have not done the same work")


def _paired(pixels: int, ours: Callable[[], Any], theirs: Callable[[], NDArray[Any] | None]) -> dict[str, float]:
    """Medians of interleaved runs on this thread, after one that is not counted."""
    times: list[tuple[float, float]] = []
    for _ in range(REPEATS + 1):
        pair = []
        for one in (ours, theirs):
            began = time.thread_time()
            one()
            pair.append(time.thread_time() - began)
        times.append((pair[0], pair[1]))
    ours_s, theirs_s = (statistics.median(column) for column in zip(*times[1:], strict=True))
    ratio = statistics.median(theirs / ours for ours, theirs in times[1:])
    return {"ours_mpx_s": pixels / ours_s / 1e6, "theirs_mpx_s": pixels / theirs_s / 1e6, "ratio": ratio}
