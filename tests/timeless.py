"""Items as runs must agree on them, whenever they were made and in whatever order."""

from __future__ import annotations

from typing import Any

_QUALITY = "groundswell:quality"


def timeless(item: Any) -> Any:
    """An item without the moment of its making, and without the neighbours that were committed before it."""
    volatile = {"created", "updated", "groundswell:digest"}
    properties = {name: value for name, value in item["properties"].items() if name not in volatile}
    return {**item, "properties": {**properties, _QUALITY: _by_itself(properties[_QUALITY])}}


def _by_itself(quality: Any) -> Any:
    """What an item says of its own tile: which neighbours it found committed depends on who was first."""
    kept = {name: value for name, value in quality.items() if name not in {"edges", "edge_difference", "status"}}
    kept["flags"] = [flag for flag in quality["flags"] if flag != "edge_step"]
    kept["found"] = [text for text in quality["found"] if not text.startswith("edge_step: ")]
    return kept
