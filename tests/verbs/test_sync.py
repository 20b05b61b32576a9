"""`groundswell sync CONFIG` copies what the config asks for: its floats, area and period, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.mirror.settings import WorkerSettings
from pipeline.types import Json
from tests.argo_indices import GdacFolder, profile
from tests.mirror.gdacs import files_below
from tests.verbs.making import groundswell

CONFIG = """
name: floats
output: ./out
area: {bbox: [60, 0, 80, 20]}
period: {start: 2020-01-01, end: 2021-01-01, every: month}
sources:
  argo: {gdac: ./gdac, mirror: ./copy}
products:
  - {product: argo, source: argo}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two floats in the area, one outside of it, one before the period; none of our variables is set."""
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    gdac = GdacFolder(tmp_path / "gdac")
    gdac.add(profile(2902269, 1))
    gdac.add(profile(2902270, 1))
    gdac.add(profile(4902252, 1, dac="jma"), place=(40, -140))
    gdac.add(profile(2902271, 1), date="20190101000000")
    gdac.publish()
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def synced(config: Path, capsys: pytest.CaptureFixture[str], *options: object) -> Json:
    assert groundswell("sync", config, "--json", *options) == 0
    return json.loads(capsys.readouterr().out)


def copied(config: Path) -> set[str]:
    """Profile files of the copy, without folders."""
    return {name.rpartition("/")[2] for name in files_below(config.parent / "copy") if name.endswith(".nc")}


def test_a_config_says_what_is_copied(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = synced(config, capsys)
    assert (found["total_floats"], found["files_downloaded"]) == (2, 2)
    assert copied(config) == {"R2902269_001.nc", "R2902270_001.nc"}
    assert synced(config, capsys)["files_downloaded"] == 0


def test_an_option_and_the_environment_replace_keys(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    synced(config, capsys, "--set", "sources.argo.floats=[2902270]")
    assert copied(config) == {"R2902270_001.nc"}
    settings = config.parent / "workers.env"
    settings.write_text("FLOAT_IDS=2902269\n")
    synced(config, capsys, "--env-file", settings)
    assert copied(config) == {"R2902269_001.nc", "R2902270_001.nc"}
    monkeypatch.setenv("ENABLE_INCREMENTAL_SYNC", "false")
    assert synced(config, capsys)["files_downloaded"] == 2


def test_words_and_the_exit_code_tell_of_a_file_that_could_not_be_had(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = config.parent / "gdac" / "dac" / profile(2902269, 1)
    damaged.write_bytes(damaged.read_bytes()[:-10])
    assert groundswell("sync", config) == 1
    out = capsys.readouterr().out
    assert "1 files downloaded" in out
    assert f"failed: dac/{profile(2902269, 1)}: " in out


def test_a_config_without_a_copy_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert groundswell("sync", config, "--set", "sources.argo.mirror=null") == 2
    assert "found no source with `gdac` and `mirror`" in capsys.readouterr().err


def test_a_gdac_that_is_none_is_told_with_what_was_looked_for(
    config: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert groundswell("sync", config, "--set", f"sources.argo.gdac={tmp_path / 'empty'}") == 3
    assert "found neither ar_index_global_prof.txt.gz nor ar_index_global_prof.txt" in capsys.readouterr().err
