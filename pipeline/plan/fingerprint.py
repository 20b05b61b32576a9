"""A job's identity: a digest of everything its pixels depend on, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime

from pipeline.types import Asset, Item, Json, Period, Unit, Upstream

FORMAT = 1
_LENGTH = 32


def input_identity(item: Item, facts: Sequence[str] = ()) -> Json:
    """What the fingerprint holds of an input: ids, versions, and what decides how its numbers are read; never an href.

    The version is each asset's `file:checksum`, or else the item's `updated`. facts: names of the item's properties
    that the product decides by, or `datetime`: a catalogue may correct them, or a band's declared numbers, and leave
    the files alone.
    """
    known = {**item.properties, "datetime": item.time.isoformat()}
    deciding = {name: known[name] for name in sorted(facts) if name in known}
    return {
        "collection": item.collection,
        "id": item.id,
        "assets": {
            band: {"key": asset.key, "version": asset.checksum or item.updated, **_numbers(asset)}
            for band, asset in sorted(item.assets.items())
        },
        **({"facts": deciding} if deciding else {}),
    }


def upstream_identity(upstream: Upstream) -> Json:
    """What the fingerprint holds of a job that another one is made from: which one it is, and its own fingerprint."""
    return {
        "collection": upstream.product,
        "id": f"{upstream.tile_id}/{upstream.period.id}",
        "assets": {"fingerprint": upstream.fingerprint},
    }


def _numbers(asset: Asset) -> dict[str, Json]:
    """What is declared of a band's numbers, and which band of a file it is where that holds several."""
    declared = {"nodata": asset.nodata, "scale": asset.scale, "offset": asset.offset}
    said = {name: str(value) for name, value in declared.items() if value is not None}  # a nodata may be NaN
    return said if asset.band == 1 else {"band": asset.band, **said}


def fingerprint_document(
    kind: str, version: int, parameters: Json, unit: Unit, period: Period, inputs: Sequence[Json]
) -> Json:
    """Everything a fingerprint covers, in canonical order: what `explain` compares.

    inputs: from `input_identity`, in any order.
    """
    return {
        "format": FORMAT,
        "product": kind,
        "version": version,
        "parameters": parameters,
        "tile": unit.identity(),
        "period": {"id": period.id, "start": _iso(period.start), "end": _iso(period.end)},
        "inputs": sorted(inputs, key=lambda one: (one["collection"], one["id"])),
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
    return {f"{one['collection']}/{one['id']}": {**one["assets"], **one.get("facts", {})} for one in inputs}


def _short(value: Json) -> str:
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= 120 else text[:117] + "..."


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
