"""`groundswell listen`: takes what SNS posts, as `python -m pipeline.events.listener` does."""

from __future__ import annotations

import argparse
import json

from pipeline.events.listener.serve import listen
from pipeline.verbs._answer import Answer


def run(options: argparse.Namespace) -> Answer:
    """Listen until SIGTERM or Ctrl-C.

    Raises ConfigError for a bad config, PreflightError where the address or the inbox cannot be had.
    """
    told = {"host": options.host, "port": options.port, "work": options.work}
    sets = [f"listen.{key}={json.dumps(value)}" for key, value in told.items() if value is not None]
    return Answer("listen: ended", listen(options.config, [*options.sets, *sets]))
