"""Repair withdraws exactly the commits that are wrong, and the next run makes exactly those again, to the byte."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.errors import EXIT_CLAIMED, EXIT_DONE, EXIT_JOBS_FAILED, PreflightError, TransientStoreError
from pipeline.execute.records.lease import Lease, this_process
from pipeline.execute.records.runs import REMOVALS
from pipeline.plan.adopted import PREFIX
from pipeline.session import Options, open_session
from pipeline.verbs._repair import repairing
from pipeline.write.sound import Fault, Remedy
from pipeline.write.store import FolderStore
from tests.faults._runs import products
from tests.verbs.making import files, groundswell, make_output, put, put_run

CHUNK = "data/*/*/2024-06/*.zarr/red/c/0/0"
Spoil = Callable[[Path], object]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, tuple[str, Spoil]] = {
    "a chunk is lost": (CHUNK, Path.unlink),
    "a chunk is cut": (CHUNK, cut),
    "a band has another bit": ("data/*/*/2024-06/red_*.tif", flip),
    "a list of objects is lost": ("data/*/*/2024-06/zarr-manifest_*.json", Path.unlink),
    "an item has another bit": ("items/*/*_2024-06_*.json", flip),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_the_commit_that_is_wrong_goes_and_no_other(
    output: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pattern, spoil = DAMAGE[damage]
    (spoilt,) = output.glob(pattern)
    (item,) = output.glob("items/*/*_2024-06_*.json")
    before = files(output)
    spoil(spoilt)
    damaged = files(output)
    assert groundswell("verify", output, "--repair") == EXIT_DONE
    told = capsys.readouterr().out.splitlines()
    key = item.relative_to(output).as_posix()
    assert [line for line in told if line.startswith(("withdrawn", "removed"))] == [
        f"withdrawn: {key}; the next run of its config makes it again"
    ]
    after = files(output)
    assert damaged.keys() - after.keys() <= {key}
    assert {name for name in after if after[name] != damaged.get(name)} <= {
        "catalog.json",
        "collections/sentinel2/collection.json",
        "items.parquet",
        REMOVALS,
    }
    assert groundswell("verify", output) == EXIT_DONE, "what is left is sound, and its pages name nothing else"
    assert after.keys() - {REMOVALS} < before.keys()


def test_the_next_run_makes_exactly_what_was_withdrawn_to_the_byte(output: Path, made: Path) -> None:
    (chunk,) = output.glob(CHUNK)
    before = files(output)
    cut(chunk)
    assert groundswell("verify", output, "--repair") == EXIT_DONE
    (outcome,) = make_output(made, f"output={output}")
    assert outcome.job_id.endswith("/2024-06")
    assert products(files(output)) == products(before)
    assert groundswell("verify", output) == EXIT_DONE


def test_a_chunk_that_nobody_lists_goes_alone(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(output)
    (chunk,) = output.glob(CHUNK)
    extra = put(output, chunk.with_name("9").relative_to(output).as_posix())
    assert groundswell("verify", output, "--repair") == EXIT_DONE
    assert f"removed: {extra.relative_to(output).as_posix()}" in capsys.readouterr().out
    assert files(output) == before


def test_pages_are_written_anew(output: Path) -> None:
    before = files(output)
    cut(output / "collections/sentinel2/collection.json")
    assert groundswell("verify", output, "--repair") == EXIT_DONE
    assert files(output) == before


def test_a_plain_mosaic_goes_whole_and_no_item_with_it(output: Path) -> None:
    before = files(output)
    name = "mosaics/sentinel2/EPSG-32633-0123456789ab"
    put(output, f"{name}.zarr/red/c/0/0", b"pixels")
    listed = [{"key": key, "size": 6, "sha256": "0" * 64} for key in ("red/c/0/0", "red/c/0/1")]
    put(output, f"{name}-manifest.json", json.dumps({"format": 1, "objects": listed}).encode())
    assert groundswell("verify", output, "--repair") == EXIT_DONE
    assert files(output) == before


def test_nothing_is_withdrawn_for_a_store_that_does_not_answer(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be read now is not known to be wrong."""
    digest = FolderStore.digest

    def busy(self: FolderStore, key: str) -> tuple[int, str]:
        if key.startswith("data/"):
            raise TransientStoreError(f"{key}: 503")
        return digest(self, key)

    before = files(output)
    monkeypatch.setattr(FolderStore, "digest", busy)
    assert groundswell("verify", output, "--repair") == EXIT_JOBS_FAILED
    assert files(output) == before


