"""Laws of what is told of the keys: each is described, has a default or is required, and the reference is current."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from pipeline.config import config_schema, events_schema, load_config, load_events
from pipeline.config.example import EVENTS, LARGE, SMALLEST
from pipeline.config.reference import reference
from pipeline.products import product_kinds, product_models
from pipeline.types import Json
from tests.configs import plain

CONFIGS = Path(__file__).parents[2] / "configs"
RUN, RULES = config_schema(product_models()), events_schema()


def keys_of(node: Json, place: str) -> Iterator[tuple[str, Json, bool]]:
    """Every key of every mapping anywhere in a schema, what is said of it, and whether it is required."""
    if isinstance(node, dict):
        for key, told in node.get("properties", {}).items():
            # A mapping may have a key that is itself called `properties`.
            if isinstance(told, dict):
                yield f"{place}/{key}", told, key in node.get("required", ())
        for key, child in node.items():
            yield from keys_of(child, f"{place}/{key}")
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield from keys_of(child, f"{place}/{i}")


@pytest.mark.parametrize(("schema", "least"), [(RUN, 300), (RULES, 200)], ids=["run", "events"])
def test_every_key_is_described_and_has_a_default_or_is_required(schema: Json, least: int) -> None:
    keys = list(keys_of(schema, ""))
    assert len(keys) >= least
    silent = [place for place, told, _ in keys if not re.match(r"\S.{8,}\.$", told.get("description", ""), re.DOTALL)]
    assert silent == [], "a description is a sentence"
    assert [place for place, told, required in keys if not required and "default" not in told] == []
    assert [place for place, told, required in keys if required and told.get("default") is not None] == []


SAYS_WHAT_NOTHING_MEANS = re.compile(
    r"nothing[:, ]|null:|in place of|exactly one|required|^with |^of (vector|sns)|^for (geobox|region)|may be left out",
    re.IGNORECASE,
)


def test_a_default_of_nothing_says_what_that_means() -> None:
    """Or beside which key the other one has a meaning."""
    bare = [
        place
        for schema in (RUN, RULES)
        for place, told, required in keys_of(schema, "")
        if not required and told.get("default", 0) is None and not SAYS_WHAT_NOTHING_MEANS.search(told["description"])
    ]
    assert bare == []


def test_every_kind_of_product_and_cluster_has_its_own_mapping() -> None:
    kinds = {reference["$ref"].rpartition("/")[2] for reference in RUN["properties"]["products"]["items"]["oneOf"]}
    named = {RUN["$defs"][kind]["properties"]["product"]["const"] for kind in kinds}
    assert named == {*product_kinds()}
    for kind in kinds:
        properties = RUN["$defs"][kind]["properties"]
        assert properties["name"]["default"] == properties["product"]["const"], "the schema knows a product's own name"


def test_the_reference_is_what_the_schema_says() -> None:
    written = (CONFIGS / "REFERENCE.md").read_text()
    assert written == reference(RUN, RULES), "groundswell schema --markdown > configs/REFERENCE.md"


def test_every_key_has_a_row_in_the_reference_and_every_link_a_heading() -> None:
    text = (CONFIGS / "REFERENCE.md").read_text()
    rows = set(re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE))
    keys = {place.rpartition("/")[2] for schema in (RUN, RULES) for place, _, _ in keys_of(schema, "")}
    assert keys - rows <= {"warn", "fail"} and len(rows) > 250
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    anchors = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(set(anchors)) == len(anchors), "one anchor each"
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= set(anchors)
    mappings = [name for schema in (RUN, RULES) for name, told in schema["$defs"].items() if "properties" in told]
    assert len(headings) >= len(set(mappings)), "a section each"
    assert all(line.count("|") - line.count("\\|") == 5 for line in text.splitlines() if line.startswith("| `"))


def test_the_examples_of_the_reference_load_and_fit_the_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u@h/db")
    config = tmp_path / "large.yaml"
    config.write_text(LARGE)
    large = load_config(config, product_models())
    assert [product.product for product in large.products] == ["sentinel2", "sentinel1", "dem", "predict", "argo"]
    config.write_text(EVENTS)
    assert set(load_events(config).rules) == {"scenes", "stations"}
    for schema, text in ((RUN, LARGE), (RUN, SMALLEST), (RULES, EVENTS)):
        assert list(Draft202012Validator(schema).iter_errors(plain(text))) == []
        assert f"```yaml\n{text}```" in (CONFIGS / "REFERENCE.md").read_text()


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.yaml")))
def test_an_editor_finds_nothing_wrong_with_the_configs_that_are_shipped(name: str) -> None:
    schema = RULES if name == "events.yaml" else RUN
    found = Draft202012Validator(schema).iter_errors(plain((CONFIGS / name).read_text()))
    assert [f"{error.json_path}: {error.message}" for error in found] == []
