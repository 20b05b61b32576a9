"""A bucket as a folder, a rule that checks what lies in it, and the events that tell of it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.types import Json
from tests.servers.sns import s3_message

BUCKET = "arrivals"


@dataclass(frozen=True)
class Arrivals:
    """Everything of one test, in one folder."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "events.yaml"

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox.db"

    @property
    def environ(self) -> dict[str, str]:
        """Of a consumer and of the command: the folder stands for S3."""
        return {"LOCAL_S3_ROOT": str(self.folder / "s3")}

    def write(self, queue: Json = None, **changes: Any) -> Path:
        """The file of rules: CSV must have a column a of integers. changes: of its sections."""
        check = {"table": {"columns": {"a": {"type": "integer"}}}}
        document = {
            "name": "test",
            "inbox": str(self.inbox),
            "buckets": {BUCKET: {}},
            "output": str(self.folder / "out"),
            "rules": {"csv": {"match": {"bucket": BUCKET, "suffix": ".csv"}, "check": check}},
            **changes,
            "jobs": {"lease_s": 3, "back_off_s": 0.2, "grace_s": 5, **changes.get("jobs", {})},
        }
        self.config.write_text(yaml.safe_dump(document | ({"queue": queue} if queue else {})))
        return self.config

    def put(self, key: str, text: str) -> None:
        """An object."""
        path = self.folder / "s3" / BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def results(self) -> dict[str, str]:
        """Key of an object → its verdict, of those that are committed."""
        found = {}
        for path in (self.folder / "out" / "checks").rglob("*.json"):
            document = json.loads(path.read_text())
            found[document["key"]] = document["verdict"]
        return found


def told(key: str, sequencer: str = "01", **more: Any) -> str:
    """The message that says that an object is there."""
    return s3_message(BUCKET, key, sequencer=sequencer, **more)


def csv(number: int) -> str:
    """A table whose column a is a number where `number` is even."""
    return f"a,b\n{number if number % 2 == 0 else 'x'},{number}\n"


def expected(numbers: range) -> dict[str, str]:
    """The verdicts of these tables, by their keys."""
    return {f"{number}.csv": "pass" if number % 2 == 0 else "fail" for number in numbers}
