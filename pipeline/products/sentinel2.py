"""Sentinel-2 L2A surface reflectance: masked by the scene classification, merged per day, composited over a period.

Bands are uint16 with scale 1e-4, offset 0, nodata 0 (the radiometric offset is already removed); `count` says how many
observations every band of a pixel rests on, `qa` where there were none or where an input was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.config import ProductConfig
from pipeline.errors import TransientAssetError
from pipeline.ops.offset import FACTS, OffsetDecision
from pipeline.plan.jobs import ProductPlan
from pipeline.products._bands import Layer
from pipeline.products._base import Context, stated_rights
from pipeline.products._composites import Chosen, Series, composite_named
from pipeline.products._layers import QA_EMPTY, QA_LOST, SOURCES, reasons_band
from pipeline.products._optical import Making, Recipe, find_sources, make_layers
from pipeline.products._sentinel2_config import (
    BANDS,
    MASK,
    MASK_KEYS,
    MASK_WORDS,
    SCALE,
    Sentinel2Config,
    reflectance_band,
)
from pipeline.products._sentinel2_numbers import (
    HARMONISED_BY,
    accept_numbers,
    lazy_linears,
    mask_window,
    read_numbers,
    scene_linears,
    scene_offset,
    unused_coefficients,
)
from pipeline.products._sources import Masking, Sources, number_masking
from pipeline.products._strips import Part
from pipeline.products._work import Work, days_of, start_works
from pipeline.read.access import Access
from pipeline.types import Item, Job, Made, MemoryPlan, Rights
from pipeline.write.cog import rights_tags
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr_attributes import Extent

if TYPE_CHECKING:
    import xarray as xr

    from pipeline.products._lazy import Cube

__all__ = ["PRODUCT", "QA_EMPTY", "QA_LOST", "VERSION", "Sentinel2", "Sentinel2Config"]

VERSION = 2
"""Raise it when the same inputs and parameters give other pixels; a golden test watches."""


class Sentinel2:
    """The product: parameters in, one committed tile out."""

    model = Sentinel2Config

    def plan(self, entry: ProductConfig, region: str, write: WriteOptions) -> ProductPlan:
        config = _own(entry)
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={**_parameters(config), "write": asdict(write)},
            source=config.source,
            region=region,
            bands=tuple(self.aliases(config)),
            holding=_recipe(config).holding,
            facts=(*FACTS, *(HARMONISED_BY if config.harmonise else ())),
        )

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        config = _own(entry)
        named: dict[str, Sequence[str]] = {band: BANDS[band].keys for band in config.bands}
        return named if config.mask is None else {**named, MASK: MASK_KEYS}

    def notes(self, entry: ProductConfig, items: Sequence[Item]) -> Sequence[str]:
        config = _own(entry)
        unused = unused_coefficients(config, items)
        if not unused:
            return ()
        return (f"{config.name}: harmonise names {', '.join(unused)}, which no scene of {config.source} is from",)

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        config = _own(entry)
        recipe = _recipe(config)
        if isinstance(recipe.composite, Series) and len(jobs) > 1:
            # Whole layers of many days are on their way: of one tile at a time.
            return [
                made
                for job, folder in zip(jobs, folders, strict=True)
                for made in self.make([job], entry, context, [folder], job.memory)
            ]
        with (
            start_works(jobs, context, len(self.aliases(config)), accept_numbers, memory.reads) as works,
            writing() as thread,
        ):
            begun = [_begin(work, config, folder, thread) for work, folder in zip(works, folders, strict=True)]
            make_layers([tile for tile, _ in begun], recipe, memory)
            return [
                _finish(tile, config, offsets, folder) for (tile, offsets), folder in zip(begun, folders, strict=True)
            ]

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._lazy import lazy_observations  # noqa: PLC0415 (xarray and Dask's arrays, for notebooks)

        return lazy_observations(self._cube(job, entry, access))

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._lazy import lazy_composite  # noqa: PLC0415 (the same)

        return lazy_composite(self._cube(job, entry, access))

    @staticmethod
    def _cube(job: Job, entry: ProductConfig, access: Access) -> Cube:
        from pipeline.products._lazy import open_cube  # noqa: PLC0415 (the same)

        config = _own(entry)
        read = partial(read_numbers, resampling=config.resampling)
        return open_cube(job, _recipe(config, job), read, partial(lazy_linears, config, access), access)


PRODUCT = Sentinel2()


def _own(entry: ProductConfig) -> Sentinel2Config:
    if not isinstance(entry, Sentinel2Config):
        raise TypeError(f"expected a sentinel2 entry, found {type(entry).__name__}")
    return entry


def _parameters(config: Sentinel2Config) -> dict[str, object]:
    """What of an entry changes pixels; keys that change none are left out: tiles made before them stay valid."""
    said = config.model_dump(mode="json", include={"bands", "mask", "composite", "indices", "best_pixel", "harmonise"})
    if config.composite != "best_pixel":
        del said["best_pixel"]
    if config.harmonise:
        said["source"] = config.source  # coefficients may be found by it
    else:
        del said["harmonise"]
    if config.resampling != "nearest":
        said["resampling"] = config.resampling
    if config.extra_layers:
        said["layers"] = sorted(config.extra_layers)
    # Formulas come from a library, and may change with its version.
    formulas = {index.name: [index.formula, dict(index.constants)] for index in config.found_indices()}
    return {**said, **({"formulas": formulas} if set(formulas) - {"ndvi"} else {})}


def _recipe(config: Sentinel2Config, job: Job | None = None) -> Recipe:
    """What to make of a job's scenes; without a job, enough to know what that holds."""
    composite = composite_named(config.composite)
    chooses = isinstance(composite, Chosen)
    distance_px = config.best_pixel.distance_px if isinstance(composite, Chosen) and composite.by_distance else 1
    masking = None
    if config.mask is not None:
        read = partial(mask_window, config.mask.as_class_mask(), distance_px)
        masking = Masking(MASK, read, 1 + len(config.bands))
    elif chooses:
        masking = number_masking(config.bands[0], len(config.bands), distance_px)
    return Recipe(
        bands={name: reflectance_band(name) for name in config.bands},
        standard=config.standard,
        scale=SCALE,
        composite=composite,
        score=composite.score(config.best_pixel, job) if isinstance(composite, Chosen) and job is not None else None,
        masking=masking,
        reasons=reasons_band(MASK_WORDS) if "reasons" in config.extra_layers else None,
        layers=tuple(name for name in ("source", "doy") if name in config.extra_layers),
        indices=config.found_indices(),
        resampling=config.resampling,
    )


