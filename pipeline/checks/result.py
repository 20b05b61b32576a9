"""What a check found: a verdict, findings with counts and first examples, and facts of the object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

from pipeline.config.grades import Severity
from pipeline.types import Json

FORMAT = 1
"""Of the JSON document; a reader of release N knows that of N - 1."""
VERSION = 1
"""Of the checks themselves: another one checks again what was checked before."""
LONGEST_TEXT = 200
"""Characters of a value or message that are shown."""

Verdict = Literal["pass", "warn", "fail"]


@dataclass(frozen=True)
class Example:
    """One value that is not as it should be."""

    at: str
    """Where it is: `row 7`, `band 1, row 3, column 9`."""
    value: str


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be."""

    check: str
    """Its name, such as `range`."""
    where: str
    """Column, band, variable; empty: the object."""
    severity: Severity
    found: str
    expected: str
    count: int = 1
    """Of rows, pixels, values; 1 where it is the object's own."""
    of: int | None = None
    """How many were looked at."""
    examples: tuple[Example, ...] = ()

    @property
    def text(self) -> str:
        """One line for people."""
        where = f"{self.where}: " if self.where else ""
        return f"{where}found {self.found}, expected {self.expected}"


@dataclass(frozen=True)
class Subject:
    """The object that is checked, in the state in which it was fetched."""

    rule: str
    bucket: str
    key: str
    size_bytes: int
    etag: str = ""
    version: str = ""

    @property
    def state(self) -> tuple[int, str, str]:
        """What tells this state of the object from others."""
        return self.size_bytes, self.etag, self.version


@dataclass(frozen=True)
class Result:
    """What was found of one object under one rule."""

    subject: Subject
    fingerprint: str
    """Of the rule's check and of `VERSION`."""
    kind: str = "none"
    """`table`, `raster`, `array`; `none` where it could not be told."""
    type: str = ""
    """Its format, for people."""
    findings: tuple[Finding, ...] = ()
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def verdict(self) -> Verdict:
        """That of the gravest finding."""
        severities = {finding.severity for finding in self.findings}
        return "fail" if "fail" in severities else "warn" if severities else "pass"

    def counted(self, severity: Severity) -> int:
        """How many findings are of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def note(self) -> str:
        """The verdict and, where it is not `pass`, the first of what it is for; one line."""
        worst = [finding for finding in self.findings if finding.severity == self.verdict]
        more = f" (and {len(self.findings) - 1} more)" if len(self.findings) > 1 else ""
        return f"{self.verdict}: {worst[0].text}{more}" if worst else self.verdict


def to_bytes(result: Result) -> bytes:
    """The JSON document of a result: the same result gives the same bytes."""
    return (json.dumps(to_json(result), indent=1, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def to_json(result: Result) -> dict[str, Json]:
    """The document as JSON values."""
    subject = result.subject
    return {
        "format": FORMAT,
        "rule": subject.rule,
        "bucket": subject.bucket,
        "key": subject.key,
        "object": {"size_bytes": subject.size_bytes, "etag": subject.etag, "version": subject.version},
        "verdict": result.verdict,
        "kind": result.kind,
        "type": result.type,
        "findings": [asdict(finding) for finding in result.findings],
        "facts": dict(result.facts),
        "fingerprint": result.fingerprint,
    }


def from_bytes(data: bytes) -> Result:
    """The result of a document. Raises ValueError for what is none, or of a newer release."""
    try:
        return from_json(json.loads(data))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"found no result of a check: {type(error).__name__}: {error}") from error


def from_json(found: Json) -> Result:
    """The result of its JSON values."""
    if not found["format"] <= FORMAT:
        raise ValueError(f"found a result of format {found['format']}, this release knows {FORMAT}; use a newer one")
    subject = Subject(found["rule"], found["bucket"], found["key"], **found["object"])
    return Result(
        subject,
        found["fingerprint"],
        found["kind"],
        found["type"],
        tuple(finding_of(each) for each in found["findings"]),
        found["facts"],
    )


def finding_of(found: Json) -> Finding:
    """A finding of its JSON values."""
    return Finding(**{**found, "examples": tuple(Example(**each) for each in found["examples"])})


def shown(value: object) -> str:
    """A value for people: on one line, without control characters, of bounded length."""
    text = value if isinstance(value, str) else str(value)
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[: LONGEST_TEXT + 1])
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def listed(names: Sequence[object], most: int = 8) -> str:
    """Names for people, the first of them where there are many."""
    told = ", ".join(shown(name) for name in names[:most])
    return f"{told} and {len(names) - most} more" if len(names) > most else told or "none"
