"""An estimate of a real plan: its blocks are those of its files, its jobs all there; what costs too much is refused."""

from __future__ import annotations

import heapq
import json
import math
import platform
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path

import pytest
import rasterio
from rasterio.warp import transform_bounds
from rasterio.windows import from_bounds

from pipeline.errors import PreflightError
from pipeline.estimating import estimate_run, job_features, refuse_budget
from pipeline.execute.progress.meter import Meter
from pipeline.execute.records.journal import state_folder
from pipeline.execute.records.lines import line_of
from pipeline.execute.records.runs import new_run_id
from pipeline.plan.groups import listed
from pipeline.plan.rates import work_s
from pipeline.session import Session
from pipeline.types import Actual, Asset, Begun, ClusterEvent, Estimate, Outcome, Range, Status, Tile
from pipeline.work import plan_work
from tests.worlds import SmallWorld


@pytest.fixture(autouse=True)
def no_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine ran before is nothing to these."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def blocks_read(asset: Asset, tile: Tile) -> float:
    """Bytes of the blocks of a file under a tile, by GDAL's word and the file's size without its overviews."""
    with rasterio.open(asset.href) as file:
        window = from_bounds(
            *transform_bounds(str(tile.geobox.crs), file.crs, *tile.geobox.boundingbox.bbox), file.transform
        )
        (block, *_), spans = file.block_shapes, []
        for start, length, size, side in (
            (window.row_off, window.height, file.height, block[0]),
            (window.col_off, window.width, file.width, block[1]),
        ):
            first, last = max(0.0, start), min(size, start + length)
            spans.append(max(0, math.ceil(last / side) - math.floor(first / side)) if first < last else 0)
        every = math.ceil(file.height / block[0]) * math.ceil(file.width / block[1])
        return float(spans[0] * spans[1] / every * Path(asset.href).stat().st_size)


def test_bytes_are_counted_in_the_blocks_of_the_real_files(world: SmallWorld) -> None:
    """Every scene's bands: as many blocks as a tile touches. Files hold overviews too, about a quarter of them."""
    session = world.session("run.super_tile=1")
    (row,) = session.estimate.rows
    plan = session.plan
    assert (row.jobs, row.tasks, row.product, row.region) == (len(plan.jobs), len(plan.jobs), "sentinel2", "default")
    assert row.scenes == sum(len(job.items) for job in plan.jobs)
    assert row.declared_bytes == sum(job.read_bytes for job in plan.jobs)
    assets = [(asset, job.tile) for job in plan.jobs for item in job.items for asset in item.assets.values()]
    assert row.read_bytes == pytest.approx(sum(blocks_read(*one) for one in assets), rel=0.3)
    assert row.requests >= 2 * len(assets) * 0.9
    assert not session.estimate.notes


def test_neighbours_that_are_made_together_read_less(world: SmallWorld) -> None:
    (alone,) = world.session("run.super_tile=1").estimate.rows
    (together,) = world.session("run.super_tile=4").estimate.rows
    assert together.tasks < alone.tasks
    assert together.read_bytes < alone.read_bytes
    assert together.requests < alone.requests


def test_a_plan_with_nothing_to_do_asks_nobody_and_costs_nothing(world: SmallWorld) -> None:
    session = world.session()
    done = replace(session.prepared, plan=replace(session.plan, jobs=()))
    estimate = estimate_run(session.config, done, session.specs, listed([]))
    assert (estimate.rows, estimate.places, estimate.usd) == ((), (), Range.exact(0.0))


def test_what_may_not_be_asked_is_assumed_and_said(world: SmallWorld) -> None:
    """Files of others, without a network: their blocks are assumed, by name of the source."""
    session = world.session()
    far = tuple(
        replace(
            item,
            assets={
                band: replace(asset, href=f"https://host.invalid/{band}.tif") for band, asset in item.assets.items()
            },
        )
        for item in session.prepared.items
    )
    prepared = replace(session.prepared, items=far)
    work = plan_work(session.plan.jobs, session.config, prepared, session.specs)
    estimate = estimate_run(session.config, prepared, session.specs, work, network=False)
    assert any(note.startswith("blocks of s2 are assumed") for note in estimate.notes)


def test_what_is_read_over_a_network_is_not_told_from_what_was_read_from_a_disk(world: SmallWorld) -> None:
    """A machine that reads from elsewhere counts as another one, though it is the same."""
    session = world.session()
    far = [
        replace(item, assets={band: replace(asset, href=f"https://host.invalid/{band}.tif")})
        for job in session.plan.jobs
        for item in job.items[:1]
        for band, asset in item.assets.items()
    ]
    jobs = tuple(replace(job, items=(item,)) for job, item in zip(session.plan.jobs, far, strict=False))
    prepared = replace(session.prepared, plan=replace(session.plan, jobs=jobs))
    work = plan_work(jobs, session.config, prepared, session.specs)
    (near,), (place,) = (
        session.estimate.places,
        estimate_run(session.config, prepared, session.specs, work, network=False).places,
    )
    assert near.machine == platform.node()
    assert place.machine == f"{platform.node()}, over the network"


