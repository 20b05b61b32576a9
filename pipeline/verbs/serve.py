"""`groundswell serve`: the HTTP API over what is loaded."""

from __future__ import annotations

import argparse
from contextlib import suppress

from rich.console import Console

from pipeline.config import load_config
from pipeline.products import product_models
from pipeline.stores import check_stores, needing_extra, stores_of
from pipeline.verbs._answer import Answer
from pipeline.verbs._listening import address_of, listen


def run(options: argparse.Namespace) -> Answer:
    """Answer until interrupted.

    Raises ConfigError without a section `stores`, PreflightError without the extra, for a database or an
    address to listen on that cannot be had.
    """
    with needing_extra():
        import uvicorn  # noqa: PLC0415 (an extra)

        from pipeline.stores.api import make_api  # noqa: PLC0415 (the same)

    config = load_config(options.config, product_models(), options.sets, options.output)
    stores, _ = stores_of(config)
    check_stores(config)
    with listen(options.host, options.port) as listener:
        address = address_of(options.host, listener)
        Console(soft_wrap=True, highlight=False).print(f"{address}docs says what can be asked; Ctrl-C ends")
        with suppress(KeyboardInterrupt):
            uvicorn.Server(uvicorn.Config(make_api(stores, options.origins), log_level="warning")).run([listener])
    return Answer("serve: ended")
