"""What of a radar scene is dropped and what is lost: masks, damage, orbits and numbers that nobody can know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from pipeline.execute.worker.task import run_job
from pipeline.products import _sentinel1_layers
from pipeline.products._footprint import footprint
from pipeline.types import Item, Status
from tests.products.radar import (
    TILE,
    TOGETHER,
    Radar,
    layers_of,
    made,
    only_job,
    plain_layer,
    plain_power,
    random_power,
    reduced,
    same,
)


def test_power_that_is_decibels_is_a_named_loss_and_no_empty_tile(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    radar.add("2024-06-01", data=np.full((200, 200), -11, np.float32), polarisations=("vv",))
    session = radar.world(f"{TOGETHER}, polarisations: [vv]").session()
    outcome = run_job(only_job(session), session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.FAILED
    assert "they look like decibels; expected input_scale: db" in str(outcome.cause)


def test_fill_that_no_file_names_costs_no_scene_wherever_strips_begin(tmp_path: Path) -> None:
    """Most numbers of its first rows are -9999: what scale a scene has is told by its middle, not by a strip."""
    radar = Radar(tmp_path)
    for day in (1, 2):
        data = random_power(np.random.default_rng(day), None)
        if day == 1:
            data[:75] = -9999
        radar.add(f"2024-06-0{day}", data=data, nodata=None, polarisations=("vv",))
    expected = reduced(layers_of(radar, "vv"))
    for rows in (128, 32):
        layers, outcome = made(radar.world(f"{TOGETHER}, polarisations: [vv]"), strip_rows=rows)
        assert not outcome.losses
        same(layers["vv"], expected)


def test_a_bright_strip_of_decibels_costs_no_scene(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    data = np.random.default_rng(0).uniform(-20, -5, (200, 200)).astype(np.float32)
    data[:75] = 1.5
    radar.add("2024-06-01", data=data, polarisations=("vv",))
    for rows in (128, 32):
        layers, outcome = made(radar.world(f"{TOGETHER}, polarisations: [vv], input_scale: db"), strip_rows=rows)
        assert not outcome.losses
        same(layers["vv"], layers_of(radar, "vv", "db")[0])


def test_decibels_as_whole_hundredths_are_a_named_loss_and_no_empty_tile(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    radar.add("2024-06-01", data=np.full((200, 200), -1100, np.int16), nodata=-32768, polarisations=("vv",))
    session = radar.world(f"{TOGETHER}, polarisations: [vv], input_scale: db").session()
    outcome = run_job(only_job(session), session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.FAILED
    assert "below -100, which decibels never are" in str(outcome.cause)


@pytest.mark.parametrize(("dtype", "scale"), [("uint16", "power"), ("int16", "power"), ("complex64", "amplitude")])
def test_a_type_that_the_scale_cannot_have_is_a_named_loss(tmp_path: Path, dtype: str, scale: str) -> None:
    """Whole numbers are no power, whatever factor the file may hold; of complex ones only a part would be read."""
    radar = Radar(tmp_path)
    radar.add("2024-06-01", data=np.full((200, 200), 300, dtype), nodata=0, polarisations=("vv",))
    session = radar.world(f"{TOGETHER}, polarisations: [vv], input_scale: {scale}").session()
    outcome = run_job(only_job(session), session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.FAILED
    assert f"pixels are {dtype}; expected" in str(outcome.cause)


def test_what_was_never_measured_does_not_thin_out_the_losses(tmp_path: Path) -> None:
    """Two of three scenes are gone: 67 % of what is there to read, though a third of what two polarisations make."""
    radar = Radar(tmp_path)
    for day in (1, 2, 3):
        radar.add(f"2024-06-0{day}", polarisations=("vv",), properties={"sar:polarizations": ["VV"]})
    for item in radar.items[:2]:
        Path(item["assets"]["vv"]["href"]).unlink()
    session = radar.world(TOGETHER).session("run.missing_assets.max_fraction=0.5")
    outcome = run_job(only_job(session), session.assignments()["sentinel1"], 1)
    assert outcome.status is Status.FAILED
    assert "2 of 3 assets lost" in str(outcome.cause)


def test_where_a_lost_scene_lies_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for every strip: that would be a whole tile's work for each of them."""
    radar = Radar(tmp_path)
    for day in (1, 2):
        radar.add(f"2024-06-0{day}", polarisations=("vv",))
    Path(radar.items[0]["assets"]["vv"]["href"]).unlink()
    asked: list[str] = []

    def counted(item: Item, geobox: GeoBox) -> NDArray[np.bool_]:
        asked.append(item.id)
        return footprint(item, geobox)

    monkeypatch.setattr(_sentinel1_layers, "footprint", counted)
    layers, _ = made(radar.world(f"{TOGETHER}, polarisations: [vv]"), strip_rows=16)
    assert asked == [radar.items[0]["id"]]
    assert (layers["qa"] & 2).all()


