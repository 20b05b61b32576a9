"""Frozen values that cross stages: what `search` found, what `plan` decided, what a product made, what became of it.

Plain data only: no I/O, no Dask, no heavy import. Times are UTC; order is (y, x); bare numbers carry their unit.
"""

from pipeline.types.inputs import Affine6, Asset, FloatBucket, Grid, Item, Json, Period, Tile, Unit
from pipeline.types.jobs import Job, MemoryPlan, Neighbour, Plan, Skip, Upstream
from pipeline.types.outputs import (
    AssetLoss,
    Band,
    DataFile,
    DataObject,
    Finding,
    Made,
    Outcome,
    Quality,
    Replaced,
    Rights,
    Status,
    joined_attributions,
)

__all__ = [
    "Affine6",
    "Asset",
    "AssetLoss",
    "Band",
    "DataFile",
    "DataObject",
    "Finding",
    "FloatBucket",
    "Grid",
    "Item",
    "Job",
    "Json",
    "Made",
    "MemoryPlan",
    "Neighbour",
    "Outcome",
    "Period",
    "Plan",
    "Quality",
    "Replaced",
    "Rights",
    "Skip",
    "Status",
    "Tile",
    "Unit",
    "Upstream",
    "joined_attributions",
]
