"""A grid while it is filled: every partition looked at, then read batch by batch, a few months at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import AssetError, MissingAssetsError, TransientAssetError
from pipeline.ops.argo_grid import MONTH, Cells
from pipeline.products._argo_grid_config import ArgoGridConfig
from pipeline.products._argo_grid_gather import Batch, Chosen, Place, Sums, batches, choose, measure, months_at_once
from pipeline.products._argo_grid_store import layers_of, months_together, tally
from pipeline.products._work import Work, in_order
from pipeline.read.access import Access
from pipeline.read.partitions import Partition
from pipeline.types import Asset, Item, Job


def place_of(job: Job, config: ArgoGridConfig) -> Place:
    """The cells of a job: its tile's pixels, from south to north, in the months that its period touches."""
    start, end = (
        np.datetime64(moment.replace(tzinfo=None), "us") for moment in (job.period.start, job.period.end) if moment
    )
    geobox = job.tile.geobox
    rows, columns = geobox.shape
    months = int(((end - np.timedelta64(1, "us")).astype(MONTH) - start.astype(MONTH)).astype(int)) + 1
    side = config.cell_deg
    south = geobox.transform.f - rows * side
    cells = Cells(geobox.transform.c, south, side, columns, rows, start.astype(MONTH), months)
    return Place(cells, job.tile.outline or "", job.period)


def partition_of(asset: Asset, access: Access) -> Partition:
    return Partition(asset.href, access)


@dataclass(frozen=True)
class Grid:
    """What is being filled."""

    config: ArgoGridConfig
    place: Place
    chosen: tuple[Chosen, ...]

    @property
    def cells(self) -> Cells:
        return self.place.cells


def gather(work: Work, config: ArgoGridConfig) -> Grid:
    """Look at every partition; what cannot be read is entered in the ledger. Raises StoreError, MissingAssetsError."""
    place = place_of(work.job, config)

    def look(item: Item) -> Chosen | None:
        return work.ledger.read(
            item,
            "levels",
            lambda asset: choose(partition_of(asset, work.context.access), item.updated or "", config, place),
        )

    ordered = sorted(work.job.items, key=lambda item: item.id)
    chosen = tuple(one for one in in_order(work, look, ordered) if one is not None)
    work.ledger.check()
    return Grid(config, place, chosen)


def months_of(work: Work, grid: Grid) -> Iterator[tuple[int, str, NDArray[Any]]]:
    """(first month, name, numbers) of every variable, chunk by chunk; partitions are read once for several together."""
    cells = grid.cells
    a_month, together = cells.rows * cells.columns, months_together(grid.config, cells)
    every = np.concatenate([np.zeros(0, np.int64), *(one.cell for one in grid.chosen)])
    floats = np.concatenate([np.zeros(0, np.int64), *(_floats(one) for one in grid.chosen)])
    for first, stop in months_at_once(grid.chosen, cells, together):
        low, high = first * a_month, stop * a_month
        sums = Sums(grid.config, np.unique(every[(every >= low) & (every < high)]))
        lots = (lot for one in grid.chosen for lot in batches(one, low, high))
        for batch in in_order(work, partial(_measured, work, grid.config), lots):
            sums.add(batch)
        for begin in range(first, stop, together):
            months = begin, min(begin + together, stop)
            yield from ((begin, name, layer) for name, layer in layers_of(sums, months, cells))
            yield begin, "profiles", tally(every, months, cells)
            yield begin, "floats", tally(floats, months, cells)


def _measured(work: Work, config: ArgoGridConfig, lot: tuple[Chosen, NDArray[np.integer[Any]]]) -> Batch:
    """A batch; half a float cannot be left out, so that what cannot be read now costs the job."""
    try:
        return measure(*lot, config)
    except AssetError as error:
        passing = isinstance(error, TransientAssetError)
        raise MissingAssetsError(f"{work.job.id}: {error}", passing=passing) from error


def _floats(chosen: Chosen) -> NDArray[np.int64]:
    """Cells, each as often as there are floats in it: a float is in one partition only."""
    if not len(chosen.cell):
        return chosen.cell
    return np.asarray(np.unique(np.stack([chosen.cell, chosen.wmo.astype(np.int64)]), axis=1)[0], np.int64)
