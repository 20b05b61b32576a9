"""Custom resources are kept as a real API server keeps them: unknown fields dropped, defaults set, types checked."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

import jsonschema

from tests.fakekube.errors import Json, invalid
from tests.fakekube.resources import Resource

_ALWAYS = {"apiVersion", "kind", "metadata"}
_PRESERVE = "x-kubernetes-preserve-unknown-fields"


def admitted(resource: Resource, value: Json) -> Json:
    """What is stored of a custom resource; other kinds are stored as they come. Raises ApiError 422 with each fault."""
    if not resource.schema:
        return value
    head = {key: value[key] for key in _ALWAYS & value.keys()}
    body = cast("Json", _pruned({key: each for key, each in value.items() if key not in head}, resource.schema))
    result = {**head, **body}
    faults = [
        f"{'.'.join(str(part) for part in error.absolute_path) or '<root>'}: {error.message}"
        for error in _validator(resource).iter_errors(result)
    ]
    if faults:
        name = value.get("metadata", {}).get("name", "")
        raise invalid(f'{resource.kind}.{resource.group} "{name}" is invalid: {"; ".join(faults[:5])}')
    return result


def _pruned(value: Any, schema: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_pruned(each, schema.get("items") or {}) for each in value]
    if not isinstance(value, dict):
        return value
    known = schema.get("properties") or {}
    further = schema.get("additionalProperties")
    embedded = _ALWAYS if schema.get("x-kubernetes-embedded-resource") else set()
    result: Json = {}
    for key, each in value.items():
        if key in known:
            result[key] = _pruned(each, known[key])
        elif isinstance(further, dict):
            result[key] = _pruned(each, further)
        elif further or schema.get(_PRESERVE) or key in embedded:
            result[key] = each
    for key, each in known.items():
        if "default" in each:
            result.setdefault(key, copy.deepcopy(each["default"]))
    return result


@lru_cache(maxsize=64)
def _validator_of(_identity: int, resource: Resource) -> jsonschema.Draft7Validator:
    schema = _json_schema(resource.schema)
    schema["required"] = [name for name in schema.get("required", []) if name not in _ALWAYS]
    return jsonschema.Draft7Validator(schema)


def _validator(resource: Resource) -> jsonschema.Draft7Validator:
    return _validator_of(id(resource.schema), resource)


def _json_schema(schema: Any) -> Any:
    """An OpenAPI schema in the words of JSON Schema: int-or-string and nullable have none of their own there."""
    if isinstance(schema, list):
        return [_json_schema(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _json_schema(each) for key, each in schema.items() if key not in {"format", "example"}}
    if schema.get("x-kubernetes-int-or-string"):
        result.pop("type", None)
        result["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        result["type"] = [schema["type"], "null"]
        if "enum" in result:
            result["enum"] = [*result["enum"], None]
    return result
