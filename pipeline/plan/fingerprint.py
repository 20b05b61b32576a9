"""A job's identity: a digest of everything its pixels depend on, and of nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

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
        "period": _span(period),
        "inputs": sorted(inputs, key=lambda one: (one["collection"], one["id"])),
    }


def fingerprint(document: Json) -> str:
    """Hexadecimal digest of a document: equal documents, equal fingerprint, on every machine.

    >>> fingerprint({"a": 1})
    '015abd7f5cc57a2dd94b7590f04ad808'
    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return _digest(_text(document))


class Digest(Protocol):
    """What hashlib makes."""

    def copy(self) -> Digest: ...
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class Template:
    """The same digest for many jobs of one product, from texts of their parts that many of them share."""

    def __init__(self, kind: str, version: int, parameters: Json) -> None:
        fixed = {"format": FORMAT, "product": kind, "version": version, "parameters": parameters}
        self._fixed = {name: _text(value) for name, value in fixed.items()}
        self._periods: dict[Period, bytes] = {}

    @staticmethod
    def text(part: Json) -> bytes:
        """Of a part of a document."""
        return _text(part)

    def begun(self, period: Period, inputs: Sequence[bytes]) -> Digest:
        """All that stands before the tile, which jobs of the same inputs have in common; inputs: as in a document."""
        if period not in self._periods:
            self._periods[period] = _text(_span(period))
        texts = {**self._fixed, "inputs": b"[" + b",".join(inputs) + b"]", "period": self._periods[period]}
        before = b"".join(b'"%b":%b,' % (name.encode(), texts[name]) for name in sorted(texts) if name < "tile")
        return hashlib.sha256(b"{" + before)

    def fingerprint(self, begun: Digest, tile: bytes) -> str:
        """Of the document that begins so, of this tile; what has begun stays as it is."""
        digest = begun.copy()
        digest.update(b'"tile":%b,"version":%b}' % (tile, self._fixed["version"]))
        return digest.hexdigest()[:_LENGTH]


def _text(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:_LENGTH]


def differences(old: Json, new: Json, path: str = "") -> list[str]:
    """Where two documents differ, one line each, keys by their path.

    >>> differences({"parameters": {"composite": "median"}}, {"parameters": {"composite": "mean"}})
    ['parameters.composite: "mean", was "median"']
    """
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


def _span(period: Period) -> Json:
    return {"id": period.id, "start": _iso(period.start), "end": _iso(period.end)}


def _iso(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
