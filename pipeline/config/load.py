"""A YAML file to a frozen RunConfig or EventsConfig: all faults at once, each with file, line, path, found and allowed.

Values are strictly typed (`"512"` is no number). Light: pydantic and PyYAML only.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import models_json_schema
from pydantic_core import ErrorDetails

from pipeline.config.document import Document, KeyPath, Place, mask_credentials
from pipeline.config.events import EventsConfig
from pipeline.config.faults import explain, hint, locate
from pipeline.config.fill import fill_name, fill_run
from pipeline.config.given import ConfigSource
from pipeline.config.model import DEFAULT_REGION, ProductConfig, RunConfig
from pipeline.config.yamlsource import assign, read_document
from pipeline.types import Json

Model = TypeVar("Model", bound=BaseModel)


def load_config(
    path: ConfigSource,
    product_models: Mapping[str, type[ProductConfig]],
    sets: Sequence[str] = (),
    output: str | None = None,
) -> RunConfig:
    """Read a config, replace what `sets` (`key.path=value`) and `output` say, and check all of it.

    Raises ConfigError with every fault, one a line; no message holds a value that came from the environment.
    """
    document = read_document(path)
    for assignment in sets:
        assign(document, assignment)
    if output is not None:
        document.clear(("output",), Place.option("--output"))
        document.store(("output",), output)
    fill_run(document, path, product_models)
    context = {"folder": path.parent, "products": product_models}
    config, errors = _checked(document, RunConfig, context)
    explain(document, errors, _schema_of(tuple(product_models.items())) if errors else {})
    _check_references(document)
    if config is None or document.faults:
        raise document.error()
    config.variables.update((at, variable.written) for at, variable in document.variables.items())
    return config


def load_events(path: Path, sets: Sequence[str] = ()) -> EventsConfig:
    """Read a file of rules for events, replace what `sets` (`key.path=value`) say, and check all of it.

    Raises ConfigError as `load_config` does.
    """
    document = read_document(path)
    for assignment in sets:
        assign(document, assignment)
    fill_name(document, path)
    config, errors = _checked(document, EventsConfig, {"folder": path.parent})
    explain(document, errors, events_schema() if errors else {})
    if config is None or document.faults:
        raise document.error()
    return config


def events_schema() -> dict[str, Json]:
    """The JSON Schema (Draft 2020-12) of a file of rules for events."""
    schema: dict[str, Json] = EventsConfig.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "Groundswell events"}


def redacted(config: RunConfig) -> dict[str, Json]:
    """The config as JSON for reports and run folders, without secrets.

    A value that came from the environment, whatever its key, stands as it was written (`${VAR}`); credentials inside
    URLs are `***`; SecretStr fields are masked by pydantic.
    """
    data: dict[str, Json] = config.model_dump(mode="json", by_alias=True)
    for path, written in config.variables.items():
        _hide(data, path, written)
    masked: dict[str, Json] = _masked(data)
    return masked


def config_schema(product_models: Mapping[str, type[ProductConfig]]) -> dict[str, Json]:
    """The JSON Schema (Draft 2020-12) of a config file whose products are of the given kinds."""
    return copy.deepcopy(_schema_of(tuple(product_models.items())))


@cache
def _schema_of(product_models: tuple[tuple[str, type[ProductConfig]], ...]) -> dict[str, Json]:
    """Made once, for every message needs it; nobody may change it."""
    models: list[type[BaseModel]] = [RunConfig, *(model for _, model in product_models)]
    references, schema = models_json_schema([(model, "validation") for model in models])
    definitions: dict[str, Json] = schema["$defs"]
    run: dict[str, Json] = definitions.pop("RunConfig")
    kinds = [references[(model, "validation")] for model in models[1:]]
    run["properties"]["products"]["items"] = {"oneOf": kinds}
    definitions.pop("ProductConfig")  # the base of products, which nothing refers to any more
    for (kind, _), reference in zip(product_models, kinds, strict=True):
        definitions[reference["$ref"].rpartition("/")[2]]["properties"]["name"]["default"] = kind
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return head | run | {"title": "Groundswell run", "$defs": definitions}


def _hide(data: Json, path: KeyPath, written: str) -> None:
    for depth, step in enumerate(path, start=1):
        if step not in (data if isinstance(data, dict) else range(len(data))):
            return
        if depth == len(path) or not isinstance(data[step], dict | list):
            data[step] = written
            return
        data = data[step]


def _masked(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _masked(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_masked(child) for child in value]
    return mask_credentials(value) if isinstance(value, str) else value


def _checked(
    document: Document, model: type[Model], context: Mapping[str, object]
) -> tuple[Model | None, list[ErrorDetails]]:
    """Validate; a second time without the unknown keys, which hide a section's own rules, and with text as text."""
    config, errors = _attempt(document.data, model, context)
    unknown = [error for error in errors if error["type"] == "extra_forbidden"]
    numbers = [locate(document, error) for error in errors if error["type"] == "string_type"]
    texts = [path for path in numbers if path in document.variables and document.get(path) is not None]
    for path in texts:
        # A variable's text looked like a number or true, but its key wants text.
        document.store(path, document.variables[path].text)
    if unknown or texts:
        known = copy.deepcopy(document.data)
        for path in (locate(document, error) for error in unknown):
            around = known
            for step in path[:-1]:
                around = around[step]
            around.pop(path[-1], None)
        config, errors = _attempt(known, model, context)
    return config, [*unknown, *errors]


