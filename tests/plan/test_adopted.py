"""Laws of adopted places: a listing tells them, and what was made here beside one ends it."""

from __future__ import annotations

from dataclasses import replace

from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.plan.adopted import adopted_fingerprint, adopted_places, is_adopted, keys_adopted_beside, standing
from pipeline.plan.jobs import Targets, plan_jobs
from pipeline.types import Tile
from pipeline.write.commit import fingerprint_of
from tests.plan.makers import JUNE, make_item, make_product, make_tile

TILE_ID = "a_b-1"
TILE = Tile(TILE_ID, GeoBox((8, 8), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"))


def key(place: str, fingerprint: str) -> str:
    return f"items/s2/{place}_{fingerprint}.json"


def listing(*found: tuple[str, str]) -> dict[str, str]:
    return {fingerprint: key(place, fingerprint) for place, fingerprint in found}


def test_the_fingerprint_is_of_the_files_alone() -> None:
    one = adopted_fingerprint("s2", TILE, "2024-06", {"red": "1", "nir": "2"})
    assert one == adopted_fingerprint("s2", TILE, "2024-06", {"nir": "2", "red": "1"}) and is_adopted(one)
    others = [("s1", "2024-06", {"red": "1", "nir": "2"}), ("s2", "2024-07", {"red": "1", "nir": "2"})]
    others.append(("s2", "2024-06", {"red": "1", "nir": "3"}))
    assert one not in {adopted_fingerprint(product, TILE, period, files) for product, period, files in others}
    assert fingerprint_of(key(f"{TILE_ID}_2024-06", one)) == one


def test_it_stands_until_something_was_made_here() -> None:
    adopted = [("t1_2024-06", "adopted-a"), ("a_b_2024-06", "adopted-b")]
    assert adopted_places(listing(*adopted)) == {"t1_2024-06": ["adopted-a"], "a_b_2024-06": ["adopted-b"]}
    here = ("t1_2024-06", "0" * 32)
    assert adopted_places(listing(*adopted, here)) == {"a_b_2024-06": ["adopted-b"]}
    assert adopted_places(listing(here)) == {} and adopted_places({"0" * 32}) == {}


def test_of_two_at_one_place_the_same_counts_on_every_machine() -> None:
    one, other = (adopted_fingerprint("s2", TILE, "2024-06", {"red": digest}) for digest in "12")
    assert standing(TILE, [one, other]) == standing(TILE, [other, one]) == max(one, other)


def test_it_stands_for_a_tile_of_its_own_grid_alone() -> None:
    """A tile of 20 m has the id of the one of 10 m: what was adopted for that is not what is planned now."""
    coarse = replace(make_tile(), id="t1")
    box = coarse.geobox
    fine = replace(coarse, geobox=GeoBox((512, 512), box.transform @ Affine.scale(0.5), box.crs))
    product = make_product()
    adopted = {tile: adopted_fingerprint(product.name, tile, JUNE.id, {"red": "1"}) for tile in (coarse, fine)}

    def skipped(planned: Tile, *there: Tile) -> list[str]:
        committed = {product.name: {adopted[one]: key(f"t1_{JUNE.id}", adopted[one]) for one in there}}
        targets = {product.name: Targets((planned,), (JUNE,))}
        plan = plan_jobs([product], targets, [make_item(1)], committed, {"us-west-2": 8 * 2**30})
        assert len(plan.jobs) + len(plan.skipped) == 1
        return [one.fingerprint for one in plan.skipped]

    assert skipped(fine, coarse) == skipped(coarse, fine) == []
    assert skipped(fine, coarse, fine) == [adopted[fine]]
    assert skipped(coarse, coarse, fine) == [adopted[coarse]]


def test_keys_are_of_one_place() -> None:
    keys = [key("t1_2024-06", "adopted-a"), key("t1_2024-06", "0" * 32), key("t11_2024-06", "adopted-a")]
    assert keys_adopted_beside(keys, [keys[1]]) == keys[:1]
