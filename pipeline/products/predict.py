"""A user's ONNX model applied to other products: in overlapping windows whose results pass into each other.

The model is given channels of committed layers, in the entry's order, and its results become layers on the tile's own
grid. A window that reaches beyond the tile sees the tile's mirror image there: what lies in the neighbouring tile is no
input of this one, so within half an overlap of an edge two tiles may differ where the model looks around a pixel.
`count` says how many channels have a number, 0 where too few have; `qa` says so too, and where an input was lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ProductConfig
from pipeline.ops.windows import plan_axis
from pipeline.plan.jobs import ProductPlan
from pipeline.plan.memory import Holding
from pipeline.products._base import Context
from pipeline.products._layers import COUNT, QA, qa_layer
from pipeline.products._predict_channels import Channels, find_channels
from pipeline.products._predict_config import PredictConfig
from pipeline.products._predict_layers import predict_layers, result_bands, windows_of
from pipeline.products._predict_model import Facts, check_steps, look_at_file, need_libraries, open_model
from pipeline.products._promise import Promise, single
from pipeline.products._quality import MISSING, observed
from pipeline.products._rights import joined_rights
from pipeline.products._stack_inputs import READ_BYTES, READ_ROWS, READS, input_layers, refuse_ground_range, terrain
from pipeline.products._stack_planes import plan_cube
from pipeline.products._whole import FromProducts, anything, lazy_whole
from pipeline.products._work import Work, start_works
from pipeline.read.access import Access
from pipeline.types import Job, Json, Made, MemoryPlan
from pipeline.write.cog import rights_tags
from pipeline.write.thumbnail import write_thumbnail
from pipeline.write.tile import TileWriter, WriteOptions, writing
from pipeline.write.zarr_attributes import Extent

if TYPE_CHECKING:
    import xarray as xr

VERSION = 1
"""Raise it when the same inputs and parameters give other pixels."""
AT_ONCE = 2
"""Batches that are run at once."""
_COUNT = replace(COUNT, description="Channels that have a number; 0 where too few have")
_RUNTIME_BYTES = 150 * 2**20
"""What the libraries hold that run models."""
_FAR_MODEL_BYTES, _USUAL_STEPS = 100 * 2**20, 12
"""Of a model that cannot be looked at before it is run."""
_WORKING_BYTES = 1024
"""Of a pixel of a window while the model works on it: about four activations of 64 channels."""


class Predict(FromProducts):
    """The product: committed layers in, what a model says of them out."""

    model = PredictConfig

    def plan(
        self, entry: ProductConfig, region: str, write: WriteOptions, upstream: Mapping[str, ProductPlan]
    ) -> ProductPlan:
        config = _own(entry)
        refuse_ground_range(config, upstream)
        need_libraries()
        bands = result_bands(config)
        return ProductPlan(
            name=config.name,
            kind=config.product,
            version=VERSION,
            parameters={**config.parameters(), "write": asdict(write)},
            source=None,
            region=region,
            bands=(),
            holding=_holding(config),
            inputs=config.inputs,
            out_bytes=3 + sum(np.dtype(band.dtype).itemsize for band in bands),
            alone=True,
            layers=frozenset({*(band.name for band in bands), _COUNT.name}),
        )

    def promised(self, entry: ProductConfig, job: Job) -> Promise:  # noqa: ARG002 (the seam's; every tile is alike)
        return Promise(single(*result_bands(_own(entry))), single(COUNT, QA), None)

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        config = _own(entry)
        del memory  # windows and the rows that they are cut from are the same in any
        return [_make(job, config, context, folder) for job, folder in zip(jobs, folders, strict=True)]

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        from pipeline.products._stack_lazy import lazy_cube  # noqa: PLC0415 (xarray and Dask's arrays, for notebooks)

        config = _own(entry)
        cube = plan_cube(input_layers(job, config), {}, config.inputs, "native")
        return lazy_cube(job, cube, access, _COUNT)

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        config = _own(entry)
        context = Context(access, WriteOptions(None), skip_missing=False, max_missing_fraction=0.0, threads=1)

        def compute() -> Mapping[str, NDArray[Any]]:
            channels = _channels(job, config)
            with start_works([job], context, len(channels.planes), anything, 1) as (work,):
                return _predicted(work, config, channels)[0]

        return lazy_whole(job, (*result_bands(config), _COUNT, QA), compute)


PRODUCT = Predict()


def _own(entry: ProductConfig) -> PredictConfig:
    if not isinstance(entry, PredictConfig):
        raise TypeError(f"expected a predict entry, found {type(entry).__name__}")
    return entry


def _holding(config: PredictConfig) -> Holding:
    """Whole layers of the result; of the inputs no more rows than a window and one strip, and their batches."""
    look = look_at_file(config)
    size, steps = (_FAR_MODEL_BYTES, _USUAL_STEPS) if look is None else (look[0], _steps(look[1].shape, config.layout))
    planes = len(config.channels) * steps
    bands = result_bands(config)
    layers = max(len(config.classes), *(one.channel or 0 for one in config.results), len(config.results), 1)
    batch_px = config.batch * config.window_px**2
    working = config.working_memory or _WORKING_BYTES * batch_px
    waiting = 4 * batch_px * (planes + layers)
    return Holding(
        # Every layer, count and marks, and the blocks of the file that is being written.
        tile=sum(np.dtype(band.dtype).itemsize for band in bands) + 3 + 6,
        day=0,
        scene_bits=False,
        row=4 * planes * (3 * config.window_px + 2 * READ_ROWS)
        + READ_BYTES * READS * READ_ROWS
        + 8 * layers * config.window_px,
        fixed_bytes=_RUNTIME_BYTES + 2 * size + AT_ONCE * working + (2 * AT_ONCE + 2) * waiting,
    )


def _steps(shape: Sequence[int], layout: str) -> int:
    """Steps in time that a model takes."""
    if "t" not in layout:
        return 1
    fixed = shape[layout.index("t")]
    return _USUAL_STEPS if fixed == -1 else fixed


def _channels(job: Job, config: PredictConfig) -> Channels:
    return find_channels(config, input_layers(job, config))


def _predicted(work: Work, config: PredictConfig, channels: Channels) -> tuple[dict[str, NDArray[Any]], Facts]:
    """Every layer of a tile by name, count and qa included, and which model they are of.

    Raises AssetError and JobError of the model, and MissingAssetsError.
    """
    model = open_model(config)
    check_steps(model.source, config.layout, channels.steps)
    rows, columns = (plan_axis(size, windows_of(config)) for size in work.geobox.shape.yx)
    layers, count = predict_layers(work, config, model, channels, (rows, columns))
    if any(plane.lost(work) for plane in channels.planes):
        work.lost[...] = True
    count[count < (1 if config.missing == "all" else len(channels.planes))] = 0
    return {**layers, _COUNT.name: count, QA.name: qa_layer(count, work.lost)}, model.facts


def _make(job: Job, config: PredictConfig, context: Context, folder: Path) -> Made:
    """One tile."""
    channels = _channels(job, config)
    rights = joined_rights(job.items)
    read = {(plane.layer.item.key, plane.layer.key) for plane in channels.planes if plane.layer is not None}
    with start_works([job], context, len(read) / len(job.items), anything, AT_ONCE) as (work,), writing() as thread:
        layers, facts = _predicted(work, config, channels)
        writer = TileWriter(Extent(work.geobox, job.period), folder, context.write, rights_tags(rights), thread)
        bands = result_bands(config)
        for band in (*bands, _COUNT, QA):
            writer.add(layers[band.name], band)
        shown = layers[bands[0].name]
        thumbnail = write_thumbnail([shown], bands[0].nodata, folder / "thumbnail.png")
        return Made(
            files=(*writer.finish(), thumbnail),
            properties={
                **_properties(job, config, channels, facts, layers[_COUNT.name]),
                MISSING: round(work.ledger.fraction, 6),
            },
            rights=rights,
            losses=work.ledger.losses,
            warnings=work.ledger.notes,
            read_bytes=job.read_bytes,
        )


def _properties(
    job: Job, config: PredictConfig, channels: Channels, facts: Facts, count: NDArray[Any]
) -> dict[str, Json]:
    return {
        "processing:lineage": f"model {Path(config.model).name} ({facts.sha256[:12]}) on "
        f"{', '.join(dict.fromkeys(one.product for one in job.upstream))}",
        **observed(count),
        **terrain(job),
        "groundswell:model": {"file": Path(config.model).name, **facts.describe()},
        "groundswell:channels": [
            None if plane.layer is None else f"{plane.layer.made_by.product}/{plane.layer.key}"
            for plane in channels.planes
        ],
        **({"groundswell:steps": [step.isoformat() for step in channels.steps]} if channels.steps else {}),
        **({"groundswell:classes": list(config.classes)} if config.classes else {}),
    }
