"""`groundswell serve`: the HTTP API over what is loaded."""

from __future__ import annotations

import argparse

from rich.console import Console

from pipeline.config import load_config
from pipeline.products import product_models
from pipeline.stores import check_stores, needing_extra, stores_of
from pipeline.verbs._answer import Answer


def run(options: argparse.Namespace) -> Answer:
    """Answer until interrupted.

    Raises ConfigError without a section `stores`, PreflightError without the extra or with an address that is none.
    """
    with needing_extra():
        import uvicorn  # noqa: PLC0415 (an extra)

        from pipeline.stores.api import make_api  # noqa: PLC0415 (the same)

    config = load_config(options.config, product_models(), options.sets, options.output)
    stores, _ = stores_of(config)
    check_stores(config)
    place = f"[{options.host}]" if ":" in options.host else options.host
    Console(soft_wrap=True, highlight=False).print(
        f"http://{place}:{options.port}/docs says what can be asked; Ctrl-C ends"
    )
    uvicorn.run(make_api(stores, options.origins), host=options.host, port=options.port, log_level="warning")
    return Answer("serve: ended")
