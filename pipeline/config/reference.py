"""The reference of every key, as Markdown made from the JSON Schema: one section a mapping, one row a key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from pipeline.config.example import EVENTS, LARGE, SMALLEST
from pipeline.config.words import choices_of, describe, flow, named_values
from pipeline.types import Json

_HEAD = """\
# Every key of a config

Made by `groundswell schema --markdown` from the schema that configs are checked with; a test keeps it so. Edit the
descriptions in `pipeline/config` and `pipeline/products`, not this page.

A config is one YAML file: `python -m pipeline.run my.yaml`. Unknown keys are refused with their line. In the tables,
*required* keys must be written; any other may be left out, and then counts as its default. A default of *nothing* means
that the description says what happens then ("nothing: ..."); `{}` means the section's own defaults. Sizes are a number
of bytes or text such as `4GiB`; relative paths count from the folder of the config, but for `output`, which counts from
the current directory. A value that is as a whole `${VAR}` or `${VAR:-default}` is taken from the environment.

For completion and checks while you type, in any editor with the YAML language server (VS Code: the extension YAML):
`groundswell schema > groundswell.schema.json` once, and as the config's first line
`# yaml-language-server: $schema=groundswell.schema.json`.

"""
_COMMON = "Keys of every product"
_RUN = "The file of a run"
_EVENTS = "The file of rules for events"
_SHOWN_ENTRIES = 12


@dataclass(frozen=True)
class _Page:
    """One schema on its way into Markdown."""

    schema: Json
    about: str = ""
    """What its titles begin with."""
    other: _Page | None = None
    """A page whose sections are not told again."""

    @cached_property
    def places(self) -> Mapping[str, tuple[str, ...]]:
        """Name of a mapping in `$defs` → where it first stands, those nearest to the top first."""
        found: dict[str, tuple[str, ...]] = {}
        ahead: list[tuple[Json, tuple[str, ...]]] = [(self.schema, ())]
        while ahead:
            # Products and clusters come last, so that what they share with the run has the run's place.
            node, path = ahead.pop(min(range(len(ahead)), key=lambda i: (_is_of_kind(ahead[i][1]), len(ahead[i][1]))))
            for key, told in node["properties"].items():
                mappings = dict(self._mappings(told, key))
                if len(mappings) > 1 and not any(_is_of_kind(step) for step in mappings.values()):
                    continue  # each of them is told where it stands alone
                for name, step in mappings.items():
                    if name not in found:
                        found[name] = (*path, *step)
                        ahead.append((self.schema["$defs"][name], found[name]))
        return found

    def _mappings(self, told: Json, key: str) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The mappings of the schema that a key leads to; of those that name their kind, that is part of the path."""
        if isinstance(told, list):
            for one in told:
                yield from self._mappings(one, key)
        elif isinstance(told, dict) and "$ref" in told:
            name = told["$ref"].rpartition("/")[2]
            kind = self.kind_of(name)
            if "properties" in self.schema["$defs"][name]:
                yield name, (key, *([kind] if kind else []))
        elif isinstance(told, dict) and told:
            for word, suffix in (("anyOf", ""), ("oneOf", ""), ("items", "[]")):
                yield from self._mappings(told.get(word), key + suffix)
            yield from self._mappings(named_values(told), f"{key}.NAME")

    def kind_of(self, name: str) -> str | None:
        """`product: dem` of a product's mapping, `backend: local` of a cluster's; None for any other."""
        for key in ("product", "backend"):
            kinds = choices_of(self.schema["$defs"][name].get("properties", {}).get(key, {}))
            if kinds:
                return f"{key}: {kinds[0]}"
        return None

    def title_of(self, name: str) -> str:
        """The heading of a mapping's section, which may stand on the other page."""
        if self.is_told_elsewhere(name):
            return self.other.title_of(name) if self.other else ""
        path = self.places[name]
        kinds = [i for i, step in enumerate(path) if _is_of_kind((step,))]
        if not kinds:
            return f"`{self.about}{'.'.join(path)}`"
        kind, within = path[kinds[-1]], ".".join(path[kinds[-1] + 1 :])
        return f"`{self.about}{kind.partition(': ')[2]}: {within}`" if within else f"`{self.about}{kind}`"

    def is_told_elsewhere(self, name: str) -> bool:
        """Whether the other page has the same mapping."""
        theirs = self.other.schema["$defs"].get(name) if self.other else None
        return theirs is not None and bool(theirs == self.schema["$defs"][name])

    def sections(self, around: tuple[str, ...] = ()) -> Iterator[str]:
        """Every mapping that is told on this page, each followed by those within it."""
        for name, path in self.places.items():
            if _parent(path, self.places.values()) == around and not self.is_told_elsewhere(name):
                yield name
                yield from self.sections(path)


def _is_of_kind(path: tuple[str, ...]) -> bool:
    return any(": " in step for step in path)


