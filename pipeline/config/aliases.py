"""Options of the command line that stand for a key of every source of Argo, whatever the sources' names are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.config.yamlsource import read_document
from pipeline.errors import ConfigError


def gdac_sets(path: Path, values: Mapping[str, object]) -> Sequence[str]:
    """`--set` assignments of keys of all sources that are a GDAC; values that are None are not set.

    Raises ConfigError where something is to be set and the config has no such source.
    """
    given = {key: value for key, value in values.items() if value is not None}
    if not given:
        return ()
    names = gdac_names(path)
    if not names:
        raise ConfigError(f"{path}: {', '.join(given)}: found no source with `gdac`; these options are for Argo alone")
    return [f"sources.{name}.{key}={json.dumps(value)}" for name in names for key, value in given.items()]


def gdac_names(path: Path) -> list[str]:
    """Names of the sources of a config that are a GDAC, whatever else may be wrong with it."""
    data = read_document(path).data
    sources = data.get("sources") if isinstance(data, dict) else None
    named = sources.items() if isinstance(sources, dict) else ()
    return [name for name, source in named if isinstance(source, dict) and source.get("gdac") is not None]
