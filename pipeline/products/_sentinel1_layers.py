"""Observations of radar read strip by strip as linear power, and the layers made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.ops.floats import FloatReducer, float_reducer
from pipeline.ops.radar import prefer, to_db
from pipeline.products._footprint import footprint
from pipeline.products._layers import QA, qa_layer
from pipeline.products._sentinel1_config import Sentinel1Config
from pipeline.products._sentinel1_orbits import Group, Pass, groups_of, never_measured, placeless
from pipeline.products._sentinel1_read import How, PowerReader, mask_of
from pipeline.products._work import Work
from pipeline.read.layer import Target
from pipeline.types import Band, Item

Floats = NDArray[np.float32]
Emit = Callable[[NDArray[Any], Band, date | None], None]
"""Takes a finished layer; of a day, where it is one of a time series."""

_ROLES = {"gamma0", "sigma0", "beta0"}
"""Asset roles of STAC's SAR extension."""
PASSES_A_DAY = 2
"""That the memory plan reckons with; where there are more, strips are lower."""
_COUNT = Band(
    "count", "uint16", None, description="Observations that every layer rests on at least", overview="nearest"
)
_ORBITS = Band(
    "orbits",
    "uint8",
    None,
    description="Orbit directions that a pixel comes from; bits: 1 ascending, 2 descending",
    overview="nearest",
    flags=((1, "ascending"), (2, "descending")),
)


def power_band(name: str, polarisation: str, config: Sentinel1Config, quantity: str) -> Band:
    """What readers need to know of a layer. Overviews of decibels are picked, never averaged."""
    decibels = config.scale == "db"
    made = "observation" if config.composite == "none" else f"{config.composite} over the period"
    scale = f"decibels: 10 log10 of the {made} in linear power" if decibels else f"linear power, {made}"
    return Band(
        name,
        "float32",
        float("nan"),
        unit="dB" if decibels else "1",
        description=f"Radar backscatter {quantity}, {polarisation.upper()}, {scale}",
        overview="nearest" if decibels else "average",
        role=quantity if quantity in _ROLES else "data",
    )


