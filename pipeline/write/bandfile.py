"""One COG of several bands, plane after plane, filled band by band: of a band only its compressed blocks are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from pipeline.errors import OutputError
from pipeline.types import Band, DataFile, Json
from pipeline.write.blocks import encode
from pipeline.write.check import ROWS, check_file, open_level, stored_strips
from pipeline.write.cog import (
    MEDIA_TYPE,
    CogOptions,
    band_tags,
    block_compressor,
    block_side,
    check_layer,
    check_level,
    grid_fields,
    image_headers,
    measured_fields,
)
from pipeline.write.files import finished_file
from pipeline.write.pyramid import pyramid
from pipeline.write.tiff import Image, write_tiff

Array = NDArray[Any]


@dataclass(frozen=True)
class _Level:
    """One plane, or an overview of it: what is left of it until the file is written."""

    shape: tuple[int, ...]
    blocks: tuple[bytes | bytearray, ...]
    digests: tuple[bytes, ...]
    """Of each row of blocks, to compare with what reads back."""


class BandFile:
    """A file of one grid while it is filled."""

    def __init__(self, geobox: GeoBox, path: Path, options: CogOptions, tags: Mapping[str, str]) -> None:
        """tags: licence and attribution (see `rights_tags`). Raises OutputError for a level the codec does not have."""
        check_level(options, path.name)
        self._geobox, self._path, self._options, self._tags = geobox, path, options, tags
        self._bands: list[Band] = []
        self._planes: list[list[_Level]] = []
        self._fields: list[Json] = []

    def add(self, data: Array, band: Band) -> None:
        """One more band, (y, x) of `band.dtype` in stored numbers; nothing of the array is kept.

        Raises OutputError where it is not what it says, or not of the dtype and nodata of the bands before it, which a
        TIFF has once for all of them.
        """
        name = self._path.name
        check_layer(data, band, self._geobox, name, self._tags)
        first = self._bands[0] if self._bands else band
        if _kind(band) != _kind(first) or band.name in {one.name for one in self._bands}:
            raise OutputError(
                f"{name}, band {band.name}: found {_kind(band)} beside {first.name}, {_kind(first)}; expected bands of "
                "different names, one dtype and one nodata in one file"
            )
        compress, block_px = block_compressor(self._options, data), block_side(*data.shape)
        self._planes.append(
            [
                _Level(level.shape, tuple(encode(level, block_px, compress)), _digests(level))
                for level in pyramid(data, band, block_px)
            ]
        )
        self._bands.append(band)
        self._fields.append(measured_fields(data, band))

    def finish(self, key: str, title: str) -> DataFile:
        """The validated file; equal bands give equal bytes. Raises OutputError, and leaves no file, where it is not."""
        if not self._bands:
            raise OutputError(f"{self._path.name}: found no band; expected one at least")
        try:
            self._write()
            self._check()
            fields = {"bands": self._fields, **grid_fields(self._geobox)}
            return finished_file(self._path, key, MEDIA_TYPE, (self._bands[0].role,), title, fields)
        except (RasterioError, CPLE_BaseError, OSError) as error:
            self._path.unlink(missing_ok=True)
            raise OutputError(f"{self._path.name}: could not be written: {error}") from error
        except OutputError:
            self._path.unlink(missing_ok=True)
            raise

    def _write(self) -> None:
        levels = list(zip(*self._planes, strict=True))
        tags = band_tags(self._bands, self._geobox, self._tags)
        headers = image_headers(
            [planes[0].shape for planes in levels], np.dtype(self._bands[0].dtype), tags, self._options
        )
        write_tiff(
            self._path,
            [
                Image(own, tuple(block for plane in planes for block in plane.blocks))
                for own, planes in zip(headers, levels, strict=True)
            ],
        )

    def _check(self) -> None:
        check_file(self._bands, self._geobox, self._path, self._tags, len(self._planes[0]) - 1)
        for number, planes in enumerate(zip(*self._planes, strict=True)):
            with open_level(self._path, number) as source:
                for place, (band, plane) in enumerate(zip(self._bands, planes, strict=True), 1):
                    for (row, stored), digest in zip(stored_strips(source, place), plane.digests, strict=True):
                        if _digest(stored) != digest:
                            raise OutputError(
                                f"{self._path.name}, band {band.name}, overview {number}: rows from {row} read back "
                                "other than written"
                            )


def _kind(band: Band) -> tuple[str, str]:
    return band.dtype, str(band.nodata)


def _digests(level: Array) -> tuple[bytes, ...]:
    return tuple(_digest(level[row : row + ROWS]) for row in range(0, level.shape[0], ROWS))


def _digest(strip: Array) -> bytes:
    return hashlib.blake2b(strip.tobytes(), digest_size=16).digest()
