"""A product that is a function of each pixel's clear observations: a module says what it reads and what it makes.

CONTRIBUTING.md shows a whole one. Reading, masks, clouds, memory, losses, files and items are those of the sensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.config import ProductConfig, SourceProduct
from pipeline.plan.entries import ProductPlan
from pipeline.products._base import Context
from pipeline.products._composites import Derived, Observations
from pipeline.products._optical_config import OpticalConfig
from pipeline.products._optical_product import OpticalProduct
from pipeline.products._optical_sensor import Sensor
from pipeline.products._promise import Promise
from pipeline.read.access import Access
from pipeline.types import Band, Item, Job, Made, MemoryPlan
from pipeline.write.tile import WriteOptions

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["FromObservations", "Observations"]

E = TypeVar("E", bound=SourceProduct)
C = TypeVar("C", bound=OpticalConfig)


@dataclass(frozen=True)
class FromObservations(Generic[E, C]):
    """The product; a module offers one as its `PRODUCT`."""

    model: type[E]
    """Model of its entry in the config."""
    version: int
    """Raise it when the same inputs and parameters give other pixels."""
    sensor: Sensor[C]
    """Whose scenes it reads: the `SENSOR` of `sentinel2` or `landsat`."""
    reads: Callable[[E], C]
    """Its entry → an entry of the sensor's own product: which bands, with which mask."""
    layers: tuple[Band, ...]
    """What it writes, beside `count` and `qa`."""
    compute: Callable[[E, Observations], Mapping[str, NDArray[Any]]]
    """(entry, reflectance by band, float32 (day, y, x) with NaN where not seen) → every layer (y, x), by name.

    It is given some rows of a tile at a time, so each pixel must depend on itself alone.
    """

    def plan(
        self, entry: ProductConfig, region: str, write: WriteOptions, upstream: Mapping[str, ProductPlan]
    ) -> ProductPlan:
        own, product, reads = self._bound(entry)
        made = product.plan(reads, region, write, upstream)
        said = own.model_dump(mode="json", exclude={*SourceProduct.model_fields})
        # No key of an entry is a word of Python, so this one takes the place of none.
        parameters = {**said, "from": {"parameters": made.parameters, "version": self.sensor.version}}
        out_bytes = 3 + sum(np.dtype(band.dtype).itemsize for band in self.layers)
        return replace(made, kind=own.product, version=self.version, parameters=parameters, out_bytes=out_bytes)

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        _, product, reads = self._bound(entry)
        return product.aliases(reads)

    def notes(self, entry: ProductConfig, items: Sequence[Item]) -> Sequence[str]:
        _, product, reads = self._bound(entry)
        return product.notes(reads, items)

    def promised(self, entry: ProductConfig, job: Job) -> Promise:
        _, product, reads = self._bound(entry)
        return product.promised(reads, job)

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        _, product, reads = self._bound(entry)
        return product.make(jobs, reads, context, folders, memory)

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        _, product, reads = self._bound(entry)
        return product.open(job, reads, access)

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        _, product, reads = self._bound(entry)
        return product.composite(job, reads, access)

    def _bound(self, entry: ProductConfig) -> tuple[E, OpticalProduct[C], C]:
        """The entry, the sensor's product with its layers, and the entry that this product is given."""
        if not isinstance(entry, self.model):
            raise TypeError(f"expected an entry that is a {self.model.__name__}, found {type(entry).__name__}")
        derived = Derived(self.layers, partial(self.compute, entry), entry.product)
        # Nothing of the sensor's own layers is made, whatever its entry would have.
        alone = {"name": entry.name, "source": entry.source, "composite": "median", "indices": ()}
        reads = self.reads(entry).model_copy(update=alone)
        return entry, OpticalProduct(self.sensor, derived), reads
