"""What a second run does again, and why: exactly what changed, on the word of the items alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pipeline import cli, run
from tests.faults._runs import JOBS, Case, Tree, check_items, check_same, items, products

SCENE = "S2B_33TTK_20240708_0_L2A"
"""Covers the eastern tiles only, and lies in July."""
WIDE = ("--set", "area.bbox=[11.985, 44.872, 12.018, 44.890]")
WIDE_JOBS = 16
LESS_DILATION = ("--set", "products.sentinel2.mask.dilate_px=1")


@pytest.fixture
def own(faults_world: Path, tmp_path: Path) -> Case:
    """A case over a world of its own to change."""
    return Case(tmp_path / "case", Path(shutil.copytree(faults_world, tmp_path / "world")))


def ran(case: Case, *options: str, **counts: int) -> str:
    """Run to success and compare the counts; returns what was printed."""
    finished = case.run(*options)
    assert finished.code == 0, finished.text
    assert finished.counts() == {"done": 0, "skipped": 0, "failed": 0, "not started": 0} | counts
    return finished.text


def explained(case: Case, capsys: pytest.CaptureFixture[str], what: str, *options: str) -> list[str]:
    """The lines of `groundswell explain`."""
    capsys.readouterr()
    assert cli.main(["explain", str(case.config), what, *options]) == 0
    return capsys.readouterr().out.splitlines()


def job_of(key: str) -> str:
    """`items/product/tile_period_fingerprint.json` → `product/tile/period`."""
    _, product, name = key.split("/")
    return "/".join((product, *name.split("_")[:2]))


def shown(tree: Tree) -> dict[str, str]:
    """Job → key of the item that the catalogue shows."""
    page = json.loads(tree["collections/sentinel2/collection.json"])
    keys = [link["href"].removeprefix("../../") for link in page["links"] if link["rel"] == "item"]
    return {job_of(key): key for key in keys}


def outside_runs(tree: Tree) -> Tree:
    return {key: content for key, content in tree.items() if not key.startswith("runs/")}


@pytest.mark.long
def test_a_second_run_skips_every_job_and_says_so(case: Case, calm: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    ran(case, done=JOBS)
    before = case.tree()
    text = ran(case, skipped=JOBS)
    assert f"skipped: {JOBS} jobs, already committed\nplan: 0 jobs to run, {JOBS} skipped\n" in text
    assert "cluster" not in text, "nothing to do, so nothing was started"
    assert outside_runs(case.tree()) == outside_runs(before), "nothing was written but the run's own record"
    check_same(case, calm)
    assert list(case.scratch.glob("groundswell-*")) == []
    job = job_of(next(iter(items(before))))
    assert explained(case, capsys, job) == [f"{job}: committed, nothing to do"]


@pytest.mark.full
def test_a_changed_parameter_remakes_every_tile(case: Case, calm: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    """Under new names: what was made before stays, and is current again as soon as it is asked for again."""
    ran(case, done=JOBS)
    before = shown(case.tree())
    job, key = next(iter(before.items()))
    assert explained(case, capsys, job, *LESS_DILATION) == [
        f"{job}: will be made again; changed since {key}:",
        "  parameters.mask.dilate_px: 1, was 3",
    ]
    ran(case, *LESS_DILATION, done=JOBS)
    changed = case.tree()
    assert shown(changed).keys() == before.keys()
    assert set(shown(changed).values()).isdisjoint(before.values())
    assert products(changed).items() >= products(calm).items()
    ran(case, skipped=JOBS)
    assert shown(case.tree()) == before


@pytest.mark.long
def test_a_reprocessed_scene_remakes_exactly_its_tiles(own: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """A catalogue that says a scene is newer costs the tiles and periods that were made from it, no other."""
    ran(own, *WIDE, done=WIDE_JOBS)
    before = items(own.tree())
    inputs = {job_of(key): {link.get("title") for link in item["links"]} for key, item in before.items()}
    touched = {job for job, titles in inputs.items() if SCENE in titles}
    untouched = {job_of(key): key for key in before if job_of(key) not in touched}
    assert touched
    assert any(job.endswith("2024-07") for job in untouched), "some tile of the same month was made without it"

    path = own.world / "s2" / SCENE / f"{SCENE}.json"
    scene = json.loads(path.read_text())
    scene["properties"]["updated"] = "2024-09-01T00:00:00Z"
    path.write_text(json.dumps(scene))
    for job, key in ((job_of(key), key) for key in before):
        now, then = "2024-09-01T00:00:00+00:00", "2024-07-08T18:30:00+00:00"
        changes = [f'  inputs.sentinel-2-l2a/{SCENE}.{band}.version: "{now}", was "{then}"' for band in ("red", "scl")]
        assert explained(own, capsys, job, *WIDE) == (
            [f"{job}: will be made again; changed since {key}:", *changes]
            if job in touched
            else [f"{job}: committed, nothing to do"]
        )
    ran(own, *WIDE, done=len(touched), skipped=len(untouched))
    after = own.tree()
    assert len(items(after)) == WIDE_JOBS + len(touched)
    assert check_items(after) == WIDE_JOBS + len(touched)
    assert {job for job, key in shown(after).items() if key not in before} == touched
    assert untouched.items() <= shown(after).items()


@pytest.mark.full
def test_overwrite_makes_everything_again(case: Case, calm: Tree) -> None:
    """Also what was spoilt behind the pipeline's back: an item and a file of it."""
    ran(case, done=JOBS)
    key, item = next(iter(items(case.tree()).items()))
    spoilt = Path(case.output, key)
    Path(spoilt.parent, item["assets"]["red"]["href"]).write_bytes(b"spoilt")
    spoilt.write_text(json.dumps(item | {"assets": {}}))
    ran(case, skipped=JOBS)
    ran(case, "--overwrite", done=JOBS)
    check_same(case, calm)


