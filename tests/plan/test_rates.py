"""What earlier runs teach: a factor that carries over to kinds they never had, and no more certainty than there is."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.plan.rates import Features, Rates, learn, work_of, work_s
from pipeline.types.estimate import Opened, Seen

S2 = Seen("run-1", "sentinel2", "local", "here", jobs=20, made_s=200.0, work_s=100.0, age_days=0.0)
DEM = replace(S2, kind="dem", made_s=60.0, work_s=20.0)


def of(*seen: Seen, backend: str = "local", machine: str | None = "here") -> Rates:
    return learn(seen, (), backend, machine)


@pytest.mark.parametrize(("kind", "seconds", "size"), [("sentinel1", 14, 2), ("sentinel2", 62, 11), ("dem", 9, 0.2)])
def test_without_any_history_a_month_of_a_standard_tile_takes_what_campaigns_before_took(
    kind: str, seconds: float, size: float
) -> None:
    """At 4 GB: Sentinel-1 14 s, Sentinel-2 62 s, DEM 9 s a tile; right within a factor of some four."""
    scenes = {"sentinel2": 12, "sentinel1": 5, "dem": 1}[kind]
    job = Features(kind, 2048**2, scenes, round(size * 10**8))
    factor = of().factor(kind)
    assert factor.mid * work_s(job) == pytest.approx(seconds)
    assert factor.high / factor.mid == pytest.approx(factor.mid / factor.low)
    assert 3 < factor.high / factor.mid < 5


def test_a_kind_that_was_never_seen_takes_the_factor_of_the_others() -> None:
    """Whatever it is, and not that of the priors: these machines are known now."""
    rates = of(S2)
    assert rates.factor("sentinel1").mid == pytest.approx(2.0) == rates.factor("never-heard-of").mid
    assert of(S2, DEM).factor("sentinel1").mid == pytest.approx(math.sqrt(2.0 * 3.0), rel=0.02)


MEASURED = json.loads(Path(__file__).with_name("durations.json").read_text(encoding="utf-8"))["jobs"]
KINDS = sorted({kind for kind, *_ in MEASURED})


def measured(kind: str) -> Seen:
    """Real jobs of a kind, as an earlier run would tell of them."""
    jobs = [job for job in MEASURED if job[0] == kind]
    work = sum(work_s(Features(*features)) for *features, _ in jobs)
    return replace(S2, run=kind, kind=kind, jobs=len(jobs), made_s=sum(job[-1] for job in jobs), work_s=work)


@pytest.mark.parametrize("kind", KINDS)
def test_real_jobs_of_a_kind_are_told_from_real_jobs_of_other_kinds(kind: str) -> None:
    """Within 30 %, and within the range: measured jobs that the weights were not fitted to, of each kind in turn."""
    rates = of(*(measured(other) for other in KINDS if other != kind))
    told, found = rates.factor(kind), measured(kind)
    assert found.made_s == pytest.approx(told.mid * found.work_s, rel=0.3)
    assert told.low * found.work_s < found.made_s < told.high * found.work_s


@pytest.mark.parametrize("kind", KINDS)
def test_real_jobs_are_told_from_one_other_kind_alone(kind: str) -> None:
    """A second run after a single one of another product and, mostly, another number of tiles: within 30 %."""
    for other in KINDS:
        if other != kind:
            told = of(measured(other)).factor(kind)
            found = measured(kind)
            assert found.made_s == pytest.approx(told.mid * found.work_s, rel=0.3), other


def test_a_kind_that_was_seen_is_told_more_surely_than_one_that_was_not() -> None:
    rates = of(S2, DEM)
    seen, unseen = rates.factor("sentinel2"), rates.factor("landsat")
    assert seen.high / seen.low < unseen.high / unseen.low
    assert 2.0 <= seen.mid < unseen.mid < rates.factor("dem").mid <= 3.0


def test_every_further_run_makes_it_surer() -> None:
    spreads = []
    for count in (1, 3, 9):
        factor = of(*(replace(S2, run=f"run-{number}") for number in range(count))).factor("sentinel2")
        assert factor.mid == pytest.approx(2.0)
        spreads.append(factor.high / factor.low)
    assert spreads == sorted(spreads, reverse=True)


def test_older_runs_count_less() -> None:
    """What is new is twice as slow as what is old: the answer lies nearer to the new one."""
    slow = replace(S2, run="run-2", made_s=400.0)
    assert 3.3 < of(replace(S2, age_days=200.0), slow).factor("sentinel2").mid < 4.0
    assert of(S2, slow).factor("sentinel2").mid == pytest.approx(math.sqrt(8.0))


def test_a_run_of_long_ago_is_no_worse_than_none() -> None:
    """The range stays that of a prior."""
    nothing = of().factor("sentinel2")
    for age_days in (400.0, 1000.0, 3650.0):
        old = of(replace(S2, age_days=age_days)).factor("sentinel2")
        assert 0 < old.low < old.mid < old.high
        assert old.high / old.low < 1.2 * nothing.high / nothing.low


def test_other_machines_teach_only_where_there_is_no_run_of_these() -> None:
    """And however many runs they have made: it stays unsure how these machines differ from those."""
    for other in (replace(S2, machine="there", made_s=400.0), replace(S2, backend="coiled", made_s=400.0)):
        assert of(other, S2).factor("sentinel2").mid == pytest.approx(2.0)
        one, many = (of(*(replace(other, run=f"run-{n}") for n in range(count))) for count in (1, 20))
        for rates in (one, many):
            for kind in ("sentinel2", "dem"):
                factor = rates.factor(kind)
                assert 4.0 < factor.mid < of().factor(kind).mid
                assert factor.high / factor.low > 4
        assert many.factor("dem").high / many.factor("dem").low < of().factor("dem").high / of().factor("dem").low


def test_files_on_a_disk_take_what_the_weights_say_until_something_is_learned() -> None:
    near = learn((), (), "local", "here", near=True)
    assert near.factor("sentinel2").mid == pytest.approx(1.0) == near.factor("never-heard-of").mid
    assert of().factor("sentinel2").mid > 4


def test_a_range_of_nine_tenths_holds_nine_tenths() -> None:
    """Of kinds and runs drawn as the model means it: its own statistics are honest."""
    rng = np.random.default_rng(8)
    held = 0
    for _ in range(300):
        machine = rng.normal(0, 1)
        drawn = {kind: machine + rng.normal(0, 0.15) for kind in ("a", "b", "c", "d")}
        seen = [
            Seen(f"run-{run}", kind, "local", "here", 10**6, math.exp(drawn[kind] + rng.normal(0, 0.1)), 1.0, 0.0)
            for kind in ("a", "b", "c")
            for run in range(2)
        ]
        factor = of(*seen).factor("d")
        held += factor.low < math.exp(drawn["d"] + rng.normal(0, 0.1)) < factor.high
    assert 0.85 < held / 300 < 0.99


def test_runs_that_lie_far_apart_make_it_less_sure() -> None:
    """A machine that others use too: half as fast in one run of two."""
    even = of(*(replace(S2, run=f"run-{n}") for n in range(6))).factor("sentinel2")
    uneven = of(*(replace(S2, run=f"run-{n}", made_s=140.0 * 2 ** (n % 2)) for n in range(6))).factor("sentinel2")
    assert uneven.mid == pytest.approx(even.mid, rel=0.02)
    assert uneven.high / uneven.low > 1.4 * even.high / even.low


def test_openings_are_learned_by_backend() -> None:
    opened = [Opened("run-1", "coiled", 100.0, 5.0, 9.0), Opened("run-2", "coiled", 120.0, 7.0, 11.0)]
    rates = learn((), opened, "coiled", None)
    assert (rates.open_s.mid, rates.first_s, rates.close_s) == (120.0, 7.0, 11.0)
    unknown = learn((), opened, "kubernetes", None)
    assert unknown.open_s.low < unknown.open_s.mid < unknown.open_s.high
    assert unknown.open_s.mid != 120.0


def test_work_is_the_same_for_one_job_and_for_many() -> None:
    jobs = [Features("sentinel2", 256**2, 3, 10**7), Features("sentinel2", 512**2, 9, 10**8)]
    columns = ([float(getattr(job, name)) for job in jobs] for name in ("px", "scenes", "read_bytes"))
    together = work_of("sentinel2", *map(np.array, columns))
    assert together.tolist() == pytest.approx([work_s(job) for job in jobs])
    assert (together > 0).all()
