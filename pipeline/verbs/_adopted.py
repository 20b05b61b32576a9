"""What an adopted item says of itself, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.write.stac import ADOPTED, OWN_PREFIX

FROM = f"{OWN_PREFIX}:adopted_from"
"""Property: the folder that its files lay in."""
ABSENT = f"{OWN_PREFIX}:layers_absent"
"""Property: layers of the product that were not there, as only this project makes them."""


def origin_of(item: Mapping[str, Any]) -> str | None:
    """Where an item was adopted from, and when; None for one that was made here."""
    said = item["properties"]
    if not said.get(ADOPTED):
        return None
    return f"adopted from {said.get(FROM, 'somewhere')} on {said['created'][:10]}"
