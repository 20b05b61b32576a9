"""What a model says of a tile: its windows' results blended, and stored as layers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import JobError
from pipeline.ops.windows import Axis, Windows, add_result
from pipeline.products._predict_channels import Channels, Feed
from pipeline.products._predict_config import CLASS, CLASS_NODATA, PredictConfig, ResultConfig
from pipeline.products._predict_model import Model
from pipeline.products._work import Work, in_order
from pipeline.types import Band

Place = tuple[int, int]
"""(row, column) of a window."""
Window = tuple[int, int, NDArray[np.float32]]
"""Its place, and its values (plane, y, x)."""
AXES_OF_RESULT = {"nchw": "nchw", "ntchw": "nchw", "nhwc": "nhwc", "nthwc": "nhwc"}


def windows_of(config: PredictConfig) -> Windows:
    """How a tile is cut."""
    return Windows(config.window_px, config.overlap_px, config.crop_px, config.blend)


def result_bands(config: PredictConfig) -> tuple[Band, ...]:
    """The layers of an entry, in order."""
    bands = [
        Band(
            one.name,
            one.dtype,
            one.stored_nodata,
            one.scale,
            one.offset,
            one.unit,
            one.description or f"Channel {_channel(one, number)} of the model's result",
        )
        for number, one in enumerate(config.results)
    ]
    if config.classes:
        said = ", ".join(f"{number} {name}" for number, name in enumerate(config.classes))
        bands.append(Band(CLASS, "uint8", CLASS_NODATA, description=f"Class ({said})", overview="mode"))
    return tuple(bands)


def predict_layers(
    work: Work, config: PredictConfig, model: Model, channels: Channels, axes: tuple[Axis, Axis]
) -> tuple[dict[str, NDArray[np.generic]], NDArray[np.uint16]]:
    """Every layer (y, x) of stored numbers by name, and how many channels have a number.

    Windows are run in batches of one size, each on one thread, and added up in the order of their places: what comes
    out does not depend on threads or strips. Windows in which nothing is kept are not run. What is lost of a channel in
    one strip is lost to the whole tile. Raises JobError for a result that is not what the entry says.
    """
    left, used = -1, len(channels.planes)
    while left != used:
        left = used
        feed = Feed(work, channels, axes, config.missing)
        layers = Layers(config, feed.kept, work.geobox.shape.yx)
        canvas = Canvas(axes, work.geobox.shape.yx, layers.put)
        batches = _batched(feed.windows(), config.batch)
        for places, results in in_order(work, lambda batch: _run(batch, config, model, channels), batches):
            for place, result in zip(places, results, strict=False):
                canvas.add(place, result)
        canvas.finish()
        work.ledger.check()
        used = sum(not plane.lost(work) for plane in channels.planes)
    for name, pixels in layers.without.items():
        work.ledger.note(f"the model results in NaN for {pixels} pixels of {name}, which are empty")
    return layers.finished, feed.count


def _batched(windows: Iterator[Window], size: int) -> Iterator[list[Window]]:
    while batch := list(islice(windows, size)):
        yield batch


def _run(
    batch: Sequence[Window], config: PredictConfig, model: Model, channels: Channels
) -> tuple[list[Place], NDArray[np.float32]]:
    """Places, and what the model says of each (window, layer, y, x); the rest of a batch is made up of zeros."""
    side, times = config.window_px, max(len(channels.steps), 1)
    values = np.zeros((config.batch, times, len(config.channels), side, side), np.float32)
    for number, (_, _, planes) in enumerate(batch):
        values[number] = planes.reshape(values.shape[1:])
    given, axes = (values, "ntchw") if "t" in config.layout else (values[:, 0], "nchw")
    found = model.run(np.ascontiguousarray(given.transpose([axes.index(axis) for axis in config.layout])))
    return [(row, column) for row, column, _ in batch], _as_layers(found, config)


def _as_layers(found: NDArray[np.generic], config: PredictConfig) -> NDArray[np.float32]:
    """A result as (window, layer, y, x). Raises JobError where it is not one of so many windows, and so large."""
    axes = AXES_OF_RESULT[config.layout]
    if found.ndim == 3:
        found = np.expand_dims(found, axes.index("c"))
    side = config.window_px - 2 * config.crop_px
    expected = {"n": config.batch, "h": side, "w": side}
    if found.ndim != 4 or any(found.shape[axes.index(axis)] != length for axis, length in expected.items()):
        raise JobError(
            f"the model results in {found.shape} of a batch; expected {config.batch} windows of {side} x {side} px, "
            f"in the order {axes}: window_px is {config.window_px}, crop_px {config.crop_px}"
        )
    if found.dtype.kind != "f" and config.blend != "none":
        raise JobError(f"the model results in {found.dtype}: whole numbers are not blended; expected blend: none")
    return found.transpose([axes.index(axis) for axis in "nchw"]).astype(np.float32)


class Canvas:
    """The blended results of the rows that windows still reach."""

    def __init__(
        self, axes: tuple[Axis, Axis], shape: tuple[int, int], put: Callable[[slice, NDArray[np.float32]], None]
    ) -> None:
        """put: takes rows of the tile that are finished, and their numbers (layer, row, x)."""
        self._rows, self._columns = axes
        self._shape, self._put = shape, put
        self._row = 0
        self._total: NDArray[np.float32] | None = None

    def add(self, place: Place, result: NDArray[np.float32]) -> None:
        """Add a window's result (layer, y, x); windows come row by row."""
        row, column = place
        if self._total is None:
            self._total = np.zeros((len(result), result.shape[1], self._shape[1]), np.float32)
            self._row = row
        self._move(row)
        across, of_result = self._columns.inside(column, self._shape[1])
        weights = np.multiply.outer(self._rows.weights[row], self._columns.weights[column, of_result])
        add_result(self._total[:, :, across], result[:, :, of_result], weights)

    def finish(self) -> None:
        """Give out what is left."""
        if self._total is not None:
            self._give(self._total.shape[1])

    def _move(self, row: int) -> None:
        """To the windows of a row: what lies above them is finished."""
        while self._row < row:
            step = self._rows.starts[self._row + 1] - self._rows.starts[self._row]
            self._give(step)
            self._row += 1

    def _give(self, count: int) -> None:
        total, start = self._total, self._rows.starts[self._row]
        if total is not None:
            first, last = max(start, 0), min(start + count, self._shape[0])
            if first < last:
                self._put(slice(first, last), total[:, first - start : last - start])
            total[:, : total.shape[1] - count] = total[:, count:].copy()
            total[:, total.shape[1] - count :] = 0


