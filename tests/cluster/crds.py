"""The operator's CustomResourceDefinitions as JSON schemas: what a real API server would refuse, or silently drop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import dask_kubernetes
import yaml
from jsonschema import Draft7Validator

FOLDER = Path(dask_kubernetes.__file__).parent / "operator/deployment/helm/dask-kubernetes-operator/crds"
_META = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}


def definitions() -> Iterator[dict[str, Any]]:
    """Of all kinds of the operator that is installed."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    for path in sorted(FOLDER.glob("*.yaml")):
        yield from (one for one in yaml.load_all(path.read_text(), loader) if one)


def faults(resource: Mapping[str, Any]) -> list[str]:
    """What is wrong with a custom resource, each with its path; so is a key that the definition does not have."""
    validator = _validator(resource["apiVersion"], resource["kind"])
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(resource)]


@cache
def _validator(api: str, kind: str) -> Draft7Validator:
    group, _, version = api.partition("/")
    for definition in definitions():
        spec = definition["spec"]
        if (spec["group"], spec["names"]["kind"]) == (group, kind):
            found = next(one for one in spec["versions"] if one["name"] == version)
            schema = _closed(found["schema"]["openAPIV3Schema"])
            return Draft7Validator({**schema, "properties": {**schema["properties"], **_META}})
    raise LookupError(f"the operator defines no {kind} of {api}")


def _closed(schema: Any) -> Any:
    """The same schema, but unknown keys are refused where a server prunes them, and Kubernetes' own formats known."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _closed(value) for key, value in schema.items()}
    if made.pop("x-kubernetes-int-or-string", False) or made.get("format") == "int-or-string":
        made.pop("type", None)
        made.pop("format", None)
        made["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    keeps = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and not keeps and "additionalProperties" not in schema:
        made["additionalProperties"] = False
    return made
