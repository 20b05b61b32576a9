"""What was probably meant by a value that a config may not hold: said at the end of a message, never done."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from difflib import get_close_matches

from pipeline.config.document import KeyPath, mask_credentials
from pipeline.config.words import alternatives, choices_of, flow, named_values
from pipeline.types import Json

_NAMED = ("sources", "clusters", "rules", "buckets")
"""Sections whose entries have names of the user's own."""
_WORDS_ELSEWHERE: Mapping[str, str] = {
    "aoi": "area: {bbox: [west, south, east, north]}",
    "geometry": "area: {vector: FILE}",
    "region": "area: {bbox: [west, south, east, north]}, or region in an entry of sources",
    "start_date": "period: {start: 2024-06-01, end: 2024-09-01}",
    "end_date": "period: {start: 2024-06-01, end: 2024-09-01}",
    "datetime": "period: {start: 2024-06-01, end: 2024-09-01}",
    "date_range": "period: {start: 2024-06-01, end: 2024-09-01}",
    "dates": "period: {start: 2024-06-01, end: 2024-09-01}",
    "cloud_cover": 'query: {"eo:cloud_cover": {lt: 20}} in an entry of sources',
    "max_cloud_cover": 'query: {"eo:cloud_cover": {lt: 20}} in an entry of sources',
    "eo:cloud_cover": 'query: {"eo:cloud_cover": {lt: 20}} in an entry of sources',
    "resolution": "resolution_m in grid",
    "memory": "worker_memory in an entry of clusters",
}
"""Keys that other programs have, and what stands for them here."""


def did_you_mean(found: Json, allowed: Iterable[str]) -> str:
    """` (did you mean X?)` for the nearest of the allowed words, else nothing.

    >>> did_you_mean("peroid", ["area", "period"])
    ' (did you mean period?)'
    >>> did_you_mean("S2", ["s2", "s1"])
    ' (did you mean s2?)'
    """
    if not isinstance(found, str):
        return ""
    words = list(allowed)
    same = [word for word in words if word.casefold() == found.casefold()]
    # 15d is no misspelt 10d, but 2024-6 may be 2024-06.
    close = same or ([] if re.fullmatch(r"\d+[a-z]*", found) else get_close_matches(found, words, n=1))
    return f" (did you mean {close[0]}?)" if close else ""


def key_advice(key: str, around: Sequence[Json], schema: Json) -> str:
    """Of an unknown key: where a key of that name stands, or what stands for it; nothing where nobody knows."""
    for name, told in ((name, told) for one in around for name, told in one.get("properties", {}).items()):
        within = [leaf.get("properties", {}) for leaf in alternatives(schema, [told])]
        if key in _keys_of(within):
            return f"; {key} is a key of {name}"
    if key in _WORDS_ELSEWHERE:
        return f"; write {_WORDS_ELSEWHERE[key]}"
    if key in schema.get("properties", {}):
        return f"; {key} stands at the top of the file, beside {next(iter(schema['properties']))}"
    return ""


def _keys_of(mappings: Sequence[Mapping[str, Json]]) -> set[str]:
    """Keys that all of some mappings have: of several kinds of entry, what each of them knows."""
    return set.intersection(*(set(each) for each in mappings)) if mappings else set()


