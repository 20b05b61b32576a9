"""YAML text to plain data with places: a safe, JSON-like core of YAML 1.2, environment variables, and `--set`.

Text, decimal numbers, true and false, null, lists, mappings, anchors and merge keys. Dates, `yes` and `no` stay text;
keys are text as written; no tag makes an object; a key written twice is a fault. A value that is as a whole `${VAR}` or
`${VAR:-default}` (the default also stands in for an empty variable) is replaced by the variable's text, read as a plain
value, so that numbers work. There is no escape: `${` inside a longer text is a fault.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable
from pathlib import Path

import yaml

from pipeline.config.document import Document, Fault, KeyPath, Place, Variable, dotted, show
from pipeline.config.given import ConfigSource, Given
from pipeline.errors import ConfigError
from pipeline.types import Json

MAX_NODES = 100_000
MAX_DEPTH = 60
_BEGIN = "; see the smallest config in configs/REFERENCE.md"
_SHELL_VARIABLE = re.compile(r"\$[A-Z_][A-Z0-9_]*(?=/|$)")
_TAG = "tag:yaml.org,2002:"
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


_MENDS = (
    ("character '\\t'", False, "indent with spaces, never with a tab"),
    ("could not find expected ':'", True, "write `key: value`, with a colon and a space"),
    ("mapping values are not allowed", False, "text that holds a colon and a space stands in quotes"),
    ("a flow sequence", True, "close the [ ] and put commas between its values"),
    ("a flow mapping", True, "close the { } and put commas between its keys"),
    ("escape", False, "a \\ in double quotes begins an escape; write single quotes"),
    ("a quoted scalar", True, "close the quotes"),
    ("a block mapping", False, "keys of one mapping begin in the same column"),
    ("a block collection", False, "entries of one list begin in the same column"),
    ("undefined alias", False, "text that begins with * stands in quotes"),
    ("a single document", False, "write one config a file, without a line of ---"),
    ("while scanning an alias", False, "text that begins with * stands in quotes"),
    ("cannot start any token", False, "text that begins with this character stands in quotes"),
)
"""Part of the parser's words → whether the line where the thing began is the one to look at → what helps."""


class _Loader(yaml.SafeLoader):
    """Only composes nodes; knows the types of YAML 1.2's core, so that `no`, `1:30` and `2024-06-01` are text."""

    # Keyed by first character; empty here, so that YAML 1.1's rules are not inherited.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


# A number with a leading zero is text: `0042` is an id.
for _kind, _first, _pattern in (
    ("null", ["~", "n", "N", ""], r"~|null|Null|NULL|"),
    ("bool", [*"tTfF"], r"true|True|TRUE|false|False|FALSE"),
    ("int", [*"-+0123456789"], r"[-+]?(?:0|[1-9][0-9]*)"),
    ("float", [*"-+.0123456789"], r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"),
    ("merge", ["<"], r"<<"),
):
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"(?:{_pattern})$"), _first)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_PLAIN: dict[str, Callable[[str], Json]] = {
    "null": lambda _: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": int,
    "float": _finite,
    "merge": str,
    "str": str,
}


class _UnusableError(Exception):
    """Text that is not YAML, or a `--set` that points nowhere."""

    def __init__(self, text: str, line: int = 1) -> None:
        super().__init__(text)
        self.line = line


def read_document(path: ConfigSource) -> Document:
    """Read a YAML file whose top is a mapping; faults that leave the rest readable are collected in the document.

    Of keys built in code no fault has a line.

    Raises ConfigError when the file cannot be read, is not YAML, or holds no mapping.
    """
    document = Document(str(path))
    built = isinstance(path, Given) and not isinstance(path.data, str)
    try:
        node = _node_of(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); give the path of a YAML file") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8 text") from None
    except _UnusableError as error:
        raise ConfigError(f"{path}:{error.line}: {error}") from None

    def line_of(node: yaml.Node) -> Place:
        line = 1 if built else node.start_mark.line + 1
        return Place(line, str(path) if built else f"{path}:{line}")

    if node is not None:
        document.data = _Builder(document, line_of).build(node, ())
    if not isinstance(document.data, dict):
        document.fail((), f"found {document.show(())}; allowed: a mapping of keys such as `name: po-valley`{_BEGIN}")
        raise document.error()
    return document


def _node_of(path: ConfigSource) -> yaml.Node | None:
    if isinstance(path, Path):
        return _compose(path.read_text(encoding="utf-8-sig"))
    return _compose(path.data) if isinstance(path.data, str) else path.node()


def assign(document: Document, assignment: str) -> None:
    """Apply one `--set key.path=value`: the value is YAML; in a list, the key is its number or a product's name."""
    key, equals, text = assignment.partition("=")
    place = Place.option(f"--set {key.strip()}")
    if not equals:
        found = "found no '='; write --set key.path=value, such as --set run.retries=5"
        document.faults.append(Fault(place, (), found))
        return
    try:
        path = _find(document, key.strip().split("."))
        node = _compose(text)
    except _UnusableError as error:
        document.faults.append(Fault(place, (), str(error)))
        return
    document.clear(path, place)
    document.store(path, None if node is None else _Builder(document, lambda _: place).build(node, path))


def _find(document: Document, keys: list[str]) -> KeyPath:
    path: KeyPath = ()
    for key in keys:
        around = document.get(path)
        if not key:
            raise _UnusableError("found an empty key; write --set key.path=value, such as --set run.retries=5")
        if isinstance(around, list):
            path = (*path, _element(path, around, key))
        elif around is None or isinstance(around, dict):
            path = (*path, key)
        else:
            raise _UnusableError(
                f"{dotted(path)} is {document.show(path)}, no mapping: there is no {dotted((key,))} in it"
            )
    return path


