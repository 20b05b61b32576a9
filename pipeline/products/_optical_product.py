"""An optical product, told its sensor: parameters in, one committed tile out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Generic

import numpy as np

from pipeline.config import ProductConfig
from pipeline.ops.linear import Linear
from pipeline.plan.dates import DateChoice
from pipeline.plan.entries import ProductPlan
from pipeline.products._base import Context
from pipeline.products._composites import Chosen, Derived, Series, composite_named
from pipeline.products._layers import COUNT, DOY, QA, SOURCE, SOURCES, reasons_band
from pipeline.products._optical import Making, Recipe, find_sources, make_layers
from pipeline.products._optical_sensor import HARMONISED_BY, C, Reading, Sensor, unused_coefficients
from pipeline.products._promise import Promise, single
from pipeline.products._quality import IN_DOUBT, MISSING, cloud_share, observed
from pipeline.products._sources import Sources, number_masking
from pipeline.products._strips import Part
from pipeline.products._work import Work, days_of, start_works
from pipeline.read.access import Access
from pipeline.types import Item, Job, Json, Made, MemoryPlan
from pipeline.write.cog import rights_tags
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr_attributes import Extent

if TYPE_CHECKING:
    import xarray as xr

    from pipeline.products._lazy import Cube


@dataclass(frozen=True)
class OpticalProduct(Generic[C]):
    """The product of one sensor."""

    sensor: Sensor[C]
    derived: Derived | None = None
    """What is made in place of the bands' composites."""

    @property
    def model(self) -> type[ProductConfig]:
        return self.sensor.model

    def plan(
        self,
        entry: ProductConfig,
        region: str,
        write: WriteOptions,
        upstream: Mapping[str, ProductPlan],  # noqa: ARG002 (the seam's; it is made from a source)
    ) -> ProductPlan:
        config = self._own(entry)
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=self.sensor.version,
            parameters={**_parameters(config), "write": asdict(write)},
            source=config.source,
            region=region,
            bands=tuple(self.aliases(config)),
            holding=self._recipe(config).holding,
            facts=("datetime", *self.sensor.facts, *(HARMONISED_BY if config.harmonise else ())),
            out_bytes=2 * len(config.bands) + 3,
            series=config.composite == "none",
            dates=DateChoice(**config.dates.model_dump()) if config.dates else None,
            nearest=config.resampling == "nearest",
            layers=self._recipe(config).names,
        )

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        return self.sensor.aliases(self._own(entry))

    def notes(self, entry: ProductConfig, items: Sequence[Item]) -> Sequence[str]:
        config = self._own(entry)
        unused = unused_coefficients(config, items)
        told = [f"harmonise names {', '.join(unused)}, which no scene of {config.source} is from"] if unused else []
        for band in self.aliases(config):
            lacking = [item.id for item in items if band not in item.assets]
            if lacking:
                told.append(f"{len(lacking)} of {len(items)} scenes of {config.source} have no {band}, as {lacking[0]}")
        return [f"{config.name}: {note}" for note in told]

    def promised(self, entry: ProductConfig, job: Job) -> Promise:
        config = self._own(entry)
        recipe = self._recipe(config, job)
        made = [*recipe.made.values(), *(band for _, band in recipe.index_layers())]
        beside = [COUNT, QA, SOURCE, DOY, *([recipe.reasons] if recipe.reasons is not None else [])]
        dated = frozenset(band.name for band in made) if config.composite == "none" else frozenset[str]()
        return Promise(single(*made), single(*beside), lambda job: self.sensor.rights(job.items), dated)

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        config = self._own(entry)
        recipe = self._recipe(config)
        if isinstance(recipe.composite, Series) and len(jobs) > 1:
            # Whole layers of many days are on their way: of one tile at a time.
            return [
                made
                for job, folder in zip(jobs, folders, strict=True)
                for made in self.make([job], entry, context, [folder], job.memory)
            ]
        with (
            start_works(jobs, context, len(self.aliases(config)), self.sensor.accept, memory.reads) as works,
            writing() as thread,
        ):
            begun = [self._begin(work, config, folder, thread) for work, folder in zip(works, folders, strict=True)]
            make_layers([tile for tile, _ in begun], recipe, memory)
            return [
                self._finish(tile, config, readings, folder)
                for (tile, readings), folder in zip(begun, folders, strict=True)
            ]

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._lazy import lazy_observations  # noqa: PLC0415 (xarray and Dask's arrays, for notebooks)

        return lazy_observations(self._cube(job, entry, access))

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._lazy import lazy_composite  # noqa: PLC0415 (the same)

        return lazy_composite(self._cube(job, entry, access))

    def _cube(self, job: Job, entry: ProductConfig, access: Access) -> Cube:
        from pipeline.products._lazy import open_cube  # noqa: PLC0415 (the same)

        config = self._own(entry)
        return open_cube(job, self._recipe(config, job), partial(self._linear, config, access), access)

    def _linear(self, config: C, access: Access, item: Item, band: str) -> Linear:
        """What the numbers of one scene's band mean; raises AssetError where that is something else, or not known."""
        self.sensor.accept(item, band)
        reading = self.sensor.read(config, access, item, True)  # noqa: FBT003 (the sensor's own function)
        if reading.error is not None:
            raise reading.error
        return reading.linears[band]

    def _own(self, entry: ProductConfig) -> C:
        if not isinstance(entry, self.sensor.model):
            expected = self.sensor.model.__name__
            raise TypeError(f"expected an entry that is a {expected}, found {type(entry).__name__}")
        return entry

    def _recipe(self, config: C, job: Job | None = None) -> Recipe:
        """What to make of a job's scenes; without a job, enough to know what that holds."""
        sensor, composite = self.sensor, self.derived or composite_named(config.composite)
        chooses = isinstance(composite, Chosen)
        distance_px = config.best_pixel.distance_px if isinstance(composite, Chosen) and composite.by_distance else 1
        masking = None
        if config.mask is not None:
            masking = sensor.masking(config, job.items if job is not None else (), distance_px)
        elif chooses:
            masking = number_masking(config.bands[0], len(config.bands), distance_px)
        score = composite.score(config.best_pixel, job) if isinstance(composite, Chosen) and job is not None else None
        return Recipe(
            bands={name: sensor.band(name) for name in config.bands},
            standard=config.standard,
            scale=sensor.scale,
            composite=composite,
            score=score,
            masking=masking,
            reasons=reasons_band(sensor.words) if "reasons" in config.extra_layers else None,
            layers=tuple(name for name in ("source", "doy") if name in config.extra_layers),
            indices=config.found_indices(),
            resampling=config.resampling,
            scaled=sensor.scaled,
        )

    def _begin(self, work: Work, config: C, folder: Path, thread: Executor) -> tuple[Making, list[Reading]]:
        """Who provides which pixel of a tile, what the numbers mean, and where its layers will go."""
        job = work.job
        recipe = self._recipe(config, job)
        sources, reasons = find_sources(work, recipe)
        readings = self._readings(work, config, sources)
        series = isinstance(recipe.composite, Series)
        days = tuple(job.items[day[0]].solar_day for day in days_of(job.items)) if series else ()
        extent = Extent(work.geobox, job.period, days)
        rights = rights_tags(self.sensor.rights(job.items))
        writer = TileWriter(extent, folder, work.context.write, rights, thread)
        count = np.zeros(work.geobox.shape.yx, np.uint16)
        return Making(Part(work, sources, [one.linears for one in readings]), reasons, writer, count), readings

    def _readings(self, work: Work, config: C, sources: Sources) -> list[Reading]:
        """What every scene's numbers mean; one of which that cannot be known takes its bands along, as losses."""

        def read(scene: int) -> Reading:
            item = work.job.items[scene]
            reading = self.sensor.read(config, work.context.access, item, sources.pixels(scene) > 0)
            if reading.error is not None:
                for band in config.bands:
                    work.ledger.record(item, band, reading.error)
            return reading

        return list(work.pool.map(read, range(len(work.job.items))))

    def _finish(self, tile: Making, config: C, readings: Sequence[Reading], folder: Path) -> Made:
        """The tile's files, and what its item says of them."""
        work, job = tile.part.work, tile.part.work.job
        colours = [name for name in ("red", "green", "blue") if name in tile.preview]
        shown = [tile.preview[name] for name in (colours if len(colours) == 3 else list(tile.preview)[:1])]
        none = 0 if self.derived is None else self.derived.layers[0].nodata
        thumbnail = write_thumbnail(shown, none, folder / "thumbnail.png")
        doubts = ((item, one.doubt) for item, one in zip(job.items, readings, strict=True))
        return Made(
            files=(*tile.writer.finish(), thumbnail),
            properties=self._properties(config, tile, readings),
            rights=self.sensor.rights(job.items),
            losses=work.ledger.losses,
            warnings=(*work.ledger.notes, *(f"{item.id}: {doubt}" for item, doubt in doubts if doubt)),
            read_bytes=job.read_bytes,
        )

    def _properties(self, config: C, tile: Making, readings: Sequence[Reading]) -> dict[str, Json]:
        """What the item says of a tile, beyond its files."""
        items, count, codes = tile.part.work.job.items, tile.count, tile.part.sources.codes
        days = len(days_of(items))
        composite = "time series" if config.composite == "none" else config.composite
        made = composite if self.derived is None else self.derived.what
        return {
            **self.sensor.describe(items),
            "processing:lineage": f"{made} of {days} days",
            "groundswell:scenes": len(items),
            "groundswell:days": days,
            **observed(count, tile.part.work.inside),
            MISSING: round(tile.part.work.ledger.fraction, 6),
            IN_DOUBT: sum(one.doubt is not None for one in readings),
            **cloud_share(codes if config.mask is not None else None, self.sensor.clouds),
            self.sensor.labels: dict(sorted(Counter(one.label for one in readings).items())),
            **({SOURCES: [item.id for item in items]} if "source" in config.extra_layers else {}),
        }


def _parameters(config: C) -> dict[str, Json]:
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
    if config.dates is not None:
        said["dates"] = config.dates.model_dump(mode="json")
    if config.extra_layers:
        said["layers"] = sorted(config.extra_layers)
    # Formulas come from a library, and may change with its version.
    formulas = {index.name: [index.formula, dict(index.constants)] for index in config.found_indices()}
    return {**said, **({"formulas": formulas} if set(formulas) - {"ndvi"} else {})}
