"""Label and field selectors, as the query of a list and as the objects inside of a spec."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tests.fakekube.errors import ApiError, Json

_SET = re.compile(r"^(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^)]*)\)$")
_EQUAL = re.compile(r"^(?P<key>[^!=\s]+)\s*(?P<operator>!=|==?)\s*(?P<value>\S*)$")


def match_labels(labels: Mapping[str, str] | None, query: str | None) -> bool:
    """Whether labels fit a query such as `a=b,c!=d,e in (f, g),h,!i`. Raises ApiError 400 where it cannot be read."""
    have = labels or {}
    parts = [part.strip() for part in re.split(r",(?![^(]*\))", query or "")]
    return all(_match_label(have, part) for part in parts if part)


def _match_label(labels: Mapping[str, str], part: str) -> bool:
    if found := _SET.match(part):
        values = {value.strip() for value in found["values"].split(",")}
        return (labels.get(found["key"]) in values) is (found["operator"] == "in")
    if found := _EQUAL.match(part):
        return (labels.get(found["key"]) == found["value"]) is (found["operator"] != "!=")
    if part.startswith("!"):
        return part[1:] not in labels
    if re.search(r"[\s()=]", part):
        raise ApiError(400, "BadRequest", f"unable to parse label selector {part!r}")
    return part in labels


def match_selector(labels: Mapping[str, str] | None, selector: Json | None) -> bool:
    """Whether labels fit a LabelSelector; an empty one fits all, None none."""
    if selector is None:
        return False
    have = labels or {}
    wanted: Mapping[str, str] = selector.get("matchLabels") or {}
    return all(have.get(key) == value for key, value in wanted.items()) and all(
        match_expression(have, each) for each in selector.get("matchExpressions") or ()
    )


def match_expression(labels: Mapping[str, str], expression: Json) -> bool:
    """Whether labels fit one requirement of a LabelSelector or of a NodeSelectorTerm."""
    value = labels.get(expression["key"])
    values = expression.get("values") or []
    operators = {
        "In": lambda: value in values,
        "NotIn": lambda: value not in values,
        "Exists": lambda: value is not None,
        "DoesNotExist": lambda: value is None,
        "Gt": lambda: value is not None and int(value) > int(values[0]),
        "Lt": lambda: value is not None and int(value) < int(values[0]),
    }
    return bool(operators[expression["operator"]]())


def match_fields(value: Json, query: str | None) -> bool:
    """Whether an object fits a query such as `metadata.name=x,status.phase!=Running`."""
    for part in (query or "").split(","):
        if found := _EQUAL.match(part.strip()):
            have = field_at(value, found["key"])
            if (str("" if have is None else have) == found["value"]) is (found["operator"] == "!="):
                return False
    return True


def field_at(value: Json, path: str) -> Any:
    """What stands at a dotted path, or None; `metadata.labels['a.b']` names one label."""
    found: Any = value
    for name in re.findall(r"\['([^']+)'\]|([^.\[\]]+)", path):
        found = found.get(name[0] or name[1]) if isinstance(found, dict) else None
    return found
