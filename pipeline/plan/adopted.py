"""Places that hold what another system made: how a listing tells them, and which job they stand for. Pure.

The fingerprint of an adopted item is `adopted-`, a digest of its tile's grid and one of its files: nothing is known of
the inputs, so it is never that of a planned job. It stands for whatever is planned at its tile and period, as long as
the tile has that grid and no item that was made here lies beside it: `--overwrite` ends it, and a listing alone tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence

from pipeline.types import Json, Unit

PREFIX = "adopted-"
ADOPTED = "adopted"
"""Why such a job is skipped."""
_DIGITS = 24
_GRID_DIGITS = 8
"""Of these, the first, which say for which tile: the same id may mean other pixels in another config."""


def is_adopted(fingerprint: str) -> bool:
    """Whether it is that of an adopted item."""
    return fingerprint.startswith(PREFIX)


def adopted_fingerprint(product: str, tile: Unit, period_id: str, digests: Mapping[str, str]) -> str:
    """Of the files that were adopted for a place, by asset: the same files, the same fingerprint, at any time."""
    files = _digest([product, tile.identity(), period_id, sorted(digests.items())])
    return f"{_beginning(tile)}{files[: _DIGITS - _GRID_DIGITS]}"


def standing(tile: Unit, found: Sequence[str]) -> str | None:
    """Of what was adopted at a place, what stands for a tile: of its very grid. None where nothing is.

    Where different files were adopted at the same moment, the last in order of the fingerprints counts.
    """
    beginning = _beginning(tile)
    return max((one for one in found if one.startswith(beginning)), default=None)


def place_of(key: str) -> str:
    """`tile_period` of an item's key."""
    return key.rpartition("/")[2].rpartition("_")[0]


def adopted_places(committed: Collection[str]) -> dict[str, list[str]]:
    """`tile_period` → fingerprints of what was adopted there, on whatever grid, and nothing was made beside since.

    committed: item key by fingerprint of one product; of fingerprints alone nothing is told.
    """
    adopted: dict[str, list[str]] = {}
    if not isinstance(committed, Mapping):
        return adopted
    for one in filter(is_adopted, committed):
        adopted.setdefault(place_of(committed[one]), []).append(one)
    if not adopted:
        return adopted
    made_here = {place_of(key) for fingerprint, key in committed.items() if not is_adopted(fingerprint)}
    return {place: found for place, found in adopted.items() if place not in made_here}


def keys_adopted_beside(keys: Collection[str], places: Collection[str]) -> list[str]:
    """Of some items' keys, those of what was adopted at the places of others, which are keys too."""
    wanted = {place.rpartition("_")[0] for place in places}
    adopted = (key for key in keys if is_adopted(key.rpartition("_")[2]))
    return [key for key in adopted if key.rpartition("_")[0] in wanted]


def _beginning(tile: Unit) -> str:
    return f"{PREFIX}{_digest(tile.identity())[:_GRID_DIGITS]}"


def _digest(document: Json) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