def test_a_filter_that_leaves_nothing_gives_the_asked_layers_empty(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    radar.add("2024-06-01", "descending", 66)
    radar.add("2024-06-02", "ascending", 117)
    layers, outcome = made(radar.world("direction: ascending, relative_orbits: [117, 44]"))
    assert {key for key in layers if "44" in key} == {"vv-ascending-44", "vh-ascending-44", "count-ascending-44"}
    assert np.isnan(layers["vv-ascending-44"]).all()
    assert not layers["count-ascending-44"].any()
    assert not outcome.losses


def test_scenes_of_other_orbits_are_neither_planned_nor_in_the_fingerprint(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    radar.add("2024-06-01", "ascending", 117)
    entry = f"{TOGETHER}, direction: ascending"
    alone = only_job(radar.world(entry).session())
    radar.add("2024-06-02", "descending", 66)
    assert only_job(radar.world(entry).session()).fingerprint == alone.fingerprint
    assert radar.world(f"{TOGETHER}, relative_orbits: [44]").session().plan.jobs == ()


def test_a_corrected_time_is_another_fingerprint_though_the_files_are_the_same(tmp_path: Path) -> None:
    """Scenes of one orbit and day are one observation: their time decides pixels."""
    radar = Radar(tmp_path)
    radar.add("2024-06-01")
    later = radar.add("2024-06-01T17:00:10Z")
    for item in radar.items:
        for asset in item["assets"].values():
            asset["file:checksum"] = "1220" + "ab" * 32
    before = only_job(radar.world(TOGETHER).session()).fingerprint
    assert only_job(radar.world(TOGETHER).session()).fingerprint == before
    later["properties"]["datetime"] = "2024-06-03T17:00:10Z"
    assert only_job(radar.world(TOGETHER).session()).fingerprint != before


def test_layover_and_shadow_of_a_mask_asset_are_dropped_before_resampling(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    codes = np.random.default_rng(5).choice([0, 1, 2, 3, 255], (200, 200), p=[0.9, 0.03, 0.03, 0.02, 0.02])
    item = radar.add("2024-06-01", name="OPERA_L2_RTC-S1_T117-1-IW1_20240601", mask=codes.astype(np.uint8))
    href = item["assets"]["vv"]["href"]
    for entry, dropped in (
        ("", (1, 2, 3, 255)),
        ("mask: {of: [shadow]}", (1, 3, 255)),
        ("mask: {asset: mask, codes: [2]}", (2,)),
        ("mask: null", ()),
    ):
        layers, outcome = made(radar.world(f"{TOGETHER}{', ' if entry else ''}{entry}"))
        power = np.where(np.isin(codes, dropped), np.nan, plain_power(href))
        same(layers["vv"], plain_layer(href, power))
        assert not outcome.losses


def test_layover_is_no_border_of_the_swath(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    codes = np.random.default_rng(5).choice([0, 2], (200, 200), p=[0.95, 0.05]).astype(np.uint8)
    item = radar.add("2024-06-01", name="OPERA_1", mask=codes)
    href = item["assets"]["vv"]["href"]
    layers, _ = made(radar.world(f"{TOGETHER}, border: {{px: 2, below: 0.05}}"))
    power = plain_power(href)
    missing = np.pad(np.isnan(power), 2)
    close = np.zeros(power.shape, bool)
    for down in range(5):
        for right in range(5):
            close |= missing[down : down + 200, right : right + 200]
    cleaned = np.where((codes == 2) | (close & (power.astype(np.float32) < np.float32(0.05))), np.nan, power)
    same(layers["vv"], plain_layer(href, cleaned))


def test_a_mask_of_unknown_meaning_is_not_used_and_said(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    item = radar.add("2024-06-01", mask=np.ones((200, 200), np.uint8))
    world = radar.world(TOGETHER)
    assert any("numbers are not known" in note and item["id"] in note for note in world.session().plan.notes)
    layers, _ = made(world)
    same(layers["vv"], layers_of(radar, "vv")[0])


def test_a_lost_scene_costs_itself_and_its_mask_takes_it_along(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    for day in (1, 2, 3):
        radar.add(f"2024-06-0{day}", name=f"OPERA_{day}", mask=np.zeros((200, 200), np.uint8))
    Path(radar.items[0]["assets"]["vh"]["href"]).unlink()
    Path(radar.items[2]["assets"]["mask"]["href"]).write_bytes(b"no raster")
    layers, outcome = made(radar.world(TOGETHER))
    same(layers["vv"], reduced(layers_of(radar, "vv")[:2]))
    href = radar.items[1]["assets"]["vh"]["href"]
    same(layers["vh"], plain_layer(href))
    assert {(loss.item, loss.asset) for loss in outcome.losses} == {("OPERA_1", "vh"), ("OPERA_3", "mask")}
    assert (layers["qa"] & 2).any()


def test_a_block_damaged_in_a_later_strip_is_lost_to_the_whole_tile(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    for day in (1, 2):
        radar.add(f"2024-06-0{day}", transform=TILE @ Affine.translation(-30.5, -30.5), polarisations=("vv",))
    path = Path(radar.items[0]["assets"]["vv"]["href"])
    with rasterio.open(path) as source:
        offset = int(source.get_tag_item("BLOCK_OFFSET_1_2", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset + 10 : offset + 200] = bytes(190)
    path.write_bytes(bytes(content))
    expected = layers_of(Radar(tmp_path, radar.items[1:]), "vv")[0]
    for rows in (128, 32):
        layers, outcome = made(radar.world(f"{TOGETHER}, polarisations: [vv]"), strip_rows=rows)
        same(layers["vv"], expected)
        assert [loss.item for loss in outcome.losses] == [radar.items[0]["id"]]


def test_a_polarisation_that_was_never_measured_is_no_loss(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    radar.add("2024-06-01", polarisations=("vv",), properties={"sar:polarizations": ["VV"]})
    radar.add("2024-06-02", properties={"sar:polarizations": ["VV", "VH"]})
    layers, outcome = made(radar.world(TOGETHER))
    assert not outcome.losses
    assert not (layers["qa"] & 2).any()
    same(layers["vv"], reduced(layers_of(radar, "vv")))
    same(layers["vh"], plain_layer(radar.items[1]["assets"]["vh"]["href"]))


def test_a_scene_without_orbit_is_a_named_loss_where_orbits_matter(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    radar.add("2024-06-01")
    radar.add("2024-06-02T11:00:00Z", None, None)
    layers, outcome = made(radar.world())
    same(layers["vv-ascending-117"], layers_of(radar, "vv")[0])
    assert {loss.cause for loss in outcome.losses} >= {outcome.losses[0].cause}
    assert "its orbit direction is not known" in outcome.losses[0].cause
    radar.items[1]["properties"]["sar:polarizations"] = ["VV"]
    del radar.items[1]["assets"]["vh"]
    assert [loss.asset for loss in made(radar.world())[1].losses] == ["vv"]
    together, whole = made(radar.world(TOGETHER))
    assert not whole.losses
    same(together["vv"], reduced(layers_of(radar, "vv")))


def test_a_scene_that_is_not_asked_for_by_what_is_known_of_it_is_no_loss(tmp_path: Path) -> None:
    """Half of an orbit is enough to rule a scene out."""
    radar = Radar(tmp_path)
    radar.add("2024-06-01", "ascending", 117)
    radar.add("2024-06-02T11:00:00Z", None, 66)
    radar.add("2024-06-03", "descending", None)
    layers, outcome = made(radar.world("direction: ascending, relative_orbits: [117]"))
    assert not outcome.losses
    same(layers["vv-ascending-117"], layers_of(radar, "vv")[0])


def test_numbers_that_a_catalogue_scales_are_refused(tmp_path: Path) -> None:
    radar = Radar(tmp_path)
    radar.add("2024-06-01", polarisations=("vv",))
    item = radar.add("2024-06-02", polarisations=("vv",))
    item["assets"]["vv"]["raster:bands"] = [{"scale": 0.001, "offset": 0}]
    layers, outcome = made(radar.world(f"{TOGETHER}, polarisations: [vv]"))
    assert "declares scale 0.001" in outcome.losses[0].cause
    same(layers["vv"], layers_of(radar, "vv")[0])
