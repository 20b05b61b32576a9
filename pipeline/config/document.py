"""Plain data with the place of every key, so that each fault can name file, line and key: what the config is read into.

Nothing here knows YAML or pydantic. A value that came from an environment variable is never shown: it stands in every
message as it was written, `${VAR}`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from pipeline.errors import ConfigError
from pipeline.types import Json

KeyPath = tuple[str | int, ...]
"""Where a value stands: keys of mappings and positions in lists, from the top."""

_SHOWN_CHARACTERS = 80
_SHOWN_ENTRIES = 6
_URL_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")
_URL_SECRET = re.compile(
    r"([?&#;][^=&\s]*(?:sig|token|key|secret|passw|pwd|cred|auth)[^=&\s]*=)[^&#\s]+", re.IGNORECASE
)


@dataclass(frozen=True)
class Place:
    """Where something was written: a line of the file, or an option of the command line (these come last)."""

    order: int
    text: str

    @classmethod
    def option(cls, text: str) -> Place:
        """An option of the command line."""
        return cls(10**9, text)


@dataclass(frozen=True)
class Fault:
    """One thing wrong, on one line: what was found and what is allowed."""

    place: Place
    path: KeyPath
    text: str

    def __str__(self) -> str:
        where = f"{self.place.text}: {dotted(self.path)}" if self.path else self.place.text
        return " ".join(f"{where}: {self.text}".splitlines())


@dataclass(frozen=True)
class Variable:
    """A value written as `${VAR}` or `${VAR:-default}`."""

    written: str
    text: str
    """What stands in for it; never shown."""


def mask_credentials(text: str) -> str:
    """Text in which `user:password@` and signature-, token- or key-like query values of URLs are `***`."""
    return _URL_SECRET.sub(r"\1***", _URL_USER.sub(r"\1***@", text))


def dotted(path: KeyPath) -> str:
    """A key path as `--set` takes it, `products.0.bands`; a key that is no plain word is quoted."""
    return ".".join(str(step) if re.fullmatch(r"[\w:+-]{1,80}", str(step)) else show(step) for step in path)


def show(value: Json) -> str:
    """A value in a few words: text quoted and without credentials, numbers as they are, the rest by its kind."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None:
        return "nothing"
    words = json.dumps(mask_credentials(value) if isinstance(value, str) else value, ensure_ascii=False)
    return words if len(words) <= _SHOWN_CHARACTERS else words[: _SHOWN_CHARACTERS - 2] + '…"'


class Document:
    """The data of one file with places, variables and faults; options of the command line replace parts of it."""

    def __init__(self, file: str) -> None:
        """Start empty; `file` is the name that messages use."""
        self.file = file
        self.data: Json = None
        self.places: dict[KeyPath, Place] = {}
        self.variables: dict[KeyPath, Variable] = {}
        self.faults: list[Fault] = []

    def get(self, path: KeyPath) -> Json:
        """The value at a path; None where there is none."""
        value = self.data
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            else:
                value = value[step] if isinstance(value, list) and isinstance(step, int) else None
        return value

    def place(self, path: KeyPath) -> Place:
        """Where a value was written; of one that was not, where the mapping or list around it was."""
        while path and path not in self.places:
            path = path[:-1]
        return self.places.get(path, Place(1, f"{self.file}:1"))

    def show(self, path: KeyPath) -> str:
        """The value at a path in a few words, variables as they were written."""
        if path in self.variables:
            variable = self.variables[path]
            return mask_credentials(variable.written) + ("" if variable.text else " (empty)")
        value = self.get(path)
        if isinstance(value, list) and 0 < len(value) <= _SHOWN_ENTRIES:
            return f"[{', '.join(self.show((*path, i)) for i in range(len(value)))}]"
        return show(value)

    def fail(self, path: KeyPath, text: str) -> None:
        """Note a fault of the value at a path."""
        self.faults.append(Fault(self.place(path), path, text))

    def error(self) -> ConfigError:
        """One error that names every fault, one a line, in the order of the file."""
        faults = sorted(self.faults, key=lambda fault: fault.place.order)
        return ConfigError("\n".join(dict.fromkeys(map(str, faults))))

    def clear(self, path: KeyPath, place: Place) -> None:
        """Forget the value at a path and what was wrong with it; mappings on the way are made where there are none."""
        for known in (self.places, self.variables):
            for old in [key for key in known if key[: len(path)] == path]:
                del known[old]
        self.faults = [fault for fault in self.faults if fault.path[: len(path)] != path]
        for depth in range(1, len(path)):
            if self.get(path[:depth]) is None:
                self.variables.pop(path[:depth], None)
                self.store(path[:depth], {})
                self.places[path[:depth]] = place
        self.places[path] = place

    def store(self, path: KeyPath, value: Json) -> None:
        """Put a value at a path whose surroundings exist."""
        self.get(path[:-1])[path[-1]] = value