def _begin(work: Work, config: Sentinel2Config, folder: Path, thread: Executor) -> tuple[Making, list[OffsetDecision]]:
    """Who provides which pixel of a tile, what the numbers mean, and where its layers will go."""
    job = work.job
    recipe = _recipe(config, job)
    sources, reasons = find_sources(work, recipe)
    offsets = _offsets(work, config, sources)
    linears = [scene_linears(config, one.shift, item) for one, item in zip(offsets, job.items, strict=True)]
    series = isinstance(recipe.composite, Series)
    days = tuple(job.items[day[0]].solar_day for day in days_of(job.items)) if series else ()
    extent = Extent(work.geobox, job.period, days)
    writer = TileWriter(extent, folder, work.context.write, rights_tags(_rights(job)), thread)
    count = np.zeros(work.geobox.shape.yx, np.uint16)
    return Making(Part(work, sources, linears), reasons, writer, count), offsets


def _finish(tile: Making, config: Sentinel2Config, offsets: list[OffsetDecision], folder: Path) -> Made:
    """The tile's files, and what its item says of them."""
    work, job = tile.part.work, tile.part.work.job
    colours = [name for name in ("red", "green", "blue") if name in tile.preview]
    shown = [tile.preview[name] for name in (colours if len(colours) == 3 else config.bands[:1])]
    thumbnail = write_thumbnail(shown, 0, folder / "thumbnail.png")
    return Made(
        files=(*tile.writer.finish(), thumbnail),
        properties=_properties(job, config, offsets, tile.count),
        rights=_rights(job),
        losses=work.ledger.losses,
        warnings=(*work.ledger.notes, *_doubts(job, offsets)),
        read_bytes=job.read_bytes,
    )


def _offsets(work: Work, config: Sentinel2Config, sources: Sources) -> list[OffsetDecision]:
    """The radiometric offset of every scene; one that cannot be had takes the scene's bands along, as losses."""

    def decide(scene: int) -> OffsetDecision:
        item = work.job.items[scene]
        try:
            return scene_offset(config.bands, work.context.access, item, used=sources.pixels(scene) > 0)
        except TransientAssetError as error:
            for band in config.bands:
                work.ledger.record(item, band, error)
            return OffsetDecision(0, error.cause, doubtful=True)

    return list(work.pool.map(decide, range(len(work.job.items))))


def _properties(job: Job, config: Sentinel2Config, offsets: list[OffsetDecision], count: Layer) -> dict[str, object]:
    items = job.items
    days = len(days_of(items))
    made = "time series" if config.composite == "none" else config.composite
    return {
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "processing:lineage": f"{made} of {days} days",
        "groundswell:scenes": len(items),
        "groundswell:days": days,
        "groundswell:valid_fraction": round(float(np.count_nonzero(count)) / count.size, 6),
        "groundswell:observations_mean": round(float(count.mean()), 4),
        "groundswell:offsets": {
            str(shift): sum(one.shift == shift for one in offsets) for shift in sorted({one.shift for one in offsets})
        },
        **({SOURCES: [item.id for item in items]} if "source" in config.extra_layers else {}),
    }


def _doubts(job: Job, offsets: list[OffsetDecision]) -> Iterator[str]:
    for item, decision in zip(job.items, offsets, strict=True):
        if decision.doubtful:
            yield f"{item.id}: offset {decision.shift} in doubt: {decision.reason}"


def _rights(job: Job) -> Rights:
    years = sorted({item.time.year for item in job.items})
    copernicus = Rights(
        license="other",
        license_href="https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice",
        attribution=f"Contains modified Copernicus Sentinel data {', '.join(map(str, years))}",
        providers=(
            {
                "name": "European Union/ESA/Copernicus",
                "roles": ["producer", "licensor"],
                "url": "https://sentinels.copernicus.eu",
            },
        ),
    )
    return stated_rights(job.items, copernicus)
