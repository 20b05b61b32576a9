"""`groundswell load`: PostgreSQL and Redis brought up to what is committed."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from pipeline.config import load_config
from pipeline.errors import EXIT_DONE, EXIT_JOBS_FAILED
from pipeline.products import product_models
from pipeline.stores import needing_extra
from pipeline.verbs._answer import Answer
from pipeline.write.store import open_store

if TYPE_CHECKING:
    from pipeline.stores.load import Loaded


def run(options: argparse.Namespace) -> Answer:
    """Load what is new; with `rebuild_redis` make Redis hold what PostgreSQL does, with `anew` empty both before.

    Exit code 1 where something was not done, and is named. Raises what `load_stores` raises.
    """
    with needing_extra():
        from pipeline.stores.load import load_stores, rebuild_redis  # noqa: PLC0415 (an extra)

    config = load_config(options.config, product_models(), options.sets, options.output)
    if options.rebuild_redis:
        return _answer(rebuild_redis(config), options)
    storage = config.storage
    store = open_store(config.output, endpoint=storage.endpoint, profile=storage.profile, anonymous=storage.anonymous)
    return _answer(load_stores(store, config, _say, anew=options.anew), options)


def _answer(loaded: Loaded, options: argparse.Namespace) -> Answer:
    text = json.dumps(asdict(loaded), indent=2) if options.json else loaded.render()
    return Answer(text, EXIT_JOBS_FAILED if loaded.notes else EXIT_DONE)


def _say(text: str) -> None:
    """How far it has come, beside the answer."""
    sys.stderr.write(f"{text}\n")
