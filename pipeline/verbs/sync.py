"""`groundswell sync`: the local copies that a config's sources of Argo have, brought up to date."""

from __future__ import annotations

import argparse
import json

from rich.console import Console

from pipeline.config import load_config
from pipeline.config.options import Options
from pipeline.errors import EXIT_INTERRUPTED, ConfigError
from pipeline.floats import selections
from pipeline.mirror.settings import read_settings
from pipeline.mirror.sync import sync
from pipeline.products import product_models
from pipeline.verbs._answer import Answer


def run(options: argparse.Namespace) -> Answer:
    """Every source that has a `mirror`, one after the other; exit code 1 where a file could not be had.

    Raises ConfigError where no source has one, and what `pipeline.mirror.sync.sync` raises.
    """
    settings = read_settings(options.env_file)
    settings.log()
    chosen = Options(options.config, sets=options.sets, output=options.output)
    sets = (*settings.sets(options.config), *chosen.all_sets)
    config = load_config(options.config, product_models(), sets, options.output)
    asked = {name: one for name, one in selections(config).items() if config.sources[name].mirror is not None}
    if not asked:
        raise ConfigError(f"{options.config}: found no source with `gdac` and `mirror`; allowed: one at least")
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        reports = [sync(name, config.sources[name], one, settings.sync, console) for name, one in asked.items()]
    except KeyboardInterrupt:
        return Answer("interrupted: what came is kept; run the same command again to go on", EXIT_INTERRUPTED)
    documents = [report.document() for report in reports]
    text = "\n".join(report.render() for report in reports)
    if options.json:
        text = json.dumps(documents[0] if len(documents) == 1 else documents, indent=2)
    return Answer(text, max(report.code for report in reports))
