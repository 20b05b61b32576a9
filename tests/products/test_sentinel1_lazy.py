"""A radar job as lazy arrays, and as a time series: the pixels that are committed."""

from __future__ import annotations

from pathlib import Path

import dask
import numpy as np
import pytest

from pipeline.execute.worker.task import run_job
from pipeline.types import Status
from tests.products.radar import TOGETHER, Radar, layers_of, made, only_job, same


@pytest.mark.parametrize("entry", ["", f"{TOGETHER}, prefer: ascending, scale: db", "composite: none"])
def test_the_lazy_composite_has_the_committed_pixels(tmp_path: Path, entry: str) -> None:
    radar = Radar(tmp_path)
    for day, direction in enumerate(("ascending", "descending", "ascending"), start=1):
        radar.add(f"2024-06-{day:02d}", direction, 117 if direction == "ascending" else 66)
    world = radar.world(entry)
    layers, _ = made(world)
    session = world.session(overwrite=True)
    with dask.config.set(scheduler="synchronous"):
        lazy = session.composite(only_job(session)).compute()
        seen = session.open(only_job(session)).compute()
    for name, variable in lazy.data_vars.items():
        if variable.ndim == 2:
            assert variable.values.tobytes() == layers[str(name)].tobytes()
            continue
        for day, values in zip(variable.time.dt.strftime("%Y%m%d").values, variable.values, strict=True):
            if f"{name}-{day}" in layers:
                assert values.tobytes() == layers[f"{name}-{day}"].tobytes()
            else:
                assert np.isnan(values).all()
    assert list(seen.direction.values) == ["ascending", "descending", "ascending"]
    for number, expected in enumerate(layers_of(radar, "vh")):
        same(seen.vh.values[number], expected)


def test_a_time_series_has_a_layer_a_pass_and_in_zarr_every_day(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    for day, direction in enumerate(("ascending", "descending"), start=1):
        radar.add(f"2024-06-{day:02d}", direction, 117 if direction == "ascending" else 66, polarisations=("vv",))
    entry = "composite: none, polarisations: [vv]"
    layers, _ = made(radar.world(entry))
    assert {key for key in layers if key.startswith("vv")} == {
        "vv-ascending-117-20240601",
        "vv-descending-66-20240602",
    }
    same(layers["vv-ascending-117-20240601"], layers_of(radar, "vv")[0])
    world = radar.world(f"{entry}, write: {{zarr: {{}}}}")
    session = world.session()
    outcome = run_job(only_job(session), session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.DONE, outcome.cause