def value_advice(path: KeyPath, found: Json, leaves: Sequence[Json], schema: Json) -> str:
    """Of a value: `; write X`, where something near it would be allowed; nothing else.

    leaves: what is allowed, as `alternatives` gives it.
    """
    if said := _of_place(path, found, leaves) or _of_mappings(found, leaves):
        return said
    if _has_mappings(found) or any(_fits(found, leaf, schema) for leaf in leaves):
        return ""  # what is wrong with it, no schema tells
    numbers = [leaf["prefixItems"] for leaf in leaves if {"type": "number"} in leaf.get("prefixItems", ())]
    if isinstance(found, list) and any(len(found) == 2 * len(each) for each in numbers):
        return "; write decimals with a point: 10.9"
    if any(leaf.get("type") in {"integer", "number"} for leaf in leaves):
        leaves = [leaf for leaf in leaves if leaf.get("type") != "string" or isinstance(found, str)]
    candidates = _candidates(found, share=_is_share(leaves, schema))
    likely = [one for one in candidates if one != found and any(_fits(one, leaf, schema) for leaf in leaves)]
    told = flow(likely[0]) if likely else ""
    if not likely or mask_credentials(told) != told:
        return ""
    has_end = path[-1:] == ("end",) or (isinstance(likely[0], dict) and "end" in likely[0])
    return f"; write {told}{', if that is the first day left out' if has_end else ''}"


def _is_share(leaves: Sequence[Json], schema: Json) -> bool:
    """Whether a number from 0 to 1 is allowed, by itself or as a limit: only there is 20 perhaps 20 percent."""
    limits = [leaf.get("properties", {}).get("warn", {}) for leaf in leaves]
    return any(one.get("maximum") == 1 for one in alternatives(schema, [*leaves, *limits]))


def _of_place(path: KeyPath, found: Json, leaves: Sequence[Json]) -> str:
    """What the key itself, or a kind of text, lets guess."""
    keys = {key for leaf in leaves for key in leaf.get("properties", {})}
    if len(path) == 2 and path[0] in _NAMED and path[1] in keys:
        name = "default" if path[0] == "clusters" else "NAME"
        return f"; entries of {path[0]} have names: write {path[0]}: {{{name}: {{{path[1]}: ...}}}}"
    if isinstance(found, str) and re.match(r"[A-Za-z]:[\\/]", found):
        drive, rest = found[0].lower(), found[2:].replace("\\", "/")
        return f"; on Windows run in WSL, where it is /mnt/{drive}{rest}"
    if isinstance(found, int) and path[-1:] == ("crs",):
        return f"; write EPSG:{found}"
    return f"; write {{eq: {flow(found)}}}, or {{lt: ...}}" if path[-2:-1] == ("query",) else ""


def _has_mappings(found: Json) -> bool:
    return isinstance(found, dict) or (isinstance(found, list) and any(isinstance(each, dict) for each in found))


def _of_mappings(found: Json, leaves: Sequence[Json]) -> str:
    kinds = {leaf.get("type") for leaf in leaves} if _has_mappings(found) else set()
    if isinstance(found, list) and "object" in kinds:
        return "; write its keys without - and [ ]; where each entry has a name, that comes first: NAME: {...}"
    return "; begin each entry with -" if isinstance(found, dict) and "array" in kinds else ""


def _candidates(found: Json, *, share: bool) -> Iterator[Json]:
    """Values that may have been meant, the likeliest first."""
    if isinstance(found, str):
        yield from _of_text(found, share=share)
    elif isinstance(found, bool):
        yield from ({},) if found else (None,)
    elif isinstance(found, int | float):
        value = round(found / 100, 6) if share and 2 <= found <= 100 else found  # percent; 1.5 may be anything
        yield from (value, str(found), f"{found}-01-01", [found], {"warn": value})
    elif isinstance(found, list):
        yield from ({"bbox": found}, *(found if len(found) == 1 else ()))


def _of_text(found: str, *, share: bool) -> Iterator[Json]:
    text = found.strip(" \"'\u201c\u201d\u201e\u2018\u2019")
    yield from (text, text.upper(), text.lower())
    if number := re.fullmatch(r"([-+]?\d+(?:\.\d+)?) ?(%|[A-Za-z]*)", text):
        yield from _of_number(number[1], number[2], share=share)
    if text.lower() in {"yes", "on", "no", "off"}:
        yield text.lower() in {"yes", "on"}
    if "." in text and "://" not in text:
        yield f"https://{text}"
    yield from _of_dates(text)
    parts = [_plain(part) for part in re.split(r"[,;\s]+", text.strip("[]()")) if part]
    if "/" not in text:
        yield re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-_")
    yield from (parts, {text: {}})


