"""The one screen on which the stages are joined.

config → snapshot → plan → clusters → jobs, each committed by its worker → journal → catalogue → summary
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from rich.console import Console

from cluster.spec import ClusterSpec
from pipeline.campaign import Campaign, Result
from pipeline.config import ProductConfig, RunConfig
from pipeline.config.given import ConfigSource, Given, as_set
from pipeline.config.options import Options
from pipeline.errors import StoreError
from pipeline.estimating import estimate_run, refuse_budget
from pipeline.execute.progress.live import RunConsole, speaker
from pipeline.execute.records.replay import read_replay
from pipeline.execute.worker.task import Assignment
from pipeline.placement import cluster_specs, with_crossings, worker_shapes
from pipeline.plan.find import find_job, find_jobs
from pipeline.plan.groups import Work
from pipeline.plan.only import Chosen
from pipeline.prepare import Prepared, access_for, load_run, open_output, prepare
from pipeline.products import load_product
from pipeline.products._upstream import with_upstream
from pipeline.read.access import Access
from pipeline.report.estimate_text import render_estimate
from pipeline.report.text import render_plan
from pipeline.stores import check_stores
from pipeline.types import Estimate, Job, Plan, Quality
from pipeline.work import Terms, assign, plan_work

if TYPE_CHECKING:
    import pyarrow as pa
    import xarray as xr

    from pipeline.results.open import Shown
    from pipeline.results.profiles import Wanted

__all__ = ["Options", "Result", "Session", "open_config", "open_session"]


@dataclass(frozen=True, repr=False)
class Session:
    """A planned run: look at it, open a job lazily, change a key and look again, run some jobs or all of them.

    In a notebook it shows itself as a table and a map; as text it is what `pipeline.run` prints before it starts.
    """

    options: Options
    config: RunConfig
    specs: Mapping[str, ClusterSpec]
    """Cluster of each region."""
    prepared: Prepared
    console: Console = field(default_factory=RunConsole, compare=False)

    @property
    def plan(self) -> Plan:
        return self.prepared.plan

    @cached_property
    def estimate(self) -> Estimate:
        """What the plan is likely to take and to cost; asked for once, since a few files are looked at for it."""
        # What is replayed from a snapshot asks nobody anything.
        network = self.options.snapshot is None
        return estimate_run(self.config, self.prepared, self.specs, self.groups(self.plan.jobs), network=network)

    def job(self, product: str | None = None, tile: str | None = None, period: str | None = None) -> Job:
        """The one job that is meant, whether it is committed already or not; product may be a whole id, a/b/c.

        Raises ConfigError saying what there is where none is, or more than one.
        """
        return find_job(self.plan, product, tile, period)

    def jobs(self, product: str | None = None, tile: str | None = None, period: str | None = None) -> tuple[Job, ...]:
        """The jobs that are left to do: all, or of one product, tile or period. Raises ConfigError as `job`."""
        return find_jobs(self.plan, product, tile, period)

    def table(self) -> pa.Table:
        """The plan, a row a job, done or to do; bytes, degrees, UTC, as `report.plan_table` says."""
        from pipeline.report.plan_table import plan_table  # noqa: PLC0415 (Arrow, and only when somebody looks)

        return plan_table(self.plan)

    def open(self, job: Job | str) -> xr.Dataset:
        """A job's observations as a lazy Dataset (time, y, x) of stored numbers, masked; nothing is read yet.

        job: or its id. Raises StoreError for a job made from others that are not committed.
        """
        import rioxarray  # noqa: F401, PLC0415 (gives Datasets their `.rio`; for those who look at them)

        one = self._named(job)
        return load_product(one.kind).open(with_upstream(one, self.prepared.store), *self._parameters(one))

    def composite(self, job: Job | str) -> xr.Dataset:
        """A job's composite as a lazy Dataset (y, x): once computed, the pixels that `run` commits.

        job: or its id. Raises StoreError for a job made from others that are not committed.
        """
        import rioxarray  # noqa: F401, PLC0415 (gives Datasets their `.rio`; for those who look at them)

        one = self._named(job)
        return load_product(one.kind).composite(with_upstream(one, self.prepared.store), *self._parameters(one))

    def with_sets(self, sets: Mapping[str, object]) -> Session:
        """The same run with some keys changed, planned anew: `{"products.sentinel2.mask.dilate_px": 5}`.

        sets: by key, as `--set` has them. What was searched counts again where the same is asked, so that no catalogue
        is asked for a parameter. Raises what `open_session` raises.
        """
        options = replace(self.options, sets=(*self.options.sets, *(as_set(*one) for one in sets.items())))
        if "output" in sets:  # what is said last counts, also over what `open_config` was told
            options = replace(options, output=None)
        return replace(open_session(options, before=self.prepared), console=self.console)

    def run(self, jobs: Sequence[Job | str] | Job | str | None = None) -> Result:
        """Run and commit some jobs, or one, or those of some ids (default: all of the plan) on their regions' clusters.

        A run of chosen jobs is as resumable as a whole one. Nobody is asked about what it may cost. Raises StoreError
        when the output cannot be written and PreflightError when it cannot be used as it must be, the whole is likely
        to cost more than `run.budget_usd`, or no cluster comes up.
        """
        options = self.options
        if jobs is None and self.plan.jobs:
            refuse_budget(self.estimate, self.config.run.budget_usd)
        campaign = Campaign(
            self.config, self.prepared, self.specs, self.estimate, self.console, options.overwrite, options.command
        )
        return campaign.run(self.plan.jobs if jobs is None else self._chosen(jobs), self.quality_before)

    def results(self, product: str | None = None, *, decode: bool = False, **shown: Unpack[Shown]) -> xr.Dataset:
        """What is committed of a product, all tiles and periods as one lazy Dataset: `open_results` of this output."""
        from pipeline.results.open import open_results  # noqa: PLC0415 (rioxarray and Zarr, for those who read back)

        return open_results(self.config, product, decode=decode, **shown)

    def profiles(self, product: str | None = None, **wanted: Unpack[Wanted]) -> xr.Dataset:
        """What is committed of floats as one lazy Dataset (profile, level): `open_profiles` of this output."""
        from pipeline.results.profiles import open_profiles  # noqa: PLC0415 (as above)

        return open_profiles(self.config, product, **wanted)

    def grids(self, product: str | None = None, region: str | None = None) -> xr.Dataset:
        """What is committed of grids of floats (time, pressure, latitude, longitude): `open_grids` of this output."""
        from pipeline.results.grids import open_grids  # noqa: PLC0415 (as above)

        return open_grids(self.config, product, region)

    def matchups(self, product: str | None = None) -> pa.Table:
        """What is committed of match-ups, a row a profile and scene: `read_matchups` of this output."""
        from pipeline.results.matchups import read_matchups  # noqa: PLC0415 (as above)

        return read_matchups(self.config, product)

    def _chosen(self, jobs: Sequence[Job | str] | Job | str) -> tuple[Job, ...]:
        """Each job once."""
        named = map(self._named, [jobs] if isinstance(jobs, Job | str) else jobs)
        return tuple({job.id: job for job in named}.values())

    def _named(self, job: Job | str) -> Job:
        return self.job(job) if isinstance(job, str) else job

    def quality_before(self) -> dict[str, Quality]:
        """Of what is committed already, the tiles that do not keep the limits of this config, by job id.

        As far as `items.parquet` has them; what a run that did not end has committed, its own journal tells.
        """
        if not self.plan.skipped:
            return {}
        from pipeline.results.quality import judge_again  # noqa: PLC0415 (Arrow, and only where something is skipped)

        limits = {entry.name: self.config.quality_of(entry) for entry in self.config.products}
        committed = {skip.job_id: skip.fingerprint for skip in self.plan.skipped}
        try:
            return dict(judge_again(self.prepared.store, committed, limits))
        except StoreError as error:
            self.say(f"warning: nothing is told of the quality of skipped tiles: {error}")
            return {}

    def _parameters(self, job: Job) -> tuple[ProductConfig, Access]:
        entry = next(entry for entry in self.config.products if entry.name == job.product)
        return entry, access_for(self.config, entry)

    def __repr__(self) -> str:
        jobs, done = len(self.plan.jobs), len(self.plan.skipped)
        return f"<Session {self.config.name}: {jobs} jobs to run, {done} committed, output {self.prepared.store.uri}>"

    def __str__(self) -> str:
        return self.told()

    def _repr_html_(self) -> str:
        from pipeline.report.plan_html import Looked, plan_html  # noqa: PLC0415 (only for those who look)

        return plan_html(self.plan, Looked(self.config.name, self.prepared.store.uri, self.estimate))

    def told(self) -> str:
        """Plan and estimate, as plain text."""
        plan = render_plan(self.plan)
        if not self.plan.jobs:
            return plan
        return f"{plan}\n{render_estimate(self.estimate, self.config.run.budget_usd)}"

    def say(self, text: str) -> None:
        """Plain text, as `run.progress` wants it."""
        speaker(self.console, self.config.run.progress)(text)

    def groups(self, jobs: Sequence[Job]) -> Work:
        """Jobs as the tasks they are run in."""
        return plan_work(jobs, self.config, self.prepared, self.specs)

    def assignments(self) -> dict[str, Assignment]:
        """What workers must know besides a job, by product name."""
        return assign(self.config, self.prepared, self.specs, Terms(overwrite=self.options.overwrite))


def open_config(
    config: str | Path | Mapping[str, object],
    *,
    output: str | Path | None = None,
    sets: Mapping[str, object] | None = None,
    snapshot: str | Path | None = None,
    overwrite: bool = False,
) -> Session:
    """Read a config, search and plan; starts nothing: the front door of notebooks and programs.

    config: the path of a YAML file; or YAML text, of more than one line; or its keys, built in code. Relative paths of
    inputs count from the file's folder; of text and keys, from the current one. output: in place of the config's.
    sets: by key, what to replace, `{"run.retries": 5}`. snapshot: a run's `items.parquet`, replayed without a network.
    overwrite: plan also what is committed already.
    Raises ConfigError with every fault, CatalogError, StoreError and PlanRefusedError.
    """
    if isinstance(config, Mapping) or (isinstance(config, str) and "\n" in config):
        read: ConfigSource = Given(config)
    else:
        read = Path(config)
    written = tuple(as_set(*one) for one in (sets or {}).items())
    options = Options(
        read,
        overwrite=overwrite,
        sets=written,
        output=None if output is None else str(output),
        snapshot=None if snapshot is None else Path(snapshot),
    )
    return open_session(options)


def open_session(options: Options, chosen: Chosen | None = None, before: Prepared | None = None) -> Session:
    """Read the config, search and plan; starts nothing. Raises what `load_config` and `prepare` raise.

    chosen: the only jobs that are wanted, in place of a replay file. before: an earlier plan, whose search counts again
    where the same is asked.
    """
    config = load_run(options)
    check_stores(config)
    offers = {region: [shape.task_bytes for shape in each] for region, each in worker_shapes(config).items()}
    if chosen is None and options.replay is not None:
        chosen = Chosen(read_replay(options.replay, partial(open_output, config)))
    prepared = prepare(
        config,
        offers,
        snapshot=options.snapshot or before,
        overwrite=options.overwrite,
        narrowed=options.narrowed,
        chosen=chosen,
    )
    specs = cluster_specs(config, prepared.task_bytes)
    prepared = replace(prepared, plan=with_crossings(prepared.plan, specs, config, prepared.store))
    return Session(options, config, specs, prepared)
