"""A folder in place of a bucket, with rules that check its tables, and the inbox that they have."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.events import EventsConfig
from pipeline.config.load import load_events
from pipeline.events.inbox.inbox import Inbox, open_inbox

BUCKET = "arrivals"
GOOD, BAD = b"station,temp\nABC01,19.5\n", b"station,temp\nABC01,99\n"
RULES: dict[str, Any] = {
    "tables": {
        "match": {"bucket": BUCKET, "prefix": "in/", "suffix": ".csv"},
        "check": {"table": {"columns": {"temp": {"type": "number", "range": [-5, 45]}}}},
    }
}


@dataclass(frozen=True)
class Place:
    """A file of rules, and the folder of its bucket."""

    folder: Path
    database: str | None = None
    """Connection string of the inbox; None: a SQLite file."""

    @property
    def rules(self) -> Path:
        return self.folder / "events.yaml"

    @property
    def root(self) -> Path:
        """What LOCAL_S3_ROOT names."""
        return self.folder / "root"

    def write(self, **changes: Any) -> None:
        """The file of rules; changes: of its sections."""
        document = {
            "name": "hand",
            "inbox": self.database or str(self.folder / "inbox.sqlite"),
            "buckets": {BUCKET: {}},
            "rules": RULES,
            "output": str(self.folder / "output"),
            "jobs": {"parallel": 1},
        }
        self.rules.write_text(json.dumps(document | changes))

    def put(self, key: str, data: bytes = GOOD) -> Path:
        """An object of the bucket."""
        path = self.root / BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def config(self) -> EventsConfig:
        return load_events(self.rules)

    def inbox(self) -> Inbox:
        return open_inbox(self.config().inbox.get_secret_value())

    def verdict(self, key: str, rule: str = "tables") -> str | None:
        """Of the committed result of an object; None where there is none."""
        path = self.folder / "output" / "checks" / rule / BUCKET / f"{key}.json"
        return str(json.loads(path.read_text())["verdict"]) if path.is_file() else None


def make_place(folder: Path, database: str | None = None) -> Place:
    """One with an empty bucket."""
    place = Place(folder, database)
    place.write()
    (place.root / BUCKET).mkdir(parents=True)
    return place
