"""`groundswell schema`: every key that a config may have."""

from __future__ import annotations

import argparse
import json

from pipeline.config import config_schema
from pipeline.config.load import events_schema
from pipeline.products import product_models
from pipeline.verbs._answer import Answer


def run(options: argparse.Namespace) -> Answer:
    """The JSON Schema of a config, or with `events` of a file of rules; with `markdown` a reference of both."""
    if options.markdown:
        from pipeline.config.reference import reference  # noqa: PLC0415 (for people only)

        return Answer(reference(config_schema(product_models()), events_schema()).rstrip("\n"))
    return Answer(json.dumps(events_schema() if options.events else config_schema(product_models()), indent=2))
