"""Sentinel-1 backscatter: scenes as linear power on the tile, composited over a period, in decibels only at the end.

Layers are float32, NaN where there is none: `vv`, `vh` ..., with the orbit in their names where orbits are kept apart;
`count` says how many observations every layer of a pixel rests on, `qa` where there were none or an input was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ProductConfig
from pipeline.ops.radar import to_db
from pipeline.plan.entries import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.products._base import Context, Ledger
from pipeline.products._promise import Promise, single
from pipeline.products._sentinel1_config import Sentinel1Config
from pipeline.products._sentinel1_grd import (
    ANNOTATIONS_BYTES,
    CALIBRATION,
    Calibration,
    grd_aliases,
    grd_state,
    is_grd,
    read_grd,
)
from pipeline.products._sentinel1_item import doubts, properties, rights
from pipeline.products._sentinel1_layers import PASSES_A_DAY, Radar, layer_bands, make_layers
from pipeline.products._sentinel1_orbits import FACTS, groups_of, never_measured, passes_of, placeless, used
from pipeline.products._sentinel1_read import MASK, How, PowerReader, accept_numbers, alternatives, mask_of, read_rtc
from pipeline.products._work import Work, start_works
from pipeline.read.access import Access
from pipeline.read.layer import Target
from pipeline.types import Band, Item, Job, Json, Made, MemoryPlan
from pipeline.write.cog import rights_tags
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr_attributes import Extent

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PRODUCT", "VERSION", "Sentinel1", "Sentinel1Config"]

VERSION = 1
"""Raise it when the same inputs and parameters give other pixels; a golden test watches."""
_PIXELS = {
    *("kind", "polarisations", "input_scale", "composite", "scale", "orbits", "direction", "relative_orbits", "prefer"),
    *("resampling", "border", "mask", "speckle"),
}


class Sentinel1:
    """The product: parameters in, one committed tile out."""

    model = Sentinel1Config

    def plan(
        self,
        entry: ProductConfig,
        region: str,
        write: WriteOptions,
        upstream: Mapping[str, ProductPlan],  # noqa: ARG002 (the seam's; it is made from a source)
    ) -> ProductPlan:
        config = _own(entry)
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={**_parameters(config), "write": asdict(write)},
            source=config.source,
            region=region,
            bands=tuple(self.aliases(config)),
            holding=_holding(config),
            facts=(*FACTS, *(("sar:product_type",) if config.kind == "grd" else ())),
            out_bytes=4 * len(config.polarisations) + 3,
            series=config.composite == "none",
            alone=True,
            keep=partial(used, config),
            in_bytes=4 if config.kind == "rtc" else 2,
            layers=frozenset({*config.polarisations, "count"}) if config.orbits == "together" else None,
        )

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        config = _own(entry)
        grd = grd_aliases(config.polarisations) if config.kind == "grd" else {}
        return {**alternatives(config), **grd}

    def notes(self, entry: ProductConfig, items: Sequence[Item]) -> Sequence[str]:
        config = _own(entry)
        unplaced = sum(placeless(config, item) is not None for item in items)
        ground = [item.id for item in items if config.kind == "rtc" and is_grd(item)]
        notes = []
        if ground:
            notes.append(
                f"{config.name}: {len(ground)} scenes look like ground range, such as {ground[0]}; say kind: grd"
            )
        if unplaced:
            notes.append(f"{config.name}: {unplaced} of {len(items)} scenes do not say their orbit")
        return [*notes, *_unmasked(config, items)] if config.kind == "rtc" else notes

    def promised(self, entry: ProductConfig, job: Job) -> Promise:
        config = _own(entry)
        bands = layer_bands(groups_of(job.items, config), config, _quantity(_state(job, config)))
        power = [band for band in bands if band.name.startswith(config.polarisations)]
        beside = [band for band in bands if band not in power]
        dated = frozenset(band.name for band in power) if config.composite == "none" else frozenset[str]()
        return Promise(single(*power), single(*beside), rights, dated)

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        config = _own(entry)
        made = []
        for job, folder in zip(jobs, folders, strict=True):
            state = _state(job, config)
            reads = min(memory.reads, job.memory.reads)
            with _works(job, config, context, reads) as (work,), writing() as thread:
                days = tuple(sorted({one.day for one in passes_of(job.items, config)}))
                series = config.composite == "none" and bool(days)
                extent = Extent(job.tile.geobox, job.period, days if series else ())
                tags = {**rights_tags(rights(job)), "backscatter": _quantity(state), "radar_scale": config.scale}
                writer = TileWriter(extent, folder, context.write, tags, thread)
                every = days if series and context.write.zarr is not None else ()
                made.append(_make(_radar(work, config, state), writer, every, (folder, state)))
        return made

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._sentinel1_lazy import lazy_passes  # noqa: PLC0415 (xarray and Dask's arrays)

        config = _own(entry)
        return lazy_passes(job, config, _reader(config), access)

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._sentinel1_lazy import lazy_layers  # noqa: PLC0415 (the same)

        config = _own(entry)
        state = _state(job, config)
        context = Context(access, WriteOptions(None), skip_missing=False, max_missing_fraction=0, threads=1)

        def compute() -> dict[str, dict[date | None, NDArray[Any]]]:
            layers: dict[str, dict[date | None, NDArray[Any]]] = {}
            with _works(job, config, context, job.memory.reads) as (work,):
                days = tuple({one.day for one in passes_of(job.items, config)})

                def keep(values: NDArray[Any], band: Band, day: date | None) -> None:
                    layers.setdefault(band.name, {})[day] = values.copy()

                make_layers(_radar(work, config, state), days if config.composite == "none" else (), keep)
            return layers

        return lazy_layers(job, config, _quantity(state), compute)


PRODUCT = Sentinel1()


def _own(entry: ProductConfig) -> Sentinel1Config:
    if not isinstance(entry, Sentinel1Config):
        raise TypeError(f"expected a sentinel1 entry, found {type(entry).__name__}")
    return entry


def _parameters(config: Sentinel1Config) -> dict[str, Json]:
    """What of an entry changes pixels, whatever the order of what has none."""
    said = config.model_dump(mode="json", include=_PIXELS)
    said["relative_orbits"] = config.relative_orbits and sorted(config.relative_orbits)
    if config.kind == "grd":
        said["calibration"], said["mask"] = asdict(_calibration(config)), None
    elif config.mask is not None and config.mask.codes is not None:
        said["mask"] = {"asset": config.mask.asset, "codes": sorted(config.mask.codes)}
    elif config.mask is not None:
        said["mask"]["of"] = sorted(config.mask.of)
    if config.prefer is not None:
        said["prefer_at_least"] = config.prefer_at_least
    return said


def _unmasked(config: Sentinel1Config, items: Sequence[Item]) -> Iterator[str]:
    """What masks are not used, where somebody may think they are."""
    if config.mask is None:
        return
    without = [item.id for item in items if mask_of(item, config.mask) is None]
    if config.mask.asset is not None and without:
        yield f"{config.name}: {len(without)} scenes have no asset {config.mask.asset}, such as {without[0]}"
    unknown = [item.id for item in items if MASK in item.assets and mask_of(item, config.mask) is None]
    if config.mask.asset is None and unknown:
        yield (
            f"{config.name}: {len(unknown)} scenes have an asset `mask` whose numbers are not known, such as "
            f"{unknown[0]}; it is not used: say mask.asset with mask.values or mask.codes"
        )


def _calibration(config: Sentinel1Config) -> Calibration:
    return Calibration(config.backscatter, config.remove_noise)


def _holding(config: Sentinel1Config) -> Holding:
    """What making a tile holds.

    A tile's layer, in decibels too, the one before it on its way into files with its overviews, counts and marks. Of a
    strip every observation. Of a window: the file's numbers, as power, what the filter makes of it, and on the tile.
    """
    read = 10 + 4 * (config.speckle is not None) + 4 * (config.mask is not None)
    kept = ANNOTATIONS_BYTES if config.kind == "grd" else 0
    return Holding(28, day=4 * PASSES_A_DAY, read=read, scene_bits=False, fixed_bytes=kept)


def _reader(config: Sentinel1Config) -> PowerReader:
    if config.kind == "rtc":
        return read_rtc
    calibration = _calibration(config)

    def read(item: Item, polarisation: str, access: Access, target: Target, how: How) -> NDArray[np.float32]:
        return read_grd(item, polarisation, access, target, calibration, how)

    return read


def _quantity(state: Mapping[str, Json]) -> str:
    """What a layer's numbers are, in words; state: what GRD items say of themselves, else empty."""
    return f"{state[CALIBRATION]}, not terrain corrected" if state else "gamma0"


