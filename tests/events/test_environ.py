"""Settings by file, by environment, and by both."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.config.load import load_events
from pipeline.errors import ConfigError
from pipeline.events.environ import settings

TEXT = "name: by-environment\ninbox: ./inbox\nbuckets: {of-tests: {}}\noutput: ./out\nrules: {}\n"


def test_the_command_line_comes_before_the_environment() -> None:
    environ = {"GROUNDSWELL_EVENTS": "of-environ.yaml", "GROUNDSWELL_EVENTS__LISTEN__PORT": "81", "OTHER": "1"}
    assert settings(Path("given.yaml"), ["listen.port=80"], environ) == (
        Path("given.yaml"),
        ("listen.port=81", "listen.port=80"),
    )
    assert settings(None, [], environ)[0] == Path("of-environ.yaml")


def test_without_any_it_says_what_to_give() -> None:
    for environ in ({}, {"GROUNDSWELL_EVENTS": " "}):
        with pytest.raises(ConfigError, match="GROUNDSWELL_EVENTS"):
            settings(None, [], environ)


def test_a_whole_config_may_stand_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rule = "{all: {match: {bucket: of-tests}, check: {}}}"
    environ = {"GROUNDSWELL_EVENTS": TEXT, "GROUNDSWELL_EVENTS__RULES": rule, "GROUNDSWELL_EVENTS__JOBS__PARALLEL": "3"}
    path, sets = settings(None, [], environ)
    config = load_events(path, sets)
    assert (config.name, list(config.rules), config.jobs.parallel) == ("by-environment", ["all"], 3)
    assert path.stat().st_mode & 0o077 == 0 and path.parent.stat().st_mode & 0o077 == 0
    assert settings(None, [], environ)[0] == path, "for the processes that come after it"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_folder_of_somebody_else_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "of-others").mkdir()
    (tmp_path / f"groundswell-{os.getuid()}").symlink_to(tmp_path / "of-others")
    with pytest.raises(ConfigError, match="TMPDIR"):
        settings(None, [], {"GROUNDSWELL_EVENTS": TEXT})
