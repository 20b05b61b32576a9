"""Frozen values that cross stages: what `search` found, what `plan` decided, what a product made, what became of it.

Plain data only: no I/O, no Dask, no heavy import. Times are UTC; order is (y, x); bare numbers carry their unit.
"""

from pipeline.types.estimate import Actual, Estimate, Place, Range, Row, Taken, Used
from pipeline.types.events import Begun, ClusterEvent
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
    "Actual",
    "Affine6",
    "Asset",
    "AssetLoss",
    "Band",
    "Begun",
    "ClusterEvent",
    "DataFile",
    "DataObject",
    "Estimate",
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
    "Place",
    "Plan",
    "Quality",
    "Range",
    "Replaced",
    "Rights",
    "Row",
    "Skip",
    "Status",
    "Taken",
    "Tile",
    "Unit",
    "Upstream",
    "Used",
    "joined_attributions",
]
