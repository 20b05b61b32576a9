"""The runs of a file of rules, read once: which of their tiles and periods a scene touches, and whose file it is."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.events import EventsConfig, RuleConfig
from pipeline.config.source import SourceConfig
from pipeline.errors import ConfigError, GroundswellError
from pipeline.events.event import Event, SceneEvent
from pipeline.events.messages.scenes import NAMES, collections_of
from pipeline.events.rules.floats import float_of
from pipeline.events.rules.route import Touched

if TYPE_CHECKING:
    from pipeline.config import RunConfig
    from pipeline.events.rules.ground import Ground

_State = tuple[tuple[str, int, int], ...]
"""Of each file, its path, when it was changed, and its size."""


@dataclass(frozen=True)
class Template:
    """A rule's run: its sources, and where and when it makes what."""

    rule: str
    config: RunConfig
    ground: Ground | None
    """None for a rule of files of floats."""

    def targets(self, rule: RuleConfig, event: Event) -> Sequence[Touched]:
        """As `Templates.targets`."""
        if self.ground is not None and isinstance(event, SceneEvent):
            return self.ground.touched(self._sources(rule, event), event)
        if isinstance(event, SceneEvent):
            return ()
        wmo = float_of(event.key, self.config.sources[_gdac(self.rule, rule, self.config)])
        return () if wmo is None else (Touched(f"float/{wmo}"),)

    def _sources(self, rule: RuleConfig, event: SceneEvent) -> frozenset[str]:
        """Names of the sources that have this scene."""
        if rule.source is not None:
            return frozenset({rule.source})
        names = collections_of(event)
        candidates = _catalogues(self.config)
        found = {name for name, source in candidates.items() if not names.isdisjoint(source.collection or ())}
        return frozenset(found) or frozenset(_only_unnamed(candidates))


class OpenTemplates:
    """The templates of a file of rules, each read when it is first needed, and anew when its files have changed.

    Safe from several threads.
    """

    def __init__(self, config: EventsConfig) -> None:
        self._config = config
        self._known: dict[str, tuple[_State, Template]] = {}
        self._lock = threading.Lock()

    def targets(self, rule_name: str, rule: RuleConfig, event: Event) -> Sequence[Touched]:
        """As `Templates.targets`."""
        return self.template(rule_name, rule).targets(rule, event)

    def template(self, name: str, rule: RuleConfig) -> Template:
        """The template of a rule with a run. Raises ConfigError naming the rule."""
        with self._lock:
            known = self._known.get(name)
            if known is None or known[0] != _state([path for path, _, _ in known[0]]):
                try:
                    known = self._known[name] = _read(name, rule)
                except GroundswellError as error:
                    raise ConfigError(f"rules.{name}.run: {error}") from error
            return known[1]

    def check(self) -> None:
        """Read the run of every rule. Raises ConfigError naming the first rule whose run cannot be had."""
        for name, rule in self._config.rules.items():
            if rule.run is not None:
                self.template(name, rule)


def open_templates(config: EventsConfig) -> OpenTemplates:
    """The runs of a file of rules; nothing is read yet."""
    return OpenTemplates(config)


def _read(name: str, rule: RuleConfig) -> tuple[_State, Template]:
    """A template, and its files as they were before it was read: one that is changed meanwhile is read again."""
    from pipeline.config.options import Options  # noqa: PLC0415 (with the next)
    from pipeline.prepare import load_run, plan_products, plan_targets  # noqa: PLC0415 (heavy: all products)

    state = _state([str(rule.run)])
    config = load_run(Options(Path(str(rule.run))))
    state += _state(_area_files(config))
    if rule.source is not None and rule.source not in config.sources:
        raise ConfigError(f"found source {rule.source}; allowed: one of its sources, {', '.join(config.sources)}")
    if rule.match.bucket is not None:
        _gdac(name, rule, config)
        return state, Template(name, config, None)
    _check_scenes(rule, config)
    from pipeline.events.rules.ground import Ground  # noqa: PLC0415 (the same)

    products = plan_products(config)
    sources = {entry.name: entry.sources for entry in config.products}
    return state, Template(name, config, Ground(products, plan_targets(config, products), sources))


def _gdac(name: str, rule: RuleConfig, config: RunConfig) -> str:
    """The source whose files the objects of a rule are. Raises ConfigError."""
    sources = [one for one, source in config.sources.items() if source.gdac is not None]
    if rule.source in sources:
        return str(rule.source)
    if rule.source is None and len(sources) == 1:
        return sources[0]
    found = f"source {rule.source}" if rule.source else f"{len(sources)} sources with gdac ({', '.join(sources)})"
    raise ConfigError(
        f"found {found} for objects of bucket {rule.match.bucket}; allowed: objects that are Argo files, so one source "
        f"with gdac (name it by rules.{name}.source); for scenes match a collection"
    )


def _check_scenes(rule: RuleConfig, config: RunConfig) -> None:
    """Raise ConfigError where no source can have the scenes of a rule."""
    candidates = _catalogues(config)
    if rule.source is not None:
        if rule.source not in candidates:
            raise ConfigError(f"found source {rule.source}, which is a GDAC; allowed for scenes: a catalogue")
        return
    if _only_unnamed(candidates):
        return
    known = {name for one in candidates.values() for name in one.collection or ()}
    lost = [name for name in rule.match.collection or () if known.isdisjoint(_names(name))]
    if lost:
        raise ConfigError(
            f"found no source with collection {', '.join(lost)}; allowed: {', '.join(sorted(known)) or 'none'}, which "
            "sources name as collection; or name the source that these scenes are of as source"
        )


def _names(name: str) -> set[str]:
    """A collection by all names: the products of public topics have several."""
    return {name}.union(*(names for own, names in NAMES.items() if name == own or name in names))


def _catalogues(config: RunConfig) -> dict[str, SourceConfig]:
    return {name: source for name, source in config.sources.items() if source.gdac is None}


def _only_unnamed(candidates: dict[str, SourceConfig]) -> list[str]:
    """The one catalogue, where it does not say its collections."""
    return [name for name, source in candidates.items() if not source.collection] if len(candidates) == 1 else []


def _area_files(config: RunConfig) -> list[str]:
    """What else than the config a template is read from."""
    return [str(one) for one in (config.area.vector, config.area.tiles) if one is not None] if config.area else []


def _state(paths: Sequence[str]) -> _State:
    """What tells a file from itself after a change; of one that is not there, nothing."""
    found = []
    for path in paths:
        try:
            stat = Path(path).stat()
        except OSError:
            found.append((path, 0, 0))
        else:
            found.append((path, stat.st_mtime_ns, stat.st_size))
    return tuple(found)