def _works(job: Job, config: Sentinel1Config, context: Context, reads: int) -> AbstractContextManager[list[Work]]:
    return start_works([job], context, len(config.polarisations), accept_numbers, reads)


def _radar(work: Work, config: Sentinel1Config, state: Mapping[str, Json]) -> Radar:
    bands = sum(not never_measured(item, band) for item in work.job.items for band in config.polarisations)
    work = replace(work, ledger=Ledger(work.job, work.context, bands))
    return Radar(work, config, _reader(config), _quantity(state))


def _state(job: Job, config: Sentinel1Config) -> dict[str, Json]:
    """What the GRD scenes that are used say of themselves. Raises JobError where they differ in it."""
    scenes = [job.items[scene] for one in passes_of(job.items, config) for scene in one.scenes]
    return dict(grd_state(scenes, config.polarisations, _calibration(config))) if config.kind == "grd" else {}


def _make(radar: Radar, writer: TileWriter, days: Sequence[date], where: tuple[Path, Mapping[str, Json]]) -> Made:
    """Every layer handed to the writer, and what the item says beyond them."""
    folder, state = where
    job, config, shown = radar.work.job, radar.config, [np.full((1, 1), np.nan, np.float32)]

    def emit(values: NDArray[Any], band: Band, day: date | None) -> None:
        if values.dtype == np.float32 and not np.isfinite(shown[-1]).any():
            step = max(1, max(values.shape) // 256)
            preview = values[::step, ::step].copy()
            shown.append(preview if config.scale == "db" else to_db(preview))
        writer.add(values, band, day)

    count = make_layers(radar, days, emit)
    thumbnail = write_thumbnail(shown[-1:], float("nan"), folder / "thumbnail.png")
    ledger = radar.work.ledger
    return Made(
        files=(*writer.finish(), thumbnail),
        properties={**properties(job, config, count), **state},
        rights=rights(job),
        losses=ledger.losses,
        warnings=(*ledger.notes, *doubts(job, config)),
        read_bytes=job.read_bytes,
    )
