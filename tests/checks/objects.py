"""Objects for the tests of checks, and one check of a local file without anything around it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from pipeline.checks.check import Checker
from pipeline.checks.checksums import Checksum
from pipeline.checks.result import Finding, Result, Subject
from pipeline.config.checks import CheckConfig
from pipeline.types import Json


def config_of(said: Json) -> CheckConfig:
    """A section as it is read from a file: as JSON, strictly."""
    return CheckConfig.model_validate_json(json.dumps(said), strict=True)


def checked(path: Path, said: Json, *checksums: Checksum, key: str | None = None) -> Result:
    """The result of one local file, checked in this process."""
    subject = Subject("rule", "bucket", key or path.name, path.stat().st_size, "etag")
    with tempfile.TemporaryDirectory() as scratch:
        return Checker(config_of(said)).run(subject, path, checksums, Path(scratch))


def told(result: Result) -> list[tuple[str, str, str, int]]:
    """(check, where, severity, count) of each finding, in order of their names."""
    return sorted((each.check, each.where, each.severity, each.count) for each in result.findings)


def only(result: Result) -> Finding:
    """The one finding of a result."""
    (finding,) = result.findings
    return finding


def column(**said: Any) -> Json:
    """A rule for the column `a` of a table."""
    return {"table": {"columns": {"a": said}}}
