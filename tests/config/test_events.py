"""A file of rules is checked whole before anything listens: each fault by line, key, found and allowed."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from pipeline.config import events_schema, load_events
from pipeline.config.settle import LATE_S, SettleConfig, duration_s
from pipeline.errors import ConfigError

GOOD = """
name: kenya
inbox: inbox.sqlite
buckets: {incoming: {}, my.bucket: {endpoint: "http://127.0.0.1:8333"}}
topics: ["arn:aws:sns:us-west-2:123456789012:objects"]
output: out
rules:
  scenes: {match: {collection: sentinel-2-c1-l2a}, run: kenya.yaml, settle: period_end+5d, per_day: 3}
  tables: {match: {bucket: incoming, suffix: [.csv, .parquet]}, check: {}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "events.yaml"
    path.write_text(GOOD)
    return path


def test_paths_count_from_the_file_and_lists_may_be_one_text(file: Path) -> None:
    config = load_events(file)
    assert config.inbox.get_secret_value() == str(file.with_name("inbox.sqlite"))
    assert config.output == str(file.with_name("out"))
    assert config.rules["scenes"].run == str(file.with_name("kenya.yaml"))
    assert config.rules["scenes"].match.collection == ("sentinel-2-c1-l2a",)
    assert config.rules["tables"].match.suffix == (".csv", ".parquet")


def test_settle_is_a_silence_or_a_time_after_the_period(file: Path) -> None:
    assert load_events(file).rules["scenes"].settle == SettleConfig(after_s=LATE_S, period_end_s=5 * 86_400.0)
    settled = load_events(file, ["rules.tables.settle=90min"]).rules["tables"].settle
    assert settled == SettleConfig(after_s=5400.0)
    assert settled.latest_s == 4 * 5400.0


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("1.5h", 5400), ("5d", 432_000), ("30min", 1800)])
def test_a_duration_has_its_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("rules.scenes.settle=6x", "allowed: a time such as 6h after the last event, or period_end+5d"),
        ("rules.tables.settle=period_end+5d", "allowed: only with collection"),
        ("rules.scenes.check={}", "found both run and check"),
        ("rules.scenes.run=null", "found neither run nor check"),
        ("rules.scenes.match.bucket=incoming", "found both bucket and collection"),
        ("rules.scenes.match.suffix=.tif", "found prefix or suffix beside collection"),
        ("rules.tables.match.bucket=elsewhere", "a bucket of `buckets`, of incoming, my.bucket"),
        ("rules.tables.mach=1", "unknown key (did you mean match?)"),
        ("output=null", "found rule tables with check, and no output"),
        ("listen.to=queue", "found listen.to: queue without queue"),
        ('topics=["arn:aws:sqs:us-west-2:123456789012:objects"]', "the ARN of an SNS topic"),
        ("queue.url=here", "an http:// or https:// address"),
        ("inbox=mysql://host/inbox", "allowed: the path of a SQLite file, or postgresql://"),
    ],
)
def test_a_fault_is_told_with_what_is_allowed(file: Path, assignment: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_events(file, [assignment])
    assert told in str(raised.value)


def test_a_connection_string_is_never_shown(file: Path) -> None:
    secret = "postgresql://user:hunter2@host/inbox"  # noqa: S105 (a test's own)
    config = load_events(file, [f"inbox={secret}"])
    assert config.inbox.get_secret_value() == secret
    assert "hunter2" not in repr(config)


def test_the_schema_takes_what_the_loader_takes(file: Path) -> None:
    schema = events_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(GOOD), schema)
