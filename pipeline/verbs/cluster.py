"""`groundswell cluster`: what a config's clusters would be, which are there, and the end of those that nobody uses."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from cluster.backend import ClusterError, Found, backend_of, render
from cluster.labels import label_value, owner
from cluster.spec import ClusterSpec
from pipeline.config import load_config
from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED, EXIT_PREFLIGHT, ConfigError, PreflightError
from pipeline.placement import cluster_specs
from pipeline.products import product_models
from pipeline.verbs._answer import Answer

FORMAT = 1
_COLUMNS = ("name", "backend", "place", "run", "owner", "age", "driver", "workers")
_UNITS_S = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


@dataclass(frozen=True)
class Seen:
    """What was found, with the spec by which it can be ended, and the places that could not be looked at."""

    clusters: list[tuple[ClusterSpec, Found]] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    @property
    def code(self) -> int:
        return EXIT_PREFLIGHT if self.unread else EXIT_DONE


def run(options: argparse.Namespace) -> Answer:
    """`options.action` on the clusters of a config.

    Raises ConfigError, and PreflightError for a cluster that cannot be rendered.
    """
    config = load_config(options.config, product_models(), options.sets)
    specs = cluster_specs(config)
    unknown = sorted(set(options.regions) - specs.keys())
    if unknown:
        raise ConfigError(f"--region: found {', '.join(unknown)}; this config's regions: {', '.join(specs)}")
    chosen = {region: spec for region, spec in specs.items() if not options.regions or region in options.regions}
    actions: dict[str, Callable[[Mapping[str, ClusterSpec], argparse.Namespace], Answer]] = {
        "list": _list,
        "render": _render,
        "gc": _gc,
    }
    return actions[options.action](chosen, options)


def _render(specs: Mapping[str, ClusterSpec], _options: argparse.Namespace) -> Answer:
    """YAML, one document a region, or one for each of its manifests, so that kubectl takes it."""
    documents = []
    for region, spec in specs.items():
        try:
            rendered = render(spec)
        except ClusterError as error:
            raise PreflightError(str(error)) from error
        parts = list(rendered.values()) if all(map(_is_manifest, rendered.values())) else [rendered]
        texts = [yaml.safe_dump(_plain(part), sort_keys=False, allow_unicode=True, width=120) for part in parts]
        documents.append(f"# region {region}: {spec.backend}\n" + "---\n".join(texts))
    head = "# A run adds its id to names and labels, and asks for no more than its plan can use.\n---\n"
    return Answer((head + "---\n".join(documents)).rstrip("\n"))


def _list(specs: Mapping[str, ClusterSpec], options: argparse.Namespace) -> Answer:
    seen = _look(specs)
    if options.json:
        found = [asdict(one) for _, one in seen.clusters]
        return Answer(json.dumps({"format": FORMAT, "clusters": found, "unread": seen.unread}, indent=2), seen.code)
    lines = _table([one for _, one in seen.clusters]) if seen.clusters else [_nothing(specs)]
    return Answer("\n".join([*lines, *(f"not looked at: {one}" for one in seen.unread)]), seen.code)


def _gc(specs: Mapping[str, ClusterSpec], options: argparse.Namespace) -> Answer:
    """End what no driver uses; a line for each cluster that is there."""
    seen = _look(specs)
    lines, failed = [], False
    for spec, one in seen.clusters:
        label = f"{one.name} ({one.backend}, {one.place})"
        reason = kept_because(one, spec, options)
        if reason is not None:
            lines.append(f"kept: {label}: {reason}")
        elif options.dry_run:
            lines.append(f"would end: {label}")
        else:
            try:
                backend_of(spec).remove(spec, one)
                lines.append(f"ended: {label}")
            except ClusterError as error:
                lines.append(f"not ended: {label}: {error}")
                failed = True
    lines += [f"not looked at: {one}" for one in seen.unread]
    return Answer("\n".join(lines or [_nothing(specs)]), seen.code or (EXIT_JOBS_FAILED if failed else EXIT_DONE))


def kept_because(found: Found, spec: ClusterSpec, options: argparse.Namespace) -> str | None:
    """Why a cluster is not to be ended; None where it is.

    Without `--run`: it is this user's, and its driver was silent for long. With it: it is of that run, and its driver
    is not known to live.
    """
    limit = spec.idle_timeout_s if options.silent_for is None else options.silent_for
    if options.run is not None and (not found.run or found.run != options.run):
        return f"of run {found.run or 'unknown'}"
    if options.run is None and not options.everyone and (not found.owner or found.owner != label_value(owner())):
        return f"of {found.owner or 'somebody else'}: --everyone ends theirs too"
    if options.run is None and found.silent_s is None:
        return "nobody knows whether its driver lives: --run ID ends it"
    if found.silent_s is not None and found.silent_s < limit:
        return f"its driver was heard of {_duration(found.silent_s)} ago, less than {_duration(limit)}"
    return None


def _look(specs: Mapping[str, ClusterSpec]) -> Seen:
    """Each place once, also where several regions point to it."""
    seen, known = Seen(), set()
    for spec in specs.values():
        try:
            found = backend_of(spec).find(spec)
        except ClusterError as error:
            seen.unread.append(str(error))
            continue
        for one in found:
            if (one.backend, one.place, one.name) not in known:
                known.add((one.backend, one.place, one.name))
                seen.clusters.append((spec, one))
    return seen


def _nothing(specs: Mapping[str, ClusterSpec]) -> str:
    return "found no cluster: " + ", ".join(f"{region} ({spec.backend})" for region, spec in specs.items())


def _table(found: list[Found]) -> list[str]:
    rows = [[name.upper() for name in _COLUMNS], *(list(_cells(one)) for one in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cells(one: Found) -> Iterator[str]:
    yield from (one.name, one.backend, one.place, one.run or "-", one.owner or "-")
    yield _duration(one.age_s)
    yield "unknown" if one.silent_s is None else f"{_duration(one.silent_s)} ago"
    yield "-" if one.workers is None else str(one.workers)


def _duration(seconds: float) -> str:
    """As `--silent-for` takes it; the largest unit that is full."""
    for unit, size in _UNITS_S:
        if seconds >= size:
            return f"{seconds // size:.0f}{unit}"
    return "0s"


def _is_manifest(value: object) -> bool:
    return isinstance(value, Mapping) and {"apiVersion", "kind"} <= value.keys()


def _plain(value: Any) -> Any:
    """Only what YAML has, for values that are frozen here."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