def test_a_price_of_the_config_makes_dollars(world: SmallWorld) -> None:
    session = world.session("clusters.default={backend: local, usd_per_worker_hour: 3600}")
    (place,) = session.estimate.places
    assert place.usd is not None
    assert session.estimate.usd.mid == pytest.approx(3600 * place.worker_hours.mid)
    assert json.loads(json.dumps(session.estimate.document()))["usd"]["mid"] > 0


def test_every_job_is_found_by_its_id_and_no_other_is(world: SmallWorld) -> None:
    jobs = world.session().plan.jobs
    features = job_features(jobs)
    for job in jobs:
        found = features(job.id)
        assert found is not None
        assert (found.kind, found.px, found.scenes) == ("sentinel2", 256 * 256, len(job.items))
        assert found.read_bytes == job.read_bytes
    assert features("sentinel2/elsewhere/2024-06") is None
    assert Counter(map(features, [job.id for job in jobs])).total() == len(jobs)
    assert job_features(())("any") is None


def test_what_is_likely_to_cost_more_than_its_budget_is_refused_before_it_starts() -> None:
    class Dear(Estimate):
        """Costs five dollars, or four to nine."""

        @property
        def usd(self) -> Range:
            return Range(4.0, 5.0, 9.0)

    dear = Dear((), (), Range.exact(1.0), "a test")
    refuse_budget(dear, None)
    refuse_budget(dear, 5.0)
    with pytest.raises(PreflightError, match=r"run.budget_usd is 4.5 USD, .* likely to cost 5.00 USD \(4.00 to 9.00\)"):
        refuse_budget(dear, 4.5)


@dataclass
class Clock:
    """Stands still until it is set."""

    now: float

    def __call__(self) -> float:
        return self.now


def simulated(session: Session, clock: Clock, pace: float) -> Actual:
    """A run as the meter sees it: each second of work takes `pace`; clusters open and close, libraries are imported."""
    (place,) = session.estimate.places
    jobs = session.plan.jobs
    features = job_features(jobs)
    rows = {row.product: row for row in session.estimate.rows}
    meter = Meter(session.estimate, features, halt=pytest.fail, clock=clock)
    meter.cluster(ClusterEvent(place.region, 0, "opening"))
    clock.now += 7.0
    meter.began(Begun((), place.region, 0, "w0", 1, clock.now))
    free = [(clock.now + n / 1000, f"w{n // place.threads}", n) for n in range(place.workers * place.threads)]
    fresh, ends = set(range(len(free))), list[tuple[float, Outcome]]()
    meter.cluster(ClusterEvent(place.region, 0, "up", workers=place.workers))
    for group in plan_work(jobs, session.config, session.prepared, session.specs):
        at_s, worker, thread = heapq.heappop(free)
        took_s = 3.0 * (thread in fresh)
        fresh.discard(thread)
        for job in group.jobs:
            found, row = features(job.id), rows[job.product]
            assert found is not None
            read = round(found.read_bytes * row.read_bytes / row.declared_bytes)
            took_s += pace * work_s(replace(found, read_bytes=read))
        heapq.heappush(free, (at_s + took_s, worker, thread))
        for job in group.jobs:
            more = {"seconds": took_s / len(group.jobs), "worker": worker, "begun_s": at_s}
            ends.append((at_s + took_s, Outcome(job.id, job.region, "f" * 32, Status.DONE, **more)))  # type: ignore[arg-type]
    for clock.now, outcome in sorted(ends, key=itemgetter(0)):
        meter.ended(outcome)
    clock.now += 5.0
    meter.cluster(ClusterEvent(place.region, 0, "closed"))
    return meter.actual()


def test_seconds_hours_and_dollars_of_a_second_run_are_told_from_a_first_one(world: SmallWorld, tmp_path: Path) -> None:
    """Of other tiles: what is learned of openings, imports, work and closings is all that a next run needs."""
    priced = "clusters.default={backend: local, usd_per_worker_hour: 36}"
    clock = Clock(1000.0)
    first = world.session(priced, "run.super_tile=1")
    actual = simulated(first, clock, pace=40.0)
    folder = state_folder() / "runs"
    folder.mkdir(parents=True)
    record = line_of({"event": "actual", **actual.document()})
    (folder / f"{new_run_id(datetime.now(UTC))}.jsonl").write_text(record + "\n", encoding="utf-8")
    second = world.session(priced, "run.super_tile=4", "grid.tile_px=128")
    assert len(second.plan.jobs) > len(first.plan.jobs)
    assert "1 earlier run" in second.estimate.basis
    told, came = second.estimate.document(), simulated(second, clock, pace=40.0).document()
    for name in ("job_s", "hours", "usd"):
        found = came[name]
        assert found == pytest.approx(told[name]["mid"], rel=0.05), name
        assert told[name]["low"] < found < told[name]["high"], name
