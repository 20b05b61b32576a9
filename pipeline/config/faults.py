"""What is wrong with a config, in plain words: pydantic's errors to faults, with what is allowed read from the schema.

The words come from the JSON Schema, the same one editors use, because an error of pydantic names neither the keys that
would have been known nor the limits that were kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import get_args

from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from pipeline.config.document import Document, KeyPath, dotted, show
from pipeline.types import Json

_KNOWN_ERRORS = frozenset(get_args(ErrorType)) - {"value_error", "assertion_error"}
_LONG_TEXT = 4
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


def explain(document: Document, errors: Iterable[ErrorDetails], schema: Json) -> None:
    """Add a fault to the document for each error; one at a value that is at fault already says nothing new."""
    known = {fault.path for fault in document.faults}
    for error in errors:
        path = locate(document, error)
        # A section's own rule cannot judge values that could not be read.
        judged = error["type"] in _KNOWN_ERRORS or all(at[: len(path)] != path for at in known)
        if path not in known and judged and not _is_echo(document, error, path):
            document.fail(path, _words(document, error, path, schema))


def locate(document: Document, error: ErrorDetails) -> KeyPath:
    """The key path of an error: its location without the names that pydantic adds for members of a union."""
    path: KeyPath = ()
    for step in error["loc"]:
        around = document.get(path)
        if step in (around if isinstance(around, dict) else range(len(around)) if isinstance(around, list) else ()):
            path = (*path, step)
    return (*path, error["loc"][-1]) if _is_missing_key(error) else path


def hint(document: Document, path: KeyPath, allowed: Iterable[str]) -> str:
    """` (did you mean X?)` for the value at a path; nothing for a variable's."""
    return "" if path in document.variables else did_you_mean(document.get(path), allowed)


def did_you_mean(found: Json, allowed: Iterable[str]) -> str:
    """` (did you mean X?)` for the nearest of the allowed words, else nothing."""
    close = get_close_matches(found, list(allowed), n=1) if isinstance(found, str) else []
    return f" (did you mean {close[0]}?)" if close else ""


def _is_missing_key(error: ErrorDetails) -> bool:
    return error["type"] == "missing" and isinstance(error["loc"][-1], str)


def _is_echo(document: Document, error: ErrorDetails, path: KeyPath) -> bool:
    """Whether pydantic only says again that something else is wrong: it counts the valid elements of a list."""
    short = error["type"] == "too_short" and len(document.get(path) or ()) >= error["ctx"]["min_length"]
    return short or error["type"] == "default_factory_not_called"


def _words(document: Document, error: ErrorDetails, path: KeyPath, schema: Json) -> str:
    here = _schemas_at(document, path, schema)
    kind = error["type"]
    if kind == "extra_forbidden":
        allowed = list({key: None for s in _opened(document, path[:-1], schema) for key in s.get("properties", {})})
        return f"unknown key{did_you_mean(path[-1], allowed)}; allowed: {', '.join(allowed)}"
    if _is_missing_key(error):
        about = {f" ({s['description'].rstrip('.')})" for s in here if "description" in s}
        return f"missing; required: {_describe(schema, here)}{about.pop() if len(about) == 1 else ''}"
    if error["loc"] and error["loc"][-1] == "[key]":
        names = [s["propertyNames"] for s in _opened(document, path[:-1], schema) if "propertyNames" in s]
        return f"found the name {show(path[-1])}; allowed: {_describe(schema, names)}"
    leaves = list(_leaves(schema, here))
    elements = list(_leaves(schema, [leaf["items"] for leaf in leaves if "items" in leaf]))
    secret = any(leaf.get("format") == "password" for leaf in leaves + elements)
    found = "a hidden value" if secret else document.show(path)
    if kind not in _KNOWN_ERRORS:
        text = _without_values(document, path, str(error.get("ctx", {}).get("error", error["msg"])))
        return text if isinstance(document.get(path), dict) else f"found {found}; {text}"
    choices = [str(choice) for leaf in leaves for choice in _choices(leaf)]
    return f"found {found}{hint(document, path, choices)}; allowed: {_describe(schema, here)}"


