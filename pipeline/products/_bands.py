"""Bands read strip by strip into observations, and reduced there: nothing larger than a strip is held for every day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.ops.composite import Reducer
from pipeline.products._base import asset_of
from pipeline.products._composites import Joint
from pipeline.products._footprint import footprint
from pipeline.products._strips import Part, Place, Scene, Strip, plan_strips
from pipeline.products._work import days_of, in_order
from pipeline.read.carry import Carry
from pipeline.read.gather import admit
from pipeline.read.layer import SourceWindow, as_uint16, check_integers, on_tile, place_pixels, read_wanted
from pipeline.types import Item, MemoryPlan

Layer = NDArray[np.uint16]
"""(y, x) stored numbers, 0 = none."""
Layers = NDArray[np.uint16]
"""(band, y, x) of the same."""
Use = Callable[[int, slice, NDArray[np.uint16]], None]
"""(tile's number, rows of it, their observations (band, day, y, x)): what is done with them."""


class _Pass:
    """One time through all strips: what is kept from one to the next, and what has been used."""

    def __init__(self, carry_bytes: int, *, one_layer: bool) -> None:
        self.carry = Carry(carry_bytes)
        self.placing: AbstractContextManager[object] = Lock() if one_layer else nullcontext()
        """Held while a scene's numbers are placed: the loop writes back what it found, where it places nothing too."""
        self._used: set[tuple[int, str, str]] = set()
        self.torn = False
        """Something was lost in one strip that an earlier one has used."""

    def use(self, part: int, item: Item, band: str) -> None:
        self._used.add((part, item.key, band))

    def lose(self, part: int, item: Item, band: str) -> None:
        if (part, item.key, band) in self._used:
            self.torn = True


class Bands:
    """How every scene's bands become layers, of one tile or of several neighbours."""

    def __init__(self, parts: Sequence[Part], memory: MemoryPlan, resampling: str) -> None:
        self._parts, self._resampling = parts, resampling
        self._pool = parts[0].work.pool
        self._strips = plan_strips(parts, memory, resampling)
        self._carry_bytes = memory.carry_bytes if len(self._strips) > 1 else 0
        self._stacks: dict[int, NDArray[np.uint16]] = {}

    def reduce(self, band: str, reducer: Reducer) -> list[tuple[Layer, Layer]]:
        """Composite and number of observations of one band, per tile.

        Values stay within 1..65534. What cannot be read goes into the ledgers and onto `work.lost`.
        """

        def joint(stack: NDArray[np.uint16], out: Layers, count: Layer) -> None:
            reducer(stack[0], out[0], count)

        return [(values[0], count) for values, count in self.reduce_jointly([band], joint)]

    def reduce_jointly(self, bands: Sequence[str], joint: Joint) -> list[tuple[Layers, Layer]]:
        """Composites (band, y, x) made of all bands at once, and the number of complete observations, per tile."""
        shapes = [part.work.geobox.shape.yx for part in self._parts]
        made = [(np.empty((len(bands), *shape), np.uint16), np.empty(shape, np.uint16)) for shape in shapes]

        def join(number: int, rows: slice, stack: NDArray[np.uint16]) -> None:
            values, count = made[number]
            joint(stack, values[:, rows], count[rows])

        self.visit(bands, join)
        return made

    def visit(self, bands: Sequence[str], use: Use, most_px: int | None = None) -> None:
        """Hand all observations to `use`, some rows of a tile at a time, on all threads; the same rows maybe twice.

        most_px: of a band in all days together that are handed over at once; None: as many as there are for a thread.
        """

        def visit(strip: Strip, run: _Pass) -> None:
            stacks = self._observations(strip, bands, run)
            for number, rows in strip.rows.items():
                self._share(stacks[number], rows, partial(use, number), most_px)

        self._pass(visit, self._carry_bytes)

    def pick(self, band: str) -> list[Layer]:
        """One band of the chosen scenes, per tile; a scene that is chosen nowhere is not read."""
        layers = [np.empty(part.work.geobox.shape.yx, np.uint16) for part in self._parts]

        def choose(strip: Strip, run: _Pass) -> None:
            for number, rows in strip.rows.items():
                layers[number][rows] = 0
            scenes = [scene for day in strip.days for scene in day]
            outs = [[layers[place.part][strip.rows[place.part]] for place in scene.places] for scene in scenes]
            work = ((scene, band, strip, out, run) for scene, out in zip(scenes, outs, strict=True))
            list(self._pool.map(lambda one: self._read(*one), work))

        self._pass(choose, self._carry_bytes, one_layer=True)
        return layers

    def layers(self, bands: Sequence[str]) -> Iterator[Layer]:
        """Every day's observation of every band, day by day; of one tile."""
        (part,) = self._parts

        def read(one: tuple[int, str]) -> Layer:
            day, band = one
            values = np.empty(part.work.geobox.shape.yx, np.uint16)

            def merge(strip: Strip, run: _Pass) -> None:
                values[strip.rows[0]] = 0
                for scenes in strip.days:
                    for scene in scenes:
                        if scene.places[0].day == day:
                            self._read(scene, band, strip, [values[strip.rows[0]]], run)

            self._pass(merge, 0)
            return values

        days = range(len(days_of(part.work.job.items)))
        return in_order(part.work, read, ((day, band) for day in days for band in bands))

    def _pass(self, use: Callable[[Strip, _Pass], None], carry_bytes: int, *, one_layer: bool = False) -> None:
        """Every strip in turn; all of them again without what one of them lost after others had used it.

        one_layer: scenes that are read at the same time go onto the same rows.

        So what is lost is lost to the whole tile, wherever strips begin: alone, in a group, in more or less memory.
        """
        torn = True
        while torn:
            run = _Pass(carry_bytes, one_layer=one_layer)
            for strip in self._strips:
                use(strip, run)
            torn = run.torn

    def _observations(self, strip: Strip, bands: Sequence[str], run: _Pass) -> Mapping[int, NDArray[np.uint16]]:
        """(band, day, y, x) of each tile; what the last strip's were is gone."""
        stacks = {
            number: self._stack(position, number, (len(bands), rows.stop - rows.start))
            for position, (number, rows) in enumerate(strip.rows.items())
        }

        def read(one: tuple[int, Sequence[Scene]]) -> None:
            band, scenes = one
            for scene in scenes:
                outs = [stacks[place.part][band, place.day] for place in scene.places]
                self._read(scene, bands[band], strip, outs, run)

        list(self._pool.map(read, ((band, scenes) for band in range(len(bands)) for scenes in strip.days)))
        return stacks

    def _stack(self, position: int, number: int, size: tuple[int, int]) -> NDArray[np.uint16]:
        """Zeros; in the same memory as long as they have the same shape: fresh pages cost as much as filling them."""
        work, (bands, rows) = self._parts[number].work, size
        shape = bands, len(days_of(work.job.items)), rows, work.geobox.shape[1]
        stack = self._stacks.get(position)
        if stack is None or stack.shape != shape:
            stack = self._stacks[position] = np.empty(shape, np.uint16)
        # Filled, not allocated as zeros: such pages would come twice, once to be read and once to be written.
        stack.fill(0)
        return stack

    def _share(
        self, stack: NDArray[np.uint16], rows: slice, use: Callable[[slice, NDArray[np.uint16]], None], most: int | None
    ) -> None:
        """A strip's observations, in parts of its rows, on all threads."""
        _, days, height, width = stack.shape
        step = -(-height // self._parts[0].work.context.threads)
        if most is not None:
            step = max(1, min(step, most // (days * width)))

        def one(top: int) -> None:
            part = slice(top, min(top + step, height))
            use(slice(rows.start + part.start, rows.start + part.stop), stack[:, :, part])

        list(self._pool.map(one, range(0, height, step)))

    def _read(self, scene: Scene, band: str, strip: Strip, outs: Sequence[Layer], run: _Pass) -> None:
        """Carry one scene's pixels into the strip of every tile that wants them: outs, in the order of its places."""
        item = scene.item
        open_to = [not self._parts[place.part].work.ledger.lost(item, band) for place in scene.places]
        windows: Sequence[SourceWindow | None] = ()
        try:
            if any(open_to):
                windows = self._windows(scene, band, run.carry)
        except AssetError as error:
            if len(scene.places) > 1 and isinstance(error, PermanentAssetError):
                # Only a part of the file may be damaged, and nobody loses what only a neighbour needs.
                for one, out in zip(scene.apart(), outs, strict=True):
                    self._read(one, band, strip, [out], run)
                return
            for place in scene.places:
                self._parts[place.part].work.ledger.record(item, band, error)
                run.lose(place.part, item, band)
        for number, (place, out) in enumerate(zip(scene.places, outs, strict=True)):
            if not windows or not open_to[number]:
                self._lose(place, strip.rows[place.part], item)
            elif (window := windows[number]) is not None:
                self._parts[place.part].work.ledger.note(window.note)
                run.use(place.part, item, band)
                first = place.want.target.rows[0] - strip.rows[place.part].start
                with run.placing:
                    self._place(window, place, band, out[first : first + place.want.target.shape[0]])

    def _windows(self, scene: Scene, band: str, carry: Carry) -> Sequence[SourceWindow | None]:
        """Raises AssetError where they cannot be read, or hold other numbers than they are taken for."""
        work, item = self._parts[scene.places[0].part].work, scene.item
        asset = asset_of(item, band)
        work.accept(item, band)
        windows = read_wanted(asset, work.context.access, item.id, scene.wanted, carry)
        for window in {id(window.data): window for window in windows if window is not None}.values():
            check_integers(window, asset, item.id)
        return windows

    def _place(self, window: SourceWindow, place: Place, band: str, out: Layer) -> None:
        """A window's numbers, as what they mean, to the rows that are wanted."""
        linear = self._parts[place.part].linears[place.scene][band]
        if linear.whole is not None:
            place_pixels(window, place.want, self._resampling, linear.whole, out)
        else:
            stored = replace(window, data=as_uint16(window), nodata=0)
            values = np.ascontiguousarray(on_tile(stored, place.want.whole_rows, self._resampling))
            linear.apply(values)
            admit(values, place.want.mark(), (0, 0), out)

    def _lose(self, place: Place, rows: slice, item: Item) -> None:
        """Mark what the scene would have provided."""
        part = self._parts[place.part]
        if part.sources.exclusive:
            plane, bit = part.sources.mark(place.scene, rows)
            part.work.lose(rows, (plane & bit).astype(np.bool_))
        else:
            part.work.lose(rows, footprint(item, part.work.geobox)[rows])
