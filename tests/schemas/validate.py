"""Validation of STAC documents against the pinned schemas of this folder and of the installed pystac."""

from __future__ import annotations

import functools
import importlib.resources
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.exceptions import NoSuchResource

HERE = Path(__file__).parent
CORE = "https://schemas.stacspec.org/v1.1.0"
CORE_SCHEMAS = {
    "Feature": f"{CORE}/item-spec/json-schema/item.json",
    "Collection": f"{CORE}/collection-spec/json-schema/collection.json",
    "Catalog": f"{CORE}/catalog-spec/json-schema/catalog.json",
}


def stac_errors(document: dict[str, Any]) -> list[str]:
    """What is wrong with an item, collection or catalogue, core and every extension it names; empty when valid.

    Raises NoSuchResource when it names an extension that is not pinned here: then nothing was checked.
    """
    addresses = [CORE_SCHEMAS[document["type"]], *document.get("stac_extensions", [])]
    return [
        f"{address}: {'/'.join(str(part) for part in error.absolute_path)}: {error.message}"
        for address in addresses
        for error in Draft7Validator(_schema(address), registry=_registry()).iter_errors(document)
    ]


def _schema(address: str) -> Any:
    return _registry().get_or_retrieve(address).value.contents


@functools.cache
def _registry() -> Registry[Any]:
    resources = [(address, Resource.from_contents(json.loads(text))) for address, text in _schemas()]
    return Registry(retrieve=_refuse).with_resources(resources)  # type: ignore[call-arg]


def _refuse(address: str) -> Resource[Any]:
    raise NoSuchResource(address)


def _schemas() -> Iterator[tuple[str, str]]:
    """(address, text) of every pinned schema."""
    for path in sorted(HERE.glob("*.json")):
        text = path.read_text(encoding="utf-8")
        yield json.loads(text)["$id"].removesuffix("#"), text
    # By file name: the `$id` of one core schema, common.json, lacks its dot and would not be found.
    folder = Path(str(importlib.resources.files("pystac.validation") / "jsonschemas"))
    for path in sorted((folder / "geojson").glob("*.json")):
        yield f"https://geojson.org/schema/{path.name}", path.read_text(encoding="utf-8")
    for path in sorted((folder / "stac-spec" / "v1.1.0").glob("*.json")):
        part = path.stem if path.stem in ("catalog", "collection") else "item"
        yield f"{CORE}/{part}-spec/json-schema/{path.name}", path.read_text(encoding="utf-8")