class Layers:
    """The stored numbers of every layer of a tile; nodata until they are put."""

    def __init__(
        self, config: PredictConfig, kept: Callable[[slice], NDArray[np.bool_]], shape: tuple[int, int]
    ) -> None:
        """kept: (row, x) of some rows, where there is enough to say anything."""
        self._config, self._kept = config, kept
        self.without: Counter[str] = Counter()
        """By layer, pixels that the model was asked for and has no number for."""
        self.finished: dict[str, NDArray[np.generic]] = {
            band.name: np.full(shape, band.nodata, band.dtype) for band in result_bands(config)
        }

    def put(self, rows: slice, values: NDArray[np.float32]) -> None:
        """Store the numbers (layer, row, x) of some rows. Raises JobError for a channel that there is none of."""
        kept, config = self._kept(rows), self._config
        for number, one in enumerate(config.results):
            channel = _channel(one, number)
            if channel >= len(values):
                raise JobError(f"results: found channel {channel} for {one.name}; the model results in {len(values)}")
            self._tell(one.name, kept & np.isnan(values[channel]))
            self.finished[one.name][rows] = stored(values[channel], one, kept)
        if config.classes:
            self._tell(CLASS, kept & np.isnan(values).any(axis=0))
            self.finished[CLASS][rows] = classified(values, len(config.classes), kept)

    def _tell(self, name: str, none: NDArray[np.bool_]) -> None:
        if none.any():
            self.without[name] += int(np.count_nonzero(none))


def stored(values: NDArray[np.float32], result: ResultConfig, kept: NDArray[np.bool_]) -> NDArray[np.generic]:
    """Values as they are stored: rounded to the nearest, within what the dtype holds beside nodata."""
    kept = kept & ~np.isnan(values)
    if result.dtype == "float32":
        return np.where(kept, values, np.float32(np.nan))
    scaled = np.rint((values.astype(np.float64) - result.offset) / result.scale)
    limited = np.clip(scaled, *result.limits)
    return np.where(kept, limited, result.stored_nodata).astype(result.dtype)


def classified(values: NDArray[np.float32], classes: int, kept: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The number of the greatest channel, the first of equal ones; of a single channel its number itself.

    Raises JobError where there are other channels than classes, or numbers of none.
    """
    if len(values) not in {1, classes}:
        raise JobError(f"classes: found {classes} names; the model results in {len(values)} channels")
    kept = kept & ~np.isnan(values).any(axis=0)
    if len(values) == classes > 1:
        return np.where(kept, values.argmax(axis=0), CLASS_NODATA).astype(np.uint8)
    numbers = np.where(kept, values[0], 0)
    wrong = (numbers != np.rint(numbers)) | (numbers < 0) | (numbers >= classes)
    if wrong.any():
        raise JobError(f"classes: the model results in {numbers[wrong][0]:g}; expected whole numbers below {classes}")
    return np.where(kept, numbers, CLASS_NODATA).astype(np.uint8)


def _channel(result: ResultConfig, place: int) -> int:
    return place if result.channel is None else result.channel
