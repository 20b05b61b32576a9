"""Where scenes that are read at the same time share a layer, they are placed one at a time; elsewhere all at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock

import pytest

from pipeline.execute.worker.task import run_job
from pipeline.products import _bands as bands
from pipeline.types import Status
from tests.products.scenes import Scenes


class Placed:
    """How many scenes are placed at the same time."""

    def __init__(self) -> None:
        self.lock, self.inside, self.most = Lock(), 0, 0

    def place(self, really: Callable[..., None], *arguments: object) -> None:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.005)
        really(*arguments)
        with self.lock:
            self.inside -= 1


@pytest.mark.parametrize(("composite", "alone"), [("best_pixel", True), ("latest", True), ("median", False)])
def test_who_shares_a_layer_places_alone(
    composite: str, alone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop puts back what it found beside its own pixels: two at once might undo each other's."""
    placed, world = Placed(), Scenes(tmp_path).add_month(10).world()
    for name in ("place_pixels", "admit"):
        monkeypatch.setattr(bands, name, partial(placed.place, getattr(bands, name)))
    session = world.session(f"products.sentinel2.composite={composite}")
    (job,) = session.plan.jobs
    assignment = session.assignments()[job.product]
    assignment = replace(assignment, context=replace(assignment.context, threads=4))
    assert run_job(job, assignment, 1).status is Status.DONE
    assert placed.most == 1 if alone else placed.most > 1
