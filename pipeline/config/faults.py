"""What is wrong with a config, in plain words: pydantic's errors to faults, with what is allowed read from the schema.

What is allowed comes from the JSON Schema, the same one editors use, because an error of pydantic names neither the
keys that would have been known nor the limits that were kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import get_args

from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from pipeline.config.advice import did_you_mean, key_advice, value_advice
from pipeline.config.document import Document, KeyPath, show
from pipeline.config.words import alternatives, choices_of, describe
from pipeline.types import Json

_KNOWN_ERRORS = frozenset(get_args(ErrorType)) - {"value_error", "assertion_error"}
_LONG_TEXT = 4


def explain(document: Document, errors: Iterable[ErrorDetails], schema: Json) -> None:
    """Add a fault to the document for each error; one at a value that is at fault already says nothing new."""
    errors = list(errors)
    known = {fault.path for fault in document.faults}
    misspelt = set(_misspelt(document, errors, schema))
    for error in errors:
        path = locate(document, error)
        # A section's own rule cannot judge values that could not be read.
        judged = error["type"] in _KNOWN_ERRORS or all(at[: len(path)] != path for at in known)
        if (
            path not in known
            and not (path in misspelt and _is_missing_key(error))
            and judged
            and not _is_echo(document, error, path)
        ):
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


def _is_missing_key(error: ErrorDetails) -> bool:
    return error["type"] == "missing" and isinstance(error["loc"][-1], str)


def _misspelt(document: Document, errors: Iterable[ErrorDetails], schema: Json) -> Iterator[KeyPath]:
    """Paths of keys that unknown ones seem to stand for: to call them missing as well says nothing new."""
    for error in errors:
        if error["type"] == "extra_forbidden":
            path = locate(document, error)
            allowed = [key for s in _opened(document, path[:-1], schema) for key in s.get("properties", {})]
            meant = re.search(r"did you mean (\S+)\?", did_you_mean(path[-1], allowed))
            if meant and document.get((*path[:-1], meant[1])) is None:
                yield (*path[:-1], meant[1])


def _is_echo(document: Document, error: ErrorDetails, path: KeyPath) -> bool:
    """Whether pydantic only says again that something else is wrong: it counts the valid elements of a list."""
    short = error["type"] == "too_short" and len(document.get(path) or ()) >= error["ctx"]["min_length"]
    return short or error["type"] == "default_factory_not_called"


def _words(document: Document, error: ErrorDetails, path: KeyPath, schema: Json) -> str:
    here = _schemas_at(document, path, schema)
    kind = error["type"]
    if kind == "extra_forbidden":
        around = _opened(document, path[:-1], schema)
        allowed = list({key: None for s in around for key in s.get("properties", {})})
        meant = did_you_mean(path[-1], allowed) or key_advice(str(path[-1]), around, schema)
        return f"unknown key{meant}; allowed: {', '.join(allowed)}"
    if _is_missing_key(error):
        about = {
            f" ({re.split('; nothing|; required', s['description'])[0].rstrip('.')})"
            for s in here
            if "description" in s
        }
        return f"missing; required: {describe(schema, here)}{about.pop() if len(about) == 1 else ''}"
    if error["loc"] and error["loc"][-1] == "[key]":
        names = [s["propertyNames"] for s in _opened(document, path[:-1], schema) if "propertyNames" in s]
        return f"found the name {show(path[-1])}; allowed: {describe(schema, names)}"
    leaves = list(alternatives(schema, here))
    elements = list(alternatives(schema, [leaf["items"] for leaf in leaves if "items" in leaf]))
    secret = any(leaf.get("format") == "password" for leaf in here + leaves + elements)
    found = "a hidden value" if secret else document.show(path)
    if kind not in _KNOWN_ERRORS:
        text = _without_values(document, path, str(error.get("ctx", {}).get("error", error["msg"])))
        hidden = secret or any(at[: len(path)] == path for at in document.variables)
        advice = "" if hidden else value_advice(path, document.get(path), leaves, schema)
        return text if isinstance(document.get(path), dict) else f"found {found}; {text}{advice}"
    choices = [str(choice) for leaf in leaves for choice in choices_of(leaf) or leaf.get("examples", ())]
    meant = hint(document, path, choices) or _synonym(document, path, leaves)
    hidden = secret or bool(meant) or any(at[: len(path)] == path for at in document.variables)
    advice = "" if hidden else value_advice(path, document.get(path), leaves, schema)
    return f"found {found}{meant}; allowed: {describe(schema, here)}{advice}"


def _synonym(document: Document, path: KeyPath, leaves: Iterable[Json]) -> str:
    """` (did you mean X?)` for another program's name of an allowed word."""
    found = document.get(path)
    meant = [leaf["synonyms"][found] for leaf in leaves if isinstance(found, str) and found in leaf.get("synonyms", {})]
    return f" (did you mean {meant[0]}?)" if meant and path not in document.variables else ""


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
    leaves = list(alternatives(schema, _schemas_at(document, path, schema)))
    for key in ("product", "backend"):
        kind = document.get((*path, key))
        named = [s for s in leaves if _is_kind(s.get("properties", {}).get(key, {}), kind)]
        if named:
            return named
    return leaves


def _is_kind(schema: Json, kind: Json) -> bool:
    """Whether a value, or the default in its place, is of the choices of a key."""
    return (schema.get("default") if kind is None else kind) in choices_of(schema)


def _children(schema: Json, step: str | int) -> Iterator[Json]:
    if isinstance(step, int):
        prefix = schema.get("prefixItems", [])
        candidates = [prefix[step]] if step < len(prefix) else [schema.get("items")]
    elif step in schema.get("properties", {}):
        candidates = [schema["properties"][step]]
    else:
        candidates = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
    yield from (candidate for candidate in candidates if isinstance(candidate, dict))
