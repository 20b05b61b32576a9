"""Regions, date by date: each day's scenes merged, clipped to the region's polygon, one file for each set of bands.

Nothing is composited over dates. A region keeps one grid for all of them; scenes on that grid are copied pixel by
pixel, and where a day has scenes of two zones those of the region's own zone come first. Beside the dates lie
`template` (the grid, 1 inside the region), `count`, `qa`, the region's outline and the STAC items of the scenes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ProductConfig
from pipeline.plan.entries import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.products._base import Context
from pipeline.products._glaciers_clip import inside_region, is_native, native_first
from pipeline.products._glaciers_config import SENSORS, GlaciersConfig
from pipeline.products._glaciers_days import Day, is_kept, read_days, write_day
from pipeline.products._glaciers_reference import TEMPLATE, template_layer, write_reference
from pipeline.products._layers import COMPLETE_DAYS, QA, qa_layer
from pipeline.products._optical import Making, Recipe, find_sources, small
from pipeline.products._optical_config import OpticalConfig
from pipeline.products._optical_product import OpticalProduct
from pipeline.products._promise import Promise, single
from pipeline.products._quality import observed
from pipeline.products._strips import Part
from pipeline.products._work import Work, start_works
from pipeline.read.access import Access
from pipeline.types import Job, Json, Made, MemoryPlan
from pipeline.write.cog import rights_tags
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr_attributes import Extent

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PRODUCT", "QA_OUTSIDE", "VERSION", "GlaciersConfig"]

VERSION = 1
"""Raise it when the same inputs and parameters give other pixels."""
QA_OUTSIDE = 4
"""Bit of `qa`: outside of the region."""
LEFT_OUT = "groundswell:days_left_out"
"""Item property: dates that are not there, and the valid share of the region on each."""
_QA = replace(
    QA,
    description="Bits: 1 no observation, 2 an input was lost here, 4 outside of the region",
    flags=(*QA.flags, (QA_OUTSIDE, "outside")),
)
_READS = 4
"""Layers that are read at once: each is a whole band of the region, all of whose blocks are on their way together."""


class Glaciers:
    """The product: an optical time series of a region."""

    model = GlaciersConfig

    def plan(
        self, entry: ProductConfig, region: str, write: WriteOptions, upstream: Mapping[str, ProductPlan]
    ) -> ProductPlan:
        config = _own(entry)
        optical = _of(config).plan(config.optical, region, write, upstream)
        ours = {
            "sensor": config.sensor,
            "sensor_version": optical.version,
            "all_touched": config.all_touched,
            "min_valid": config.min_valid,
            "sets": {name: list(bands) for name, bands in config.sets.items()},
        }
        bands = len(config.made)
        # A date is read, waits for its files, and is compressed into them while layers of the next ones are read.
        holding = Holding(14 + 6 * bands + 2 * (_READS + 1), day=0, read=optical.holding.read)
        return replace(
            optical,
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={**optical.parameters, **ours},
            holding=holding,
            alone=True,
            clips=True,
            layers=frozenset({*config.made, TEMPLATE.name, COMPLETE_DAYS.name}),
        )

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        config = _own(entry)
        return _of(config).aliases(config.optical)

    def notes(self, entry: ProductConfig, items: Sequence[Any]) -> Sequence[str]:  # noqa: ARG002 (the seam's)
        return ()

    def promised(self, entry: ProductConfig, job: Job) -> Promise:
        config = _own(entry)
        optical = _of(config).promised(config.optical, job)
        bands = {name: optical.files[name][0] for name in config.made}
        sets = {name: tuple(bands[band] for band in some) for name, some in config.sets.items()}
        return Promise(sets, single(TEMPLATE, COMPLETE_DAYS, _QA), optical.rights, frozenset(sets))

    def make(
        self,
        jobs: Sequence[Job],
        entry: ProductConfig,
        context: Context,
        folders: Sequence[Path],
        memory: MemoryPlan,  # noqa: ARG002 (of the whole group; regions are made one by one)
    ) -> Sequence[Made]:
        config = _own(entry)
        return [
            _of(config).make_region(native_first(job), config, context, folder)
            for job, folder in zip(jobs, folders, strict=True)
        ]

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        config = _own(entry)
        return _of(config).open(native_first(job), config.optical, access)

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        """Every date, also those that `make` leaves out: how much of the region it shows is known when it is read."""
        config = _own(entry)
        inside = inside_region(job.tile, all_touched=config.all_touched)
        whole = _of(config).composite(native_first(job), config.optical, access)
        clipped = whole[list(config.made)].where(inside, 0).astype(np.uint16)
        return clipped.assign_attrs(whole.attrs)


PRODUCT = Glaciers()


@dataclass(frozen=True)
class _RegionSeries(OpticalProduct[OpticalConfig]):
    """One sensor's scenes of one region."""

    def make_region(self, job: Job, config: GlaciersConfig, context: Context, folder: Path) -> Made:
        """The job's scenes are in the order in which they are laid on one another."""
        optical = config.optical
        inside = inside_region(job.tile, all_touched=config.all_touched)
        recipe = self._recipe(optical, job)
        assets = len(self.aliases(optical))
        with (
            start_works([job], context, assets, self.sensor.accept, min(job.memory.reads, _READS)) as (whole,),
            writing() as thread,
        ):
            work = replace(whole, inside=inside)
            sources, _ = find_sources(work, recipe)
            readings = self._readings(work, optical, sources)
            part = Part(work, sources, [one.linears for one in readings])
            days = _days_of_store(part, recipe, config) if context.write.zarr is not None else None
            writer = self._writer(work, folder, days or (), thread)
            tile = Making(part, None, writer, np.zeros(work.geobox.shape.yx, np.uint16))
            left_out = _write_days(tile, recipe, config, days)
            _write_layers(tile)
            made = self._finish(tile, optical, readings, folder)
            return replace(
                made,
                files=(*made.files, *write_reference(job, folder)),
                properties={**made.properties, **_properties(tile, left_out)},
                warnings=(*made.warnings, *_foreign(job)),
            )

    def _writer(self, work: Work, folder: Path, days: tuple[date, ...], thread: Executor) -> TileWriter:
        extent = Extent(work.geobox, work.job.period, days)
        return TileWriter(extent, folder, work.context.write, rights_tags(self.sensor.rights(work.job.items)), thread)


