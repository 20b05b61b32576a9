"""A sync makes the copy what the index says, does nothing twice, and may be killed at any moment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from pipeline.config import SourceConfig
from pipeline.errors import CatalogError, ConfigError, PreflightError
from pipeline.mirror.sync import SyncOptions, sync
from pipeline.mirror.transports import Patience
from pipeline.search.argo import selection_of
from tests.argo_indices import BIO, CORE, GdacFolder, index_text, profile, row
from tests.mirror.gdacs import closed_port, files_below, profile_bytes
from tests.mirror.syncs import NEW, OLD, counts, profiles, small_gdac, source_of, synced

QUICK = Patience(timeout_s=5, retries=1, delay_s=0.01, connections=4)


@pytest.fixture
def gdac(tmp_path: Path) -> GdacFolder:
    return small_gdac(tmp_path / "gdac")


def test_a_copy_holds_what_is_listed_and_a_second_sync_downloads_nothing(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    first, second = synced(source), synced(source)
    assert counts(first) == (4, 0, 0)
    assert counts(second) == (0, 4, 0)
    assert second.document()["bytes_downloaded"] == 0
    assert files_below(tmp_path / "copy") == {
        name: data for name, data in files_below(gdac.root).items() if not name.startswith(BIO)
    }


def test_statistics_have_the_names_of_the_older_workers(gdac: GdacFolder, tmp_path: Path) -> None:
    document = json.loads(json.dumps(synced(source_of(gdac, tmp_path / "copy")).document()))
    assert document["total_floats"] == 2
    assert document["bytes_downloaded"] == sum(path.stat().st_size for path in (gdac.root / "dac").rglob("*.nc"))
    assert document["errors"] == []
    assert document["start_time"] < document["end_time"]
    assert document.keys() >= {"files_downloaded", "files_skipped"}


def test_only_what_is_selected_is_copied_and_what_was_copied_before_stays(gdac: GdacFolder, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    assert counts(synced(source_of(gdac, copy, dac=("jma",)))) == (1, 0, 0)
    assert counts(synced(source_of(gdac, copy, floats=(2902269,)))) == (3, 0, 0)
    assert len(profiles(copy)) == 4


def test_a_new_version_is_fetched_and_nothing_else(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    gdac.add(profile(2902269, 2), NEW)
    gdac.publish("20230102000000")
    report = synced(source)
    assert [one.path for one in report.fetched] == [f"dac/{profile(2902269, 2)}"]
    assert (tmp_path / "copy" / "dac" / profile(2902269, 2)).read_bytes() == profile_bytes(
        len(profile(2902269, 2)), updated=NEW
    )


def test_a_delayed_file_takes_the_place_of_the_real_time_one(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    gdac.drop(profile(2902269, 2))
    gdac.add(profile(2902269, 2, "D"), NEW)
    gdac.publish("20230102000000")
    report = synced(source)
    assert report.document()["files_superseded"] == [profile(2902269, 2)]
    assert profiles(tmp_path / "copy") == gdac.rows.keys()
    assert counts(synced(source)) == (0, 4, 0)


def test_while_the_delayed_file_cannot_be_had_the_real_time_one_stays(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    gdac.drop(profile(2902269, 2))
    delayed = gdac.add(profile(2902269, 2, "D"), NEW)
    whole = (gdac.root / "dac" / delayed).read_bytes()
    (gdac.root / "dac" / delayed).write_bytes(whole[:-40])
    gdac.publish("20230102000000")
    report = synced(source)
    assert report.code == 1
    assert [one["file"] for one in report.document()["errors"]] == [f"dac/{delayed}"]
    assert profile(2902269, 2) in profiles(tmp_path / "copy")
    (gdac.root / "dac" / delayed).write_bytes(whole)
    assert counts(synced(source)) == (1, 3, 0)
    assert profiles(tmp_path / "copy") == gdac.rows.keys()


def test_a_file_that_is_listed_and_on_no_mirror_is_a_warning(gdac: GdacFolder, tmp_path: Path) -> None:
    (gdac.root / "dac" / profile(2902269, 3)).unlink()
    report = synced(source_of(gdac, tmp_path / "copy"))
    assert report.code == 0
    assert report.document()["files_vanished"] == [f"dac/{profile(2902269, 3)}"]
    assert counts(report) == (3, 0, 0)


def test_what_the_index_drops_goes_and_what_somebody_else_put_there_is_told(gdac: GdacFolder, tmp_path: Path) -> None:
    source, copy = source_of(gdac, tmp_path / "copy"), tmp_path / "copy"
    synced(source)
    mine = copy / "dac" / profile(2902269, 9)
    mine.write_bytes(profile_bytes(9, updated=NEW))
    gdac.drop(profile(2902269, 3))
    gdac.publish("20230102000000")
    document = synced(source).document()
    assert document["files_removed"] == [profile(2902269, 3)]
    assert document["files_unlisted"] == [profile(2902269, 9)]
    assert mine.exists()
    assert not (copy / "dac" / profile(2902269, 3)).exists()


def test_an_index_that_lost_most_of_its_rows_removes_nothing(gdac: GdacFolder, tmp_path: Path) -> None:
    for cycle in range(10, 40):
        gdac.add(profile(2902269, cycle), OLD)
    gdac.publish()
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    kept = profile(2902269, 1)
    (gdac.root / f"{CORE}.gz").unlink()
    (gdac.root / CORE).write_bytes(index_text([row(kept, OLD)], updated="20230102000000"))
    report = synced(source)
    assert any("so many do not vanish at once" in note for note in report.notes)
    assert len(profiles(tmp_path / "copy")) == 34


def test_a_manifest_that_was_lost_costs_no_download(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    for file in (tmp_path / "copy" / ".groundswell").iterdir():
        file.unlink()
    assert counts(synced(source)) == (0, 4, 0)


def test_a_file_that_was_damaged_on_the_disk_is_fetched_again(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    file = tmp_path / "copy" / "dac" / profile(2902269, 2)
    file.write_bytes(file.read_bytes()[:100])
    assert counts(synced(source)) == (1, 3, 0)
    assert file.read_bytes() == (gdac.root / "dac" / profile(2902269, 2)).read_bytes()


def test_not_incremental_is_everything_anew(gdac: GdacFolder, tmp_path: Path) -> None:
    source = source_of(gdac, tmp_path / "copy")
    synced(source)
    assert counts(synced(source, SyncOptions(incremental=False))) == (4, 0, 0)
    assert counts(synced(source)) == (0, 4, 0)


def test_a_sync_needs_a_place(gdac: GdacFolder) -> None:
    source = SourceConfig(gdac=(str(gdac.root),))
    with pytest.raises(ConfigError, match=r"argo\.mirror"):
        synced(source)


def test_a_mirror_that_is_down_is_told_by_name_without_its_password(tmp_path: Path, gdac: GdacFolder) -> None:
    address = f"ftp://user:secret@127.0.0.1:{closed_port()}/argo"
    with pytest.raises(CatalogError, match=r"127\.0\.0\.1") as error:
        synced(source_of(gdac, tmp_path / "copy", gdac=(address,)), SyncOptions(ftp=replace(QUICK, retries=0)))
    assert "secret" not in str(error.value)


def test_a_copy_that_cannot_be_written_is_refused_by_name(gdac: GdacFolder, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PreflightError, match="file"):
        synced(source_of(gdac, tmp_path / "file" / "copy"))


def test_progress_and_faults_are_told(gdac: GdacFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = source_of(gdac, tmp_path / "copy")
    file = gdac.root / "dac" / profile(2902269, 1)
    file.write_bytes(b"<!DOCTYPE html><html>Service Unavailable</html>")
    report = sync("argo", source, selection_of(source), None, Console(force_terminal=True))
    assert "4/4" in capsys.readouterr().out
    assert f"failed: dac/{profile(2902269, 1)}: " in report.render()
    assert "HTML" in report.render()
