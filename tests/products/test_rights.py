"""Laws of rights: what is made of several sources says what each demands, once, in whatever order they come."""

from __future__ import annotations

from datetime import UTC, date, datetime
from itertools import permutations
from typing import Any

import pytest

from pipeline.products._base import stated_rights
from pipeline.products._rights import copernicus_rights, dem_rights, joined_rights, landsat_rights
from pipeline.types import Item, Rights, joined_attributions
from pipeline.write.cog import rights_tags

SOURCES = {
    "sentinel2": copernicus_rights([2024, 2023, 2024]),
    "sentinel1": copernicus_rights([2024]),
    "dem": dem_rights(30),
    "landsat": landsat_rights([2024]),
}


def item_of(name: str, rights: Rights) -> Item:
    """A committed item as an input of another product."""
    return Item(
        id=name,
        collection=name,
        source=name,
        time=datetime(2024, 6, 1, tzinfo=UTC),
        solar_day=date(2024, 6, 1),
        geometry=None,
        assets={},
        properties={
            "license": rights.license,
            "attribution": rights.attribution,
            "providers": [dict(each) for each in rights.providers],
            "groundswell:license_hrefs": list(rights.license_hrefs),
        },
    )


def test_the_words_that_each_licence_demands() -> None:
    """Legal Notice on Sentinel data; article 6 (b) and (c) of the licence of the Copernicus DEM; USGS's own request."""
    assert SOURCES["sentinel2"].attribution == "Contains modified Copernicus Sentinel data 2023, 2024"
    notice = (
        "roduced using Copernicus WorldDEM-30 © DLR e.V. 2010-2014 and © Airbus Defence and Space GmbH 2014-2018 "
        "provided under COPERNICUS by the European Union and ESA; all rights reserved"
    )
    liability = (
        "The organisations in charge of the Copernicus programme by law or by delegation do not incur any liability "
        "for any use of the Copernicus WorldDEM-30"
    )
    assert notice in SOURCES["dem"].attribution and liability in SOURCES["dem"].attribution
    assert "WorldDEM-90" in dem_rights(90).attribution and "30" not in dem_rights(90).attribution
    assert "courtesy of the U.S. Geological Survey" in SOURCES["landsat"].attribution
    assert all(rights.license_href and rights.providers for rights in SOURCES.values())


def test_what_is_made_of_all_says_what_each_demands() -> None:
    joined = joined_rights([item_of(*each) for each in SOURCES.items()])
    assert joined.license == "other"
    assert sorted(joined.attribution.split(" | ")) == sorted({each.attribution for each in SOURCES.values()})
    assert set(joined.license_hrefs) == {each.license_href for each in SOURCES.values()}
    names = [provider["name"] for provider in joined.providers]
    assert names == sorted({provider["name"] for each in SOURCES.values() for provider in each.providers})
    (esa,) = (each for each in joined.providers if each["name"] == "European Union/ESA/Copernicus")
    assert esa["roles"] == ["licensor", "producer"]


def test_the_order_of_the_inputs_says_nothing() -> None:
    items = [item_of(*each) for each in SOURCES.items()]
    assert len({repr(joined_rights(order)) for order in permutations(items)}) == 1


def test_what_is_joined_again_is_the_same() -> None:
    """A product made of products that were made of several: nothing stands twice."""
    items = [item_of(*each) for each in SOURCES.items()]
    stack = item_of("stack", joined_rights(items))
    assert joined_rights([stack, *items]) == joined_rights(items) == joined_rights([stack])


def test_one_licence_stays_what_it_is() -> None:
    one, two = (Rights("CC-BY-4.0", f"by {name}", "https://creativecommons.org/licenses/by/4.0/") for name in "ab")
    joined = joined_rights([item_of("a", one), item_of("b", two)])
    assert (joined.license, joined.attribution) == ("CC-BY-4.0", "by a | by b")
    assert joined.license_hrefs == ("https://creativecommons.org/licenses/by/4.0/",)
    assert joined_rights([item_of("a", one), item_of("c", Rights("MIT", "by c"))]).license == "other"


def test_a_licence_without_an_address_is_still_named() -> None:
    """Of several licences none is lost: one that is known by its identifier alone is named by that of SPDX."""
    by, mit = Rights("CC-BY-4.0", "by a"), Rights("MIT", "by c")
    hrefs = "https://spdx.org/licenses/CC-BY-4.0.html", "https://spdx.org/licenses/MIT.html"
    joined = joined_rights([item_of("a", by), item_of("b", mit), item_of("c", SOURCES["landsat"])])
    assert (joined.license, {*joined.license_hrefs}) == ("other", {*hrefs, SOURCES["landsat"].license_href})
    assert joined_rights([item_of("stack", joined), item_of("a", by)]) == joined
    assert joined_rights([item_of("a", by)]).license_hrefs == ()
    for unnamed in ("other", "proprietary", "various"):
        assert joined_rights([item_of("a", Rights(unnamed, "by a")), item_of("b", mit)]).license_hrefs == (hrefs[1],)


@pytest.mark.parametrize("missing", ["license", "attribution"])
def test_an_item_that_says_nothing_is_refused(missing: str) -> None:
    item = item_of("x", SOURCES["dem"])
    stripped: Any = {name: value for name, value in item.properties.items() if name != missing}
    bare = Item(**{**vars(item), "properties": stripped})
    with pytest.raises(ValueError, match="x/x: found no license or no attribution"):
        joined_rights([bare])
    with pytest.raises(ValueError, match="rights of nothing"):
        joined_rights([])


def test_what_scenes_say_of_themselves_is_kept_whoever_made_the_others() -> None:
    """One that names its maker is never put under the product's own words alone; those that all say the same are."""
    ours = SOURCES["sentinel2"]
    a, b = (item_of(name, Rights("CC-BY-4.0", f"by {name}")) for name in "ab")
    silent = Item(**{**vars(a), "properties": {}})
    assert stated_rights([a, a], ours) == Rights("CC-BY-4.0", "by a")
    assert stated_rights([a, b], ours) == Rights("CC-BY-4.0", "by a | by b")
    assert stated_rights([silent], ours) == ours
    mixed = stated_rights([silent, a], ours)
    assert (mixed.license, mixed.attribution) == ("other", f"{ours.attribution} | by a")
    assert {*mixed.license_hrefs} == {ours.license_href, "https://spdx.org/licenses/CC-BY-4.0.html"}
    assert stated_rights([], ours) == ours


def test_every_licence_is_in_the_tags_of_a_file() -> None:
    tags = rights_tags(joined_rights([item_of(*each) for each in SOURCES.items()]))
    assert set(tags["license_href"].split()) == {each.license_href for each in SOURCES.values()}
    assert all(each.attribution in tags["attribution"] for each in SOURCES.values())


def test_attributions_stand_once_each() -> None:
    assert joined_attributions(["b | a", "a", "c; d"]) == "a | b | c; d"
