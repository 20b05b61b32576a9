"""Laws of re-processed scenes: the newest version of what it covers stays, and parts of one pass stay."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.search.canonical import canonical
from pipeline.search.versions import keep_newest
from pipeline.types import Json
from tests.search.makers import Raw, raw_item

TIME = "2020-09-14T23:15:59.024Z"
OLD = "S2B_MSIL2A_20200914T231559_N0214_R087_T01VCG_20200915T003529"
NEW = "S2B_MSIL2A_20200914T231559_N0500_R087_T01VCG_20230315T224658"
LANDSAT_RT = "LC08_L2SP_005009_20150710_20150711_02_RT"
LANDSAT_T1 = "LC08_L2SP_005009_20150710_20200908_02_T1"


def square(west: float, east: float) -> Raw:
    return {"type": "Polygon", "coordinates": [[[west, 45], [east, 45], [east, 46], [west, 46], [west, 45]]]}


def scene(name: str, /, **facts: Any) -> Json:
    """A canonical item; time, west and east are its own, the rest are its properties."""
    footprint = square(facts.pop("west", 12), facts.pop("east", 13))
    properties = {"datetime": facts.pop("time", TIME), "platform": "Sentinel-2B", **facts}
    return canonical(raw_item(id=name, properties=properties, geometry=footprint), "s")[0]


def tile(name: str, baseline: str, code: str = "MGRS-01VCG", **more: Any) -> Json:
    return scene(name, **{"s2:processing_baseline": baseline, "grid:code": code, **more})


def kept(*items: Json) -> list[str]:
    return [item["id"] for item in keep_newest(items)[0]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (scene(OLD), scene(NEW)),
        (tile("a", "02.14"), tile("b", "05.00")),
        (tile("a", "04.00", time="2020-09-14T23:15:57Z"), tile("b", "05.09")),
        (tile("a", "09.99"), tile("b", "10.00")),
        (
            scene("a", **{"s2:mgrs_tile": "1VCG", "s2:processing_baseline": "02.14"}),
            scene("b", **{"s2:mgrs_tile": "01VCG", "s2:processing_baseline": "05.00"}),
        ),
        (
            scene("a", **{"sentinel:utm_zone": 1, "sentinel:latitude_band": "V", "sentinel:grid_square": "CG",
                  "sentinel:processing_baseline": "02.14"}),
            scene("b", **{"mgrs:utm_zone": 1, "mgrs:latitude_band": "V", "mgrs:grid_square": "CG",
                  "processing:version": "05.00"}),
        ),
        (tile("a", "02.14", east=13.0), tile("b", "05.00", east=12.97)),
        (scene(LANDSAT_RT), scene(LANDSAT_T1)),
    ],
    ids=["esa-ids", "baselines", "seconds-apart", "numbers", "tile-names", "tile-parts", "edge-cut", "landsat"],
)  # fmt: skip
def test_of_a_scene_processed_again_the_newest_stays_whatever_the_order(old: Json, new: Json) -> None:
    for order in ((old, new), (new, old)):
        items, (note,) = keep_newest(order)
        assert items == [new]
        assert note == (
            f"source s: 1 scenes left out that were processed again later, such as {old['id']} in favour of {new['id']}"
        )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (tile("a", "05.00"), tile("b", "05.00")),
        (tile("a", "05.00", west=12, east=12.5), tile("b", "05.10", west=12.4, east=13)),
        (tile("a", "05.00"), tile("b", "05.10", code="MGRS-01VCH")),
        (tile("a", "05.00"), tile("b", "05.10", platform="sentinel-2a")),
        (tile("a", "05.00"), tile("b", "05.10", time="2020-09-15T00:56:00Z")),
        (tile("a", "05.00"), scene("b", **{"grid:code": "MGRS-01VCG"})),
        (scene("a"), scene("b")),
        (tile("a", "05.00"), {**tile("b", "05.10"), "collection": "other"}),
        (scene(OLD), scene(NEW.replace("L2A", "L1C"))),
        (tile("S2B_01VCG_L2A", "02.14"), tile("S2B_01VCG_L1C", "05.00")),
        (tile("a", "02.14", **{"s2:product_type": "S2MSI2A"}), tile("b", "05.00", **{"s2:product_type": "S2MSI1C"})),
        (tile("a", "02.14", **{"processing:level": "L2A"}), tile("b", "05.00", **{"processing:level": "L1C"})),
    ],
    ids=[
        "same-version",
        "parts-of-a-pass",
        "tile",
        "platform",
        "next-orbit",
        "no-version",
        "nothing",
        "collection",
        "esa-level",
        "id-level",
        "product-type",
        "processing-level",
    ],
)
def test_what_is_not_the_same_scene_stays(one: Json, other: Json) -> None:
    """Parts of one pass beside each other are two items, also where only one was processed again."""
    assert keep_newest([one, other]) == ([one, other], [])


def test_two_parts_that_were_processed_again_replace_one_whole() -> None:
    whole = tile("a", "02.14")
    parts = [tile("b", "05.00", west=12, east=12.5), tile("c", "05.00", west=12.5, east=13)]
    assert kept(whole, *parts) == ["b", "c"]
    assert kept(whole, parts[0]) == ["a", "b"]


def test_at_the_antimeridian_a_part_does_not_replace_the_whole() -> None:
    """Polygons that wrongly go around the globe have nearly the same area whatever they leave out."""
    whole = tile("a", "02.14", west=178.6, east=-179.6)
    assert kept(whole, tile("b", "05.00", west=178.6, east=179.2)) == ["a", "b"]
    assert kept(whole, tile("b", "05.00", west=179.2, east=-179.6)) == ["a", "b"]
    assert kept(whole, tile("b", "05.00", west=178.6, east=-179.6)) == ["b"]


def test_of_three_versions_the_newest_stays() -> None:
    assert kept(tile("a", "02.14"), tile("b", "05.00"), tile("c", "05.10")) == ["c"]


def test_a_footprint_that_crosses_itself_is_compared_too() -> None:
    bow = {"type": "Polygon", "coordinates": [[[12, 45], [13, 46], [13, 45], [12, 46], [12, 45]]]}
    old = {**tile("a", "02.14"), "geometry": bow}
    assert kept(old, tile("b", "05.00")) == ["b"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["02.14", "04.00", "05.10"]), st.integers(0, 3), st.sampled_from(["A", "B"])),
        max_size=8,
    ),
    st.randoms(),
)
def test_the_newest_of_each_tile_and_pass_is_always_kept(scenes: list[tuple[str, int, str]], random: Any) -> None:
    """And nothing that no newer one covers is lost; the order of the items decides nothing."""
    items = [
        tile(f"{number}", baseline, code=f"MGRS-01VC{code}", time=f"2020-09-{10 + day}T10:00:00Z")
        for number, (baseline, day, code) in enumerate(scenes)
    ]
    best: dict[tuple[int, str], str] = {}
    for baseline, day, code in scenes:
        best[day, code] = max(best.get((day, code), ""), baseline)
    expected = {f"{n}" for n, (baseline, day, code) in enumerate(scenes) if baseline == best[day, code]}
    random.shuffle(items)
    assert set(kept(*items)) == expected