def _own(entry: ProductConfig) -> GlaciersConfig:
    if not isinstance(entry, GlaciersConfig):
        raise TypeError(f"expected a glaciers entry, found {type(entry).__name__}")
    return entry


def _of(config: GlaciersConfig) -> _RegionSeries:
    return _RegionSeries(SENSORS[config.sensor])


def _days_of_store(part: Part, recipe: Recipe, config: GlaciersConfig) -> tuple[date, ...]:
    """The dates that will be kept: a Zarr store has to know them before the first is written, so all are read once."""
    days = read_days(part, recipe, part.work.job.memory)
    return tuple(one.day for one in days if is_kept(one, config.min_valid))


def _write_days(
    tile: Making, recipe: Recipe, config: GlaciersConfig, days: tuple[date, ...] | None
) -> dict[str, float]:
    """Every date that shows enough of the region, handed to the writer; those that do not, and how much they show.

    days: those that a store was promised, whatever was lost of them since; None: none was.
    """
    left_out = {}
    tile.preview.update({name: small(np.zeros_like(tile.count)) for name in recipe.bands})
    for one in read_days(tile.part, recipe, tile.part.work.job.memory):
        if not (is_kept(one, config.min_valid) if days is None else one.day in days):
            left_out[one.day.isoformat()] = round(one.valid, 6)
            continue
        np.add(tile.count, one.complete, out=tile.count)
        _show(tile, one)
        write_day(one, config.sets, recipe, tile.writer)
    return left_out


def _show(tile: Making, day: Day) -> None:
    """Fill what is still empty of the picture."""
    for name, values in day.layers.items():
        seen = tile.preview[name]
        np.copyto(seen, small(values), where=seen == 0)


def _inside(work: Work) -> NDArray[np.bool_]:
    return np.ones_like(work.lost) if work.inside is None else work.inside


def _write_layers(tile: Making) -> None:
    work = tile.part.work
    inside = _inside(work)
    qa = qa_layer(tile.count, work.lost & inside) | np.multiply(~inside, np.uint8(QA_OUTSIDE))
    tile.writer.add(template_layer(inside), TEMPLATE)
    tile.writer.add(tile.count, COMPLETE_DAYS)
    tile.writer.add(qa, _QA)


def _properties(tile: Making, left_out: Mapping[str, float]) -> dict[str, Json]:
    """Of the region's pixels, not of the box around them."""
    job, inside = tile.part.work.job, _inside(tile.part.work)
    days = len({item.solar_day for item in job.items})
    return {
        **observed(tile.count, inside),
        "processing:lineage": f"{days - len(left_out)} of {days} dates, clipped to the region {job.tile.id}",
        "groundswell:days": days - len(left_out),
        LEFT_OUT: dict(left_out),
        "groundswell:region_pixels": int(np.count_nonzero(inside)),
        "groundswell:native_scenes": sum(is_native(item, job.tile) for item in job.items),
    }


def _foreign(job: Job) -> tuple[str, ...]:
    """A remark where all scenes lie in one other UTM zone: the region would better be there, too."""
    systems = {asset.grid.crs for item in job.items for asset in item.assets.values() if asset.grid is not None}
    ours = str(job.tile.geobox.crs)
    zones = ("EPSG:326", "EPSG:327")
    if len(systems) == 1 and ours not in systems and all(crs.startswith(zones) for crs in (ours, *systems)):
        return (f"all scenes lie in {systems.pop()}, the region in {ours}, so pixels are resampled: see area.zone",)
    return ()
