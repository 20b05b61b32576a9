"""Coefficients never miss their scenes without a word."""

from __future__ import annotations

from tests.worlds import SmallWorld


def told(world: SmallWorld, *sets: str) -> list[str]:
    return [note for note in world.session(*sets).plan.notes if "harmonise" in note]


def test_names_of_no_scene_are_told(world: SmallWorld) -> None:
    """`sentinel2a` for `sentinel-2a` would leave every pixel as it was."""
    (note,) = told(world, "products.0.harmonise={sentinel2a: {red: [1.02, 0]}, sentinel-2a: {red: [1.02, 0]}}")
    assert note == "sentinel2: harmonise names sentinel2a, which no scene of s2 is from"


def test_names_of_some_scene_are_not(world: SmallWorld) -> None:
    """By platform in any spelling of capitals, by constellation or by source."""
    for name in ("Sentinel-2A", "s2"):
        assert told(world, f"products.0.harmonise={{{name}: {{red: [1.02, 0]}}}}") == []
    assert told(world) == []


def test_the_name_of_the_source_counts_where_it_chooses_coefficients(world: SmallWorld) -> None:
    """Renamed, it finds none: other pixels, so another fingerprint. Elsewhere the name changes nothing."""
    text = world.config.read_text()

    def fingerprints(*sets: str) -> list[str]:
        return [job.fingerprint for job in world.session(*sets).plan.jobs]

    by_source = "products.0.harmonise={s2: {red: [1.02, 0]}}"
    before, plain = fingerprints(by_source), fingerprints()
    world.config.write_text(text.replace("  s2:", "  archive:").replace("source: s2", "source: archive"))
    assert fingerprints() == plain
    assert not set(fingerprints(by_source)) & set(before)
