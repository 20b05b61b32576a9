"""What a committed item is made from, as the document that lies beside it: enough to make the same files again.

Whatever could be a secret stands as the config wrote it (`${VAR}`). Nothing here depends on the machine, or on how much
may be lost: two runs of one config write equal documents.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pipeline.config import ProductConfig
from pipeline.config.yamlsource import read_document
from pipeline.errors import StoreError
from pipeline.execute.records.codec import decode, encode
from pipeline.plan.jobs import ProductPlan, job_document
from pipeline.products import load_product
from pipeline.products._base import Context
from pipeline.types import Item, Job, Json, Period, Tile, Upstream

FORMAT = 1
_OF_THE_RUN = {"threads", "skip_missing", "max_missing_fraction", "store"}
"""Fields of a Context that no pixel depends on: the machine's, and when a job counts as failed. An item was made."""


_LIMITS = {"missing_assets", "quality"}
"""Keys of an entry that no pixel depends on, for the same reason."""


@dataclass(frozen=True)
class Inputs:
    """The document of one item: the asset `inputs`."""

    format: int
    fingerprint: str
    document: Json
    """What the fingerprint is the digest of."""
    region: str
    tile: Tile
    period: Period
    items: tuple[Item, ...]
    """With grids, numbers and unsigned hrefs: everything that the catalogue said of them."""
    recipe: Json
    """See `write_recipe`."""
    upstream: tuple[Upstream, ...] = ()
    """Committed jobs of the same output that it is made from."""


def write_recipe(entry: Json, source: Json, context: Context) -> Json:
    """How a product of a run is made: its config entry and its context, JSON-shaped and without a secret.

    entry, source: sections of the redacted config; text of the source replaces the text that it became.
    """
    texts = {name: text for name, text in {**(source.get("storage") or {}), **source}.items() if isinstance(text, str)}
    access = {
        name: texts.get(name, value) if isinstance(value, str) else value
        for name, value in encode(context.access).items()
    }
    kept = {name: value for name, value in encode(context).items() if name not in _OF_THE_RUN}
    entry = {name: value for name, value in entry.items() if name not in _LIMITS}
    return {"entry": entry, "context": {**kept, "access": access}}


def read_recipe(recipe: Json, threads: int) -> tuple[ProductConfig, Context]:
    """The way back: variables are those of this process's environment, and losses are told, not refused.

    Raises ConfigError naming one that is not set, and StoreError where a value does not fit this version.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "inputs")
        path.write_text(json.dumps(recipe), encoding="utf-8")
        document = read_document(path)
    if document.faults:
        raise document.error()
    data = document.data
    try:
        entry = load_product(data["entry"]["product"]).model.model_validate_json(json.dumps(data["entry"]), strict=True)
        of_the_run = {"threads": threads, "skip_missing": True, "max_missing_fraction": 1.0}
        context = decode(Context, {**data["context"], **of_the_run})
    except (ImportError, LookupError, TypeError, ValidationError) as error:
        raise StoreError(f"the recipe in `inputs` does not fit this version: {error}") from error
    return entry, context


def write_inputs(job: Job, plan: ProductPlan, recipe: Json) -> Json:
    """The document of a job."""
    document = job_document(plan, job.tile, job.period, job.items, job.upstream)
    place = job.region, job.tile, job.period
    return encode(Inputs(FORMAT, job.fingerprint, document, *place, job.items, recipe, job.upstream))


def read_inputs(document: Json) -> Inputs:
    """The document of an item; StoreError where a newer version wrote it, or it does not fit."""
    found = document.get("format") if isinstance(document, Mapping) else None
    if not isinstance(found, int) or found > FORMAT:
        raise StoreError(f"`inputs` has format {found}, expected at most {FORMAT}; upgrade to read it")
    return decode(Inputs, document)
