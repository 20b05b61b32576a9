"""What a plan says of memory is what a tree-cover tile takes, with few images and with many."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.products import _ttc_year
from pipeline.products._ttc_channels import OPTICAL, RADAR
from pipeline.products._ttc_layers import Form, Recipe, Tally, layers_of
from pipeline.products.ttc_ard import PRODUCT, TtcArdConfig
from pipeline.write.tile import WriteOptions

SIDE, ROWS = 160, 40


@dataclass(frozen=True)
class Layer:
    """All that the year asks of an input's layer, once reading is by chance."""

    name: str
    day: date

    @property
    def band(self) -> Any:
        return SimpleNamespace(name=self.name)


def by_chance(_work: Any, layers: Sequence[Layer], rows: tuple[int, int]) -> Iterator[Any]:
    random = np.random.default_rng(1)
    for _ in layers:
        yield random.random((rows[1] - rows[0], SIDE), dtype=np.float32)


@pytest.mark.parametrize("count", [4, 30])
@pytest.mark.parametrize("form", ["ard", "model"])
def test_a_tile_takes_no_more_than_planned(form: Form, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside what reading takes: strips of few images and of many, in both forms."""
    monkeypatch.setattr(_ttc_year, "_read", by_chance)
    monkeypatch.setattr(_ttc_year, "_day_of", lambda layer: layer.day)
    monkeypatch.setattr(_ttc_year, "_time_of", lambda _layer: datetime(2021, 1, 15, tzinfo=UTC))
    monkeypatch.setattr(
        _ttc_year, "_until_sound", lambda _w, height, rows, _l: [(at, at + rows) for at in range(0, height, rows)]
    )
    days = [date(2021, 1, 1) + timedelta(days=11 * number) for number in range(count)]
    optical = {name: [Layer(name, day) for day in days] for name in OPTICAL}
    radar = {name: [Layer(name, day) for day in days[:4]] for name in RADAR}
    inputs: Any = SimpleNamespace(year=2021, optical=optical, radar=radar, slope=Layer("slope_median", days[0]))
    shape = type("Shape", (tuple,), {"yx": (SIDE, SIDE)})((SIDE, SIDE))
    work: Any = SimpleNamespace(geobox=SimpleNamespace(shape=shape))
    entry = TtcArdConfig(product="ttc_ard", name="ttc_ard", inputs=("a", "b", "c"), form=form)
    holding = PRODUCT.plan(entry, "r", WriteOptions(None), {}).holding

    def make() -> None:
        for _ in layers_of(work, inputs, Recipe(form, "float32", 100.0, ROWS), Tally.of((SIDE, SIDE))):
            pass

    make()
    tracemalloc.start()
    try:
        make()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= SIDE * (SIDE * holding.tile + ROWS * (holding.day * count + holding.strip))
