"""What was missed while nobody listened: buckets, runs and results, each against what the inbox knows.

A sweep stores the events that never came and makes the jobs that nobody ordered; it does none of them itself. SNS gives
a message up after an hour, and S3 tells of an object once: what was lost in between is found here, or nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from pipeline.config.events import EventsConfig
from pipeline.errors import ConfigError, GroundswellError
from pipeline.events.buckets.buckets import open_buckets
from pipeline.events.consumer.routing import Router
from pipeline.events.inbox.inbox import Inbox
from pipeline.events.rules.templates import open_templates
from pipeline.events.sweep.missing import Swept
from pipeline.events.sweep.objects import ObjectSweep, Window
from pipeline.write.store import open_store


def sweep(config: EventsConfig, inbox: Inbox, window: Window, rules: Collection[str] = ()) -> Swept:
    """Look at every bucket and run of the rules; what one of them fails by is told, and the others are looked at.

    rules: names of the only ones; empty: all. Raises ConfigError for the name of none, and as an inbox.
    """
    narrowed = _narrowed(config, rules)
    found = Swept()
    if not window.dry:
        Router(config, inbox).run()  # so that what is known has the jobs that it asks for
    config = narrowed
    storage = config.storage
    store = config.output and open_store(
        config.output, endpoint=storage.endpoint, profile=storage.profile, anonymous=storage.anonymous
    )
    objects = ObjectSweep(config, open_buckets(config), inbox, open_templates(config), store or None)
    inbox.check()  # so that no failure below is of its own
    for bucket in dict.fromkeys(one.match.bucket for one in config.rules.values()):
        if bucket is not None:
            _guarded(f"bucket {bucket}", partial(objects.sweep, bucket, window, found), found)
    for run in dict.fromkeys(one.run for one in config.rules.values() if one.run is not None):
        from pipeline.events.sweep.runs import sweep_run  # noqa: PLC0415 (heavy: all products)

        rules = {name: rule for name, rule in config.rules.items() if rule.run == run}
        look = partial(sweep_run, Path(run), rules, inbox, found, dry=window.dry)
        _guarded(f"rule {', '.join(rules)}", look, found)
    return found


def _narrowed(config: EventsConfig, rules: Collection[str]) -> EventsConfig:
    """The config with these rules alone. Raises ConfigError for a name that none has."""
    unknown = sorted(set(rules) - set(config.rules))
    if unknown:
        raise ConfigError(f"found no rule {', '.join(unknown)}; allowed: {', '.join(config.rules)}")
    if not rules:
        return config
    return config.model_copy(update={"rules": {name: config.rules[name] for name in config.rules if name in rules}})


def _guarded(what: str, look: Callable[[], None], found: Swept) -> None:
    try:
        look()
    except GroundswellError as error:
        found.faults.append(f"{what}: {error}")