@pytest.mark.full
def test_a_snapshot_replays_without_the_catalogue(own: Case, tmp_path: Path) -> None:
    ran(own, done=JOBS)
    made = own.tree()
    (snapshot,) = (key for key in made if key.startswith("runs/") and key.endswith("/items.parquet"))
    for path in own.world.rglob("*.json"):
        path.unlink()
    finished = own.run("--output", str(tmp_path / "again"))
    assert finished.code == 3, finished.text
    assert f"{own.world}/s2/collection.json" in finished.text
    options = ("--snapshot", str(Path(own.output, snapshot)))
    ran(own, *options, skipped=JOBS)
    ran(own, *options, "--output", str(tmp_path / "again"), done=JOBS)
    own.output = str(tmp_path / "again")
    check_same(own, made)


@pytest.mark.full
def test_a_failed_job_stops_no_other_and_is_tried_again(case: Case, calm: Tree) -> None:
    """Exit code 1, every failure with job, item, asset, file and cause; fixed, the next run makes the rest."""
    finished = case.run("--set", "run.missing_assets.policy=fail")
    counts = finished.counts()
    assert finished.code == 1, finished.text
    assert counts["failed"] > 0
    assert counts["failed"] + counts["done"] == JOBS
    failures = [line for line in finished.text.splitlines() if line.startswith("failed: ")]
    broken = "S2A_33TTK_20240706_0_L2A"
    assert len(set(failures)) == counts["failed"]
    for line in failures:
        assert f"item {broken}, asset red: {case.world}/s2/{broken}/red.tif: damaged or not readable" in line
    assert check_items(case.tree()) == counts["done"]
    ran(case, done=counts["failed"], skipped=counts["done"])
    check_same(case, calm)


def test_dry_run_writes_nothing(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(case.folder.rglob("*"))
    assert run.main([str(case.config), "--dry-run", "--overwrite"]) == 0
    assert f"plan: {JOBS} jobs to run, 0 skipped" in capsys.readouterr().out
    assert sorted(case.folder.rglob("*")) == files


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--set", "run.missing=fail"], 2, "run.missing: unknown key (did you mean missing_assets?)"),
        (["--set", "products.sentinel2.bands=[red, rde]"], 2, 'products.0.bands.1: found "rde" (did you mean red?)'),
        (["--output", "{folder}/run.yaml/output"], 3, "output: folder {folder}/run.yaml/output"),
        (["--set", "sources.s2.items={folder}/gone.json"], 3, "{folder}/gone.json"),
        (
            ["--set", "period.start=2023-06-01", "--set", "period.end=2023-08-01"],
            5,
            "no scene or profile of any source meets area",
        ),
    ],
)
def test_exit_codes_before_anything_runs(
    case: Case, capsys: pytest.CaptureFixture[str], options: list[str], code: int, message: str
) -> None:
    """Each from a real cause, named on one line of stderr; nothing is written."""
    arguments = [option.format(folder=case.folder) for option in options]
    assert run.main([str(case.config), *arguments]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message.format(folder=case.folder) in error
    assert case.tree() == {}


def test_an_unknown_option_is_bad_usage(case: Case) -> None:
    with pytest.raises(SystemExit) as ended:
        run.main([str(case.config), "--no-such-option"])
    assert ended.value.code == 2
