"""Laws of `adopt`: what lies there stands for its jobs, byte for byte, until --overwrite; and says where it is from."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipeline.errors import EXIT_BAD_CONFIG, EXIT_DONE, EXIT_JOBS_FAILED, EXIT_NOTHING_TO_DO
from pipeline.results.open import open_results
from tests.adopt.conftest import Older
from tests.verbs.making import files

pytestmark = pytest.mark.long
JOBS = {f"sentinel2/33N-469-3906/2024-0{month}" for month in (6, 7)}


def test_what_is_adopted_needs_no_work_and_keeps_every_byte(
    older: Older, made: Older, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["groundswell", "adopt", "--endpoint", "http://user:word@127.0.0.1:1"])
    assert older.adopt("--dry-run") == EXIT_DONE
    assert "2 would be adopted" in capsys.readouterr().out and not older.output.exists()
    assert older.adopt() == EXIT_DONE
    plan = older.session().plan
    assert {(one.job_id, one.reason) for one in plan.skipped} == {(job, "adopted") for job in JOBS}
    assert {job.product for job in plan.jobs} == {"stack"}
    for item in older.items().values():
        assert item["properties"]["groundswell:adopted"] is True
        assert item["properties"]["processing:software"] == {"unknown": "unknown"}
        assert item["properties"]["groundswell:adopted_from"] == str(older.folder)
        assert item["properties"]["groundswell:layers_absent"] == ["count", "doy", "qa", "source"]
        period = item["id"].rpartition("_")[2]
        for layer in ("red", "nir"):
            asset = item["assets"][layer]
            data = older.file(period, layer).read_bytes()
            (copy,) = (older.output / "data/sentinel2").glob(f"*/{period}/{layer}_adopted-*.tif")
            assert copy.read_bytes() == data
            assert asset["file:checksum"] == f"1220{hashlib.sha256(data).hexdigest()}"
        (record,) = (older.output / "data/sentinel2").glob(f"*/{period}/inputs_*.json")
        said = json.loads(record.read_text())["adopted"]
        assert {row["asset"] for row in said["files"]} == {"red", "nir"} and "software" in said["unknown"]
    begun = json.loads(next(older.output.glob("runs/*/journal-*.jsonl")).read_text().partition("\n")[0])
    assert begun["command"][:3] == ["python", "-m", "pipeline.run"]
    assert not [path for path in older.output.rglob("*") if path.is_file() and b":word@" in path.read_bytes()]
    assert older.groundswell("verify", str(older.output)) == EXIT_DONE
    assert [*made.items()] != [*older.items()]


def test_readers_see_it_as_any_item(older: Older, made: Older, capsys: pytest.CaptureFixture[str]) -> None:
    """Cube, table, catalogue, report and the verb that looks after leftovers."""
    assert older.adopt() == EXIT_DONE
    ours, theirs = (open_results(str(one.output), product="sentinel2") for one in (made, older))
    for band in ("red", "nir"):
        np.testing.assert_array_equal(theirs[band].values, ours[band].values)
    table = pq.read_table(older.output / "items.parquet").to_pylist()
    assert [row["groundswell:adopted"] for row in table] == [True, True]
    assert (older.output / "collections/sentinel2/collection.json").exists()
    assert older.groundswell("report", str(older.output), "--json") == EXIT_DONE
    before = files(older.output)
    assert older.groundswell("vacuum", str(older.output), "--older-than", "0", "--superseded") == EXIT_DONE
    assert files(older.output).keys() == before.keys()
    capsys.readouterr()
    assert older.groundswell("reproduce", str(older.output), min(JOBS)) == EXIT_BAD_CONFIG
    assert "adopted from" in capsys.readouterr().err


def test_explain_says_where_it_came_from(older: Older, capsys: pytest.CaptureFixture[str]) -> None:
    assert older.adopt() == EXIT_DONE
    capsys.readouterr()
    assert older.groundswell("explain", str(older.config), min(JOBS), "--output", str(older.output)) == EXIT_DONE
    told = capsys.readouterr().out
    (created,) = {item["properties"]["created"][:10] for item in older.items().values()}
    assert told.strip() == f"{min(JOBS)}: adopted from {older.folder} on {created}; --overwrite makes it anew"


def test_a_second_adoption_changes_nothing(older: Older, capsys: pytest.CaptureFixture[str]) -> None:
    assert older.adopt() == EXIT_DONE
    before = files(older.output)
    capsys.readouterr()
    assert older.adopt("--json") == EXIT_DONE
    told = json.loads(capsys.readouterr().out)
    assert set(told["adopted_before"]) == JOBS and (told["adopted"], told["run"]) == ([], None)
    assert told["files_of_no_job"] == []
    assert files(older.output) == before


def test_parameters_and_scenes_may_change_but_overwrite_makes_it_anew(older: Older) -> None:
    """From then on it is a job like any other: the adopted item does not come back, and may be removed."""
    assert older.adopt() == EXIT_DONE
    other = "products.sentinel2.composite=mean"
    assert {one.reason for one in older.session(other).plan.skipped} == {"adopted"}
    older.make("products.stack.write={zarr: {}}", overwrite=True)
    assert {one.reason for one in older.session().plan.skipped} == {"already committed"}
    assert {job.product for job in older.session(other).plan.jobs} == {"sentinel2", "stack"}
    real = {key for key in older.items() if "adopted-" not in key}
    shown = {row["groundswell:fingerprint"] for row in pq.read_table(older.output / "items.parquet").to_pylist()}
    assert all("adopted-" not in one for one in shown) and len(real) == 2
    assert older.groundswell("vacuum", str(older.output), "--older-than", "0", "--superseded") == EXIT_DONE
    assert {*older.items()} == real
    assert not [*older.output.glob("data/**/*adopted*")]
    assert older.groundswell("verify", str(older.output)) == EXIT_DONE


def test_what_was_made_here_stays(older: Older, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where the config has changed since: nothing is put in its place but by a run."""
    older.make()
    before = {*older.items()}
    assert older.adopt() == EXIT_DONE and {*older.items()} == before
    assert older.adopt("--set", "products.sentinel2.composite=mean") == EXIT_JOBS_FAILED
    assert "made here is there already" in capsys.readouterr().out
    assert {*older.items()} == before


