"""The four kinds of patch: JSON, merge, strategic merge (lists merged by a key) and server-side apply."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, cast

from tests.fakekube.errors import ApiError, Json

MERGE_KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey",),
}
"""Lists of built-in kinds that are maps in truth: the key of their entries, the first that they have."""
_DIRECTIVES = ("$setElementOrder/", "$retainKeys", "$patch")


def merged(value: Any, patch: Any) -> Any:
    """RFC 7386: null removes, anything but an object replaces."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(value) if isinstance(value, dict) else {}
    for key, each in patch.items():
        if each is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), each)
    return result


def json_patched(value: Any, operations: Sequence[Json]) -> Any:
    """RFC 6902. Raises ApiError 422 where a test fails or a path is not there."""
    result = copy.deepcopy(value)
    for each in operations:
        try:
            result = _operate(result, each)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise ApiError(422, "Invalid", f"the JSON patch cannot {each.get('op')} {each.get('path')}") from error
    return result


def _pointer(path: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _reach(value: Any, parts: Sequence[str]) -> Any:
    for part in parts:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _operate(value: Any, operation: Json) -> Any:
    parts = _pointer(operation["path"])
    name = operation["op"]
    if name == "test":
        if _reach(value, parts) != operation["value"]:
            raise ValueError
        return value
    new = operation.get("value")
    if name in {"move", "copy"}:
        new = copy.deepcopy(_reach(value, _pointer(operation["from"])))
        if name == "move":
            value = _operate(value, {"op": "remove", "path": operation["from"]})
    if not parts:
        return new
    parent, last = _reach(value, parts[:-1]), parts[-1]
    if isinstance(parent, list):
        place = len(parent) if last == "-" else int(last)
        if name in {"remove", "replace"}:
            del parent[place]
        if name != "remove":
            parent.insert(place, new)
    elif name == "remove":
        del parent[last]
    else:
        parent[last] = new
    return value


def strategic(value: Any, patch: Any, field: str = "") -> Any:
    """Kubernetes' own merge of built-in kinds: as `merged`, but entries of known lists are merged by their key."""
    if isinstance(patch, dict):
        if patch.get("$patch") == "replace":
            return {key: copy.deepcopy(each) for key, each in patch.items() if key != "$patch"}
        result = dict(value) if isinstance(value, dict) else {}
        for key, each in patch.items():
            _merge_field(result, key, each)
        return result
    key = _merge_key(field, value, patch)
    return _merge_list(value, patch, key) if key else copy.deepcopy(patch)


def _merge_field(result: Json, key: str, patch: Any) -> None:
    if key.startswith("$deleteFromPrimitiveList/"):
        name = key.partition("/")[2]
        result[name] = [each for each in result.get(name, []) if each not in patch]
    elif key.startswith(_DIRECTIVES):
        return
    elif patch is None:
        result.pop(key, None)
    else:
        result[key] = strategic(result.get(key), patch, key)


def _merge_key(field: str, value: Any, patch: Any) -> str | None:
    """The key by which two lists are merged, or None where the new list replaces the old."""
    if not isinstance(patch, list) or not isinstance(value, list):
        return None
    entries = [*value, *patch]
    if not all(isinstance(each, dict) for each in entries):
        return None
    keys = MERGE_KEYS.get(field, ())
    return next((key for key in keys if all(key in each or "$patch" in each for each in entries)), None)


def _merge_list(value: Sequence[Json], patch: Sequence[Json], key: str) -> list[Json]:
    if any(each.get("$patch") == "replace" for each in patch):
        return [copy.deepcopy(each) for each in patch if "$patch" not in each]
    result = {each[key]: each for each in value}
    for each in patch:
        if each.get("$patch") == "delete":
            result.pop(each.get(key), None)
        else:
            result[each[key]] = cast("Json", strategic(result.get(each[key]), each))
    return list(result.values())


def applied(value: Json, config: Json, before: Json) -> Json:
    """Server-side apply: what the manager names now is set, what it named before and no longer names is removed.

    before: the manager's last config. Ownership is by manager alone: a field that two managers name is the last one's.
    """
    return cast("Json", strategic(_without(value, before, config), config))


def _without(value: Any, before: Any, now: Any, field: str = "") -> Any:
    if isinstance(value, dict) and isinstance(before, dict):
        new = now if isinstance(now, dict) else {}
        result = {}
        for key, each in value.items():
            if key not in before or key in new:
                result[key] = _without(each, before[key], new[key], key) if key in before else each
            elif isinstance(each, dict) and isinstance(before[key], dict):
                rest = _without(each, before[key], {}, key)
                if rest:
                    result[key] = rest
        return result
    key = _merge_key(field, value, before)
    if key and isinstance(now, list):
        kept = {each.get(key): each for each in now}
        old = {each[key]: each for each in before}
        return [
            _without(each, old[each[key]], kept[each[key]]) if each[key] in old else each
            for each in value
            if each[key] not in old or each[key] in kept
        ]
    return value
