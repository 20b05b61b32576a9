"""What an entry may say, and how a mean of decibels is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.products._sentinel1_config import Sentinel1Config
from pipeline.products.sentinel1 import PRODUCT
from pipeline.write.tile import WriteOptions
from tests.products.radar import Radar


def refusal(folder: Path, entry: str) -> str:
    radar = Radar(folder)
    radar.add("2024-06-01")
    with pytest.raises(ConfigError) as refused:
        radar.world(entry).session()
    return " ".join(str(refused.value).split())


@pytest.mark.parametrize("entry", ["composite: mean_db", "composite: dB", "composite: log_mean", "average_in: db"])
def test_a_mean_of_decibels_is_an_error_that_explains_itself(tmp_path: Path, entry: str) -> None:
    said = refusal(tmp_path, entry)
    assert "a mean of decibels is that of logarithms" in said
    assert "write scale: db, which converts the finished composite" in said
    assert f"products.0.{entry.partition(':')[0]}" in said


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("composite: p0", "allowed: mean, median, min, max, a percentile p1 to p99, or none"),
        ("polarisations: [vv, vv]", "allowed: every name once in polarisations"),
        ("prefer: ascending", "allowed: prefer only with orbits: together"),
        ("orbits: together, composite: none", "allowed: composite: none with orbits: apart"),
        ("speckle: {size_px: 4}", "allowed: an odd size_px"),
        ("mask: {codes: [1]}", "allowed: values and codes only with asset"),
        ("mask: {values: hyp3}", "allowed: values and codes only with asset"),
        ("border: {below: 0.001}", "allowed: below only with px"),
        ("prefer_at_least: 2", "allowed: prefer_at_least only with prefer"),
        ("kind: grd, input_scale: db", "allowed: input_scale and resampling only with kind: rtc"),
        ("backscatter: sigma0", "allowed: backscatter and remove_noise only with kind: grd"),
        ("relative_orbits: [176]", "at most 175"),
    ],
)
def test_rules_between_keys_are_named(tmp_path: Path, entry: str, said: str) -> None:
    assert said in refusal(tmp_path, entry)


def test_the_fingerprint_holds_what_changes_pixels_and_nothing_else() -> None:
    def parameters(**keys: object) -> object:
        entry = Sentinel1Config.model_validate({"product": "sentinel1", "source": "s1", **keys}, strict=False)
        return PRODUCT.plan(entry, "default", WriteOptions(None), {}).parameters

    usual = parameters()
    assert parameters(source="other", average_in="power") == usual
    assert parameters(relative_orbits=(117, 44)) == parameters(relative_orbits=(44, 117))
    assert parameters(mask={"of": ("shadow", "layover")}) == usual
    codes = {"asset": "ls", "codes": (1, 2)}
    assert parameters(mask=codes) == parameters(mask={**codes, "codes": (2, 1), "values": "hyp3", "of": ("shadow",)})
    assert parameters(kind="grd", mask=None) == parameters(kind="grd")
    different: tuple[dict[str, object], ...] = (
        {"scale": "db"},
        {"orbits": "together"},
        {"composite": "median"},
        {"input_scale": "db"},
        {"speckle": {}},
        {"mask": None},
        {"border": {"px": 3}},
        {"direction": "ascending"},
        {"kind": "grd"},
        {"resampling": "nearest"},
    )
    for keys in different:
        assert parameters(**keys) != usual, keys
