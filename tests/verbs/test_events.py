"""`groundswell event`, `sweep` and `inbox`, from the command line, over a folder that stands in for a bucket."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from pipeline import cli
from tests.events.by_hand import BAD, BUCKET, RULES, Place
from tests.events.conftest import place
from tests.servers.messages import s3_message

__all__ = ["place"]


class Said:
    """What a verb answered."""

    def __init__(self, code: int, capsys: pytest.CaptureFixture[str]) -> None:
        self.code = code
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def say(capsys: pytest.CaptureFixture[str], verb: str, place: Place, *options: str) -> Said:
    return Said(cli.main([verb, str(place.rules), *options]), capsys)


def test_the_schema_of_rules_takes_the_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", "--events"]) == 0
    schema = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(schema)
    document = {"name": "a", "inbox": "i", "buckets": {BUCKET: {}}, "rules": RULES, "output": "o"}
    assert Draft202012Validator(schema).is_valid(document)
    assert not Draft202012Validator(schema).is_valid(document | {"unknown": 1})


def test_a_dry_run_says_what_would_be_started(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """And leaves no inbox behind."""
    said = say(capsys, "event", place, "--event-json", s3_message(BUCKET, "in/a b.csv"), "--dry-run")
    assert said.code == 0
    assert f"s3://{BUCKET}/in/a b.csv put\n" in said.out
    assert f"rule tables: object/{BUCKET}/in/a b.csv: begins 20" in said.out
    assert "1 job; nothing was stored or begun" in said.out
    assert not list(place.folder.glob("inbox*"))


def test_bad_events_and_rules_are_bad_usage(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for text in ("{", s3_message("strange", "in/a.csv"), s3_message(BUCKET, "../a.csv")):
        said = say(capsys, "event", place, "--event-json", text)
        assert said.code == 2 and said.err.startswith("error: ")
    assert not list(place.folder.glob("inbox*"))
    place.write(rules={})
    assert say(capsys, "event", place, "--event-json", s3_message(BUCKET, "in/a.csv")).code == 2


def test_no_rule_for_an_event_is_nothing_to_do(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    said = say(capsys, "event", place, "--event-json", s3_message(BUCKET, "in/a.txt"))
    assert said.code == 5 and "no rule is for them: nothing to do" in said.out


def test_the_file_of_rules_may_be_told_by_the_environment(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROUNDSWELL_EVENTS", str(place.rules))
    assert cli.main(["inbox"]) == 0
    assert "0 events" in capsys.readouterr().out


@pytest.mark.long
def test_an_event_is_done_once(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here and now, with its verdict; told again, from whatever it is read, it is known; with an inbox apart, not."""
    place.put("in/a.csv", BAD)
    text = s3_message(BUCKET, "in/a.csv")
    said = say(capsys, "event", place, "--event-json", text)
    assert said.code == 0, "a verdict is a success of the job"
    assert f"rule tables: object/{BUCKET}/in/a.csv: done: fail: temp" in said.out
    assert place.verdict("in/a.csv") == "fail"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    said = say(capsys, "event", place, "--event-json", "-")
    assert said.code == 0 and "known already\nnothing new: nothing to do" in said.out
    (place.folder / "one.json").write_text(text)
    said = say(capsys, "event", place, "--events-file", str(place.folder / "one.json"), "--apart", "--json")
    assert said.code == 0
    (job,) = said.json["jobs"]
    assert (job["state"], job["note"].partition(":")[0]) == ("done", "skipped")
    assert said.json["events"][0]["verdict"] == "new"


@pytest.mark.long
def test_a_job_that_fails_is_told_and_set_right(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1 with its cause; `inbox` names it; after the cause is gone it is done."""
    place.put("in/a.csv")
    (place.folder / "output").write_text("a file in the way")
    place.write(jobs={"parallel": 1, "attempts": 1})
    said = say(capsys, "event", place, "--event-json", s3_message(BUCKET, "in/a.csv"))
    assert said.code == 1
    said = say(capsys, "inbox", place)
    assert "1 failed" in said.out and f"failed: rule tables: object/{BUCKET}/in/a.csv: " in said.out
    assert say(capsys, "inbox", place, "--json", "--failed", "0").json["failed"] == []
    (place.folder / "output").unlink()
    assert say(capsys, "redrive", place).code == 0
    assert say(capsys, "consume", place, "--once").code == 0
    assert say(capsys, "inbox", place, "--json").json["jobs"] == {"waiting": 0, "running": 0, "done": 1, "failed": 0}
    assert place.verdict("in/a.csv") == "pass"


@pytest.mark.long
def test_a_sweep_and_a_consumer_leave_nothing_missed(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c"):
        place.put(f"in/{name}.csv")
    said = say(capsys, "sweep", place, "--grace", "0", "--dry-run")
    assert said.code == 0 and "3 objects and 0 jobs of runs looked at, 3 missed; nothing was stored" in said.out
    said = say(capsys, "sweep", place, "--grace", "0", "--json")
    assert said.json["missed"]["event"] == 3 and said.json["named"][0]["rules"] == ["tables"]
    assert say(capsys, "consume", place, "--once").code == 0
    assert {place.verdict(f"in/{name}.csv") for name in ("a", "b", "c")} == {"pass"}
    said = say(capsys, "sweep", place, "--grace", "0")
    assert said.code == 0 and said.out.endswith("0 missed; nothing to do\n")


def test_a_bucket_that_cannot_be_looked_at_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    (place.root / BUCKET).rmdir()
    said = say(capsys, "sweep", place)
    assert said.code == 3 and f"warning: bucket {BUCKET}: " in said.out


def test_ctrl_c_ends_without_a_traceback(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While events are still read, and while a sweep looks: what it says of what is stored is so."""

    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read=interrupted)))
        said = say(capsys, "event", place, "--event-json", "-")
        assert (said.code, said.err) == (130, "error: interrupted\n")
    monkeypatch.setattr("pipeline.events.buckets.buckets.Buckets.entries", interrupted)
    for options, told in (("--dry-run", "nothing was stored"), ("--grace=0", "what was found is stored; run the same")):
        said = say(capsys, "sweep", place, options)
        assert said.code == 130 and said.out.startswith(f"interrupted: {told}")


def test_what_waits_for_its_time_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write(rules={"tables": RULES["tables"] | {"settle": "6h"}})
    said = say(capsys, "event", place, "--event-json", s3_message(BUCKET, "in/a.csv"), "--settled")
    assert said.code == 0 and ": waiting until 20" in said.out and said.out.endswith("1 job: 1 waiting\n")
    said = say(capsys, "inbox", place)
    assert "jobs: 1 waiting" in said.out and "the next is due in " in said.out