def _parent(path: tuple[str, ...], places: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """The place of the nearest mapping around one."""
    around = [other for other in places if path[: len(other)] == other and len(other) < len(path)]
    return max(around, key=len, default=())


def reference(run_schema: Json, events_schema: Json) -> str:
    """The text of configs/REFERENCE.md: examples, then every key of a run and of rules for events."""
    run = _Page(run_schema)
    events = _Page(events_schema, "events: ", run)
    common = _common(run)
    parts = [_HEAD + _contents(run, events)]
    parts += [f"## The smallest useful config\n\n{_yaml(SMALLEST)}", f"## A large config\n\n{_yaml(LARGE)}"]
    parts += [f"## {_RUN}\n\n{run_schema['description']}\n\n{_table(run, run_schema, {})}"]
    parts += [f"## {_COMMON}\n\nThey stand in any entry of `products:`.\n\n{_rows(run, common, [])}"]
    parts += [_section(run, name, common) for name in run.sections()]
    parts += [f"## {_EVENTS}\n\n{events_schema['description']}\n\n{_yaml(EVENTS)}\n{_table(events, events_schema, {})}"]
    parts += [_section(events, name, {}) for name in events.sections()]
    return "\n".join(parts)


def _common(page: _Page) -> dict[str, Json]:
    """Keys that every product has with the same description."""
    products = [page.schema["$defs"][name]["properties"] for name in page.places if _is_product(page, name)]
    alike = {
        key: told
        for key, told in products[0].items()
        if all(one.get(key, {}).get("description") == told.get("description") for one in products[1:])
        and told.get("description")
    }
    return {**alike, "name": {**alike["name"], "default": None}} if "name" in alike else alike


def _is_product(page: _Page, name: str) -> bool:
    return (page.kind_of(name) or "").startswith("product: ")


def _contents(run: _Page, events: _Page) -> str:
    """Links to the sections, but for those within others."""
    top = [name for name in run.sections() if _parent(run.places[name], run.places.values()) == ()]
    kinds = {name: run.kind_of(name) or "" for name in top}
    groups = {
        "A run": [_RUN, *(run.title_of(name) for name in top if not kinds[name])],
        "Products": [_COMMON, *(run.title_of(name) for name in top if kinds[name].startswith("product"))],
        "Clusters": [run.title_of(name) for name in top if kinds[name].startswith("backend")],
        "Events": [_EVENTS, *(events.title_of(name) for name in events.sections() if len(events.places[name]) == 1)],
    }
    return "".join(f"- {group}: {', '.join(map(_link, titles))}\n" for group, titles in groups.items())


def _section(page: _Page, name: str, common: Mapping[str, Json]) -> str:
    node = page.schema["$defs"][name]
    return f"## {page.title_of(name)}\n\n{_text(node['description'])}\n\n{_table(page, node, common)}"


def _table(page: _Page, node: Json, common: Mapping[str, Json]) -> str:
    """One row a key; of a product without those that all have."""
    own = {
        key: told
        for key, told in node["properties"].items()
        if "product" not in node["properties"] or told.get("description") != common.get(key, {}).get("description")
    }
    if not own:
        return "It has no keys: write `{}`.\n"
    further = f"\nAnd the [keys of every product](#{_slug(_COMMON)}).\n" if len(own) < len(node["properties"]) else ""
    return _rows(page, own, node.get("required", [])) + further


def _rows(page: _Page, keys: Mapping[str, Json], required: list[str]) -> str:
    lines = ["| key | allowed | default | what it says |", "|---|---|---|---|"]
    for key, told in keys.items():
        default = "**required**" if key in required else _default(page, told)
        lines.append(f"| `{key}` | {_allowed(page, told)} | {default} | {_text(told.get('description', ''))} |")
    return "\n".join(lines) + "\n"


def _allowed(page: _Page, told: Json) -> str:
    """What a key takes: words for plain values, links for mappings."""
    if "$ref" in told:
        name = told["$ref"].rpartition("/")[2]
        return _link(page.title_of(name)) if name in page.places else _text(describe(page.schema, [told]))
    union = told.get("anyOf") or told.get("oneOf") or []
    if not any("$ref" in json.dumps(each) for each in (*union, told)):
        return _text(describe(page.schema, [told]))
    if union:
        return ", or ".join(_allowed(page, each) for each in union if each.get("type") != "null")
    if told.get("type") == "array":
        return f"a list, each {_allowed(page, told['items'])}"
    return f"a mapping by name, each {_allowed(page, named_values(told))}"


def _default(page: _Page, told: Json) -> str:
    value = told.get("default")
    if value is None:
        return "nothing"
    if isinstance(value, list) and len(value) > _SHOWN_ENTRIES:
        return f"`{flow([*value[:3], '...', value[-1]])}`, {len(value)} in all"
    if isinstance(value, int) and "a size such as" in json.dumps(told):
        power = max(power for power in range(4) if value % 1024**power == 0)
        return f"`{value // 1024**power}{('', 'KiB', 'MiB', 'GiB')[power]}`"
    return f"`{flow(_without_defaults(page, told, value))}`"


def _without_defaults(page: _Page, told: Json, value: Json) -> Json:
    """Of a mapping only the keys that are not as its own section says."""
    refs = [each for each in (told, *told.get("anyOf", [])) if "$ref" in each]
    if not isinstance(value, dict) or len(refs) != 1:
        return value
    keys = page.schema["$defs"][refs[0]["$ref"].rpartition("/")[2]].get("properties", {})
    own = {key: _without_defaults(page, keys[key], each) for key, each in value.items()}
    return {
        key: each for key, each in own.items() if each != _without_defaults(page, keys[key], keys[key].get("default"))
    }


def _text(words: str) -> str:
    """Plain text as Markdown in a table's cell."""
    return re.sub(r"([|*~\[\]<>])", lambda found: {"<": "&lt;", ">": "&gt;"}.get(found[0], "\\" + found[0]), words)


def _link(title: str) -> str:
    return f"[{title}](#{_slug(title)})"


def _slug(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _yaml(text: str) -> str:
    return f"```yaml\n{text}```\n"
