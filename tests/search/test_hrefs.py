"""Laws of addresses: all of a file are kept unsigned, the one that is read is chosen by kind and region."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import SourceConfig
from pipeline.plan.fingerprint import input_identity
from pipeline.search.canonical import canonical
from pipeline.search.hrefs import preferred
from pipeline.search.normalise import to_item
from pipeline.search.snapshot import Snapshot, read_snapshot, select_items, write_snapshot
from tests.search.makers import Raw, raw_item, raw_with

WEB = "https://data.example.org/red.tif"
WEST = "https://bucket.s3.us-west-2.amazonaws.com/red.tif"
BUCKET = "s3://bucket/red.tif"


def source(**keys: Any) -> SourceConfig:
    return SourceConfig(items="x.json", **keys)


def with_alternates(href: str = WEB, properties: Raw | None = None, **others: Raw | str) -> Raw:
    named = {name: {"href": one} if isinstance(one, str) else one for name, one in others.items()}
    return raw_with(properties or {}, {"href": href, "alternate": named})


EUROPE = {"href": "s3://europe/red.tif", "storage:region": "eu-central-1"}
AMERICA = {"href": "s3://america/red.tif", "storage:region": "us-west-2"}
PAYING = {"href": "s3://paying/red.tif", "storage:region": "us-west-2", "storage:requester_pays": True}
SCHEMED = {"href": "s3://schemed/red.tif", "storage:refs": ["oregon"]}
SCHEMES = {"storage:schemes": {"oregon": {"type": "aws-s3", "region": "us-west-2"}}}


@pytest.mark.parametrize(
    ("raw", "keys", "read"),
    [
        pytest.param(with_alternates(s3=AMERICA, eu=EUROPE), {}, WEB, id="own"),
        pytest.param(with_alternates(s3=AMERICA, eu=EUROPE), {"region": "us-west-2"}, AMERICA["href"], id="region"),
        pytest.param(
            with_alternates(s3=AMERICA, eu=EUROPE), {"region": "EU-central-1"}, EUROPE["href"], id="region-in-capitals"
        ),
        pytest.param(with_alternates(s3=AMERICA, eu=EUROPE), {"region": "eu-west-1"}, WEB, id="region-of-none"),
        pytest.param(with_alternates(s3=AMERICA, eu=EUROPE), {"prefer": "s3"}, AMERICA["href"], id="prefer-s3"),
        pytest.param(
            with_alternates(s3=AMERICA, eu=EUROPE),
            {"prefer": "s3", "region": "eu-central-1"},
            EUROPE["href"],
            id="prefer-s3-then-region",
        ),
        pytest.param(
            with_alternates(s3=AMERICA, eu=EUROPE),
            {"prefer": "https", "region": "eu-central-1"},
            WEB,
            id="prefer-https",
        ),
        pytest.param(with_alternates(BUCKET, web=WEB), {"prefer": "https"}, WEB, id="prefer-https-over-own-s3"),
        pytest.param(with_alternates(BUCKET, web=WEST), {"region": "us-west-2"}, WEST, id="region-of-an-address"),
        pytest.param(with_alternates(WEST, s3=AMERICA), {"region": "us-west-2"}, WEST, id="own-in-region"),
        pytest.param(
            with_alternates(s3=BUCKET, properties={"storage:region": "us-west-2"}),
            {"region": "us-west-2"},
            WEB,
            id="region-of-the-item",
        ),
        pytest.param(with_alternates(s3=PAYING), {"region": "us-west-2"}, WEB, id="requester-pays-unsaid"),
        pytest.param(with_alternates(s3=PAYING), {"prefer": "s3"}, WEB, id="prefer-s3-requester-pays-unsaid"),
        pytest.param(
            with_alternates(s3=PAYING),
            {"region": "us-west-2", "sign": "requester-pays"},
            PAYING["href"],
            id="requester-pays",
        ),
        pytest.param(
            with_alternates("s3://paying/x.tif", {"storage:requester_pays": True}),
            {},
            "s3://paying/x.tif",
            id="requester-pays-own",
        ),
        pytest.param(
            with_alternates(s3=SCHEMED, properties=SCHEMES),
            {"region": "us-west-2"},
            SCHEMED["href"],
            id="region-by-scheme",
        ),
    ],
)
def test_the_address_that_is_read(raw: Raw, keys: dict[str, Any], read: str) -> None:
    """The preferred kind, then the source's region, then the item's own; never one that costs unless it is said."""
    asset = canonical(raw, "s")[0]["assets"]["red"]
    assert preferred(asset, source(**keys)) == read


def test_without_a_source_it_is_the_items_own() -> None:
    assert preferred(canonical(with_alternates(s3=AMERICA), "s")[0]["assets"]["red"], None) == WEB


@pytest.mark.parametrize("junk", [5, [], {"s3": 5}, {"s3": {}}, {"s3": {"href": ""}}, None])
def test_alternates_that_are_none_are_passed_over(junk: Any) -> None:
    asset = canonical(raw_with({}, {"alternate": junk}), "s")[0]["assets"]["red"]
    assert asset["alternate"] is None and preferred(asset, source(prefer="s3")) == "/data/red.tif"


def test_alternates_are_kept_unsigned_and_replayed_anywhere(tmp_path: Path) -> None:
    """One snapshot, read in two regions; the fingerprint is the same in both."""
    signed = {**AMERICA, "href": f"{AMERICA['href']}?X-Amz-Signature=SECRET"}
    items = [canonical(raw, "s")[0] for raw in (with_alternates(s3=signed, eu=EUROPE), raw_item(id="plain"))]
    write_snapshot(Snapshot(tuple(items)), tmp_path / "items.parquet")
    snapshot = read_snapshot(tmp_path / "items.parquet")
    aliases = {"s": {"red": ()}}
    read = {
        region: select_items(snapshot, aliases, {"s": source(region=region)})
        for region in ("us-west-2", "eu-central-1")
    }
    assert [item.assets["red"].href for item in read["us-west-2"]] == [AMERICA["href"], "/data/red.tif"]
    assert [item.assets["red"].href for item in read["eu-central-1"]] == [EUROPE["href"], "/data/red.tif"]
    identities = [[input_identity(item) for item in one] for one in read.values()]
    assert identities[0] == identities[1]


def test_real_landsat_items_keep_their_bucket(shared_data: Path) -> None:
    """landsatlook.usgs.gov by default, the requester-pays bucket where the source pays."""
    path = shared_data / "raster/stac/odc/LC08_L2SP_028030_20200114_20200824_02_T1_SR.json"
    raw = json.loads(path.read_text())
    item, _ = canonical(raw, "s")
    key = "nir08"
    own = to_item(item, {key: ()}).assets[key].href
    paid = to_item(item, {key: ()}, source(prefer="s3", sign="requester-pays")).assets[key].href
    assert own == raw["assets"][key]["href"] and own.startswith("https://")
    assert paid == raw["assets"][key]["alternate"]["s3"]["href"] and paid.startswith("s3://usgs-landsat/")
