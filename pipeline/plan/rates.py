"""How long jobs take: their work, told from what is known of them, times a factor that earlier runs teach.

Work is in seconds of one thread of the machine on which the weights below were measured; what another machine, its load
and its storage make of it is one factor. Kinds of jobs have factors of their own as far as earlier runs had such jobs,
and else that of all kinds together: so a run of one product teaches something of every other one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipeline.types import Range
from pipeline.types.estimate import Opened, Seen

Numbers = TypeVar("Numbers", float, NDArray[np.float64])
_MB = 1e6
Z = 1.645
"""Of a normal distribution, nine of ten values lie within so many standard deviations."""


@dataclass(frozen=True)
class Features:
    """What the duration of a job is told from, before it is begun."""

    kind: str
    px: int
    """Of its tile."""
    scenes: int
    read_bytes: int
    """Of whole blocks, its share where several jobs read them together."""


@dataclass(frozen=True)
class _Weight:
    """Seconds of work."""

    job: float
    """Each."""
    mpx: float = 0.0
    """For a million pixels of its tile."""
    mb: float = 0.0
    """For a million bytes of blocks that are read and unpacked."""
    scene: float = 0.0


_WEIGHTS: Mapping[str, _Weight] = {
    "sentinel2": _Weight(job=0.06, mpx=0.18, mb=0.0046),
    "landsat": _Weight(job=0.035, mpx=0.07, mb=0.0046, scene=0.0105),
    "sentinel1": _Weight(job=0.05, mpx=0.115, mb=0.0076),
    "dem": _Weight(job=0.067, mpx=0.236),
    "glaciers": _Weight(job=0.06, mpx=0.18, mb=0.0046),
    "stack": _Weight(job=0.13, mpx=0.26, mb=0.002),
    "ttc_ard": _Weight(job=0.13, mpx=0.26, mb=0.002),
    "predict": _Weight(job=0.055, mpx=0.1, mb=0.001),
    "argo": _Weight(job=0.047, mb=0.0062),
    "argo_grid": _Weight(job=0.1, mb=0.0062),
    "matchups": _Weight(job=0.04, scene=0.016),
}
"""Fitted to CPU seconds of single jobs on one thread of a machine of 2026: tiles of 256, 512 and 1024 pixels, a month
and two, of an invented landscape (`python -m pipeline.demo`); they tell nine of ten of those within a quarter. Glaciers
are taken for days of Sentinel-2, `ttc_ard` for a stack, and grids of floats for their files."""
_OTHER = _Weight(job=0.1, mpx=0.2, mb=0.005)

_STANDARD: Mapping[str, Features] = {
    "sentinel2": Features("sentinel2", 2048**2, 12, 1_100_000_000),
    "sentinel1": Features("sentinel1", 2048**2, 5, 200_000_000),
    "dem": Features("dem", 2048**2, 1, 20_000_000),
}
"""A month of 2048 x 2048 pixels of 10 m, as the priors mean it."""
_PRIORS_S: Mapping[str, float] = {"sentinel1": 14.0, "sentinel2": 62.0, "dem": 9.0}
"""What such a tile took a worker of 4 GB before anything was measured here: campaigns of the pipeline's predecessor,
which read over a network."""
_PRIOR_SD = 0.8
"""Of the logarithm of a factor, where nothing was learned: right within a factor of four, in nine of ten cases."""
_KIND_SD = 0.15
"""How far the factors of two kinds on one machine lie apart, as measured with the weights above."""
_RUN_SD, _RUN_DOUBT = 0.12, 3
"""How far two runs of one kind on one machine lie apart: its load, and the jobs themselves. As sure as so many runs
would make it; runs that lie further apart widen it."""
_JOB_SD = 0.3
_ELSEWHERE_SD = 0.6
"""How far the factors of two machines lie apart."""
_HALF_LIFE_DAYS = 60.0
_OPEN_S: Mapping[str, float] = {"local": 4.0, "existing": 2.0, "kubernetes": 90.0, "helm": 120.0, "coiled": 150.0}
"""From a cluster's opening to its first task's begin, where nothing was learned."""
_FIRST_S = 2.0
"""What the first task of a worker's thread takes longer: libraries are imported."""
_CLOSE_S = 2.0
"""From the last task's end to the cluster's."""


def work_of(kind: str, px: Numbers, scenes: Numbers, read_bytes: Numbers) -> Numbers:
    """Seconds of work of jobs of one kind, more than 0; see `Features`."""
    weight = _WEIGHTS.get(kind, _OTHER)
    return weight.job + px / _MB * weight.mpx + read_bytes / _MB * weight.mb + scenes * weight.scene


def work_s(features: Features) -> float:
    """Seconds of work of one job, more than 0."""
    return work_of(features.kind, features.px, features.scenes, features.read_bytes)


@dataclass(frozen=True)
class _Known:
    """The logarithm of a factor: its mean and its variance."""

    mean: float
    variance: float


