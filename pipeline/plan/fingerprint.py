"""A job's identity: a digest of everything its pixels depend on, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from pipeline.types import Item, Json, Period, Unit

FORMAT = 1
_LENGTH = 32


def input_identity(item: Item) -> Json:
    """What the fingerprint holds of an input: collection, id, asset keys and version; never an href or an etag.

    The version is each asset's `file:checksum`, or else the item's `updated`.
    """
    return {
        "collection": item.collection,
        "id": item.id,
        "assets": {
            band: {"key": asset.key, "version": asset.checksum or item.updated}
            for band, asset in sorted(item.assets.items())
        },
    }


def fingerprint_document(
    kind: str, version: int, parameters: Json, unit: Unit, period: Period, items: Sequence[Item]
) -> Json:
    """Everything a fingerprint covers, in canonical order: what `explain` compares."""
    return {
        "format": FORMAT,
        "product": kind,
        "version": version,
        "parameters": parameters,
        "tile": unit.identity(),
        "period": {"id": period.id, "start": _iso(period.start), "end": _iso(period.end)},
        "inputs": sorted((input_identity(item) for item in items), key=lambda one: (one["collection"], one["id"])),
    }


def fingerprint(document: Json) -> str:
    """Hexadecimal digest of a document: equal documents, equal fingerprint, on every machine."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def differences(old: Json, new: Json, path: str = "") -> list[str]:
    """Where two documents differ, one line each: `parameters.composite: "median" was "mean"`."""
    if isinstance(old, dict) and isinstance(new, dict):
        lines = []
        for key in sorted(old.keys() | new.keys()):
            where = f"{path}.{key}" if path else str(key)
            if key not in old:
                lines.append(f"{where}: {_short(new[key])} is new")
            elif key not in new:
                lines.append(f"{where}: {_short(old[key])} is gone")
            else:
                lines += differences(old[key], new[key], where)
        return lines
    if _is_inputs(old) and _is_inputs(new):
        return differences(_by_id(old), _by_id(new), path)
    return [] if old == new else [f"{path}: {_short(new)}, was {_short(old)}"]


def _is_inputs(value: Json) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and "id" in one and "collection" in one for one in value
    )


def _by_id(inputs: Json) -> Json:
    return {f"{one['collection']}/{one['id']}": one["assets"] for one in inputs}


def _short(value: Json) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 120 else text[:117] + "..."


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
