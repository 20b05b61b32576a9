"""Messages as public topics and catalogues send them touch the tile and the month that they are of, and no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.events.messages.envelopes import read_message
from pipeline.events.rules.route import route_event
from pipeline.events.rules.templates import open_templates
from tests.events.run_world import run_world

RUN = """\
name: real
output: ./out
area: {{mgrs: [{tiles}]}}
grid: {{kind: mgrs}}
period: {{start: 2019-01-01, end: 2025-01-01, every: month}}
sources:
  scenes: {{stac: "https://catalogue.test/v1", collection: {collection}}}
products:
  - {{product: {product}, source: scenes, bands: [red], name: tiles}}
"""


@dataclass(frozen=True)
class Case:
    """A message, and a run that its scene touches in one of two tiles."""

    message: str
    collection: str
    product: str
    tile: str
    month: str
    spared: str


CASES = (
    Case(
        "s2_l1c_new_scene/lambda_event_sns_NewSentinel2Product_20190115.json",
        "sentinel-2-l1c",
        "sentinel2",
        "19MBP",
        "2019-01",
        "19MBR",
    ),
    Case("cdse_push_granule-created-s2-n1.json", "sentinel-2-l1c", "sentinel2", "28PHQ", "2024-09", "19MBP"),
    Case("sns_notification_with_stac_item_ga_ls8c.json", "ga_ls8c_ard_3", "landsat", "56JNQ", "2020-05", "56JNM"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.tile))
def test_a_real_message_touches_its_tile_and_month(shared_data: Path, tmp_path: Path, case: Case) -> None:
    run = RUN.format(tiles=f"{case.tile}, {case.spared}", collection=case.collection, product=case.product)
    rules = {"scenes": {"match": {"collection": case.collection}, "run": "run.yaml"}}
    config = run_world(tmp_path, tmp_path, run, rules).config()
    body = (shared_data / "raster" / "events" / case.message).read_bytes()
    (event,) = read_message(body, via="sqs").events
    found = {order.target for order in route_event(event, config, open_templates(config), 0)}
    assert found == {f"tiles/{case.tile}/{case.month}"}
