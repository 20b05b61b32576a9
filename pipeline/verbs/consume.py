"""`groundswell consume`: do what events start, from a queue and an inbox."""

from __future__ import annotations

import argparse
import logging

from rich.console import Console

from pipeline.config import load_events
from pipeline.errors import EXIT_INTERRUPTED
from pipeline.events.consumer.batches import Where
from pipeline.events.consumer.consume import consume
from pipeline.events.environ import settings
from pipeline.execute.driver.interrupt import interruptible
from pipeline.verbs._answer import Answer


def run(options: argparse.Namespace) -> Answer:
    """Until interrupted, or with `once` until nothing is due and the queue is empty; exit code 1 where jobs failed.

    Raises ConfigError, and PreflightError or QueueError where inbox or queue cannot be used.
    """
    path, sets = settings(options.config, options.sets)
    config = load_events(path, sets)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
    logging.getLogger("pipeline").setLevel(logging.INFO)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        with interruptible(console.print) as interrupt:
            code = consume(config, Where(path.absolute(), tuple(sets)), interrupt.stop, once=options.once)
    except KeyboardInterrupt:
        return Answer("interrupted: what was not done is done by the next consumer", EXIT_INTERRUPTED)
    return Answer("consume: ended", code)
