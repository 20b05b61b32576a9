"""From a config to floats, profiles and grids: planned, made, committed and opened again by the config itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from pipeline.derive import refresh_profiles
from pipeline.execute.worker.task import run_job
from pipeline.results.float_years import float_years_key
from pipeline.results.grids import open_grids
from pipeline.results.profiles import open_profiles
from pipeline.session import Options, Session, open_session
from pipeline.types import Status
from tests.results.made import finish

CONFIG = """\
name: floats
output: {output}
period: {{start: 2024-06-01, end: 2024-08-01, every: span}}
sources:
  argo: {{gdac: {gdac}, kinds: [core, synthetic]}}
products:
  - {{product: argo, source: argo, parameters: [PRES, TEMP, PSAL]}}
  - product: argo_grid
    inputs: [argo]
    regions: {{lake: {{bbox: [11.5, 44.5, 12.5, 45.5]}}}}
    cell_deg: 0.5
    levels_dbar: [5, 10, 20]
    variables: [ct, temp]
    heat_content: []
    mixed_layer: null
"""


@dataclass(frozen=True)
class Run:
    """A config, and what was made of it."""

    config: Path
    session: Session


@pytest.fixture(scope="module")
def run(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("floats")
    config = folder / "run.yaml"
    config.write_text(CONFIG.format(output=folder / "out", gdac=demo_world / "argo"))
    session = open_session(Options(config))
    assignments = session.assignments()
    for job in session.plan.jobs:
        outcome = run_job(job, assignments[job.product], 99)
        assert outcome.status is Status.DONE, outcome.cause
    finish(session.prepared.store, session.plan)
    return Run(config, session)


def test_the_config_opens_what_it_made(run: Run) -> None:
    profiles = open_profiles(run.config, kinds=["core"])
    assert set(profiles.PLATFORM_NUMBER.values.tolist()) == {9900101, 9900102, 9900215, 9900216}
    assert np.isfinite(profiles.TEMP).sum() > 1000
    assert open_profiles(run.session.config).sizes["profile"] > profiles.sizes["profile"]


def test_the_grid_holds_the_profiles_that_lie_in_it(run: Run) -> None:
    """Primary core profiles with a time and a place, counted from the Dataset."""
    grid = open_grids(run.config)
    inside = open_profiles(run.config, kinds=["core"], bbox=(11.5, 44.5, 12.5, 45.5), time=("2024-06-01", "2024-08-01"))
    good = (inside.PROFILE_INDEX == 0) & ~inside.TIME_QC.isin([3, 4]) & ~inside.POSITION_QC.isin([3, 4])
    assert int(grid.profiles.sum()) == int(good.sum()) > 20
    assert grid.sizes["time"] == 2 and int(grid.ct_count.sum()) > 0
    assert "INVENTED" in grid.attrs["attribution"]


def test_an_unchanged_mirror_makes_no_grid_again(run: Run) -> None:
    again = open_session(Options(run.config))
    assert not again.plan.jobs and len(again.plan.skipped) == len(run.session.plan.jobs)


def test_what_is_derived_of_floats_is_made_at_a_runs_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    store, said = run.session.prepared.store, list[str]()
    (run_id,) = {key.split("/")[1] for key, _ in store.list_objects("runs/")}
    for name in ("draw_section", "draw_ts"):
        monkeypatch.setattr(f"pipeline.results.argo_report.{name}", lambda one: one.name.encode())
    assert refresh_profiles(store, run.session.config, {"argo": run_id}, said.append) and not said
    assert store.exists(float_years_key("argo"))
    assert store.get_bytes(f"runs/{run_id}/plots/argo_9900101_ts.png") == b"9900101"
