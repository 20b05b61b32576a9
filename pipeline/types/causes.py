"""Failures of one cause, together: a message without what differs from job to job is its cause."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

NAMED = 3
"""Jobs of a cause that are told by name where there is little room."""
MOST = 500
"""Causes that are kept apart; what comes after them is told as one, so that no message can fill the memory."""
FURTHER = "further causes"

_VARYING = re.compile(
    r"""(?P<kept>(?i:\b(?:http|status|code|errno|exit))[ :=]{1,2}\d{1,3}\b)   # these numbers are what happened
      | (?P<address>\b[a-z][a-z0-9+.-]*://[^\s'"<>,;)]*[^\s'"<>,;):.])
      | (?P<path>(?<![\w.])(?:~|\.{1,2})?(?:/[\w.@=+%~-]+){2,})
      | (?P<job>\b[\w.-]+/[\w.-]+/[\w.-]+(?<![.-]))
      | (?P<name>(?<![\w-])-?(?=[\w.-]*\d)(?=[\w.-]*[A-Za-z_-])[\w-][\w.-]{6,}(?<![.-]))
      | (?P<number>(?<![A-Za-z_])-?\d(?:[\d,._]*\d)?(?:e-?\d+)?)""",
    re.VERBOSE,
)
_WORDS = {"address": "<address>", "path": "<path>", "job": "<job>", "name": "<name>", "number": "#"}


@dataclass(frozen=True)
class Cause:
    """Jobs that failed alike."""

    number: int
    """From 0, in the order of `Causes.groups`: most jobs first."""
    error: str
    """Class of the error."""
    text: str
    """The message without what differs from job to job."""
    example: str
    """The whole message of the first of them."""
    count: int
    jobs: tuple[str, ...]
    """The first few."""


def shape_of(message: str) -> str:
    """A message without addresses, paths, jobs, long names and numbers; equal causes give equal shapes.

    Numbers that say what happened stay: `HTTP 404`, `exit 137`.
    """
    return _VARYING.sub(lambda found: _WORDS.get(found.lastgroup or "", found[0]), message)


class Causes:
    """Counts failures by cause; holds a few names of each, whatever their number."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], list[str]] = {}
        self._counts: dict[tuple[str, str], int] = {}
        self._examples: dict[tuple[str, str], str] = {}

    def add(self, job_id: str, error: str | None, cause: str | None) -> tuple[str, str]:
        """Take one failure in; gives the key of its cause, which `numbers` knows."""
        error, cause = error or "unknown", cause or ""
        key = (error, shape_of(cause))
        if key not in self._counts and len(self._counts) >= MOST:
            key = (FURTHER, "")
        self._counts[key] = self._counts.get(key, 0) + 1
        self._examples.setdefault(key, cause)
        named = self._found.setdefault(key, [])
        if len(named) < NAMED:
            named.append(job_id)
        return key

    def named(self, key: tuple[str, str]) -> Sequence[str]:
        """The jobs of a cause that are kept by name."""
        return self._found[key]

    def numbers(self) -> dict[tuple[str, str], int]:
        """The number of each cause by its key."""
        order = sorted(self._counts, key=lambda key: (-self._counts[key], key))
        return {key: number for number, key in enumerate(order)}

    def groups(self) -> tuple[Cause, ...]:
        """Every cause, those with most jobs first."""
        return tuple(
            Cause(number, key[0], key[1], self._examples[key], self._counts[key], tuple(self._found[key]))
            for key, number in self.numbers().items()
        )