def _without_values(document: Document, path: KeyPath, text: str) -> str:
    # A product's validator may have repeated a value that came from the environment, and perhaps another key's. A short
    # one is replaced only where it can be meant, or `allowed: 1 to 9` would lose its numbers.
    for at, variable in document.variables.items():
        if len(variable.text) >= _LONG_TEXT:
            text = text.replace(variable.text, variable.written)
        elif variable.text and at[: len(path)] == path:
            written = variable.written.replace("\\", r"\\")
            text = re.sub(rf"(?<!\w){re.escape(variable.text)}(?!\w)", written, text)
    return text


def _schemas_at(document: Document, path: KeyPath, schema: Json) -> list[Json]:
    """The schemas of a key, with its own description; none where the schema knows no such key."""
    if not path:
        return [schema]
    return [child for around in _opened(document, path[:-1], schema) for child in _children(around, path[-1])]


def _opened(document: Document, path: KeyPath, schema: Json) -> list[Json]:
    """The alternatives for the value at a path; of products and clusters, the one whose kind the data names."""
    leaves = list(_leaves(schema, _schemas_at(document, path, schema)))
    for key in ("product", "backend"):
        kind = document.get((*path, key))
        named = [s for s in leaves if _is_kind(s.get("properties", {}).get(key, {}), kind)]
        if named:
            return named
    return leaves


def _is_kind(schema: Json, kind: Json) -> bool:
    """Whether a value, or the default in its place, is of the choices of a key."""
    return (schema.get("default") if kind is None else kind) in _choices(schema)


def _children(schema: Json, step: str | int) -> Iterator[Json]:
    if isinstance(step, int):
        prefix = schema.get("prefixItems", [])
        candidates = [prefix[step]] if step < len(prefix) else [schema.get("items")]
    elif step in schema.get("properties", {}):
        candidates = [schema["properties"][step]]
    else:
        candidates = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    yield from (candidate for candidate in candidates if isinstance(candidate, dict))


def _leaves(schema: Json, schemas: Iterable[Json]) -> Iterator[Json]:
    """The alternatives of some schemas: references followed, unions opened."""
    for one in schemas:
        union = [] if "properties" in one else [*one.get("anyOf", []), *one.get("oneOf", [])]
        if "$ref" in one:
            yield from _leaves(schema, [schema["$defs"][one["$ref"].rpartition("/")[2]]])
        elif union:
            yield from _leaves(schema, union)
        else:
            yield one


def _choices(schema: Json) -> list[Json]:
    return schema.get("enum") or ([schema["const"]] if "const" in schema else [])


def _describe(schema: Json, schemas: Iterable[Json]) -> str:
    """What schemas allow, such as `a whole number, at least 64, a multiple of 16`."""
    leaves = list(_leaves(schema, schemas))
    choices = list(dict.fromkeys(str(choice) for leaf in leaves for choice in _choices(leaf)))
    others = [_phrase(schema, leaf) for leaf in leaves if not _choices(leaf) and leaf.get("type") != "null"]
    one_of = [f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]] if choices else []
    return ", or ".join(dict.fromkeys(one_of + others)) or "nothing"


def _phrase(schema: Json, leaf: Json) -> str:
    limits = [words.format(leaf[key]) for key, words in _LIMITS.items() if key in leaf]
    kind = leaf.get("type")
    if kind == "string":
        plain = {"date": "a date such as 2024-06-01", "date-time": "a time such as 2024-06-01T12:00:00Z"}
        phrase = plain.get(leaf.get("format", ""), leaf.get("patternErrorMessage", "text"))
    elif kind == "array":
        parts = leaf.get("prefixItems") or [leaf.get("items", {})]
        inner = ", ".join(dict.fromkeys(_describe(schema, [part]) for part in parts))
        phrase = f"a list of {len(parts)}: {inner}" if "prefixItems" in leaf else f"a list, each {inner}"
        limits = [] if "prefixItems" in leaf else limits
    elif kind == "object" and leaf.get("properties"):
        phrase = f"a mapping with the keys {', '.join(map(dotted, ((key,) for key in leaf['properties'])))}"
    else:
        words = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "object": "a mapping"}
        phrase = words.get(str(kind), "any value")
    return ", ".join([phrase, *limits])