def _of_number(number: str, unit: str, *, share: bool) -> Iterator[Json]:
    """`16G` as a size of memory, `20%` as a share, `10m` without what its key says already."""
    value = float(number) if "." in number else int(number)
    if unit in {"", "m", "px", "s", "days", "deg"}:
        yield value
    if re.fullmatch(r"[kmgt]i?", unit.lower()):
        yield f"{number}{unit}B"
    elif unit.lower().startswith("gig"):
        yield f"{number}GiB"
    elif unit == "%":
        yield round(value / 100, 6) if share else value


def _of_dates(text: str) -> Iterator[Json]:
    """Dates as people write them elsewhere; 06/01/2024 may be in June or in January, and is left alone."""
    if re.fullmatch(r"\d{4}[-/]\d\d([-/]\d\d)?", text):
        yield from (text.replace("/", "-"), f"{text.replace('/', '-')}-01")
    if dotted := re.fullmatch(r"(\d\d?)\.(\d\d?)\.(\d{4})", text):
        yield f"{dotted[3]}-{dotted[2]:0>2}-{dotted[1]:0>2}"
    if span := re.fullmatch(r"(\d{4}-\d\d-\d\d)(?:/|\.\.| to | - )(\d{4}-\d\d-\d\d)", text):
        yield {"start": span[1], "end": span[2]}


def _plain(text: str) -> Json:
    return (float(text) if "." in text else int(text)) if re.fullmatch(r"[-+]?\d+(\.\d+)?", text) else text


def _fits(value: Json, leaf: Json, schema: Json) -> bool:
    """Whether a value is allowed by one alternative of a schema, as far as its commonest words tell."""
    if choices_of(leaf):
        return any(value == choice and type(value) is type(choice) for choice in choices_of(leaf))
    kind = leaf.get("type")
    if kind == "string":
        return isinstance(value, str) and _text_fits(value, leaf)
    if kind in {"integer", "number"}:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return (whole or (kind == "number" and isinstance(value, float))) and _in_limits(value, leaf)
    if kind == "array":
        return isinstance(value, list) and _list_fits(value, leaf, schema)
    if kind == "object":
        return isinstance(value, dict) and _mapping_fits(value, leaf, schema)
    return (kind == "boolean" and isinstance(value, bool)) or (kind == "null" and value is None)


def _text_fits(value: str, leaf: Json) -> bool:
    if leaf.get("format") == "date":
        try:
            return len(value) == len("2024-06-01") and bool(date.fromisoformat(value))
        except ValueError:
            return False
    # Any text would fit a key without a pattern, and help nobody.
    pattern = leaf.get("pattern")
    return pattern is not None and re.search(pattern, value) is not None


def _in_limits(value: float, leaf: Json) -> bool:
    above = leaf.get("exclusiveMinimum", -math.inf) < value and leaf.get("minimum", -math.inf) <= value
    return bool(above and value <= leaf.get("maximum", math.inf))


def _list_fits(value: list[Json], leaf: Json, schema: Json) -> bool:
    parts = leaf.get("prefixItems") or [leaf.get("items", {})] * len(value)
    return len(parts) == len(value) > 0 and all(
        any(_fits(each, one, schema) or one == {"type": "string"} for one in alternatives(schema, [part]))
        for each, part in zip(value, parts, strict=True)
    )


def _mapping_fits(value: Mapping[str, Json], leaf: Json, schema: Json) -> bool:
    known = leaf.get("properties", {})
    if not known:
        return bool(named_values(leaf)) and not value
    return {*leaf.get("required", ())} <= {*value} <= {*known} and all(
        any(_fits(each, one, schema) for one in alternatives(schema, [known[key]])) for key, each in value.items()
    )
