"""A config that is no file: YAML text, or keys built in code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from numbers import Integral, Real
from pathlib import Path

import yaml

from pipeline.config.document import dotted
from pipeline.errors import ConfigError
from pipeline.types import Json

_DEEPEST = 60
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
"""What JSON leaves as it is, and YAML takes for a line's end or refuses."""


@dataclass(frozen=True)
class Given:
    """What stands in place of the path of a config; like a path it has a parent and a stem."""

    data: str | Mapping[str, object]
    """YAML text, or the keys: text, numbers, true and false, None, mappings and lists of them, dates, times, Paths."""
    parent: Path = field(default_factory=Path.cwd)
    """Where relative paths count from."""
    stem: str = "run"
    """The name of a run that has none."""

    def __str__(self) -> str:
        """Its name in messages."""
        return "the config's text" if isinstance(self.data, str) else "the config"

    def node(self) -> yaml.Node:
        """The keys as YAML that nobody wrote. Raises ConfigError naming a value that no YAML has."""
        # Represented without YAML 1.1's types: whatever is text stays text.
        return yaml.representer.SafeRepresenter(sort_keys=False).represent_data(plain(self.data))


ConfigSource = Path | Given
"""Where a config is read from."""


def plain(value: object, path: tuple[str | int, ...] = ()) -> Json:
    """A value as YAML would give it: dates and Paths as text, tuples as lists, numbers of NumPy as numbers.

    Raises ConfigError naming the key of what cannot be one.

    >>> plain({"period": {"start": date(2024, 6, 1)}, "area": {"bbox": (10.9, 44.6, 11.2, 44.8)}})
    {'period': {'start': '2024-06-01'}, 'area': {'bbox': [10.9, 44.6, 11.2, 44.8]}}
    """
    if len(path) > _DEEPEST:
        raise ConfigError(f"the config: found more than {_DEEPEST} levels of lists and mappings; does one hold itself?")
    if value is None or isinstance(value, str | bool):
        return str(value) if isinstance(value, str) else value  # NumPy's text is text as well
    if isinstance(value, Integral | Real):
        return int(value) if isinstance(value, Integral) else float(value)
    if getattr(getattr(value, "dtype", None), "kind", "") in {*"biufU"}:  # arrays, and true and false, of NumPy
        return plain(value.tolist(), path)  # type: ignore[attr-defined]
    if isinstance(value, date | Path):  # a datetime is a date too
        return value.isoformat() if isinstance(value, date) else str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(one, (*path, str(key))) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one, (*path, place)) for place, one in enumerate(value)]
    raise ConfigError(
        f"the config: {dotted(path)}: found a {type(value).__name__}; allowed: text, numbers, true and false, None, "
        "dates, paths, and lists and mappings of them"
    )


def as_set(key: str, value: object) -> str:
    """A key and its value as `--set` has them; text is quoted, so that none is taken for something else.

    >>> as_set("run.retries", 5), as_set("name", "no"), as_set("products.sentinel2.bands", ("red", "nir"))
    ('run.retries=5', 'name="no"', 'products.sentinel2.bands=["red", "nir"]')
    """
    text = json.dumps(plain(value, (key,)), ensure_ascii=False)
    return f"{key}={_UNPRINTABLE.sub(lambda found: f'{chr(92)}u{ord(found[0]):04x}', text)}"
