"""The output that a verb is about: an address, or the config that writes there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from pipeline.config import load_config
from pipeline.errors import PreflightError, StoreError
from pipeline.products import product_models
from pipeline.write.stac import ROOT_KEY
from pipeline.write.store import Store, open_store


def open_output(options: argparse.Namespace, also: Sequence[str] = ()) -> Store:
    """The store at `options.output`: a folder, s3://, or a config file, whose `output` and `storage` are meant.

    also: prefixes by which a place without runs is one. The options endpoint, profile and anonymous win over the
    config's. Raises ConfigError, and PreflightError where nothing of this project lies.
    """
    uri, endpoint, profile, anonymous = options.output, options.endpoint, options.profile, options.anonymous
    if "://" not in uri and Path(uri).expanduser().is_file():
        config = load_config(Path(uri).expanduser(), product_models())
        uri, storage = config.output, config.storage
        endpoint, profile = endpoint or storage.endpoint, profile or storage.profile
        anonymous = anonymous or storage.anonymous
    store = open_store(uri, endpoint=endpoint, profile=profile, anonymous=anonymous)
    if not any(next(iter(store.list_objects(prefix)), None) for prefix in ("runs/", "items/", *also)):
        raise PreflightError(f"{store.uri}: {_nothing(options.output, uri)}; expected the output of a run")
    return store


def _nothing(given: str, uri: str) -> str:
    """What is there in place of an output, and where one may be."""
    if given != uri:
        return f"found nothing yet; make it with `python -m pipeline.run {given}`"
    folder = Path(uri).expanduser()
    if "://" not in uri and not folder.is_dir():
        return "found no such folder"
    inside = [] if "://" in uri else sorted(path.parent for path in folder.glob("*/runs") if path.is_dir())
    return "found neither runs/ nor items/" + (f"; did you mean {inside[0]}?" if inside else "")


def name_of(store: Store) -> str:
    """The name of an output: what its root page says, or else the config of its newest run."""
    runs = sorted((key for key, _ in store.list_objects("runs/") if key.endswith("/config.json")), reverse=True)
    for key, field in ((ROOT_KEY, "id"), *((key, "name") for key in runs)):
        try:
            name = json.loads(store.get_bytes(key))[field]
        except (StoreError, ValueError, LookupError, TypeError):
            continue
        if isinstance(name, str):
            return name
    return "groundswell"
