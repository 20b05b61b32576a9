"""Laws of `sources:`: what each key may hold, and which do not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.configs import SMALL, faults, load

HERE = "--set sources.s2"
API = "stac: 'https://host/v1', collection: c"


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "{items: x.json, filter: 'a = 1'}",
            "found filter beside items; allowed: with stac only; query works with both",
        ),
        ("{items: x.json, fields: {}}", "found fields beside items; allowed: with stac only"),
        (
            f"{{{API}, query: {{'eo:cloud_cover': {{less: 80}}}}}}",
            "allowed: for each property a mapping of eq, neq, lt",
        ),
        (f"{{{API}, query: {{'eo:cloud_cover': {{}}}}}}", "allowed: for each property a mapping of eq, neq, lt"),
        (f"{{{API}, query: {{gsd: {{in: 5}}}}}}", "of in to a list"),
        (f"{{{API}, query: {{gsd: {{in: 5}}, platform: {{in: [x]}}}}}}", "of in to a list"),
        (f"{{{API}, query: {{gsd: 5}}}}", "query.gsd: found 5; allowed: a mapping"),
        (f"{{{API}, fields: {{exclude: [geometry]}}}}", "allowed: anything but id, collection, geometry, properties"),
        (f"{{{API}, fields: {{exclude: ['properties.updated']}}}}", "and what is in properties, which is needed"),
        (f"{{{API}, s3_credentials: 'https://host/x'}}", "found s3_credentials without sign: earthdata"),
        (f"{{{API}, prefer: http}}", 'found "http" (did you mean https?); allowed: one of https, s3'),
        (f"{{{API}, sign: nasa}}", "allowed: one of none, planetary-computer, earthdata, requester-pays"),
        ("{stac: 'https://host/v1', collection: []}", "found a list of 0; allowed: text, at least 1 long, or a list"),
        ("{stac: 'https://host/v1', collection: 5}", "found 5; allowed: text, at least 1 long, or a list"),
        ("{stac: 'https://host/v1', collection: [a, '']}", 'collection.1: found ""'),
        ("{stac: 'https://host/v1'}", "found stac without collection"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, source: str, fault: str) -> None:
    (found,) = faults(tmp_path, SMALL, f"sources.s2={source}")
    assert found.startswith(HERE) and fault in found


@pytest.mark.parametrize(
    ("keys", "meant"),
    [
        ("collection: a", {"collection": ("a",)}),
        ("collection: [a, b]", {"collection": ("a", "b")}),
        ("query: {gsd: {gte: 10, lt: 60}}", {"query": {"gsd": {"gte": 10, "lt": 60}}}),
        ("filter: 'gsd = 10'", {"filter": "gsd = 10"}),
        ("filter: {op: '=', args: [1, 1]}", {"filter": {"op": "=", "args": [1, 1]}}),
        ("sign: earthdata, s3_credentials: 'https://host/x'", {"s3_credentials": "https://host/x"}),
        ("prefer: s3, region: us-west-2", {"prefer": "s3", "region": "us-west-2"}),
    ],
)
def test_what_is_written_is_what_is_meant(tmp_path: Path, keys: str, meant: dict[str, Any]) -> None:
    collection = "" if "collection" in keys else ", collection: c"
    source = load(tmp_path, SMALL, f"sources.s2={{stac: 'https://host/v1'{collection}, {keys}}}").sources["s2"]
    assert {key: getattr(source, key) for key in meant} == meant


def test_fields_that_every_item_needs_are_always_asked_for(tmp_path: Path) -> None:
    source = load(tmp_path, SMALL, f"sources.s2={{{API}, fields: {{include: [links, id]}}}}").sources["s2"]
    assert source.fields is not None
    assert source.fields.include == ("id", "collection", "geometry", "properties", "assets", "links")