def test_what_a_newer_version_wrote_is_left_alone(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (item,) = output.glob("items/*/*_2024-06_*.json")
    item.write_text(item.read_text().replace('"groundswell:format": ', '"groundswell:format": 9'))
    before = files(output)
    assert groundswell("verify", output, "--repair") == EXIT_JOBS_FAILED
    assert "which a newer version wrote" in capsys.readouterr().out
    assert files(output) == before


def test_a_damaged_record_of_a_run_stays_and_is_named(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Items are withdrawn all the same; the pages are not written by what is not sure."""
    (record,) = output.glob("runs/*/plan.jsonl")
    pages = (output / "items.parquet").read_bytes()
    cut(record)
    assert groundswell("verify", output, "--repair") == EXIT_JOBS_FAILED
    told = capsys.readouterr().out
    assert record.relative_to(output).as_posix() in told and "rebuilt" not in told
    assert (output / "items.parquet").read_bytes() == pages


def test_a_run_that_was_planned_before_a_repair_counts_on_nothing_that_it_withdrew(output: Path, made: Path) -> None:
    session = open_session(Options(made, sets=(f"output={output}",)))
    assert len(session.plan.skipped) == 2
    flip(next(output.glob("items/*/*_2024-06_*.json")))
    assert groundswell("verify", output, "--repair") == EXIT_DONE
    with pytest.raises(PreflightError, match=r"1 items were removed .*/2024-06"):
        session.run()
    assert len(list(output.glob("runs/*/finished.json"))) == 1


@pytest.mark.parametrize("who", ["a run", "a vacuum"])
def test_nothing_is_withdrawn_from_under_others(output: Path, who: str, capsys: pytest.CaptureFixture[str]) -> None:
    (item,) = output.glob("items/*/*_2024-06_*.json")
    flip(item)
    if who == "a run":
        put_run(output, "20260101T000000000Z-abcdef", this_process(), {})
        code = groundswell("verify", output, "--repair")
    else:
        with Lease(FolderStore(str(output)), "locks/vacuum-0.json"):
            code = groundswell("verify", output, "--repair")
    assert code == EXIT_CLAIMED
    assert "repair when it has ended" in capsys.readouterr().err
    assert item.exists() and not list(output.glob("locks/*"))


def test_what_was_adopted_beside_what_was_adopted_stays(tmp_path: Path) -> None:
    """Of another grid, under the same tile and period; only what was made here takes what it replaced with it."""
    store = FolderStore(str(tmp_path))
    damaged, sound = (f"items/glaciers/arsuk_2021_{PREFIX}{digit * 24}.json" for digit in "ab")
    made = f"items/glaciers/arsuk_2021_{'0' * 32}.json"
    for key, withdrawn, left in ((damaged, {damaged}, {sound}), (made, {made, damaged, sound}, set())):
        for each in {damaged, sound, key}:
            store.put_bytes(b"{}", each)
        with repairing(store) as repair:
            told, _ = repair([Fault(key, "", key, "1 byte", "2 bytes", Remedy.WITHDRAW)])
        assert {each for each in (damaged, sound, made) if store.exists(each)} == left
        assert {line.removeprefix("withdrawn: ").partition(";")[0] for line in told[: len(withdrawn)]} == withdrawn
