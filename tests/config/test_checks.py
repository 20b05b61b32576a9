"""`check:` sections: short and long forms say the same, and what cannot be meant is refused in plain words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import load_events
from pipeline.config.checks import CheckConfig
from pipeline.errors import ConfigError
from pipeline.types import Json
from tests.checks.objects import config_of

RULES = """
name: checks
inbox: inbox.sqlite
output: out
buckets: {{arrivals: {{}}}}
rules:
  data: {{match: {{bucket: arrivals}}, check: {check}}}
"""


def load(folder: Path, check: str) -> CheckConfig:
    (path := folder / "events.yaml").write_text(RULES.format(check=check))
    found = load_events(path).rules["data"].check
    assert found is not None
    return found


def test_a_section_survives_json() -> None:
    said: Json = {
        "size": ["1KiB", None],
        "table": {"columns": {"t": {"type": "time", "range": ["2024-01-01", None]}, "n": {"values": [1, "a", True]}}},
        "raster": {"band": {"3": {"range": {"warn": [0, 1]}}}, "nodata": "nan"},
        "array": {"variables": {"v": {"nulls": 0.1, "attributes": {"x": None}}}},
    }
    config = config_of(said)
    assert CheckConfig.model_validate_json(config.model_dump_json()) == config
    assert config.size == (1024, None) and config.kinds == ("table", "raster", "array")


def test_yaml_says_it_in_short(tmp_path: Path) -> None:
    check = load(
        tmp_path,
        "{table: {key: id, columns: {t: {type: date, range: [2024-01-01, null]}, n: {type: number, nulls: 0}}}}",
    )
    assert check.kinds == ("table",) and check.table is not None and check.table.key == ("id",)
    nulls = check.table.columns["n"].nulls
    assert nulls is not None and nulls.broken_by(0.1, "warn") == ("warn", 0) and nulls.broken_by(0, "fail") is None
    assert load(tmp_path, "{raster: {band: {1: {dtype: uint8}}}}").kinds == ("raster",)
    assert load(tmp_path, "{}").kinds == ("table", "raster", "array")
    assert load(tmp_path, "{kind: array}").kinds == ("array",)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("{kind: array, table: {}}", "found table with kind: array"),
        ("{table: {columns: {a: {range: [2, 1], type: number}}}}", "the smaller one first"),
        ("{array: {variables: {a: {range: [2024-01-01, null]}}}}", "two numbers"),
        ("{table: {rows: [2024-01-01, null]}}", "two numbers"),
        ("{table: {columns: {a: {range: [1, 2]}}}}", "required: type"),
        ("{table: {columns: {a: {type: text, range: [1, 2]}}}}", "no range"),
        ("{table: {columns: {a: {type: date, range: [1, 2]}}}}", "times such as 2024-01-01"),
        ("{table: {columns: {a: {type: number, range: [2024-01-01, null]}}}}", "only with type: date or time"),
        ("{table: {columns: {a: {pattern: '('}}}}", "a regular expression"),
        ("{table: {columns: {a: {pattern: '(?=x)y'}}}}", "none that looks around"),
        (r"{table: {columns: {a: {pattern: '(x)\1'}}}}", "none that looks around"),
        ("{table: {columns: {a: {type: integer, pattern: x}}}}", "only with text"),
        ("{table: {columns: {a: {type: integer, values: [x]}}}}", "found values"),
        ("{table: {columns: {a: {type: number, format: x}}}}", "found format"),
        ("{checksum: {sidecar: .crc}}", ".sha256"),
        ("{tables: {}}", "did you mean table"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, check: str, words: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        load(tmp_path, check)
    assert words in str(refusal.value) and "rules.data.check" in str(refusal.value)
