"""`groundswell report` makes the report of any run from its records alone, wherever it is wanted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.report.made_runs import RUN, Shape, write_run
from tests.verbs.making import groundswell

EARLIER = "20250301T060000000Z-abc123"


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    write_run(tmp_path / "out", Shape(3, failed=0.5))
    return write_run(tmp_path / "out", Shape(2), run=EARLIER)


def test_the_newest_run_is_told_and_its_report_lies_beside_its_records(
    two_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert groundswell("report", two_runs, "--no-plots") == 0
    folder = two_runs / "runs" / RUN / "report"
    assert capsys.readouterr().out.endswith(f"report: {folder}/index.html\n")
    assert (folder / "index.html").read_text().startswith("<!doctype html>")
    assert not list(folder.glob("*.png"))
    assert not (two_runs / "runs" / EARLIER / "report").exists()


@pytest.mark.parametrize("how", ["option", "address"])
def test_any_run_by_its_id_or_its_address(two_runs: Path, tmp_path: Path, how: str) -> None:
    named = [two_runs, "--run", EARLIER] if how == "option" else [two_runs / "runs" / EARLIER]
    assert groundswell("report", *named, "--to", tmp_path / "to", *([] if how == "option" else ["--no-plots"])) == 0
    told = json.loads((tmp_path / "to" / "report.json").read_text())
    assert (told["run"], told["jobs"]["done"]) == (EARLIER, 2)
    assert len(list((tmp_path / "to").glob("*.png"))) == (3 if how == "option" else 0)
    assert not list(two_runs.glob("runs/*/report"))


def test_an_output_may_lie_in_a_folder_called_runs(
    two_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "runs" / "kenya"
    shutil.copytree(two_runs, output)
    for named in ([output], [output, "--run", RUN], [output / "runs" / RUN]):
        assert groundswell("report", *named, "--json") == 0
        assert json.loads(capsys.readouterr().out)["run"] == RUN


def test_a_report_written_again_says_the_same(two_runs: Path) -> None:
    """The report is no record: it may go, and comes back byte for byte."""
    folder = two_runs / "runs" / RUN / "report"
    groundswell("report", two_runs, "--no-plots")
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    shutil.rmtree(folder)
    groundswell("report", two_runs, "--no-plots")
    assert first == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_as_json_nothing_is_written(two_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert groundswell("report", two_runs, "--json") == 0
    assert json.loads(capsys.readouterr().out)["run"] == RUN
    assert not list(two_runs.glob("runs/*/report"))


def test_a_run_that_is_not_there_is_named_with_those_that_are(
    two_runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert groundswell("report", two_runs, "--run", "nothing") == 3
    assert f"found no run nothing; its newest runs: {RUN}, {EARLIER}" in capsys.readouterr().err


def test_a_real_run_has_thumbnails_and_places(output: Path) -> None:
    """Of a run of the pipeline itself, which found its two tiles committed: both have a place, and a picture."""
    assert groundswell("report", output, "--no-plots") == 0
    (report,) = output.glob("runs/*/report")
    page = (report / "index.html").read_text()
    told = json.loads((report / "report.json").read_text())
    assert told["jobs"]["skipped"] == told["jobs"]["planned"] == page.count('<img src="data:image/png;base64,') == 2
    head, *lines = (report / "jobs.csv").read_text().splitlines()
    rows = [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]
    assert all(-180 <= float(row["west"]) < float(row["east"]) <= 180 for row in rows)


def test_what_a_run_wrote_at_its_end_is_what_its_records_give(output: Path, tmp_path: Path) -> None:
    """The run read its local journal, this reads the output alone: the same jobs, the same account."""
    (written,) = output.glob("runs/*/report")
    assert groundswell("report", output, "--to", tmp_path / "to", "--no-plots") == 0
    assert (written / "jobs.csv").read_bytes() == (tmp_path / "to" / "jobs.csv").read_bytes()
    first, again = (json.loads((folder / "report.json").read_text()) for folder in (written, tmp_path / "to"))
    assert first.pop("output") != again.pop("output")  # this is a copy of what the run wrote
    assert first == again
    assert (written / "index.html").stat().st_size > 30_000
