"""What an event starts: the targets of every rule that it is for, and when they are begun. Pure but for `Templates`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pipeline.config.events import EventsConfig, MatchConfig, RuleConfig
from pipeline.config.settle import SettleConfig
from pipeline.events.event import Event, ObjectEvent, Order, SceneEvent
from pipeline.events.messages.scenes import collections_of

_RASTER, _RASTER_FROM_S = 12, 60.0
RESULTS = "checks/"
"""Where results of checks lie below `output`: they are never checked themselves."""


@dataclass(frozen=True)
class Touched:
    """A target of a run that an event touches."""

    target: str
    ends_s: float | None = None
    """Unix time at which its period ends; None: it has none."""


class Templates(Protocol):
    """The runs of the rules, as far as it takes to say what an event touches."""

    def targets(self, rule_name: str, rule: RuleConfig, event: Event) -> Sequence[Touched]:
        """Every target of the rule's run whose inputs the event may have changed. Raises ConfigError."""


def route_event(event: Event, config: EventsConfig, templates: Templates, now_s: float) -> list[Order]:
    """The orders of an event, each target of a rule once; none where no rule is for it.

    now_s: Unix time. Raises ConfigError where the config of a rule's run cannot be read.
    """
    orders = []
    for name, rule in config.rules.items():
        if not is_for(rule.match, event):
            continue
        for touched in _touched(name, rule, event, config, templates):
            due_s, latest_s = settled(rule.settle, now_s, touched.ends_s)
            orders.append(Order(name, touched.target, due_s, latest_s))
    return orders


def is_for(match: MatchConfig, event: Event) -> bool:
    """Whether a rule is for an event.

    Whatever lies below a folder `.zarr` counts as that store. A key that ends with `/` is no file but the mark of a
    folder, and no rule is for it.
    """
    if isinstance(event, SceneEvent):
        return match.collection is not None and not collections_of(event).isdisjoint(match.collection)
    key = object_of(event.key)
    return (
        match.bucket == event.bucket
        and not key.endswith("/")
        and key.startswith(match.prefix)
        and key.endswith(match.suffix)
    )


def object_of(key: str) -> str:
    """The key of what an object is a part of: of the outermost folder `.zarr` that it lies in, else its own."""
    at = f"{key}/".find(".zarr/")
    # A folder without a name is none: `a/.zarr/b` lies in no store.
    return key if at < 1 or key[at - 1] == "/" else key[: at + len(".zarr")]


def settled(settle: SettleConfig | None, now_s: float, ends_s: float | None) -> tuple[float, float]:
    """When a target of an event of now is begun: not before the first, and not put off beyond the second.

    Silences of a minute or more end on a common raster of their twelfth part, so that what settles at about the same
    time is one run and not many.
    """
    if settle is None:
        return now_s, now_s
    opens_s = now_s
    if settle.period_end_s is not None and ends_s is not None:
        opens_s = max(now_s, ends_s + settle.period_end_s)
    due_s, latest_s = max(opens_s, now_s + settle.after_s), opens_s + settle.latest_s
    if settle.after_s < _RASTER_FROM_S:
        return due_s, latest_s
    step_s = settle.after_s / _RASTER
    return _raised(due_s, step_s), _raised(latest_s, step_s)


def _raised(time_s: float, step_s: float) -> float:
    """The first time of a raster that is not before this one."""
    return max(time_s, math.ceil(time_s / step_s) * step_s)


def _touched(
    name: str, rule: RuleConfig, event: Event, config: EventsConfig, templates: Templates
) -> Sequence[Touched]:
    if rule.check is None:
        return templates.targets(name, rule, event)
    if not isinstance(event, ObjectEvent) or _is_result(event, config):
        return ()
    return (Touched(f"object/{event.bucket}/{object_of(event.key)}"),)


def _is_result(event: ObjectEvent, config: EventsConfig) -> bool:
    """Whether an object is a result of a check: else each would start the next where they lie in a bucket of a rule."""
    scheme, _, place = (config.output or "").partition("://")
    bucket, _, prefix = place.partition("/")
    folder = f"{prefix.strip('/')}/{RESULTS}".removeprefix("/")
    return scheme == "s3" and event.bucket == bucket and event.key.startswith(folder)
