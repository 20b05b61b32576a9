"""Laws of reading YAML: plain values only, every key with its place, variables whole or not at all, `--set` by path."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.document import Document
from pipeline.config.yamlsource import assign, read_document
from pipeline.errors import ConfigError


def document_of(folder: Path, text: str) -> Document:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return read_document(path)


UNENDED = (
    "--set grid: not YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'; "
    "close the [ ] and put commas between its values"
)


def faults_of(document: Document) -> list[str]:
    return [str(fault).replace(document.file, "run.yaml") for fault in document.faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("0", 0),
        ("0042", "0042"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e-3", 1e-3),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("null", None),
        ("~", None),
        ("", None),
        ("none", "none"),
        (".inf", ".inf"),
        ("2024-06-01", "2024-06-01"),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
        ("!!float 3", 3.0),
        ("[1, a, [b]]", [1, "a", ["b"]]),
        ("{a: 1, 2: b}", {"a": 1, "2": "b"}),
    ],
)
def test_plain_values_are_of_yaml_12s_core_and_the_rest_is_text(tmp_path: Path, text: str, value: object) -> None:
    data = document_of(tmp_path, f"key: {text}\n").data
    assert data == {"key": value}
    assert type(data["key"]) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("!!python/object/apply:os.system [ls]", "found the tag !!python/object/apply:os.system"),
        ("!!python/name:os.system ''", "found the tag !!python/name:os.system"),
        ("!!python/object:builtins.dict {}", "found the tag !!python/object:builtins.dict"),
        ("!!binary aGk=", "found the tag !!binary"),
        ("!!set {a, b}", "found the tag !!set"),
        ("!own x", "found the tag !own"),
    ],
)
def test_a_tag_makes_no_object(tmp_path: Path, text: str, message: str) -> None:
    document = document_of(tmp_path, f"first: 1\nkey: {text}\n")
    allowed = "allowed: no tag, only text, numbers, lists and mappings"
    assert faults_of(document) == [f"run.yaml:2: key: {message}; {allowed}"]
    assert document.data == {"first": 1, "key": None}


@pytest.mark.parametrize("text", ["!!int abc", "!!bool maybe", "!!float .nan", "1e999", "9" * 5000])
def test_a_value_its_type_does_not_have_is_a_fault(tmp_path: Path, text: str) -> None:
    (fault,) = faults_of(document_of(tmp_path, f"key: {text}\n"))
    assert fault.startswith('run.yaml:1: key: found "')
    assert len(fault) < 160, "a long value is cut"


def test_a_key_written_twice_names_both_lines(tmp_path: Path) -> None:
    document = document_of(tmp_path, "a: 1\nb:\n  c: 1\n  d: 2\n  c: 3\na: 2\n")
    assert faults_of(document) == [
        "run.yaml:6: a: found this key twice, first at run.yaml:1; allowed: once",
        "run.yaml:5: b.c: found this key twice, first at run.yaml:3; allowed: once",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [1, 2\nb: 3\n", "run.yaml:1: not YAML: while parsing a flow sequence expected ',' or ']'"),
        ("a: 1\n\tb: 2\n", "run.yaml:2: not YAML: "),
        ("a: *b\n", "run.yaml:1: not YAML: found undefined alias 'b'"),
        ("a: 1\n---\nb: 2\n", "run.yaml:2: not YAML: expected a single document"),
        ("a: 1\nb: \x07\n", "run.yaml:2: not YAML: found the character U+0007"),
        ("a: " + "[" * 800, "run.yaml:1: nested too deeply; allowed: 60 levels"),
        ("a: " + "[" * 70 + "]" * 70, "run.yaml:1: found too much; allowed: 100000 values, 60 levels"),
        ("a: &a [*a]\n", "run.yaml:1: found too much"),
        ("a: &a {<<: *a}\n", "run.yaml:1: found too much"),
        ("", "run.yaml:1: found nothing; allowed: a mapping of keys such as `name: po-valley`"),
        ("- 1\n", "run.yaml:1: found [1]; allowed: a mapping of keys"),
        ("just text\n", 'run.yaml:1: found "just text"; allowed: a mapping of keys'),
    ],
)
def test_what_is_no_yaml_mapping_is_refused_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        document_of(tmp_path, text)
    assert str(caught.value).replace(str(tmp_path / "run.yaml"), "run.yaml").startswith(message)


def test_anchors_of_anchors_end_before_memory_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.config.yamlsource.MAX_NODES", 1000)
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 12))
    with pytest.raises(ConfigError, match="found too much"):
        document_of(tmp_path, f"l0: &l0 [x]\n{levels}\n")


@pytest.mark.parametrize(
    ("content", "message"), [(b"name: \xff\n", "byte 6 is not UTF-8"), (None, "cannot be read (No such file")]
)
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "run.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_document(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_anchors_and_merges_keep_yamls_precedence_and_name_where_the_value_was_written(tmp_path: Path) -> None:
    text = (
        "base: &base\n  x: 1\n  y: 2\nother: &other {y: 8, z: 9}\nhere:\n  <<: [*base, *other]\n  x: 5\ntwin: *base\n"
    )
    document = document_of(tmp_path, text)
    assert document.data["here"] == {"x": 5, "y": 2, "z": 9}
    assert document.data["twin"] == {"x": 1, "y": 2}
    lines = {key: document.place(("here", key)).order for key in "xyz"}
    assert lines == {"x": 7, "y": 3, "z": 4}


def test_a_merge_of_no_mapping_and_a_key_that_is_no_text_are_faults(tmp_path: Path) -> None:
    document = document_of(tmp_path, 'a:\n  <<: 3\nb: {? [1] : 2}\nc: {"\\ud800": 1}\n')
    key = "found a key that is a list, a mapping or unprintable; allowed: text"
    assert faults_of(document) == [
        "run.yaml:1: a: found << without a mapping; allowed: << with an alias of a mapping",
        f"run.yaml:3: b: {key}",
        "run.yaml:4: c: found a key that holds U+D800; allowed: text; it may come from a web page: type it anew",
    ]


@pytest.mark.parametrize(
    ("written", "environment", "value"),
    [
        ("${V}", {"V": "text"}, "text"),
        ("${V}", {"V": "12"}, 12),
        ('"${V}"', {"V": "0.5"}, 0.5),
        ("${V}", {"V": "true"}, True),
        ("${V}", {"V": "[1, 2]"}, "[1, 2]"),
        ("${V}", {"V": "!!python/name:os.system"}, "!!python/name:os.system"),
        ("${V}", {"V": "${W}", "W": "x"}, "${W}"),
        ("${V}", {"V": ""}, None),
        ("${V:-8}", {}, 8),
        ("${V:-8}", {"V": ""}, 8),
        ("${V:-8}", {"V": "9"}, 9),
        ("${V:-}", {}, None),
        ("${V:-s3://b/p:q}", {}, "s3://b/p:q"),
    ],
)
def test_a_whole_value_may_be_a_variable_read_as_a_plain_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, environment: dict[str, str], value: object
) -> None:
    monkeypatch.delenv("V", raising=False)
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    document = document_of(tmp_path, f"key: {written}\n")
    assert document.data == {"key": value}
    assert not document.faults
    assert document.show(("key",)).startswith(written.strip('"'))


def test_variables_that_are_unset_or_part_of_a_text_are_faults_with_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("V", raising=False)
    monkeypatch.setenv("W", "w")
    document = document_of(tmp_path, 'a: ${V}\nb:\n  - "${V}"\nc: s3://${W}/x\nd: ${W}${W}\ne: ${1}\nf: ${V:-${W}}\n')
    unset = "found ${V}, but the environment variable V is not set; set it, or write ${V:-default}"
    whole = "allowed: a variable as the whole value, ${VAR} or ${VAR:-default}"
    assert faults_of(document) == [
        f"run.yaml:1: a: {unset}",
        f"run.yaml:3: b.0: {unset}",
        f'run.yaml:4: c: found ${{ in the longer text "s3://${{W}}/x"; {whole}',
        f'run.yaml:5: d: found ${{ in the longer text "${{W}}${{W}}"; {whole}',
        f'run.yaml:6: e: found ${{ in the longer text "${{1}}"; {whole}',
        f'run.yaml:7: f: found ${{ in the longer text "${{V:-${{W}}}}"; {whole}',
    ]


SETTABLE = "grid: {tile_px: 64}\nempty:\nlist: [1, 2]\nproducts:\n  - {product: a}\n  - {product: b, name: c}\n"


@pytest.mark.parametrize(
    ("assignment", "path", "value"),
    [
        ("grid.tile_px=128", ("grid", "tile_px"), 128),
        ("grid={tile_px: 1, kind: utm}", ("grid",), {"tile_px": 1, "kind": "utm"}),
        ("empty.a.b=x", ("empty", "a", "b"), "x"),
        ("new.key=2024-01-01", ("new", "key"), "2024-01-01"),
        ("list.1=null", ("list",), [1, None]),
        ("products.a.bands=[red]", ("products", 0, "bands"), ["red"]),
        ("products.c.name=d=e", ("products", 1, "name"), "d=e"),
        ("products.1.name=", ("products", 1, "name"), None),
        ("output=s3://b/p", ("output",), "s3://b/p"),
        ("grid.tile_px=${SIZE}", ("grid", "tile_px"), 256),
    ],
)
def test_set_replaces_the_value_at_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, assignment: str, path: tuple[str | int, ...], value: object
) -> None:
    monkeypatch.setenv("SIZE", "256")
    document = document_of(tmp_path, SETTABLE)
    assign(document, assignment)
    assert document.get(path) == value
    assert document.place((*path, "deeper")).text == f"--set {assignment.partition('=')[0]}" or path == ("list",)
    assert not document.faults


@pytest.mark.parametrize(
    ("assignment", "fault"),
    [
        ("grid", "--set grid: found no '='; write --set key.path=value, such as --set run.retries=5"),
        ("=3", "--set : found an empty key; write --set key.path=value, such as --set run.retries=5"),
        ("grid..x=3", "--set grid..x: found an empty key; write --set key.path=value, such as --set run.retries=5"),
        ("grid.tile_px.x=3", "--set grid.tile_px.x: grid.tile_px is 64, no mapping: there is no x in it"),
        ("list.2=3", '--set list.2: list has no element "2"; allowed: 0 to 1'),
        ("products.b.x=3", '--set products.b.x: products has no element "b"; allowed: 0 to 1, or by name a, c'),
        ("grid=[1", UNENDED),
        (
            "grid=!!set {}",
            "--set grid: grid: found the tag !!set; allowed: no tag, only text, numbers, lists and mappings",
        ),
    ],
)
def test_a_set_that_points_nowhere_is_a_fault_named_by_its_option(tmp_path: Path, assignment: str, fault: str) -> None:
    document = document_of(tmp_path, SETTABLE)
    assign(document, assignment)
    assert faults_of(document) == [fault]


def test_set_also_replaces_what_was_wrong_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("V", raising=False)
    document = document_of(tmp_path, 'a: {b: "${V}"}\nc: ${V}\n')
    assign(document, "a.b=1")
    assert [fault.path for fault in document.faults] == [("c",)]


words = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8)
scalars = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | words
trees = st.dictionaries(
    words,
    st.recursive(scalars, lambda c: st.lists(c, max_size=3) | st.dictionaries(words, c, max_size=3), max_leaves=8),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(tree=trees)
def test_json_is_yaml_and_comes_back_as_it_was(tmp_path: Path, tree: dict[str, object]) -> None:
    """Any JSON document reads as the very same data, so that nothing is coerced on the way."""
    document = document_of(tmp_path, json.dumps(tree))
    assert document.data == tree
    assert not document.faults
