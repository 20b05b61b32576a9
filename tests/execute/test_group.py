"""Laws of a group: the same outcomes and files as of its jobs one by one, and one job's fault stays its own."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import MissingAssetsError, StoreError, TransientStoreError
from pipeline.execute.worker import task as module
from pipeline.execute.worker.task import Assignment, run_group, run_job
from pipeline.plan.groups import Group
from pipeline.plan.outlines import lonlat_outline
from pipeline.products import load_product
from pipeline.session import Options, open_session
from pipeline.types import AssetLoss, Job, Made, MemoryPlan, Outcome, Status
from pipeline.write.commit import commit
from pipeline.write.store import FolderStore
from tests.faults._worlds import World

GRID = GeoBox((256, 512), Affine(10, 0, 599_040, 0, -10, 5_000_960), "EPSG:32633")
"""Two rows of four tiles, all of one cell of 4 x 4."""
TIMED_OUT = AssetLoss("scene", "red", "href", "TransientAssetError", "timed out", 1)
Problem = Callable[[Sequence[Job]], BaseException | None]


@dataclass
class Product:
    """The product itself, but for problems and losses of a test's own; remembers how many jobs it was asked for."""

    problem: Problem = lambda _: None
    losses: dict[str, AssetLoss] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)

    def make(
        self, jobs: Sequence[Job], entry: Any, context: Any, folders: Sequence[Path], memory: MemoryPlan
    ) -> list[Made]:
        assert len({folder for folder in folders if folder.is_dir()}) == len(jobs)
        self.asked.append(len(jobs))
        if (error := self.problem(jobs)) is not None:
            raise error
        made = load_product("sentinel2").make(jobs, entry, context, folders, memory)
        return [
            replace(one, losses=(*one.losses, self.losses[job.id])) if job.id in self.losses else one
            for job, one in zip(jobs, made, strict=True)
        ]


@dataclass
class Case:
    """Eight tiles of one month, five days and one loss, as one group."""

    group: Group
    assignment: Assignment
    scratch: Path
    patch: pytest.MonkeyPatch

    @property
    def third(self) -> Job:
        return self.group.jobs[2]

    def run(self, product: Product, attempt: int = 1) -> list[Outcome]:
        self.patch.setattr(module, "load_product", lambda _: product)
        outcomes = run_group(self.group, self.assignment, attempt)
        assert [one.job_id for one in outcomes] == [job.id for job in self.group.jobs]
        assert {one.attempts for one in outcomes} == {attempt}
        assert list(self.scratch.iterdir()) == [], "nothing is left"
        return outcomes

    def only_third(self, outcomes: list[Outcome]) -> Outcome:
        """Its outcome; all others are done."""
        assert [one.status for one in outcomes if one.job_id != self.third.id] == [Status.DONE] * 7
        return outcomes[2]


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    world = World(tmp_path, GRID)
    for day in range(1, 10, 2):
        world.add(f"2024-06-{day:02d}")
    world.add("2024-06-12", {"red": tmp_path / "nowhere.tif"})
    west, south, east, north = lonlat_outline(GRID).bounds
    run = {"retries": 2, "super_tile": 4, "missing_assets": {"max_fraction": 0.5}}
    session = open_session(Options(world.config(area={"bbox": [west, south, east, north]}, run=run)))
    (group,) = session.groups(session.plan.jobs)
    assert len(group.jobs) == 8
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    return Case(group, session.assignments()[group.jobs[0].product], scratch, monkeypatch)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in (folder / "data").rglob("*")
        if path.is_file()
    }


def test_a_group_makes_what_its_jobs_make_one_by_one(case: Case, tmp_path: Path) -> None:
    """Outcomes and files; the bytes are equal, as the fingerprints are."""
    product = Product()
    together = case.run(product)
    assert product.asked == [8]
    alone_in = FolderStore(str(tmp_path / "alone"))
    alone = [run_job(job, replace(case.assignment, store=alone_in), 1) for job in case.group.jobs]
    assert {one.status for one in together} == {Status.DONE}
    assert len({one.losses for one in together}) == 1 and together[0].losses[0].asset == "red"
    # Items differ in the time of their making, so a little in size.
    assert [replace(one, seconds=0, begun_s=0, written_bytes=0) for one in together] == [
        replace(one, seconds=0, begun_s=0, written_bytes=0) for one in alone
    ]
    assert tree(tmp_path / "output") == tree(tmp_path / "alone")
    assert all(one.seconds > 0 and one.written_bytes > 0 for one in together)


