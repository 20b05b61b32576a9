"""GeoTIFF and JPEG 2000 against the rules of a raster: facts of the header, and then every pixel, strip by strip."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import CRSError, RasterioError
from rasterio.io import DatasetReader
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from pipeline.checks.check import Found, UnreadableError
from pipeline.checks.columns import range_words
from pipeline.checks.numbers import Band, Numbers
from pipeline.checks.result import listed, shown
from pipeline.checks.tally import Rule, Tally
from pipeline.config.checks import RasterConfig
from pipeline.types import Json

_DRIVERS = {"GeoTIFF": "GTiff", "JPEG 2000": "JP2OpenJPEG"}
_OPTIONS = {
    "GDAL_CACHEMAX": 64 * 2**20,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",  # an object is judged alone, without what lies beside it
    "GDAL_PAM_ENABLED": "NO",  # the same
    # With threads of its own, GDAL returns a damaged JPEG 2000 as if it were whole.
    "GDAL_NUM_THREADS": 1,
    "GDAL_VRT_ENABLE_PYTHON": "NO",
}
_STRIP_BYTES = 32 * 2**20
_MAX_SIDE = 2_000_000
_MAX_BANDS = 10_000
_SAME = 1e-6
"""Relative difference up to which sizes of pixels are equal."""

# GDAL's words come with the error that is raised.
logging.getLogger("rasterio").setLevel(logging.CRITICAL)


@dataclass
class RasterCheck:
    """The rules of one rule's rasters."""

    config: RasterConfig
    examples: int

    def run(self, path: Path, kind: str, scratch: Path) -> Found:  # noqa: ARG002 (nothing is written)
        """Read a whole raster. Raises UnreadableError where it cannot be read to its end."""
        tally = Tally(self.examples)
        if kind not in self.config.formats:
            tally.note(Rule("format", "", self.config.severity, listed(self.config.formats)), kind)
        try:
            with warnings.catch_warnings(), rasterio.Env(**_OPTIONS):
                warnings.simplefilter("ignore")  # libraries to each other; what is wrong with an object is a finding
                with DatasetReader(str(path), driver=[_DRIVERS[kind]], sharing=False) as dataset:
                    return self._judge(dataset, tally)
        except (RasterioError, CRSError, ValueError, OSError) as error:
            if isinstance(error, UnreadableError):
                raise
            raise UnreadableError(str(error.__cause__ or error)) from error

    def _judge(self, dataset: DatasetReader, tally: Tally) -> Found:
        if max(dataset.shape) > _MAX_SIDE or dataset.count > _MAX_BANDS:
            raise UnreadableError(f"{dataset.width} x {dataset.height} pixels, {dataset.count} bands: absurd")
        elsewhere = {tag for tag in dataset.tags(ns="OVERVIEWS") if tag.upper() in {"OVERVIEW_FILE", "MASK_FILE"}}
        if elsewhere:
            raise UnreadableError(f"its tag {min(elsewhere)} points to another file, which is not opened")
        judge_place(dataset, self.config, tally)
        judge_shape(dataset, self.config, tally)
        numbers = self._numbers(dataset, tally)
        for window in _strips(dataset):
            for band in numbers:
                values = dataset.read(band.index, window=window)
                valid = dataset.read_masks(band.index, window=window) != 0
                band.numbers.add(values, valid, (window.row_off, 0), tally)
        for band in numbers:
            band.numbers.end(tally)
        return tally.findings(), _facts(dataset, numbers)

    def _numbers(self, dataset: DatasetReader, tally: Tally) -> list[Band]:
        """What is counted of each band; a band that there is not is noted."""
        for index in sorted(set(self.config.band) - set(range(1, dataset.count + 1))):
            rule = Rule("bands", f"band {index}", self.config.severity, "a band of this number")
            tally.note(rule, f"{dataset.count} bands")
        found = []
        for index in range(1, dataset.count + 1):
            config, dtype = self.config.band.get(index, self.config.each), dataset.dtypes[index - 1]
            where = f"band {index}"
            if config.dtype and dtype not in config.dtype:
                tally.note(Rule("dtype", where, config.severity, " or ".join(config.dtype)), dtype)
            found.append(Band(index, dtype, Numbers(where, config, self.examples, "pixels")))
        return found