@dataclass(frozen=True, eq=False)
class Radar:
    """A job's scenes, and how they are read."""

    work: Work
    config: Sentinel1Config
    read: PowerReader
    quantity: str

    @property
    def groups(self) -> list[Group]:
        return groups_of(self.work.job.items, self.config)

    def refuse_placeless(self) -> None:
        """Enter scenes that cannot be used for want of their orbit as lost. Raises MissingAssetsError by the policy."""
        for item in self.work.job.items:
            why = placeless(self.config, item)
            if why is not None:
                self.work.lose(slice(None), footprint(item, self.work.geobox))
                for band in (one for one in self.config.polarisations if not never_measured(item, one)):
                    asset = item.assets.get(band)
                    href = "(none)" if asset is None else asset.href
                    self.work.ledger.record(item, band, PermanentAssetError(href, why, item=item.id, asset=band))

    def stacks(self, passes: Sequence[Pass], band: str) -> Iterator[tuple[slice, Floats]]:
        """(rows, (pass, y, x)) of every strip in turn: all again without what one lost after others had used it.

        Whoever takes them begins anew when the first strip comes again. So what is lost is lost to the whole tile,
        wherever strips begin. All strips stand in the same memory: a stack is gone when the next one comes.
        """
        strips = self._strips(len(passes))
        room = np.empty((len(passes), strips[0].stop, self.work.geobox.shape[1]), np.float32)
        torn = True
        while torn:
            used: set[str] = set()
            torn = False
            for rows in strips:
                stack = room[:, : rows.stop - rows.start]
                torn |= self._observe(passes, band, rows, stack, used)
                yield rows, stack

    def _strips(self, passes: int) -> list[slice]:
        job, height = self.work.job, self.work.geobox.shape[0]
        reckoned = PASSES_A_DAY * max(1, len({item.solar_day for item in job.items}))
        rows = max(1, job.memory.strip_rows * reckoned // max(reckoned, passes))
        return [slice(top, min(top + rows, height)) for top in range(0, height, rows)]

    def _observe(self, passes: Sequence[Pass], band: str, rows: slice, stack: Floats, used: set[str]) -> bool:
        """One strip's observations; whether something was lost that an earlier strip has used."""

        def fill(number: int) -> bool:
            torn = False
            stack[number] = np.nan
            for scene in passes[number].scenes:
                torn |= self._read(self.work.job.items[scene], band, rows, stack[number], used)
            return torn

        return any(list(self.work.pool.map(fill, range(len(passes)))))

    def _read(self, item: Item, band: str, rows: slice, out: Floats, used: set[str]) -> bool:
        """Carry a scene's power to where the observation has none yet; True where it is lost after it was used."""
        if never_measured(item, band):
            return False
        ledger, geobox = self.work.ledger, self.work.geobox
        mask = mask_of(item, self.config.mask)
        if not any(ledger.lost(item, name) for name in (band, *((mask[0],) if mask else ()))):
            try:
                self.work.accept(item, band)
                how = How.of(self.config, ledger.note)
                target = Target.rows_of(geobox, rows.start, rows.stop)
                power = self.read(item, band, self.work.context.access, target, how)
                np.copyto(out, power, where=np.isnan(out))
            except AssetError as error:
                self._record(item, band, error)
                self.work.lose(slice(None), footprint(item, geobox))
            else:
                used.add(item.key)
                return False
        return item.key in used

    def _record(self, item: Item, band: str, error: AssetError) -> None:
        """A scene whose mask is lost is lost in every polarisation."""
        mask = mask_of(item, self.config.mask)
        if mask is not None and error.href == item.assets[mask[0]].href:
            self.work.ledger.record(item, mask[0], error, len(self.config.polarisations))
        else:
            self.work.ledger.record(item, band, error)

    def composite(self, group: Group, band: str, reducer: FloatReducer) -> tuple[Floats, NDArray[np.uint16], Any]:
        """(values, count, which directions were used) of one layer, in linear power."""
        shape = self.work.geobox.shape.yx
        values, count, used = np.empty(shape, np.float32), np.empty(shape, np.uint16), np.zeros(shape, np.uint8)
        wanted = np.array([one.orbit.direction == self.config.prefer for one in group.passes], np.uint8)

        def reduce(part: tuple[slice, Floats]) -> None:
            rows, stack = part
            if self.config.prefer is not None:
                prefer(stack, wanted, self.config.prefer_at_least, used[rows])
            reducer(stack, values[rows], count[rows])

        for rows, stack in self.stacks(group.passes, band):
            step = -(-stack.shape[1] // self.work.context.threads)
            tops = range(0, stack.shape[1], step)
            parts = [
                (slice(rows.start + top, min(rows.start + top + step, rows.stop)), stack[:, top : top + step])
                for top in tops
            ]
            list(self.work.pool.map(reduce, parts))
        return values, count, used

    def observation(self, one: Pass, band: str) -> Floats:
        """(y, x) one observation in linear power."""
        values = np.empty(self.work.geobox.shape.yx, np.float32)
        for rows, stack in self.stacks([one], band):
            values[rows] = stack[0]
        return values

    def finished(self, power: Floats) -> Floats:
        """As the entry wants it: decibels are made here and nowhere else."""
        return to_db(power) if self.config.scale == "db" else power

    def band(self, group: Group, polarisation: str) -> Band:
        return power_band(f"{polarisation}{group.suffix}", polarisation, self.config, self.quantity)


def make_layers(radar: Radar, days: Sequence[date], emit: Emit) -> NDArray[np.uint16]:
    """Every layer of a tile, handed over one at a time; returns the observations that every pixel rests on.

    days: of a time series whose bands must have all of them; else none. Raises MissingAssetsError.
    """
    radar.refuse_placeless()
    work, config, groups = radar.work, radar.config, radar.groups
    total = np.zeros(work.geobox.shape.yx, np.uint16)
    for group in groups:
        count = _series(radar, group, days, emit) if config.composite == "none" else _reduced(radar, group, emit)
        np.add(total, count, out=total)
        if len(groups) > 1 or group.suffix:
            emit(count, replace(_COUNT, name=f"count{group.suffix}"), None)
    work.ledger.check()
    emit(total, _total(groups), None)
    emit(qa_layer(total, work.lost), QA, None)
    return total


def _total(groups: Sequence[Group]) -> Band:
    apart = [group for group in groups if group.suffix]
    return replace(_COUNT, description="Observations of all orbits together") if apart else _COUNT


def _reduced(radar: Radar, group: Group, emit: Emit) -> NDArray[np.uint16]:
    least = np.full(radar.work.geobox.shape.yx, np.iinfo(np.uint16).max, np.uint16)
    directions = np.zeros(least.shape, np.uint8)
    for polarisation in radar.config.polarisations:
        values, count, used = radar.composite(group, polarisation, float_reducer(radar.config.composite))
        radar.work.ledger.check()
        np.minimum(least, count, out=least)
        np.bitwise_or(directions, used, out=directions)
        emit(radar.finished(values), radar.band(group, polarisation), None)
    if radar.config.prefer is not None:
        descending_first = radar.config.prefer == "descending"
        emit(directions >> 1 | (directions & 1) << 1 if descending_first else directions, _ORBITS, None)
    return least


def _series(radar: Radar, group: Group, days: Sequence[date], emit: Emit) -> NDArray[np.uint16]:
    complete = np.zeros(radar.work.geobox.shape.yx, np.uint16)
    taken = {one.day: one for one in group.passes}
    for day in sorted({*taken, *days}):
        there = np.ones(complete.shape, np.bool_)
        for polarisation in radar.config.polarisations:
            band = radar.band(group, polarisation)
            if day in taken:
                values = radar.finished(radar.observation(taken[day], polarisation))
            else:
                values = np.full(complete.shape, np.nan, np.float32)
            there &= ~np.isnan(values)
            emit(values, band, day)
        radar.work.ledger.check()
        np.add(complete, there, out=complete)
    return complete


def layer_bands(radar_groups: Sequence[Group], config: Sentinel1Config, quantity: str) -> list[Band]:
    """The bands that `make_layers` hands over, each once."""
    found = []
    for group in radar_groups:
        found += [power_band(f"{name}{group.suffix}", name, config, quantity) for name in config.polarisations]
        if config.prefer is not None:
            found.append(_ORBITS)
        if len(radar_groups) > 1 or group.suffix:
            found.append(replace(_COUNT, name=f"count{group.suffix}"))
    return [*found, _total(radar_groups), QA]