def test_what_is_damaged_later_is_withdrawn_and_made_here(older: Older) -> None:
    """And where what was made here is damaged, the older item does not stand for it again."""
    assert older.adopt() == EXIT_DONE
    _, july = sorted(older.items())
    copy = next(older.output.glob("data/sentinel2/*/2024-06/red_*"))
    copy.write_bytes(copy.read_bytes()[:-1] + b"?")
    assert older.groundswell("verify", str(older.output), "--repair") == EXIT_DONE
    assert [*older.items()] == [july]
    assert {job.id for job in older.session().plan.jobs if job.product == "sentinel2"} == {min(JOBS)}
    older.make(overwrite=True)
    made_here = next(path for path in older.output.glob("data/sentinel2/*/2024-07/red_*") if "adopted" not in path.name)
    made_here.write_bytes(b"other")
    assert older.groundswell("verify", str(older.output), "--repair") == EXIT_DONE
    assert july not in older.items()
    assert max(JOBS) in {job.id for job in older.session().plan.jobs}


def test_what_is_made_from_it_is_the_same_as_from_our_own(older: Older, made: Older) -> None:
    """The same pixels in, the same pixels out; the fingerprint says that the inputs were others."""
    assert older.adopt() == EXIT_DONE
    older.make()
    assert {one.reason for one in older.session().plan.skipped} == {"adopted", "already committed"}
    ours, theirs = (open_results(str(one.output), product="stack") for one in (made, older))
    for name in ("sentinel2_red", "sentinel2_nir"):
        np.testing.assert_array_equal(theirs[name].values, ours[name].values)
    assert not {*older.items("stack")} & {*made.items("stack")}
    inputs = next(older.output.glob("data/stack/*/2024-06/inputs_*.json")).read_text()
    assert "adopted-" in inputs


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--layout", "argo"), "mirror:"),
        (("--template", "nowhere/{tile}_{layer}.tif"), "check --layout or --template"),
    ],
)
def test_nothing_to_adopt_is_told_with_what_to_do(
    older: Older, option: tuple[str, str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert older.adopt(*option, template=None) == EXIT_NOTHING_TO_DO
    assert said in capsys.readouterr().err
    assert not older.items()


def test_a_product_that_promises_no_files_is_refused_with_the_reason(
    older: Older, capsys: pytest.CaptureFixture[str]
) -> None:
    assert older.adopt("--product", "stack") == EXIT_BAD_CONFIG
    assert "adopt those, and the stack is made from them" in capsys.readouterr().err
