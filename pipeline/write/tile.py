"""Where a product hands in its finished layers, one at a time: each configured store gets every layer.

A layer is written while the next one is made: by one thread, which has one layer of a tile at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Band, DataFile, Json
from pipeline.write.bandfile import BandFile
from pipeline.write.cog import CogOptions, write_cog
from pipeline.write.edges import FIELD, outer_edges
from pipeline.write.statistics import joined, statistics
from pipeline.write.zarr import ZarrOptions, ZarrTile
from pipeline.write.zarr_attributes import Extent

EDGES_AT_MOST = 24
"""Layers of a tile that are compared with their neighbours'."""


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
        self._said: dict[str, list[Json]] = {}
        """By band, what is to be said of each of its layers in a Zarr store that stands alone."""
        self._edges = 0
        """Layers whose edges are said."""
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

    def add_together(
        self,
        key: str,
        layers: Sequence[tuple[NDArray[np.generic], Band]],
        day: date | None = None,
        fields: Mapping[str, Json] | None = None,
    ) -> None:
        """Write layers of one dtype and nodata as one COG of several bands; in Zarr they are arrays as with `add`.

        key: the file's, with the day behind it where there is one. fields: more of the item's asset. Returns and raises
        as `add`.
        """
        self._wait()
        for data, _ in layers:
            data.flags.writeable = False
        self._written = self._thread.submit(self._write_together, key, layers, day, fields or {})

    def finish(self) -> tuple[DataFile, ...]:
        """Everything that was written, validated: COGs in the order in which they were added, then the Zarr store."""
        self._wait()
        if self._zarr is None:
            return tuple(self._files)
        store, manifest = self._zarr.finish()
        bands = [{**band, **_together(self._said.get(band["name"], []))} for band in store.fields["bands"]]
        return (*self._files, replace(store, fields={**store.fields, "bands": bands}), manifest)

    def _wait(self) -> None:
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _write(self, data: NDArray[np.generic], band: Band, day: date | None) -> None:
        if self._options.cog is not None:
            key = band.name if day is None else f"{band.name}-{day:%Y%m%d}"
            file = write_cog(data, band, self._geobox, self._folder / f"{key}.tif", self._options.cog, self._tags)
            fields = self._with_edges(file, [(data, band)])
            if day is not None:
                fields |= {"groundswell:solar_day": day.isoformat()}
                file = replace(file, key=key, title=f"{file.title}, {day}")
            self._files.append(replace(file, fields=fields))
        self._write_zarr(data, band, day)

    def _write_together(
        self,
        key: str,
        layers: Sequence[tuple[NDArray[np.generic], Band]],
        day: date | None,
        fields: Mapping[str, Json],
    ) -> None:
        if self._options.cog is not None:
            said = {**fields, **({} if day is None else {"groundswell:solar_day": day.isoformat()})}
            key = key if day is None else f"{key}-{day:%Y%m%d}"
            names = ", ".join(band.name for _, band in layers)
            file = BandFile(self._geobox, self._folder / f"{key}.tif", self._options.cog, self._tags)
            for data, band in layers:
                file.add(data, band)
            made = file.finish(key, names if day is None else f"{names}, {day}")
            self._files.append(replace(made, fields={**self._with_edges(made, layers), **said}))
        for data, band in layers:
            self._write_zarr(data, band, day)

    def _write_zarr(self, data: NDArray[np.generic], band: Band, day: date | None) -> None:
        if self._zarr is not None:
            self._zarr.add(data, band, day)
            if self._options.cog is None:
                edges = self._edges_of(data, band) if day is None else {}
                about = {"statistics": statistics(data, band.nodata), **edges}
                self._said.setdefault(band.name, []).append(about)

    def _with_edges(self, file: DataFile, layers: Sequence[tuple[NDArray[np.generic], Band]]) -> dict[str, Json]:
        """The fields of a COG, and in those of its bands the edges of its layers."""
        said = zip(file.fields.get("bands", ()), layers, strict=False)
        return {**file.fields, "bands": [{**fields, **self._edges_of(*layer)} for fields, layer in said]}

    def _edges_of(self, data: NDArray[np.generic], band: Band) -> dict[str, Json]:
        """Of the first layers only: they tell a seam, and an item stays small whatever the length of a series."""
        edges = outer_edges(data, band) if self._edges < EDGES_AT_MOST else {}
        self._edges += bool(edges)
        return {FIELD: edges} if edges else {}


def _together(layers: Sequence[Json]) -> dict[str, Json]:
    """What is said of a band: of its only layer, or of those of all days together, which have no edges."""
    if len(layers) < 2:
        return dict(layers[0]) if layers else {}
    return {"statistics": joined([layer["statistics"] for layer in layers])}