def judge_place(dataset: DatasetReader, config: RasterConfig, tally: Tally) -> None:
    """Compare where a raster says that it lies."""
    crs, severity = dataset.crs, config.severity
    placed = bool(crs) or bool(dataset.gcps[0])
    if config.georeferenced and not placed:
        tally.note(Rule("crs", "", severity, "a reference system"), "none")
    elif config.crs and not any(_same_crs(crs, each) for each in config.crs):
        tally.note(Rule("crs", "", severity, " or ".join(config.crs)), _crs_name(dataset))
    pixel = math.hypot(dataset.transform.a, dataset.transform.d), math.hypot(dataset.transform.b, dataset.transform.e)
    if config.resolution is not None and not all(
        math.isclose(found, wanted, rel_tol=_SAME) for found, wanted in zip(pixel, config.resolution, strict=True)
    ):
        expected = f"pixels of {config.resolution[0]:.10g} x {config.resolution[1]:.10g}"
        tally.note(Rule("resolution", "", severity, expected), f"{pixel[0]:.10g} x {pixel[1]:.10g}")
    if config.within is not None:
        _judge_within(dataset, config.within, Rule("within", "", severity, f"inside {list(config.within)}"), tally)


def _judge_within(dataset: DatasetReader, within: tuple[float, float, float, float], rule: Rule, tally: Tally) -> None:
    if not dataset.crs:
        tally.note(rule, "no reference system that says where it lies")
        return
    west, south, east, north = transform_bounds(dataset.crs, "EPSG:4326", *dataset.bounds)
    left, bottom, right, top = within
    inside = west <= east and left <= west and east <= right and bottom <= south and north <= top
    if not inside:
        tally.note(rule, f"{[round(each, 6) for each in (west, south, east, north)]}")


def judge_shape(dataset: DatasetReader, config: RasterConfig, tally: Tally) -> None:
    """Compare how many pixels and bands it has, and how it is stored."""
    severity, size = config.severity, (dataset.width, dataset.height)
    overviews = bool(dataset.overviews(1))
    nodata = "none" if dataset.nodata is None else float(dataset.nodata)
    same = config.nodata in {None, nodata} or (config.nodata == "nan" and str(nodata) == "nan")
    stored = "tiles" if dataset.is_tiled else "strips"
    rules = (
        (config.size_px not in {None, size}, "size_px", f"{config.size_px} columns and rows", size),
        (config.bands not in {None, dataset.count}, "bands", f"{config.bands} bands", f"{dataset.count} bands"),
        (not same, "nodata", f"{config.nodata} for no data", nodata),
        (config.tiled not in {None, dataset.is_tiled}, "tiled", "tiles" if config.tiled else "strips", stored),
        (config.overviews not in {None, overviews}, "overviews", _some(config.overviews), _some(overviews)),
    )
    for broken, check, expected, found in rules:
        if broken:
            tally.note(Rule(check, "", severity, expected), found)


def _some(there: bool | None) -> str:  # noqa: FBT001 (a word for it)
    return "overviews" if there else "no overviews"


def _same_crs(crs: Any, wanted: str) -> bool:
    try:
        return bool(crs) and crs == rasterio.CRS.from_user_input(wanted)
    except CRSError:
        return False


def _crs_name(dataset: DatasetReader) -> str:
    if not dataset.crs:
        return "only ground control points" if dataset.gcps[0] else "none"
    code = dataset.crs.to_epsg()
    return f"EPSG:{code}" if code else shown(dataset.crs.to_wkt())


def _strips(dataset: DatasetReader) -> Iterator[Window]:
    """Windows over all rows, whole blocks high where that fits."""
    item = max(np.dtype(each).itemsize for each in dataset.dtypes)
    block = max(1, dataset.block_shapes[0][0])
    rows = max(1, _STRIP_BYTES // max(1, dataset.width * item))
    rows = rows // block * block or block
    for top in range(0, dataset.height, rows):
        yield Window(0, top, dataset.width, min(rows, dataset.height - top))


def _facts(dataset: DatasetReader, numbers: list[Band]) -> dict[str, Json]:
    return {
        "columns": dataset.width,
        "rows": dataset.height,
        "bands": dataset.count,
        "crs": _crs_name(dataset),
        "transform": list(dataset.transform[:6]),
        "nodata": None if dataset.nodata is None else range_words((dataset.nodata, dataset.nodata)).split(" to ")[0],
        "stored": "tiles" if dataset.is_tiled else "strips",
        "block": [int(each) for each in dataset.block_shapes[0]],
        "compression": dataset.compression.value if dataset.compression else "none",
        "overviews": [int(each) for each in dataset.overviews(1)],
        "of_bands": [{"band": band.index, "dtype": band.dtype, **band.numbers.facts()} for band in numbers],
    }
