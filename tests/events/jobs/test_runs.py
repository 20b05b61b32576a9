"""What events start of a run is what the whole run makes, byte for byte; and every target hears what became of it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.events import EventsConfig
from pipeline.errors import CatalogError, ConfigError, GroundswellError, PlanRefusedError
from pipeline.events.event import Ended, Verdict
from pipeline.events.inbox.inbox import Arrival, open_inbox
from pipeline.events.jobs import runs
from pipeline.events.jobs.runs import run_targets, told_of
from pipeline.events.messages.envelopes import read_message
from pipeline.events.rules.route import route_event
from pipeline.events.rules.templates import open_templates
from pipeline.session import Options, Result, open_session
from pipeline.types import Actual, Outcome, Status
from tests.demo_runs import digests_of
from tests.events.run_world import RULES, RunWorld, run_world
from tests.servers.consumer import run_consumer
from tests.timeless import timeless

RUN = """\
name: small
output: {output}
area: {{bbox: [11.985, 44.872, 12.018, 44.890]}}
grid: {{kind: utm, tile_px: 256, resolution_m: 10}}
period: {{start: 2024-06-01, end: 2024-07-01, every: month}}
sources:
  s2: {{items: {world}/s2/collection.json}}
  dem: {{items: {world}/dem/collection.json}}
  argo: {{gdac: {world}/argo, kinds: [core]}}
products:
  - {{product: sentinel2, source: s2, bands: [red, nir]}}
  - {{product: dem, source: dem, layers: [elevation]}}
  - {{product: stack, inputs: [sentinel2, dem], layers: {{sentinel2: [red], dem: [elevation]}}, write: {{cog: {{}}}}}}
  - {{product: argo, source: argo}}