@dataclass(frozen=True)
class Rates:
    """What one place's machines make of work."""

    kinds: Mapping[str, _Known]
    other: _Known | None
    """Of a kind that no earlier run had; None where there was no earlier run at all."""
    runs: int
    open_s: Range
    first_s: float
    close_s: float
    run_sd: float
    near: bool = False
    """Nothing is read over a network."""

    def factor(self, kind: str) -> Range:
        """Seconds that one second of work takes."""
        known = self.kinds.get(kind) or self.other or _prior(kind, near=self.near)
        spread = Z * math.sqrt(known.variance + self.run_sd**2)
        return Range(math.exp(known.mean - spread), math.exp(known.mean), math.exp(known.mean + spread))


def _prior(kind: str, *, near: bool) -> _Known:
    """Of its own where there is one, else the middle of all; of files on a disk, that of the weights' own machine."""
    if near:
        return _Known(0.0, _PRIOR_SD**2)
    known = {one: math.log(_PRIORS_S[one] / work_s(features)) for one, features in _STANDARD.items()}
    return _Known(known.get(kind, sum(known.values()) / len(known)), _PRIOR_SD**2)


def learn(
    seen: Sequence[Seen], opened: Sequence[Opened], backend: str, machine: str | None, *, near: bool = False
) -> Rates:
    """What earlier runs teach of a place: those of the same machines; where there is none, all others; older ones less.

    Two levels: a factor of all kinds together, and what each kind lies beside it. Each is the mean of what was seen,
    weighted by how surely it was; a kind that was seen seldom is drawn to the others (an empirical Bayes estimate of
    normal means of known variances).
    """
    here = [one for one in seen if (one.backend, one.machine) == (backend, machine)]
    known_runs = here or seen
    run_sd = _apart([_observed(one, _RUN_SD) for one in known_runs])
    each = {
        kind: _pooled([_observed(one, run_sd) for one in known_runs if one.kind == kind])
        for kind in sorted({one.kind for one in known_runs})
    }
    other = _pooled([_Known(one.mean, one.variance + _KIND_SD**2) for one in each.values()]) if each else None
    kinds = {}
    unseen = None
    if other is not None:
        for kind, known in each.items():
            share = _KIND_SD**2 / (_KIND_SD**2 + known.variance)
            mean = other.mean + share * (known.mean - other.mean)
            kinds[kind] = _Known(mean, share * known.variance + (1 - share) ** 2 * other.variance)
        unseen = _Known(other.mean, other.variance + _KIND_SD**2)
        if not here:
            kinds = {kind: _elsewhere(known, kind, near=near) for kind, known in kinds.items()}
            unseen = _elsewhere(unseen, "", near=near)
    like = [one for one in opened if one.backend == backend]
    first_s = _middle([one.first_s for one in like if one.first_s is not None], _FIRST_S)
    close_s = _middle([one.close_s for one in like if one.close_s > 0], _CLOSE_S)
    runs = len({one.run for one in known_runs})
    return Rates(kinds, unseen, runs, _opening(like, backend), first_s, close_s, run_sd, near)


def _apart(observed: Sequence[_Known]) -> float:
    """How far runs lie apart, as far as so few can tell: what is more than kinds and machines explain."""
    if not observed:
        return _RUN_SD
    mean = _pooled(observed).mean
    beyond = [max(0.0, (one.mean - mean) ** 2 - _KIND_SD**2 - one.variance + _RUN_SD**2) for one in observed]
    return math.sqrt((_RUN_DOUBT * _RUN_SD**2 + sum(beyond)) / (_RUN_DOUBT + len(beyond)))


def _observed(one: Seen, run_sd: float) -> _Known:
    """Less sure with its age, and never less than where nothing is known."""
    variance = (run_sd**2 + _JOB_SD**2 / one.jobs) * 2 ** (one.age_days / _HALF_LIFE_DAYS)
    return _Known(math.log(one.made_s / one.work_s), min(variance, _PRIOR_SD**2))


def _elsewhere(known: _Known, kind: str, *, near: bool) -> _Known:
    """What runs of other machines teach: however many, these machines are not those; so the priors have a word."""
    return _pooled([_Known(known.mean, known.variance + _ELSEWHERE_SD**2), _prior(kind, near=near)])


def _pooled(known: Sequence[_Known]) -> _Known:
    """The mean of several, weighted by how surely each is known."""
    weights = [1 / one.variance for one in known]
    mean = sum(weight * one.mean for weight, one in zip(weights, known, strict=True)) / sum(weights)
    return _Known(mean, 1 / sum(weights))


def _opening(opened: Sequence[Opened], backend: str) -> Range:
    """Half as long to twice as long where nothing was learned."""
    likely, spread = _OPEN_S.get(backend, 60.0), 2.0
    times = sorted(one.open_s for one in opened if one.open_s > 0)
    if times:
        likely, spread = times[len(times) // 2], 1.5
    return Range(likely / spread, likely, likely * spread)


def _middle(times: Sequence[float], otherwise: float) -> float:
    """The middle of what was seen."""
    known = sorted(times)
    return known[len(known) // 2] if known else otherwise
