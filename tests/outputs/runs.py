"""Runs whose outputs are looked at from several sides."""

from __future__ import annotations

import json

import yaml

from pipeline.session import Options
from tests.execute.ground import Ground


def two_products(world: Ground, license_: str, attribution: str) -> Options:
    """The product `plain` of the world's scenes, and `stated` of the same ones in a catalogue that names rights."""
    world.session()
    config = world.folder / "run.yaml"
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    items = json.loads((world.folder / "items.json").read_text(encoding="utf-8"))
    for item in items["features"]:
        item["properties"] |= {"license": license_, "attribution": attribution}
    (world.folder / "stated.json").write_text(json.dumps(items), encoding="utf-8")
    (entry,) = document["products"]
    document["products"] = [{**entry, "name": "plain"}, {**entry, "name": "stated", "source": "other"}]
    document["sources"]["other"] = {"items": str(world.folder / "stated.json")}
    document["write"] = {"cog": {}, "zarr": {}}
    config.write_text(yaml.safe_dump(document), encoding="utf-8")
    return Options(config)