def _element(path: KeyPath, elements: list[Json], key: str) -> int:
    names = [str(e.get("name") or e.get("product")) for e in elements if isinstance(e, dict)]
    if path == ("products",) and len(names) == len(elements) and names.count(key) == 1:
        return names.index(key)
    if re.fullmatch(r"[0-9]{1,6}", key) and int(key) < len(elements):
        return int(key)
    allowed = f"0 to {len(elements) - 1}" if elements else "none, for it is empty"
    named = f", or by name {', '.join(names)}" if path == ("products",) and names else ""
    raise _UnusableError(f"{dotted(path)} has no element {show(key)}; allowed: {allowed}{named}")


def _compose(text: str) -> yaml.Node | None:
    try:
        return _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _unreadable(error) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _UnusableError(f"not YAML: found the character U+{error.character:04X}", line) from None
    except RecursionError:
        raise _UnusableError(f"nested too deeply; allowed: {MAX_DEPTH} levels of lists and mappings") from None


def _unreadable(error: yaml.MarkedYAMLError) -> _UnusableError:
    """What is not YAML in a text, on the line where it begins, and how that is usually mended."""
    told = f"{error.context or ''} {error.problem}".strip()
    line, words = next(
        ((context, words) for found, context, words in _MENDS if found in told),
        (False, "see the line and the one above"),
    )
    mark = (error.context_mark if line else None) or error.problem_mark
    return _UnusableError(f"not YAML: {told}; {words}", mark.line + 1 if mark else 1)


def _plain_tag(text: str) -> str:
    tag: str = _Loader("").resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    return tag


class _Builder:
    """Makes plain data of nodes, and notes places, variables and faults in the document."""

    def __init__(self, document: Document, place_of: Callable[[yaml.Node], Place]) -> None:
        self.document, self.place_of = document, place_of
        self.nodes = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Json:
        self._count(node, len(path))
        self.document.places.setdefault(path, self.place_of(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            pairs = self._pairs(node, path, 0)
            for key, (key_node, _) in pairs.items():
                self.document.places[(*path, key)] = self.place_of(key_node)
            return {key: self.build(value, (*path, key)) for key, (_, value) in pairs.items()}
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.build(child, (*path, i)) for i, child in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode) and node.tag.removeprefix(_TAG) in _PLAIN:
            return self._scalar(node, path)
        tag = node.tag.replace(_TAG, "!!")
        self.document.fail(path, f"found the tag {tag}; allowed: no tag, only text, numbers, lists and mappings")
        return None

    def _count(self, node: yaml.Node, depth: int) -> None:
        # An anchor that holds itself, and anchors of anchors of anchors, end here.
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            where = self.place_of(node).text
            raise ConfigError(f"{where}: found too much; allowed: {MAX_NODES} values, {MAX_DEPTH} levels")

    def _pairs(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Keys and values with those of `<<` behind them: a key of the mapping itself wins, then the first merged."""
        self._count(node, depth)
        pairs: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or not key.value.isprintable():
                odd = [f"U+{ord(c):04X}" for c in str(key.value) if not c.isprintable()]
                found = "found a key that is a list, a mapping or unprintable; allowed: text"
                if isinstance(key, yaml.ScalarNode) and odd:
                    found = f"found a key that holds {odd[0]}; allowed: text; it may come from a web page: type it anew"
                self.document.faults.append(Fault(self.place_of(key), path, found))
            elif key.value in pairs:
                first = self.place_of(pairs[key.value][0]).text
                twice = f"found this key twice, first at {first}; allowed: once"
                self.document.faults.append(Fault(self.place_of(key), (*path, key.value), twice))
            else:
                pairs[key.value] = (key, value)
        for name, (key, value) in list(pairs.items()):
            if key.tag == _TAG + "merge":
                del pairs[name]
                for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    if isinstance(source, yaml.MappingNode):
                        pairs = self._pairs(source, path, depth + 1) | pairs
                    else:
                        self.document.fail(path, "found << without a mapping; allowed: << with an alias of a mapping")
        return pairs

    def _scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Json:
        text, tag = node.value, node.tag
        if "${" in text:
            match = _VARIABLE.fullmatch(text)
            if match is None:
                whole = "a variable as the whole value, ${VAR} or ${VAR:-default}"
                self.document.fail(path, f"found ${{ in the longer text {show(text)}; allowed: {whole}")
                return None
            name, default = match.groups()
            value = os.environ.get(name)
            value = default if default is not None and not value else value
            if value is None:
                fix = f"set it, or write ${{{name}:-default}}"
                self.document.fail(path, f"found ${{{name}}}, but the environment variable {name} is not set; {fix}")
                return None
            self.document.variables[path] = Variable(text, value)
            text, tag = value, _plain_tag(value)
        elif shell := _SHELL_VARIABLE.match(text):
            self.document.fail(path, f"found {shell[0]}; allowed: ${{{shell[0][1:]}}}, as the whole value")
            return None
        try:
            text.encode()
            return _PLAIN[tag.removeprefix(_TAG)](text)
        except (KeyError, ValueError):
            found = self.document.variables[path].written if path in self.document.variables else show(text)
            self.document.fail(path, f"found {found}, which is no valid {tag.removeprefix(_TAG)} of YAML")
            return None
