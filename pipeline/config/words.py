"""What a JSON Schema allows, in plain words: for the messages about a config and for the reference of its keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from pipeline.config.document import dotted
from pipeline.types import Json

_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} long",
    "minItems": "at least {} of them",
    "minProperties": "at least {} of them",
}
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "string": "text",
}

_PLAIN = re.compile(r"(?!(?:true|false|null|[-+]?[\d.]+)$)[\w./](?:[\w./ ()=-]|:(?=\S))*", re.IGNORECASE)
"""Text that YAML reads as text without quotes."""


def alternatives(schema: Json, schemas: Iterable[Json]) -> Iterator[Json]:
    """The alternatives of some schemas: references followed, unions opened."""
    for one in schemas:
        union = [] if "properties" in one else [*one.get("anyOf", []), *one.get("oneOf", [])]
        if "$ref" in one:
            yield from alternatives(schema, [schema["$defs"][one["$ref"].rpartition("/")[2]]])
        elif union:
            yield from alternatives(schema, union)
        elif isinstance(one.get("type"), list):
            yield from ({**one, "type": kind} for kind in one["type"])
        else:
            yield one


def choices_of(schema: Json) -> list[Json]:
    """The only values that a schema allows; none where it does not list them."""
    return schema.get("enum") or ([schema["const"]] if "const" in schema else [])


def named_values(schema: Json) -> Json:
    """The schema of the values of a mapping whose keys are names; empty where it is none."""
    candidates = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    return next((one for one in candidates if isinstance(one, dict)), {})


def describe(schema: Json, schemas: Iterable[Json]) -> str:
    """What schemas allow, such as `a whole number, at least 64, a multiple of 16`."""
    leaves = list(_by_kind(alternatives(schema, schemas)))
    choices = list(dict.fromkeys(str(choice) for leaf in leaves for choice in choices_of(leaf)))
    others = [_phrase(schema, leaf) for leaf in leaves if not choices_of(leaf) and leaf.get("type") != "null"]
    one_of = [f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]] if choices else []
    return ", or ".join(dict.fromkeys(one_of + others)) or "nothing"


def _by_kind(leaves: Iterable[Json]) -> Iterator[Json]:
    """Alternatives of which several are mappings that name their kind become one that says the key of the kind."""
    kinds: dict[str, list[Json]] = {}
    for leaf in leaves:
        key = next((key for key in ("product", "backend") if choices_of(leaf.get("properties", {}).get(key, {}))), None)
        if key is None:
            yield leaf
        else:
            kinds.setdefault(key, []).append(leaf)
    for key, several in kinds.items():
        if len(several) == 1:
            yield several[0]
        else:
            names = [choices_of(leaf["properties"][key])[0] for leaf in several]
            yield {"type": "object", "patternErrorMessage": f"a mapping with {key}: one of {', '.join(names)}"}


def _phrase(schema: Json, leaf: Json) -> str:
    limits = [words.format(leaf[key]) for key, words in _LIMITS.items() if key in leaf]
    kind = leaf.get("type")
    if "patternErrorMessage" in leaf and kind != "string":
        phrase = leaf["patternErrorMessage"]
    elif kind == "string":
        plain = {"date": "a date such as 2024-06-01", "date-time": "a time such as 2024-06-01T12:00:00Z"}
        phrase = plain.get(leaf.get("format", ""), leaf.get("patternErrorMessage", "text"))
    elif kind == "array":
        parts = leaf.get("prefixItems") or [leaf.get("items", {})]
        inner = ", ".join(dict.fromkeys(describe(schema, [part]) for part in parts))
        phrase = f"a list of {len(parts)}: {inner}" if "prefixItems" in leaf else f"a list, each {inner}"
        limits = [] if "prefixItems" in leaf else limits
    elif kind == "object" and leaf.get("properties"):
        phrase = f"a mapping with the keys {', '.join(map(dotted, ((key,) for key in leaf['properties'])))}"
    else:
        phrase = _KINDS.get(str(kind), "any value")
    return ", ".join([phrase, *limits])


def flow(value: Json) -> str:
    """A value as YAML on one line.

    >>> flow({"warn": 0.5, "bands": ["red", "nir"], "note": "a: b"})
    '{warn: 0.5, bands: [red, nir], note: "a: b"}'
    """
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {flow(each)}' for key, each in value.items())}}}"
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value, ensure_ascii=False)
