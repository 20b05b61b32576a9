"""What a model is given: channels of committed layers, read strip by strip, and cut into windows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import JobError
from pipeline.ops.windows import Axis
from pipeline.products._predict_config import ChannelConfig, PredictConfig
from pipeline.products._stack_inputs import READS, InputLayer, linear, read_rows, strips_of
from pipeline.products._work import Work


@dataclass(frozen=True)
class Channel:
    """One plane (y, x) of the model's input."""

    config: ChannelConfig
    layer: InputLayer | None
    """None: there is none at its step."""

    def values(self, work: Work, rows: tuple[int, int]) -> NDArray[np.float32] | None:
        """What the model is told, NaN where there is no number; None where nothing can be read."""
        layer, config = self.layer, self.config
        if layer is None:
            return None

        def use(_asset: object) -> NDArray[np.float32]:
            stored = read_rows(layer, work.context.access, work.geobox, rows)
            band = layer.band
            values = linear(
                stored,
                band.scale if config.scale is None else config.scale,
                band.offset if config.offset is None else config.offset,
                band.nodata if config.nodata is None else config.nodata,
            )
            return values if config.clip is None else np.clip(values, *config.clip, out=values)

        return work.ledger.read(layer.item, layer.key, use)

    def lost(self, work: Work) -> bool:
        """Whether its layer could not be read."""
        return self.layer is not None and work.ledger.lost(self.layer.item, self.layer.key)


@dataclass(frozen=True)
class Channels:
    """Everything that a model is given of a pixel, in its order: with a layout of time, step by step."""

    planes: tuple[Channel, ...]
    steps: tuple[date, ...]
    """Of a layout of time; else none."""


def find_channels(config: PredictConfig, layers: Sequence[InputLayer]) -> Channels:
    """Which layer each channel is. Raises JobError naming what there is, where that is none or several."""
    found = [(channel, _named(channel.layer, layers)) for channel in config.channels]
    if "t" not in config.layout:
        return Channels(tuple(_at(channel, same, channel.time) for channel, same in found), ())
    steps = tuple(sorted({one.step for _, same in found for one in same if one.step is not None}))
    if not steps:
        raise JobError(f"layout {config.layout}: no channel has a time axis; expected one, or a layout without t")
    return Channels(tuple(_at(channel, same, step) for step in steps for channel, same in found), steps)


def _named(name: str, layers: Sequence[InputLayer]) -> list[InputLayer]:
    """The layers of a name, at every step: by its full name, else by that in one input alone."""
    same = [layer for layer in layers if layer.name == name] or [layer for layer in layers if layer.band.name == name]
    products = sorted({layer.made_by.product for layer in same})
    if len(products) != 1:
        there = ", ".join(dict.fromkeys(layer.name for layer in layers))
        what = f"it in {' and '.join(products)}" if products else "no such layer"
        raise JobError(f"channel {name}: found {what}; expected one of {there}")
    return same


def _at(channel: ChannelConfig, same: Sequence[InputLayer], step: date | None) -> Channel:
    """The one of its layers that stands at a step; one without steps stands at every one."""
    if same[0].step is None:
        return Channel(channel, same[0])
    if step is None and len(same) > 1:
        there = ", ".join(str(layer.step) for layer in same)
        raise JobError(f"channel {channel.layer}: found steps {there}; expected its `time`, or a layout with t")
    return Channel(channel, next((layer for layer in same if step in {None, layer.step}), None))


class Feed:
    """The channels of a tile, strip by strip from the top: no more rows are held than windows still need."""

    def __init__(self, work: Work, channels: Channels, axes: tuple[Axis, Axis], missing: Literal["any", "all"]) -> None:
        """axes: the windows of rows and of columns."""
        self._work, self._planes, self._missing = work, channels.planes, missing
        self._rows, self._columns = axes
        height, width = work.geobox.shape.yx
        self._strips = strips_of(height)
        self._held = np.empty((len(channels.planes), 0, width), np.float32)
        self._top = 0
        self.count = np.zeros((height, width), np.uint16)
        """Channels that have a number; of the rows that were read so far."""

    def kept(self, rows: slice) -> NDArray[np.bool_]:
        """(row, x) where there are enough numbers to say anything."""
        count = self.count[rows]
        return count > 0 if self._missing == "all" else count == len(self._planes)

    def windows(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """(row, column, values (plane, y, x)) of every window in which something is kept, row by row."""
        height, width = self.count.shape
        first_needed = [int(self._rows.sources[row:].min()) for row in range(len(self._rows.starts))]
        for row, places in enumerate(self._rows.sources):
            self._read_to(int(places.max()) + 1, first_needed[row])
            inside, _ = self._rows.inside(row, height)
            kept: NDArray[np.bool_] = np.logical_or.reduce(self.kept(inside), axis=0)
            band = self._held[:, places - self._top]
            for column, across in enumerate(self._columns.sources):
                if kept[self._columns.inside(column, width)[0]].any():
                    yield row, column, band[:, :, across]
        self._read_to(height, height)

    def _read_to(self, last: int, first: int) -> None:
        """Hold the rows from `first` to before `last`, at least."""
        held = self._top + self._held.shape[1]
        parts = [self._held[:, max(first - self._top, 0) :]]
        self._top = max(first, self._top)
        while held < last:
            rows = next(self._strips)
            parts.append(self._strip(rows)[:, max(self._top - rows[0], 0) :])
            held = rows[1]
        self._held = np.concatenate(parts, axis=1)

    def _strip(self, rows: tuple[int, int]) -> NDArray[np.float32]:
        """Values of some rows, (plane, row, x), filled where there is none."""
        values = np.empty((len(self._planes), rows[1] - rows[0], self.count.shape[1]), np.float32)
        count = self.count[slice(*rows)]
        for first in range(0, len(self._planes), READS):
            some = self._planes[first : first + READS]
            read = self._work.pool.map(lambda plane: plane.values(self._work, rows), some)
            for number, (plane, found) in enumerate(zip(some, read, strict=True), first):
                there = np.zeros(count.shape, np.bool_) if found is None else ~np.isnan(found)
                count += there
                values[number] = plane.config.fill
                if found is not None:
                    np.copyto(values[number], found, where=there)
        return values
