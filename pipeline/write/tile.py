"""Where a product hands in its finished layers, one at a time: each configured store gets every layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.types import Band, DataFile
from pipeline.write.cog import CogOptions, write_cog


@dataclass(frozen=True)
class WriteOptions:
    """In which formats a product is written, and how; None: not in that one."""

    cog: CogOptions | None


class TileWriter:
    """The data files of one job: the same stored numbers in every store, and no layer is kept once it is added."""

    def __init__(self, geobox: GeoBox, folder: Path, options: WriteOptions, tags: Mapping[str, str]) -> None:
        """folder: scratch, where files are finished. tags: licence and attribution (see `rights_tags`)."""
        self._geobox, self._folder, self._options, self._tags = geobox, folder, options, tags
        self._files: list[DataFile] = []

    def add(self, data: NDArray[np.generic], band: Band) -> None:
        """Write one layer, (y, x) of `band.dtype` in stored numbers. Raises OutputError."""
        if self._options.cog is not None:
            path = self._folder / f"{band.name}.tif"
            self._files.append(write_cog(data, band, self._geobox, path, self._options.cog, self._tags))

    def finish(self) -> tuple[DataFile, ...]:
        """Everything that was written, validated, in the order in which it was added."""
        return tuple(self._files)
