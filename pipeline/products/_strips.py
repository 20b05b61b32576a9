"""Bands read strip by strip into observations, and reduced there: nothing larger than a strip is held for every day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.composite import Reducer
from pipeline.ops.linear import Linear
from pipeline.products._composites import Joint
from pipeline.products._footprint import footprint
from pipeline.products._sources import Sources
from pipeline.products._work import Work, days_of, in_order
from pipeline.read.gather import observe
from pipeline.read.layer import Target, as_uint16, check_integers, read_window
from pipeline.types import Asset

Layer = NDArray[np.uint16]
"""(y, x) stored numbers, 0 = none."""


@dataclass(frozen=True, eq=False)
class Bands:
    """How every scene's bands are read: who provides which pixel, and what its stored numbers mean."""

    work: Work
    sources: Sources
    linears: Sequence[Mapping[str, Linear]]
    """By scene and band; applied as the numbers are read."""

    def reduce(self, band: str, reducer: Reducer) -> tuple[Layer, Layer]:
        """Composite and number of observations of one band.

        Values stay within 1..65534. What cannot be read goes into the ledger and onto `work.lost`.
        """
        values, count = (np.empty(self.work.geobox.shape, np.uint16) for _ in range(2))
        for rows in self.work.strips():
            self._reduce([band], rows, lambda stack, out, n: reducer(stack[0], out[0], n), (values[None], count))
        return values, count

    def reduce_jointly(self, bands: Sequence[str], joint: Joint) -> tuple[NDArray[np.uint16], Layer]:
        """Composites (band, y, x) made of all bands at once, and the number of complete observations."""
        values = np.empty((len(bands), *self.work.geobox.shape), np.uint16)
        count = np.empty(self.work.geobox.shape, np.uint16)
        for rows in self.work.strips():
            self._reduce(bands, rows, joint, (values, count))
        return values, count

    def pick(self, band: str) -> Layer:
        """One band of the chosen scenes; a scene that is chosen nowhere is not read."""
        values = np.zeros(self.work.geobox.shape, np.uint16)

        def read(place: tuple[slice, int]) -> None:
            rows, scene = place
            self._read(scene, band, rows, values[rows])

        scenes = [scene for scene in range(len(self.linears)) if self.sources.pixels(scene)]
        list(self.work.pool.map(read, ((rows, scene) for rows in self.work.strips() for scene in scenes)))
        return values

    def layers(self, bands: Sequence[str]) -> Iterator[Layer]:
        """Every day's observation of every band, day by day."""
        days = days_of(self.work.job.items)

        def read(place: tuple[int, str]) -> Layer:
            day, band = place
            values = np.zeros(self.work.geobox.shape, np.uint16)
            for rows in self.work.strips():
                for scene in days[day]:
                    self._read(scene, band, rows, values[rows])
            return values

        return in_order(self.work, read, ((day, band) for day in range(len(days)) for band in bands))

    def _reduce(self, bands: Sequence[str], rows: slice, joint: Joint, into: tuple[NDArray[np.uint16], Layer]) -> None:
        """One strip from reading to its rows of the layers: (band, y, x) and the count; nothing is kept of it."""
        days = days_of(self.work.job.items)
        stack = np.zeros((len(bands), len(days), rows.stop - rows.start, self.work.geobox.shape[1]), np.uint16)

        def read(place: tuple[int, int]) -> None:
            day, band = place
            for scene in days[day]:
                self._read(scene, bands[band], rows, stack[band, day])

        list(self.work.pool.map(read, ((day, band) for band in range(len(bands)) for day in range(len(days)))))
        values, count = into[0][:, rows], into[1][rows]
        step = -(-stack.shape[2] // self.work.context.threads)
        parts = [slice(top, top + step) for top in range(0, stack.shape[2], step)]
        list(self.work.pool.map(lambda part: joint(stack[:, :, part], values[:, part], count[part]), parts))

    def _read(self, scene: int, band: str, rows: slice, out: Layer) -> None:
        """Carry one scene's pixels into a strip, reading no more than the rectangle that holds what it provides."""
        work, item = self.work, self.work.job.items[scene]
        plane, bit = self.sources.mark(scene, rows)
        wanted = (plane & bit).astype(np.bool_)
        inside = np.flatnonzero(wanted.any(axis=1))
        if not inside.size:
            return
        part = slice(int(inside[0]), int(inside[-1]) + 1)
        columns = np.flatnonzero(wanted[part].any(axis=0))
        first = rows.start + part.start
        target = Target(work.geobox, (first, rows.start + part.stop), (int(columns[0]), int(columns[-1]) + 1))
        linear = self.linears[scene][band]

        def carry(asset: Asset) -> bool:
            work.accept(item.id, asset)
            found = read_window(asset, work.context.access, item.id, target)
            if found is not None:
                work.ledger.note(found.note)
                data, nodata, shift = found.data, found.nodata or 0, linear.whole
                if shift is None:
                    data, nodata, shift = linear.table()[as_uint16(found, asset, item.id)], 0, 0
                else:
                    check_integers(found, asset, item.id)
                observe(data, found.corner, found.pixels, (first, 0), (plane[part], bit), (nodata, shift), out[part])
            return True

        if work.ledger.read(item, band, carry) is None:
            work.lose(rows, wanted if self.sources.exclusive else footprint(item, work.geobox)[rows])
