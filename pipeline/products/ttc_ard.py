"""The tree-cover tile: a year of Sentinel-2, Sentinel-1 and slope as the channels that a tree-cover model takes.

Made from a `sentinel2` time series, `sentinel1` composites of some windows of the year and a `dem` with `slope_median`,
on the same tiles. Twelve monthly steps (`_ttc_year.py`) become the 13 channels of the analysis-ready tile, or the 17 of
the model's input. `count` says how many observations every band rests on, `months` which months have one, `qa` where
there is none or where an input was lost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import DerivedProduct, ProductConfig
from pipeline.errors import ConfigError
from pipeline.plan.entries import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.plan.ttc import OUR_NUMBERS, OWN, ttc_numbers
from pipeline.products._base import Context
from pipeline.products._layers import COUNT, QA, qa_layer
from pipeline.products._promise import Promise, single
from pipeline.products._quality import MISSING, observed
from pipeline.products._rights import joined_rights
from pipeline.products._stack_inputs import refuse_ground_range, terrain
from pipeline.products._ttc_channels import FROM_SLOPE, DType
from pipeline.products._ttc_layers import CHANNELS, DAYS_ARE, Form, Recipe, Tally, layer_names, layers_of
from pipeline.products._ttc_year import MONTHS, Inputs, find_inputs
from pipeline.products._whole import FromProducts, anything
from pipeline.products._work import Work, start_works
from pipeline.read.access import Access
from pipeline.types import Band, Job, Json, Made, MemoryPlan
from pipeline.write.cog import rights_tags
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr_attributes import Extent

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["PRODUCT", "VERSION", "TtcArd", "TtcArdConfig"]

VERSION = 1
"""Raise it when the same inputs and parameters give other pixels; a golden test watches."""
KINDS = ("sentinel2", "sentinel1", "dem")
"""What it is made from, one input each."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
OBSERVED = Band(
    "months",
    "uint16",
    None,
    description="Bits: months of the year in which every band has an observation; the others are interpolated",
    overview="nearest",
    flags=tuple((1 << number, name) for number, name in enumerate(_MONTHS)),
)


class TtcArdConfig(DerivedProduct):
    """Analysis-ready tree-cover tiles: a year of Sentinel-2, Sentinel-1 and slope as channels."""

    product: Literal["ttc_ard"] = Field(
        description="Tree-cover tiles: from a sentinel2 time series, sentinel1 composites and a dem with slope_median."
    )
    form: Form = Field(
        default="ard",
        description="ard: 13 channels, the mean of 12 months (radar: median) and slope. months: 17 channels of each "
        "month. model: 17 channels of each quarter (median of 3 months) and of the year (median of 12).",
    )
    dtype: DType = Field(
        default="float32",
        description="How values are stored: float32, uint16 (65535ths of each channel's range) or int16 "
        "(10000ths); whole numbers are cut off towards 0.",
    )
    smoothing: float = Field(
        default=100.0,
        gt=0,
        le=1e6,
        description="Strength (lambda) of the Whittaker smoother over time; larger is smoother.",
    )


class TtcArd(FromProducts):
    """The product: committed series, composites and slope in, one committed tile out."""

    model = TtcArdConfig

    def plan(
        self, entry: ProductConfig, region: str, write: WriteOptions, upstream: Mapping[str, ProductPlan]
    ) -> ProductPlan:
        config = _own(entry)
        _check_inputs(config, upstream)
        refuse_ground_range(config, upstream)
        said = config.model_dump(mode="json", include={"form", "dtype", "smoothing"})
        layers = len(CHANNELS[config.form]) * {"ard": 1, "months": MONTHS, "model": 5}[config.form]
        # Twelve months of a channel, ordered again for a median, and a layer being written; of a strip, the series of a
        # channel, its smooth steps and their means. Indices: four channels at once, made of the series of five bands.
        indices = config.form != "ard"
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={**said, "write": asdict(write)},
            source=None,
            region=region,
            bands=(),
            holding=Holding(
                tile=(4 if indices else 1) * 4 * MONTHS + 2 * 4 * MONTHS + 24,
                day=40 if indices else 9,
                strip=4 * 24 + (8 + 4) * MONTHS,
                read=16,
                scene_bits=False,
            ),
            inputs=config.inputs,
            out_bytes=layers * (4 if config.dtype == "float32" else 2) + 5,
            alone=True,
            layers=frozenset({*layer_names(config.form), COUNT.name}),
        )

    def promised(self, entry: ProductConfig, job: Job) -> Promise:
        config = _own(entry)
        year = 0 if job.period.start is None else job.period.start.year
        recipe = _recipe(config, job)
        layers = [layer for one in CHANNELS[config.form] for layer, _ in recipe.statistics(one, year)]
        dated = frozenset(layer.band.name for layer in layers if layer.step is not None)
        return Promise(single(*(layer.band for layer in layers)), single(COUNT, OBSERVED, QA), None, dated)

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        del memory  # of several tiles together: each has its own
        config = _own(entry)
        return [_make(job, config, context, folder) for job, folder in zip(jobs, folders, strict=True)]

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        return self.composite(job, entry, access)

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._ttc_lazy import lazy_year  # noqa: PLC0415 (xarray and Dask's arrays, for notebooks)

        config = _own(entry)
        recipe = _recipe(config, job)
        inputs = _inputs(job, config)
        return lazy_year(
            job, recipe, inputs.year, (COUNT, OBSERVED, QA), partial(_computed, job, inputs, recipe, access)
        )


