"""What is made of radar refuses radar that is not terrain corrected, unless told otherwise, and then says so itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.execute.worker.task import run_job
from pipeline.session import Session
from pipeline.types import Outcome, Status
from tests.products import models
from tests.products.radar import Radar, item_of
from tests.worlds import SmallWorld

ALLOWED = "allow_not_terrain_corrected: true"
FIRST = "{{product: stack, inputs: [sentinel1], write: {{cog: {{}}}}, allow_not_terrain_corrected: {allowed}}}"
MARK = "groundswell:not_terrain_corrected"


def world(folder: Path, kind: str, *products: str) -> SmallWorld:
    """One scene, of ground range or terrain corrected, and what is made of it."""
    radar = Radar(folder)
    said: dict[str, Any] = {"name": "S1A_IW_GRDH_x" if kind == "grd" else "rtc", "polarisations": ("vv",)}
    if kind == "grd":
        amplitude = np.random.default_rng(1).integers(1, 500, (200, 200)).astype(np.uint16)
        said |= {"data": amplitude, "nodata": 0, "properties": {"sar:product_type": "GRD"}}
    radar.add("2024-06-01", **said)
    made = radar.world(f"kind: {kind}, polarisations: [vv], orbits: together")
    head, _, tail = made.config.read_text().partition("run:")
    made.config.write_text(head + "".join(f"  - {product}\n" for product in products) + f"run:{tail}")
    return made


def run(session: Session) -> dict[str, Outcome]:
    assignments = session.assignments()
    return {job.product: run_job(job, assignments[job.product], 1) for job in session.plan.jobs}


def further(folder: Path, keys: str = "") -> list[str]:
    """A stack of the stack, and what a model says of it."""
    model = models.mean(folder / "model.onnx")
    more = f", {keys}" if keys else ""
    channels = "channels: [{layer: stack_sentinel1_vv}], results: [{name: value}], window_px: 64, overlap_px: 0"
    return [
        f"{{product: stack, name: again, inputs: [stack], write: {{cog: {{}}}}{more}}}",
        f"{{product: predict, inputs: [stack], model: {model}, {channels}{more}}}",
    ]


def test_the_plan_refuses_it(tmp_path: Path) -> None:
    """Before anything is made, naming the entry and the way on."""
    with pytest.raises(ConfigError, match=r"stack: its input sentinel1 is of ground range .*allow_not_terrain_corr"):
        world(tmp_path, "grd", FIRST.format(allowed="false")).session()


def test_what_is_made_of_what_is_made_refuses_it_too(tmp_path: Path) -> None:
    """A stack that was told to take it says what it is, so that neither a stack nor a model takes that for better."""
    made = world(tmp_path, "grd", FIRST.format(allowed="true"), *further(tmp_path))
    outcomes = run(made.session())
    assert outcomes["stack"].status is Status.DONE, outcomes["stack"].cause
    assert item_of(made, outcomes["stack"])["properties"][MARK] is True
    for name in ("again", "predict"):
        assert outcomes[name].status is Status.FAILED
        cause = str(outcomes[name].cause)
        assert "stack" in cause and "not terrain corrected" in cause and ALLOWED in cause


def test_what_was_told_to_take_it_says_so(tmp_path: Path) -> None:
    made = world(tmp_path, "grd", FIRST.format(allowed="true"), *further(tmp_path, ALLOWED))
    for outcome in run(made.session()).values():
        assert outcome.status is Status.DONE, outcome.cause
        assert item_of(made, outcome)["properties"][MARK] is True


def test_terrain_corrected_radar_is_taken_as_ever(tmp_path: Path) -> None:
    """And what may be taken besides changes no fingerprint, as it changes no pixel."""
    plain = world(tmp_path, "rtc", FIRST.format(allowed="false"), *further(tmp_path)).session()
    made = world(tmp_path, "rtc", FIRST.format(allowed="true"), *further(tmp_path, ALLOWED))
    session = made.session()
    assert [job.fingerprint for job in session.plan.jobs] == [job.fingerprint for job in plain.plan.jobs]
    for outcome in run(session).values():
        assert outcome.status is Status.DONE, outcome.cause
        assert MARK not in item_of(made, outcome)["properties"]
