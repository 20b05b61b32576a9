"""Every variable of the older workers has its effect, and none has any where it is not set."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import RunConfig, load_config
from pipeline.errors import ConfigError
from pipeline.mirror.settings import WorkerSettings, read_settings
from pipeline.mirror.sync import SyncOptions
from pipeline.mirror.transports import Gdac
from pipeline.products import product_models

CONFIG = """
name: floats
output: ./out
area: {bbox: [60, 0, 80, 20]}
period: {start: 2020-01-01, end: 2021-01-01, every: month}
sources:
  argo: {gdac: "https://example.org/argo", dac: [jma], mirror: ./copy}
products:
  - {product: argo, source: argo}
"""
USUAL = Gdac(())


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No variable of ours, and an empty folder to stand in."""
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text(CONFIG)
    return tmp_path


def configured() -> RunConfig:
    path = Path("config.yaml")
    return load_config(path, product_models(), read_settings().sets(path))


def asked() -> Gdac:
    """How a sync asks its mirrors."""
    return read_settings().sync.of(USUAL)


def argo(key: str) -> Callable[[], Any]:
    return lambda: getattr(configured().sources["argo"], key)


def product(key: str) -> Callable[[], Any]:
    return lambda: getattr(configured().products[0], key)


def logged_level() -> int:
    read_settings().log()
    return logging.getLogger("pipeline").level


def logged_line() -> dict[str, Any]:
    """What a message becomes."""
    read_settings().log()
    (handler,) = (one for one in logging.getLogger("pipeline").handlers if one.get_name() == "pipeline")
    record = logging.makeLogRecord(
        {"name": "pipeline.x", "levelno": 20, "levelname": "INFO", "msg": "here", "file": "a.nc"}
    )
    line: dict[str, Any] = json.loads(handler.format(record))
    assert line["file"] == "a.nc"
    assert line.keys() >= {"time", "level", "logger"}
    return line


EFFECTS: list[tuple[dict[str, str], Callable[[], Any], Any]] = [
    ({"FTP_SERVER": "ftp.ifremer.fr"}, argo("gdac"), ("ftp://ftp.ifremer.fr/ifremer/argo",)),
    ({"FTP_SERVER": "ftp://host/pub/argo/dac/"}, argo("gdac"), ("ftp://host/pub/argo",)),
    ({"FTP_SERVER": "host", "FTP_PORT": "2121"}, argo("gdac"), ("ftp://host:2121/ifremer/argo",)),
    ({"FTP_TIMEOUT": "17"}, lambda: asked().ftp.timeout_s, 17.0),
    ({"FTP_MAX_RETRIES": "9"}, lambda: asked().ftp.retries, 9),
    ({"FTP_RETRY_DELAY": "0.5"}, lambda: asked().ftp.delay_s, 0.5),
    ({"ARGO_DAC": "incois"}, argo("dac"), ("incois",)),
    ({"ARGO_DAC": "incois, csiro"}, argo("dac"), ("incois", "csiro")),
    ({"LOCAL_CACHE_PATH": "cache"}, lambda: Path(argo("mirror")()).name, "cache"),
    ({"ENABLE_INCREMENTAL_SYNC": "false"}, lambda: read_settings().sync.incremental, False),
    ({"HTTP_BASE_URL": "https://data-argo.ifremer.fr/dac/"}, argo("gdac"), ("https://data-argo.ifremer.fr",)),
    (
        {"HTTP_BASE_URL": "https://a.org", "FTP_SERVER": "b.org/argo"},
        argo("gdac"),
        ("https://a.org", "ftp://b.org/argo"),
    ),
    ({"HTTP_TIMEOUT": "12"}, lambda: asked().http.timeout_s, 12.0),
    ({"HTTP_MAX_RETRIES": "0"}, lambda: asked().http.retries, 0),
    ({"FLOAT_IDS": "2902269, 13857"}, argo("floats"), (2902269, 13857)),
    ({"FLOAT_IDS": '["2902269"]'}, argo("floats"), (2902269,)),
    ({"OUTPUT_ARROW_FORMAT": "true"}, product("also"), ("arrow",)),
    ({"OUTPUT_ARROW_FORMAT": "feather,json"}, product("also"), ("arrow", "json")),
    ({"OUTPUT_ARROW_FORMAT": "parquet"}, product("also"), ()),
    ({"ARROW_COMPRESSION": "SNAPPY"}, product("compression"), "snappy"),
    ({"PROFILE_BATCH_LIMIT": "25"}, argo("limit"), 25),
    ({"BATCH_SIZE": "5"}, lambda: asked().in_flight, 5),
    ({"MAX_WORKERS": "3"}, lambda: (asked().http.connections, asked().ftp.connections), (3, 3)),
    ({"MAX_WORKERS": "3"}, lambda: [one.workers for one in configured().clusters.values()], [(3, 3)]),
    ({"LOG_LEVEL": "DEBUG"}, logged_level, logging.DEBUG),
    ({"LOG_LEVEL": "WARN"}, logged_level, logging.WARNING),
    ({"LOG_FORMAT": "json", "LOG_LEVEL": "info"}, lambda: logged_line()["message"], "here"),
]


