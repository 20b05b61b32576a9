"""Options of the command line that stand for keys of the config, whatever its sources and regions are called."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from pipeline.config.given import ConfigSource
from pipeline.config.yamlsource import read_document
from pipeline.errors import ConfigError


def run_sets(path: ConfigSource, memory: str | None, values: Mapping[str, object]) -> Sequence[str]:
    """`--set` assignments of keys by their path; values that are None are not set.

    memory: of the workers of every cluster that the config has, else of the default one.
    """
    given = {key: value for key, value in values.items() if value is not None}
    if memory is not None:
        given |= {f"clusters.{region}.worker_memory": memory for region in _named(path, "clusters") or ["default"]}
    return [f"{key}={json.dumps(value)}" for key, value in given.items()]


def gdac_sets(path: ConfigSource, values: Mapping[str, object]) -> Sequence[str]:
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


def gdac_names(path: ConfigSource) -> list[str]:
    """Names of the sources of a config that are a GDAC, whatever else may be wrong with it."""
    sources = _named(path, "sources")
    return [name for name, source in sources.items() if isinstance(source, dict) and source.get("gdac") is not None]


def _named(path: ConfigSource, section: str) -> Mapping[str, object]:
    """What a section of named entries holds; nothing where it is none."""
    data = read_document(path).data
    found = data.get(section) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}
