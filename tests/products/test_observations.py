"""Laws of products that are functions of a sensor's observations: what their plan and their numbers rest on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.config import SourceProduct
from pipeline.plan.entries import ProductPlan
from pipeline.products._composites import Derived
from pipeline.products._observations import FromObservations, Observations
from pipeline.products._sentinel2_config import Sentinel2Config
from pipeline.products.sentinel2 import SENSOR
from pipeline.types import Band
from pipeline.write.tile import WriteOptions

DARKEST = Band("darkest", "float32", float("nan"))


class DarkestConfig(SourceProduct):
    """An entry with keys that the sensor's own might be mistaken for."""

    product: Literal["darkest"]
    sensor: str = "any"
    reads: int = 1
    bands: tuple[Literal["red", "nir"], ...] = ("red",)


def reads(entry: DarkestConfig) -> Sentinel2Config:
    usual = Sentinel2Config(product="sentinel2", source=entry.source, bands=entry.bands, mask=None)
    return usual.model_copy(update={"composite": "none", "indices": ("ndvi",)})


def compute(_: DarkestConfig, seen: Observations) -> Mapping[str, NDArray[Any]]:
    return {"darkest": np.fmin.reduce(seen["red"], axis=0)}


PRODUCT = FromObservations(DarkestConfig, 1, SENSOR, reads, (DARKEST,), compute)


def planned(**said: Any) -> ProductPlan:
    return PRODUCT.plan(DarkestConfig(product="darkest", source="s2", **said), "local", WriteOptions(None), {})


@pytest.mark.parametrize("said", [{"sensor": "another"}, {"reads": 2}, {"bands": ("red", "nir")}])
def test_whatever_the_entry_says_counts(said: dict[str, Any]) -> None:
    assert planned(**said).parameters != planned().parameters == planned().parameters


def test_it_is_neither_a_series_nor_has_the_indices_of_its_sensor() -> None:
    plan = planned()
    assert not plan.series and plan.kind == "darkest"
    assert plan.layers == frozenset({"darkest", "count"})


def test_a_number_is_reflectance_and_none_is_nan() -> None:
    derived = Derived((DARKEST,), lambda seen: compute(DarkestConfig(product="darkest", source="s2"), seen), "darkest")
    stack = np.array([[[[0, 300]], [[0, 200]]]], np.uint16)
    made = derived.of(stack, {"red": 1e-4})["darkest"]
    np.testing.assert_array_equal(made, np.array([[np.nan, 200 * np.float32(1e-4)]], np.float32))
