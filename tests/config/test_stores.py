"""The section `stores`: addresses are never told, boxes are on Earth."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from pipeline.config.stores import StoresConfig

SECTION = {"postgres": {"dsn": "postgresql://me:hunter2@db/argo"}, "redis": {"url": "redis://:hunter2@cache"}}


def test_addresses_are_never_told() -> None:
    config = StoresConfig.model_validate(SECTION)
    for text in (repr(config), str(config), config.model_dump_json()):
        assert "hunter2" not in text


@pytest.mark.parametrize("box", [[0, 0, 0, 1], [0, 1, 1, 1], [-181, 0, 1, 1], [0, -91, 1, 1], [0, 0, float("nan"), 1]])
def test_a_region_that_is_no_box_on_earth_is_refused(box: list[float]) -> None:
    with pytest.raises(ValidationError, match=r"180th meridian|finite"):
        StoresConfig.model_validate({**SECTION, "regions": {"there": box}})


@pytest.mark.parametrize("name", ["Argo", "argo; drop", "1argo", "", "a" * 41])
def test_a_schema_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValidationError, match="schema_name"):
        StoresConfig.model_validate({"postgres": {"dsn": "x", "schema_name": name}})
