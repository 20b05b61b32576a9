"""What a process or pod is given to do, and the lines by which it answers: one for each target, and one at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import GroundswellError
from pipeline.events.event import Ended
from pipeline.types import Json

_ENDED, _OVER = "ended ", "batch "


class BatchError(GroundswellError):
    """What was given is no batch."""


@dataclass(frozen=True)
class Where:
    """The file of rules that a process reads for itself; its secrets never leave the environment."""

    path: Path
    sets: tuple[str, ...] = ()
    """`key.path=value`, as on the command line."""


@dataclass(frozen=True)
class Batch:
    """Targets of one rule that are done together."""

    where: Where
    rule: str
    targets: tuple[str, ...]
    token: str = ""
    """Before each line of its answer, where other lines may stand between them: nobody guesses it."""

    def text(self) -> str:
        """One line of JSON."""
        document = {"config": str(self.where.path), "sets": self.where.sets, "token": self.token}
        return json.dumps(document | {"rule": self.rule, "targets": self.targets})


@dataclass(frozen=True)
class Over:
    """A batch has come to its end, well or not."""

    cause: str = ""
    """Why targets have no line of their own; empty where all have."""
    passing: bool = True
    """Whether another attempt at those may succeed."""
    died: bool = False
    """Whether it ended without a word, so that any of its targets may have been the cause."""


def read_batch(text: str) -> Batch:
    """The batch that a line of JSON is. Raises BatchError."""
    try:
        document = json.loads(text)
        where = Where(Path(document["config"]), _texts(document["sets"]))
        rule, token = _texts([document["rule"], document.get("token", "")])
        return Batch(where, rule, _texts(document["targets"]), token)
    except (ValueError, TypeError, KeyError) as error:
        expected = '{"config": PATH, "sets": [...], "rule": NAME, "targets": [...]}'
        raise BatchError(f"found {text[:200]!r}, expected a batch: {expected} ({error})") from None


def ended_line(ended: Ended) -> str:
    """What became of one target."""
    return _ENDED + json.dumps(asdict(ended))


def over_line(over: Over) -> str:
    """The last line of a batch."""
    return _OVER + json.dumps({"cause": over.cause, "passing": over.passing})


def read_line(line: str, token: str = "") -> Ended | Over | None:
    """What a line says; None for one that is of something else, such as a log, or without the token."""
    if not line.startswith(token):
        return None
    line = line.removeprefix(token)
    try:
        if line.startswith(_ENDED):
            return Ended(**json.loads(line.removeprefix(_ENDED)))
        if line.startswith(_OVER):
            return Over(**json.loads(line.removeprefix(_OVER)))
    except (ValueError, TypeError):
        return None
    return None


def _texts(values: Sequence[Json]) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(one, str) for one in values):
        raise TypeError("a list of texts was expected")
    return tuple(values)