PRODUCT = TtcArd()


def _own(entry: ProductConfig) -> TtcArdConfig:
    if not isinstance(entry, TtcArdConfig):
        raise TypeError(f"expected a ttc_ard entry, found {type(entry).__name__}")
    return entry


def _check_inputs(config: TtcArdConfig, upstream: Mapping[str, ProductPlan]) -> None:
    """Raise ConfigError unless there is one input of each kind, in the form that is needed.

    Of a tile that is made again from its item alone, nothing is known of them: they were checked when it was made.
    """
    if not upstream:
        return
    kinds = [upstream[name].kind for name in config.inputs]
    if sorted(kinds) != sorted(KINDS):
        raise ConfigError(
            f"{config.name}: inputs are of the kinds {', '.join(kinds)}; allowed: one entry each of {', '.join(KINDS)}"
        )
    of = {plan.kind: plan.parameters for plan in upstream.values() if plan.name in config.inputs}
    if FROM_SLOPE not in of["dem"].get("layers", ()):
        raise ConfigError(f"{config.name}: its dem has no layer {FROM_SLOPE}; add it to the `layers` of that entry")
    if of["sentinel1"].get("scale", "power") != "power":
        raise ConfigError(f"{config.name}: its sentinel1 is in decibels; say `scale: power` in that entry")


def _recipe(config: TtcArdConfig, job: Job) -> Recipe:
    return Recipe(config.form, config.dtype, config.smoothing, job.memory.strip_rows)


def _inputs(job: Job, config: TtcArdConfig) -> Inputs:
    return find_inputs(job, config)


def _make(job: Job, config: TtcArdConfig, context: Context, folder: Path) -> Made:
    """One tile. Raises JobError for inputs of another kind, MisalignedError, MissingAssetsError, OutputError."""
    inputs, recipe = _inputs(job, config), _recipe(config, job)
    rights = joined_rights(job.items)
    each = math.ceil(len(list(inputs.layers)) / len(job.items))
    with start_works([job], context, each, anything, job.memory.reads) as (work,), writing() as thread:
        extent = Extent(work.geobox, job.period, recipe.steps(inputs.year), DAYS_ARE[config.form])
        writer = TileWriter(extent, folder, context.write, rights_tags(rights), thread)
        tally = Tally.of(work.geobox.shape.yx)
        for layer, values in layers_of(work, inputs, recipe, tally):
            writer.add(values, layer.band, layer.step)
        for band, values in _beside(work, tally):
            writer.add(values, band)
        shown = [tally.preview[colour] for colour in ("red", "green", "blue")]
        thumbnail = write_thumbnail(shown, None, folder / "thumbnail.png")
        return Made(
            files=(*writer.finish(), thumbnail),
            properties={**_properties(job, config, inputs, tally), MISSING: round(work.ledger.fraction, 6)},
            rights=rights,
            losses=work.ledger.losses,
            warnings=work.ledger.notes,
            read_bytes=job.read_bytes,
        )


def _beside(work: Work, tally: Tally) -> list[tuple[Band, NDArray[Any]]]:
    return [(COUNT, tally.count), (OBSERVED, tally.months), (QA, qa_layer(tally.count, work.lost))]


def _computed(job: Job, inputs: Inputs, recipe: Recipe, access: Access) -> dict[tuple[str, date | None], NDArray[Any]]:
    """Every layer by name and step, as it is committed."""
    context = Context(access, WriteOptions(None), skip_missing=True, max_missing_fraction=1.0, threads=4)
    with start_works([job], context, len(list(inputs.layers)), anything, job.memory.reads) as (work,):
        tally = Tally.of(work.geobox.shape.yx)
        layers = layers_of(work, inputs, recipe, tally)
        made: dict[tuple[str, date | None], NDArray[Any]] = {
            (layer.band.name, layer.step): values for layer, values in layers
        }
        return {**made, **{(band.name, None): values for band, values in _beside(work, tally)}}


def _properties(job: Job, config: TtcArdConfig, inputs: Inputs, tally: Tally) -> dict[str, Json]:
    seen = {day.month for day in inputs.days if day.year == inputs.year}
    across, _ = _numbers(job.tile.id)
    return {
        "processing:lineage": f"{config.form} of {len(inputs.days)} days of Sentinel-2, "
        f"{len(inputs.radar['vv'])} composites of Sentinel-1 and slope",
        **observed(tally.count),
        **terrain(job),
        "groundswell:channels": list(CHANNELS[config.form]),
        "groundswell:dates": [day.isoformat() for day in inputs.days],
        "groundswell:empty_months": [month for month in range(1, MONTHS + 1) if month not in seen],
        **({"groundswell:empty_channels": tally.empty} if tally.empty else {}),
        **({"groundswell:tile_numbers": OUR_NUMBERS} if across >= OWN else {}),
    }


def _numbers(tile_id: str) -> tuple[int, int]:
    """X and Y number of a tree-cover tile; zeros of a tile of another grid."""
    try:
        return ttc_numbers(tile_id)
    except ValueError:
        return 0, 0