@pytest.mark.parametrize(
    ("variables", "effect", "expected"), EFFECTS, ids=lambda one: ",".join(one) if isinstance(one, dict) else ""
)
def test_a_variable_has_its_effect_from_the_environment_and_from_a_file(
    variables: dict[str, str],
    effect: Callable[[], Any],
    expected: object,
    monkeypatch: pytest.MonkeyPatch,
    quiet: None,
) -> None:
    assert "LOG_LEVEL" in variables or effect() != expected or not expected
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()) + "OTHER=1\n")
    assert effect() == expected
    Path(".env").unlink()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert effect() == expected


def test_the_table_above_is_of_all_variables() -> None:
    assert {name for variables, _, _ in EFFECTS for name in variables} == {
        name.upper() for name in WorkerSettings.model_fields
    }


def test_without_any_variable_the_config_says_it_all() -> None:
    assert read_settings().sets(Path("config.yaml")) == []
    assert asked() == USUAL
    assert read_settings().sync.incremental is SyncOptions().incremental is True


def test_the_environment_wins_over_the_file_and_an_option_over_both(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("ARGO_DAC=csiro\n")
    monkeypatch.setenv("ARGO_DAC", "incois")
    assert configured().sources["argo"].dac == ("incois",)
    path = Path("config.yaml")
    sets = [*read_settings().sets(path), "sources.argo.dac=[bodc]"]
    assert load_config(path, product_models(), sets).sources["argo"].dac == ("bodc",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FTP_PORT", "99999"),
        ("FTP_TIMEOUT", "soon"),
        ("HTTP_MAX_RETRIES", "-1"),
        ("LOG_FORMAT", "xml"),
        ("ENABLE_INCREMENTAL_SYNC", "perhaps"),
        ("OUTPUT_ARROW_FORMAT", "csv"),
    ],
)
def test_a_wrong_value_is_told_by_the_name_of_its_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=name):
        read_settings()


@pytest.mark.parametrize(("name", "words"), [("workers.env", "no such file"), ("latin.env", "no text in UTF-8")])
def test_a_file_that_was_named_and_cannot_be_read_is_told(name: str, words: str) -> None:
    """A `.env` that nobody named may be missing."""
    Path("latin.env").write_bytes(b"ARGO_DAC=caf\xe9\n")
    with pytest.raises(ConfigError, match=f"{name}: {words}"):
        read_settings(Path(name))
    assert not Path(".env").exists()
    assert read_settings().argo_dac == ()


def test_a_wrong_float_or_centre_is_told_as_in_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOAT_IDS", "290226")
    with pytest.raises(ConfigError, match="WMO number"):
        configured()


@pytest.fixture
def quiet() -> Iterator[None]:
    """This project's logger as it was."""
    logger = logging.getLogger("pipeline")
    level, handlers = logger.level, [*logger.handlers]
    yield
    logger.setLevel(level)
    logger.handlers[:] = handlers