def test_what_goes_wrong_in_a_group_is_tried_job_by_job(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    """Also where it is nobody's fault: too little memory for all of them at once. The reason is in the debug log."""
    product = Product(lambda jobs: MemoryError("no room") if len(jobs) > 1 else None)
    with caplog.at_level(logging.DEBUG, module.__name__):
        outcomes = case.run(product)
    assert product.asked == [8, *[1] * 8]
    assert {one.status for one in outcomes} == {Status.DONE}
    assert f"{case.group.id}: made one by one: MemoryError: no room" in caplog.text
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


@pytest.mark.parametrize(
    ("error", "attempt", "status"),
    [
        (ValueError("bug"), 1, Status.FAILED),
        (MissingAssetsError("gone"), 1, Status.FAILED),
        (MissingAssetsError("timed out", passing=True), 1, Status.RETRY),
        (MissingAssetsError("timed out", passing=True), 3, Status.FAILED),
    ],
)
def test_a_job_that_cannot_be_made_costs_itself_alone(
    case: Case, error: Exception, attempt: int, status: Status
) -> None:
    third = case.only_third(case.run(Product(lambda jobs: error if case.third in jobs else None), attempt))
    assert (third.status, third.error, third.cause) == (status, type(error).__name__, str(error))


@pytest.mark.parametrize(
    ("error", "attempt", "status"),
    [
        (StoreError("refused"), 1, Status.FAILED),
        (TransientStoreError("busy"), 1, Status.RETRY),
        (TransientStoreError("busy"), 3, Status.FAILED),
        (ValueError("bug"), 1, Status.FAILED),
    ],
)
def test_a_commit_that_fails_costs_its_job_alone(case: Case, error: Exception, attempt: int, status: Status) -> None:
    """And nothing is made again for it."""

    def refuse(store: Any, job: Job, made: Made, *, overwrite: bool) -> Any:
        if job == case.third:
            raise error
        return commit(store, job, made, overwrite=overwrite)

    case.patch.setattr(module, "commit", refuse)
    product = Product()
    third = case.only_third(case.run(product, attempt))
    assert product.asked == [8]
    assert (third.status, third.error, third.cause) == (status, type(error).__name__, str(error))


def test_a_passing_loss_sends_back_its_job_alone_until_attempts_are_used_up(case: Case) -> None:
    product = Product(losses={case.third.id: TIMED_OUT})
    third = case.only_third(case.run(product))
    assert (third.status, third.cause, product.asked) == (Status.RETRY, "scene/red: timed out", [8])
    assert case.only_third(case.run(product, 3)).status is Status.DONE
    assert product.asked == [8, 8, 1], "by itself once, before its loss is for good"


def test_what_must_end_the_process_does(case: Case) -> None:
    with pytest.raises(KeyboardInterrupt):
        case.run(Product(lambda _: KeyboardInterrupt()))
    assert list(case.scratch.iterdir()) == []


@pytest.mark.parametrize(("attempt", "status"), [(1, Status.RETRY), (3, Status.FAILED)])
def test_a_worker_with_other_versions_makes_nothing(attempt: int, status: Status) -> None:
    """Also one that nobody looked at when it came: it touches neither product nor store."""
    told: Any = SimpleNamespace(retries=2, differs=lambda: ["numpy 1.0 instead of 2.0"])
    jobs = tuple(SimpleNamespace(id=name, region="r", fingerprint="f") for name in "ab")
    group: Any = SimpleNamespace(id="g", jobs=jobs)
    outcomes = run_group(group, told, attempt)
    assert [(one.job_id, one.status, one.error) for one in outcomes] == [
        (name, status, "VersionsError") for name in "ab"
    ]
    assert "numpy 1.0 instead of 2.0" in str(outcomes[0].cause)
