"""Where a product hands in its finished layers, one at a time: each configured store gets every layer.

A layer is written while the next one is made: by one thread, which has one layer of a tile at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Band, DataFile
from pipeline.write.cog import CogOptions, write_cog
from pipeline.write.zarr import ZarrOptions, ZarrTile
from pipeline.write.zarr_attributes import Extent


@dataclass(frozen=True)
class WriteOptions:
    """In which stores a product is written, and how; None: not in that one."""

    cog: CogOptions | None
    zarr: ZarrOptions | None = None


@contextmanager
def writing() -> Iterator[Executor]:
    """The thread that writes layers of tiles made together, one at a time; when it ends nothing is being written."""
    thread = ThreadPoolExecutor(1, "write")
    try:
        yield thread
    finally:
        thread.shutdown(cancel_futures=True)


class TileWriter:
    """The data files of one job: the same stored numbers in every store, and no layer is kept once it is written."""

    def __init__(
        self, extent: Extent, folder: Path, options: WriteOptions, tags: Mapping[str, str], thread: Executor
    ) -> None:
        """folder: scratch, where files are finished. tags: licence and attribution (see `rights_tags`).

        extent: the grid, the days of a time series, and what the layers without a day stand for. thread: see `writing`.
        Raises OutputError where a store cannot hold such a grid.
        """
        self._geobox, self._folder, self._options, self._tags = extent.geobox, folder, options, tags
        self._files: list[DataFile] = []
        self._zarr: ZarrTile | None = None
        if options.zarr is not None:
            self._zarr = ZarrTile(extent, folder / "tile.zarr", options.zarr, tags)
        self._thread = thread
        self._written: Future[None] | None = None

    def add(self, data: NDArray[np.generic], band: Band, day: date | None = None) -> None:
        """Write one layer, (y, x) of `band.dtype` in stored numbers; of a day, where it is one of a time series.

        In COG a day's layer is a file of its own, `red-20240601`; in Zarr it is a step of the band's (time, y, x),
        which wants every day. The array is the writer's from now on, and read-only. Returns when this tile's layer
        before it is written, and raises OutputError for that one; for this one the next call does.
        """
        self._wait()
        data.flags.writeable = False
        self._written = self._thread.submit(self._write, data, band, day)

    def finish(self) -> tuple[DataFile, ...]:
        """Everything that was written, validated: COGs in the order in which they were added, then the Zarr store."""
        self._wait()
        return (*self._files, *(self._zarr.finish() if self._zarr else ()))

    def _wait(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _write(self, data: NDArray[np.generic], band: Band, day: date | None) -> None:
        if self._options.cog is not None:
            key = band.name if day is None else f"{band.name}-{day:%Y%m%d}"
            file = write_cog(data, band, self._geobox, self._folder / f"{key}.tif", self._options.cog, self._tags)
            if day is not None:
                fields = {**file.fields, "groundswell:solar_day": day.isoformat()}
                file = replace(file, key=key, title=f"{file.title}, {day}", fields=fields)
            self._files.append(file)
        if self._zarr is not None:
            self._zarr.add(data, band, day)
