"""Layers of several products as one data cube a tile and period: on the tile's own grid, in one store, equal chunks.

A layer has the name of its input before its own, `sentinel2_red`, and is copied as it is, or decoded to physical
values; nothing is ever resampled. Where an input has several periods, or days, within the stack's, its layers have a
time axis. `count` says how many layers have a number, `qa` where none has, or where an input was lost or missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ProductConfig
from pipeline.plan.jobs import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.products._base import Context
from pipeline.products._layers import COUNT, QA, qa_layer
from pipeline.products._quality import MISSING, observed
from pipeline.products._rights import joined_rights
from pipeline.products._stack_config import StackConfig
from pipeline.products._stack_inputs import (
    READ_BYTES,
    READ_ROWS,
    READS,
    InputLayer,
    absent,
    decoded,
    input_layers,
    read_rows,
    refuse_ground_range,
    strips_of,
    terrain,
)
from pipeline.products._stack_planes import Cube, Plane, plan_cube
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

VERSION = 1
"""Raise it when the same inputs and parameters give other pixels."""
_COUNT = Band(**{**asdict(COUNT), "description": "Layers that have a number"})
_PREVIEW_PX = 256
_HOLDING = Holding(tile=16, day=0, scene_bits=False, row=READ_BYTES * READS * READ_ROWS)
"""A layer in the making and one being written, the files' blocks, count and marks; and what is being read."""


class Stack(FromProducts):
    """The product: committed layers in, one cube out."""

    model = StackConfig

    def plan(
        self, entry: ProductConfig, region: str, write: WriteOptions, upstream: Mapping[str, ProductPlan]
    ) -> ProductPlan:
        config = _own(entry)
        refuse_ground_range(config, upstream)
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={
                **config.model_dump(mode="json", include={"inputs", "layers", "dtype", "missing_inputs"}),
                "write": asdict(write),
            },
            source=None,
            region=region,
            bands=(),
            holding=_HOLDING,
            inputs=config.inputs,
            optional=frozenset(config.inputs if config.missing_inputs == "fill" else ()),
            out_bytes=sum(one.out_bytes for one in upstream.values()),
            series=True,
            alone=True,
            layers=_names(config),
        )

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        config = _own(entry)
        del memory  # what is read at once is the same in any
        return [_make(job, config, context, folder) for job, folder in zip(jobs, folders, strict=True)]

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        return self.composite(job, entry, access)

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._stack_lazy import lazy_cube  # noqa: PLC0415 (xarray and Dask's arrays, for notebooks)

        return lazy_cube(job, _cube(job, _own(entry)), access, _COUNT)


PRODUCT = Stack()


def _own(entry: ProductConfig) -> StackConfig:
    if not isinstance(entry, StackConfig):
        raise TypeError(f"expected a stack entry, found {type(entry).__name__}")
    return entry


def _names(config: StackConfig) -> frozenset[str] | None:
    """Of its layers, where every input says which."""
    if {*config.layers} != {*config.inputs}:
        return None
    return frozenset({_COUNT.name, *(f"{one}_{layer}" for one, layers in config.layers.items() for layer in layers)})


def _cube(job: Job, config: StackConfig) -> Cube:
    return plan_cube(input_layers(job, config), config.layers, config.inputs, config.dtype)


def _make(job: Job, config: StackConfig, context: Context, folder: Path) -> Made:
    """One tile. Raises MisalignedError, MissingAssetsError, OutputError, and JobError for a layer that is not there."""
    cube = _cube(job, config)
    rights = joined_rights(job.items)
    each = sum(len(plane.layers) for plane in cube.planes) / len(job.items)
    with start_works([job], context, each, anything, READS) as (work,), writing() as thread:
        work.lost[...] = bool(cube.missing)
        for name in cube.missing:
            work.ledger.note(f"no {name} for this tile and period: its layers are empty")
        extent = Extent(work.geobox, job.period, cube.steps, "solar day, or first day of an input's period")
        writer = TileWriter(extent, folder, context.write, rights_tags(rights), thread)
        count, preview = _write_planes(work, cube, writer)
        writer.add(count, _COUNT)
        writer.add(qa_layer(count, work.lost), QA)
        thumbnail = write_thumbnail(_shown(preview), math.nan, folder / "thumbnail.png")
        return Made(
            files=(*writer.finish(), thumbnail),
            properties={**_properties(job, cube, count), MISSING: round(work.ledger.fraction, 6)},
            rights=rights,
            losses=work.ledger.losses,
            warnings=work.ledger.notes,
            read_bytes=job.read_bytes,
        )


def _write_planes(
    work: Work, cube: Cube, writer: TileWriter
) -> tuple[NDArray[np.uint16], dict[str, NDArray[np.float32]]]:
    """Every layer, handed to its writer; how many have a number, and what is shown of some of them, by name."""
    count = np.zeros(work.geobox.shape.yx, np.uint16)
    preview: dict[str, NDArray[np.float32]] = {}
    for plane in cube.planes:
        values = _filled(work, plane)
        work.ledger.check()
        for first, last in strips_of(len(count)) if plane.measures else ():
            count[first:last] += ~absent(values[first:last], plane.band.nodata)
        if plane.band.name not in preview and (not preview or _colour(plane.band.name)):
            step = max(1, max(values.shape) // _PREVIEW_PX)
            preview[plane.band.name] = decoded(values[::step, ::step], plane.band)
        writer.add(values, plane.band, plane.step)
    return count, preview


def _filled(work: Work, plane: Plane) -> NDArray[Any]:
    """One layer (y, x). What is lost in one strip is lost to the whole of it, wherever strips begin."""
    values = np.empty(work.geobox.shape.yx, plane.band.dtype)

    def read(layer: InputLayer, rows: tuple[int, int]) -> NDArray[Any] | None:
        def use(_asset: object) -> NDArray[Any]:
            return read_rows(layer, work.context.access, work.geobox, rows)

        return work.ledger.read(layer.item, layer.key, use)

    def fill(rows: tuple[int, int]) -> None:
        plane.fill(values[slice(*rows)], rows, read)

    left, used = -1, len(plane.layers)
    while left != used:
        left = used
        list(work.pool.map(fill, strips_of(len(values))))
        used = sum(not work.ledger.lost(layer.item, layer.key) for layer in plane.layers)
    if used < len(plane.layers):
        work.lost[...] = True
    return values


def _colour(name: str) -> str | None:
    """The colour of a picture that a layer is, by its name."""
    return next((colour for colour in ("red", "green", "blue") if name.endswith(f"_{colour}")), None)


def _shown(preview: Mapping[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Red, green and blue of the first input that has all three, else the first layer."""
    for name in preview:
        three = [f"{name.removesuffix('_red')}_{colour}" for colour in ("red", "green", "blue")]
        if name.endswith("_red") and all(each in preview for each in three):
            return [preview[each] for each in three]
    return [next(iter(preview.values()))]


def _properties(job: Job, cube: Cube, count: NDArray[np.uint16]) -> dict[str, Json]:
    names = list(dict.fromkeys(plane.band.name for plane in cube.planes))
    return {
        "processing:lineage": f"{len(names)} layers of {', '.join(sorted({one.product for one in job.upstream}))}, "
        "copied on their own grid",
        **observed(count),
        **terrain(job),
        "groundswell:layers": names,
        "groundswell:inputs": [
            {"product": one.product, "period": one.period.id, "fingerprint": one.fingerprint} for one in job.upstream
        ],
        **({"groundswell:steps": [step.isoformat() for step in cube.steps]} if cube.steps else {}),
        **({"groundswell:missing_inputs": list(cube.missing)} if cube.missing else {}),
    }