run: {{missing_assets: {{max_fraction: 0.5}}, progress: quiet}}
"""


def small(world: Path, folder: Path, output: str = "output") -> RunWorld:
    folder.mkdir(exist_ok=True)
    rules = {name: RULES[name] for name in ("s2", "dem", "floats")}
    return run_world(world, folder, RUN.format(output=folder / output, world=world), rules)


def run(config: EventsConfig, rule: str, targets: Collection[str]) -> dict[str, Ended]:
    """What was told of each target, each once."""
    told: list[Ended] = []
    run_targets(config, rule, targets, told.append)
    assert len(told) == len({one.target for one in told})
    return {one.target: one for one in told}


def of_scenes(world: RunWorld, rules: Iterable[str]) -> dict[str, set[str]]:
    """By rule, the targets of all scenes."""
    config = world.config()
    templates = open_templates(config)
    found: dict[str, set[str]] = {}
    for event in (event for rule in rules for event in world.scenes(rule)):
        for order in route_event(event, config, templates, 0):
            found.setdefault(order.rule, set()).add(order.target)
    return found


def committed(output: Path) -> dict[str, Any]:
    """Every item without the moment of its making, and without the neighbours that were there before it."""
    paths = sorted((output / "items").rglob("*.json"))
    return {str(path.relative_to(output)): timeless(json.loads(path.read_text(encoding="utf-8"))) for path in paths}


@dataclass(frozen=True)
class Whole:
    """A run of everything."""

    world: RunWorld
    jobs: frozenset[str]


@pytest.fixture(scope="module")
def whole(demo_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    world = small(demo_world, tmp_path_factory.mktemp("whole"))
    session = open_session(Options(world.run))
    assert session.run().code == 0
    return Whole(world, frozenset(job.id for job in session.plan.jobs))


@pytest.mark.long
def test_all_events_together_make_what_the_whole_run_makes(whole: Whole, demo_world: Path, tmp_path: Path) -> None:
    """Though the first batch has only what is made from others: what that needs is made first, and once."""
    world = small(demo_world, tmp_path)
    config, targets = world.config(), of_scenes(world, ("s2", "dem"))
    tiled = {job for job in whole.jobs if not job.startswith("argo/")}
    assert tiled <= {target for each in targets.values() for target in each}
    stacks = {target for target in targets["s2"] if target.startswith("stack/")}
    first = run(config, "s2", stacks)
    assert {target: one.note for target, one in first.items() if one.note == "made"} == dict.fromkeys(
        stacks & tiled, "made"
    )
    told = run(config, "s2", targets["s2"]) | run(config, "dem", targets["dem"])
    assert {target for target, one in told.items() if one.note == "unchanged"} == tiled
    assert all(one.note.startswith("nothing to do") for target, one in told.items() if target not in tiled)
    items = committed(whole.world.output)
    assert committed(world.output) == {key: item for key, item in items.items() if not key.startswith("items/argo/")}
    files = digests_of(whole.world.output)
    assert digests_of(world.output) == {key: one for key, one in files.items() if not key.startswith("data/argo/")}


@pytest.mark.long
def test_a_float_is_made_with_its_bucket_and_not_again(whole: Whole, demo_world: Path, tmp_path: Path) -> None:
    """Only its files are copied, where the source has a copy; the tables are those of the whole run.

    After a run that was killed when all was committed one is begun: else nothing of it would be current.
    """
    world = small(demo_world, tmp_path)
    text = world.run.read_text(encoding="utf-8").replace("kinds: [core]", f"kinds: [core], mirror: {tmp_path}/mirror")
    world.run.write_text(text, encoding="utf-8")
    config, name = world.config(), "float/9900102"
    assert run(config, "floats", [name])[name].note == "made"
    assert {path.name for path in (tmp_path / "mirror" / "dac").glob("*/*")} == {"9900102"}
    tables = {key: one for key, one in digests_of(whole.world.output).items() if "/990010x/" in key}
    found = digests_of(world.output)
    assert {key: one for key, one in found.items() if key.endswith(".parquet")} == {
        key: one for key, one in tables.items() if key.endswith(".parquet")
    }
    assert committed(world.output).keys() == {key for key in committed(whole.world.output) if "/990010x" in key}
    (first,) = (world.output / "runs").iterdir()
    assert run(config, "floats", [name])[name].note == "unchanged"
    assert list((world.output / "runs").iterdir()) == [first]
    (first / "finished.json").unlink()
    assert run(config, "floats", [name])[name].note == "unchanged"
    assert len(list((world.output / "runs").glob("*/finished.json"))) == 1


@pytest.mark.long
def test_a_message_of_a_scene_ends_as_its_tiles(demo_world: Path, tmp_path: Path) -> None:
    """From the text of a STAC item, by a consumer of its own, to what is committed; a second one asks for nothing."""
    world = small(demo_world, tmp_path)
    rules = world.rules.read_text(encoding="utf-8").replace('"settle": "period_end+5d"', '"settle": "0s"')
    world.rules.write_text(rules, encoding="utf-8")
    path = min((world.world / "s2").glob("*202406*/*.json"))
    message = read_message(path.read_bytes(), via="sqs")
    config = world.config()
    targets = {order.target for order in route_event(message.events[0], config, open_templates(config), 0)}
    inbox = open_inbox(config.inbox.get_secret_value())
    arrivals = [Arrival(event, message.id) for event in message.events]
    assert inbox.put(arrivals) == [Verdict.NEW]
    with run_consumer(world.rules, "--once") as consumer:
        assert consumer.wait(200) == 0, consumer.log()
    assert inbox.put(arrivals) == [Verdict.DUPLICATE] and not inbox.unrouted(10)
    assert inbox.counts()["done"] == len(targets) and not inbox.counts()["failed"]
    items = committed(world.output).values()
    made = {item["id"].replace("_", "/") for item in items if not item["id"].startswith("dem_")}
    assert made and made <= targets
    assert len(list((world.output / "runs").iterdir())) == 1


@pytest.mark.long
def test_a_job_that_fails_is_told_with_its_cause_and_no_other(demo_world: Path, tmp_path: Path) -> None:
    """A file of a scene is damaged: its tile fails, and what is made from that is told as blocked."""
    world = small(demo_world, tmp_path)
    text = world.run.read_text(encoding="utf-8").replace("max_fraction: 0.5", "max_fraction: 0")
    text = text.replace("progress: quiet", "progress: quiet, retries: 0")
    text = text.replace("start: 2024-06-01, end: 2024-07-01", "start: 2024-07-01, end: 2024-08-01")
    world.run.write_text(text, encoding="utf-8")
    made, lost, blocked = targets = [
        f"{name}/33N-102-1942/{period}"
        for name, period in (("dem", "static"), ("sentinel2", "2024-07"), ("stack", "2024-07"))
    ]
    told = run(world.config(), "s2", targets)
    assert told[made] == Ended(made, note="made")
    assert told[lost].failed and told[lost].passing and told[lost].cause.startswith("MissingAssetsError: ")
    assert told[blocked].failed and told[blocked].passing and lost in told[blocked].cause


def outcome(status: Status, error: str | None = None) -> Outcome:
    return Outcome("p/t/m", "r", "f", status, error=error, cause="some\ncause")


RESULT = Result("run", (), {}, 0, {}, Actual(0, (), (), 0, 0))


def test_a_failure_that_another_attempt_repeats_is_lasting() -> None:
    lasting = told_of(outcome(Status.FAILED, "QualityError"), RESULT)
    assert (lasting.failed, lasting.passing, lasting.cause) == (True, False, "QualityError: some cause")
    assert told_of(outcome(Status.FAILED, "TransientAssetError"), RESULT).passing
    assert told_of(outcome(Status.BLOCKED), RESULT).passing
    assert told_of(outcome(Status.CLAIMED), RESULT).cause == "another run is making it"


def test_what_a_stopped_run_leaves_may_be_tried_again() -> None:
    stopped = told_of(outcome(Status.CANCELLED), replace(RESULT, reason="the disk is full"))
    assert (stopped.failed, stopped.passing) == (True, True) and "the disk is full" in stopped.cause
    assert "interrupted" in told_of(outcome(Status.CANCELLED), replace(RESULT, interrupted=143)).cause


def test_what_no_run_makes_is_nothing_to_do(demo_world: Path, tmp_path: Path) -> None:
    world = small(demo_world, tmp_path)
    told = run(world.config(), "s2", ["sentinel2/33N-0-0/2024-06", "float/1234567", "other"])
    assert {one.note.partition(":")[0] for one in told.values()} == {"nothing to do"}
    assert not any(one.failed for one in told.values()) and not (world.output / "runs").exists()


def test_a_config_that_is_wrong_fails_every_target_for_good(demo_world: Path, tmp_path: Path) -> None:
    world = small(demo_world, tmp_path)
    config = world.config()
    world.run.write_text(world.run.read_text(encoding="utf-8").replace("name: small", "nam: small"), encoding="utf-8")
    told = run(config, "s2", ["sentinel2/a/b", "float/9900101"])
    assert all(one.failed and not one.passing and "nam" in one.cause and "\n" not in one.cause for one in told.values())


def test_a_catalogue_that_is_away_fails_every_target_for_now(demo_world: Path, tmp_path: Path) -> None:
    world = small(demo_world, tmp_path)
    target = min(of_scenes(world, ("s2",))["s2"])
    text = world.run.read_text(encoding="utf-8").replace("s2/collection.json", "gone/collection.json")
    world.run.write_text(text, encoding="utf-8")
    (told,) = run(world.config(), "s2", [target]).values()
    assert told.failed and told.passing and "gone/collection.json" in told.cause


@pytest.mark.parametrize(
    ("error", "passing"),
    [(ConfigError("no"), False), (PlanRefusedError("no"), False), (CatalogError("no"), True)],
)
def test_an_error_as_a_whole_is_told_of_each(
    demo_world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: GroundswellError, passing: bool
) -> None:
    def fail(_options: Options, _chosen: object) -> None:
        raise error

    monkeypatch.setattr(runs, "open_session", fail)
    told = run(small(demo_world, tmp_path).config(), "s2", ["a/b/c", "a/b/d"])
    assert [(one.failed, one.passing, one.cause) for one in told.values()] == [(True, passing, "no")] * 2