def _attempt(data: Json, model: type[Model], context: Mapping[str, object]) -> tuple[Model | None, list[ErrorDetails]]:
    try:
        return model.model_validate_json(json.dumps(data), strict=True, context=dict(context)), []
    except ValidationError as error:
        return None, error.errors(include_url=False)


def _check_references(document: Document) -> None:
    """Names that must agree across sections; looks at plain data, so that faults elsewhere hide none of these."""
    sources, clusters = (_mapping(document.get((key,))) for key in ("sources", "clusters"))
    products = document.get(("products",))
    entries = [_mapping(product) for product in products] if isinstance(products, list) else []
    used = [product.get("source") for product in entries]
    readable = all(isinstance(source, dict) for source in sources.values()) and bool(sources)
    named: dict[str, int] = {}
    for i, product in enumerate(entries):
        if isinstance(used[i], str) and used[i] not in sources and readable:
            path: KeyPath = ("products", i, "source")
            allowed = f"allowed: a source, of {', '.join(sources) or 'none'}"
            document.fail(path, f"found {document.show(path)}{hint(document, path, sources)}; {allowed}")
        name = product.get("name") or product.get("product")
        # Two names that differ in case alone are one folder on many disks.
        if isinstance(name, str) and named.setdefault(name.casefold(), i) != i:
            path = ("products", i, "name" if product.get("name") else "product")
            other = f"products.{named[name.casefold()]} has that name too"
            document.fail(path, f"found {document.show(path)}, but {other}; allowed: a `name:` of its own")
    _check_inputs(document, entries)
    # A source that one of these may mean, were it written as it should be, is not called unused.
    known = (
        readable and bool(entries) and all(name is None or (isinstance(name, str) and name in sources) for name in used)
    )
    told = known and all(isinstance(name, str) or "inputs" in entry for name, entry in zip(used, entries, strict=True))
    for source in sources:
        if source not in used and told:
            document.fail(("sources", source), "found a source that no product uses; allowed: only sources in use")
    places = [("sources", key, "region") for key in sources]
    regions = [document.get(place) for place in places]
    shown = [DEFAULT_REGION, *(document.show(place) for place in places if isinstance(document.get(place), str))]
    for region in clusters:
        if region != DEFAULT_REGION and region not in regions and isinstance(clusters[region], dict):
            document.fail(("clusters", region), f"found a region of no source; allowed: {', '.join(shown)}")


def _check_inputs(document: Document, entries: Sequence[Mapping[str, Json]]) -> None:
    """Every input is another product of the run, and none is made from itself by any way around."""
    names = [entry.get("name") or entry.get("product") for entry in entries]
    inputs = {
        name: [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
        for name, given in ((name, entry.get("inputs")) for name, entry in zip(names, entries, strict=True))
        if isinstance(name, str)
    }
    for i, entry in enumerate(entries):
        given = entry.get("inputs")
        for k, one in enumerate(given if isinstance(given, list) else []):
            path: KeyPath = ("products", i, "inputs", k)
            others = [name for name in inputs if name != names[i]]
            if isinstance(one, str) and one not in others:
                allowed = f"allowed: another product of this run, of {', '.join(others) or 'none'}"
                document.fail(path, f"found {document.show(path)}{hint(document, path, others)}; {allowed}")
            elif isinstance(one, str) and names[i] in _all_inputs(one, inputs):
                document.fail(
                    path, f"found {document.show(path)}, which is itself made from {names[i]}; allowed: no circle"
                )


def _all_inputs(name: str, inputs: Mapping[str, Sequence[str]]) -> set[str]:
    """The names of everything that a product is made from, over any number of steps."""
    found: set[str] = set()
    ahead = [name]
    while ahead:
        for one in inputs.get(ahead.pop(), ()):
            if one not in found:
                found.add(one)
                ahead.append(one)
    return found


def _mapping(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}
