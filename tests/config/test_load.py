"""Laws of the config: what is valid, and that every fault is named at once with file, line, key, found and allowed."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pipeline.config import GridConfig, ProductConfig, config_schema, redacted
from pipeline.errors import ConfigError
from tests.configs import KINDS, LARGE, SMALL, Bands, Heights, faults, leaves_of, load, mappings_of, plain, with_value


def test_the_smallest_config_has_the_documented_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, SMALL)
    assert (config.grid.kind, config.grid.edge_px, config.grid.resolution_m) == ("utm", 2048, 10.0)
    assert config.area is not None and config.area.bbox == (10.9, 44.6, 11.2, 44.8)
    assert (config.period.start, config.period.end) == (
        datetime(2024, 6, 1, tzinfo=UTC),
        datetime(2024, 9, 1, tzinfo=UTC),
    )
    (product,) = config.products
    assert isinstance(product, Bands) and product.name == product.product == "bands" and product.bands == ("red", "nir")
    assert (config.region_of(product), config.cluster_of("default").workers) == ("default", None)
    cog = config.write_of(product).cog
    assert cog and cog.compress == "deflate" and cog.level is None
    assert (config.run.retries, config.missing_assets_of(product).policy) == (3, "skip")
    assert config.missing_assets_of(product).max_fraction == 0.2
    assert config.output == "./out", "a relative folder counts from the current directory"


def test_the_large_config_means_what_it_says(tmp_path: Path) -> None:
    config = load(tmp_path, LARGE)
    first, second, third = config.products
    assert config.output == "s3://my-bucket/kenya-2024" and config.storage.profile == "campaign"
    assert config.period.start == datetime(2024, 1, 1, 3, tzinfo=UTC)
    assert config.period.end == datetime(2025, 1, 1, tzinfo=UTC)
    assert config.sources["s1"].items == str(tmp_path / "items/s1.json"), "beside the config file"
    assert [config.region_of(product) for product in config.products] == ["us-west-2", "default", "default"]
    assert config.cluster_of("us-west-2").workers == (1, 4)
    assert config.cluster_of("us-west-2").worker_memory == 1.5 * 2**30
    assert config.cluster_of("default").workers == config.cluster_of("elsewhere").workers == (2, 2)
    levels = [cog.level for cog in (config.write_of(first).cog, config.write_of(second).cog) if cog]
    assert levels == [19, None]
    assert [config.missing_assets_of(p).policy for p in config.products] == ["skip", "fail", "skip"]
    assert isinstance(second, Bands) and second.mask is None and type(third) is Heights


def test_a_config_is_frozen_and_survives_pickling(tmp_path: Path) -> None:
    config = load(tmp_path, LARGE)
    for key in GridConfig.model_fields:
        with pytest.raises(ValueError, match="frozen"):
            setattr(config.grid, key, None)
    assert pickle.loads(pickle.dumps(config)) == config


def test_all_faults_come_at_once_in_the_order_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    text = """\
name: a b
area: {bbox: [1, 2, 3, "${NOWHERE}"]}
grid:
  tile_pxx: 64
  tile_px: ${NOWHERE}
period:
  start: 2024-06-01
  every: week
sources:
  s2:
    stac: https://example.org/stac
    regoin: us-west-2
  spare: {items: x.json}
products:
  - product: bands
    source: s22
    bands: [red, blue]
  - {product: heights, source: s2, name: BANDS}
  - {source: s2}
clusters:
  mars: {workers: two}
run: {}
run: {}
"""
    unset = "found ${NOWHERE}, but the environment variable NOWHERE is not set; set it, or write ${NOWHERE:-default}"
    assert faults(tmp_path, text, "run.retires=1") == [
        (
            'run.yaml:1: name: found "a b"; allowed: up to 64 letters, digits, - and _, the first a letter or a digit; '
            "write a-b"
        ),
        f"run.yaml:2: area.bbox.3: {unset}",
        (
            "run.yaml:4: grid.tile_pxx: unknown key (did you mean tile_px?); allowed: kind, tile_px, resolution_m, "
            "crs, transform, origin, anchor, shape"
        ),
        f"run.yaml:5: grid.tile_px: {unset}",
        (
            "run.yaml:6: period.end: missing; required: a date such as 2024-06-01, or a time such as "
            "2024-06-01T12:00:00Z (First moment after the last one (excluded): 2024-07-01 ends with 30 June)"
        ),
        'run.yaml:8: period.every: found "week"; allowed: one of day, dekad, 15d, month, quarter, season, year, span',
        "run.yaml:10: sources.s2: found stac without collection; required: collection, such as sentinel-2-l2a",
        (
            "run.yaml:12: sources.s2.regoin: unknown key (did you mean region?); allowed: gdac, dac, floats, kinds, "
            "parameters, mirror, download, unlisted, multi_profile, limit, index, stac, items, collection, query, "
            "filter, fields, region, prefer, sign, s3_credentials, storage"
        ),
        'run.yaml:16: products.0.source: found "s22" (did you mean s2?); allowed: a source, of s2, spare',
        'run.yaml:17: products.0.bands.1: found "blue"; allowed: one of red, nir',
        'run.yaml:18: products.1.name: found "BANDS", but products.0 has that name too; allowed: a `name:` of its own',
        "run.yaml:19: products.2.product: missing; required: one of bands, heights",
        (
            'run.yaml:21: clusters.mars.workers: found "two"; allowed: a whole number, at least 1, or a list of 2: a '
            "whole number, at least 1"
        ),
        "run.yaml:21: clusters.mars: found a region of no source; allowed: default",
        "run.yaml:23: run: found this key twice, first at run.yaml:22; allowed: once",
        (
            "--set run.retires: run.retires: unknown key (did you mean retries?); allowed: retries, missing_assets, "
            "super_tile, quality, cross_region, budget_usd, job_timeout_s, worker_timeout_s, cluster_restarts, claims, "
            "report_dir, plot, progress, metrics, notify"
        ),
    ]


def test_a_variable_that_is_not_set_is_one_fault_and_not_blamed_on_its_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    (fault,) = faults(tmp_path, SMALL, "sources.s2={items: '${NOWHERE}'}")
    assert fault.startswith(
        "--set sources.s2: sources.s2.items: found ${NOWHERE}, but the environment variable NOWHERE"
    )


def test_a_fault_in_a_merged_section_names_the_line_it_was_written_on(tmp_path: Path) -> None:
    text = SMALL + "  - &base\n    product: heights\n    source: s2\n    sauce: x\n  - {<<: *base, name: other}\n"
    keys = "product, name, grid, period, missing_assets, write, quality, source"
    allowed = f"unknown key (did you mean source?); allowed: {keys}"
    assert faults(tmp_path, text) == [
        f"run.yaml:12: products.1.sauce: {allowed}",
        f"run.yaml:12: products.2.sauce: {allowed}",
    ]


# Secrets ------------------------------------------------------------------------------------------------------------

HIDDEN = "hunter2-hunter2"


def test_no_message_holds_a_value_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the key and whatever is wrong with it, it stands as `${HIDDEN}`, also in a product's own words."""
    monkeypatch.setenv("HIDDEN", HIDDEN)
    monkeypatch.setenv("CHATTY", f"bad {HIDDEN}")
    config = plain(LARGE) | {"unknown": 1}
    for path in leaves_of(config):
        for value in ("${HIDDEN}", ["${HIDDEN}"]):
            found = faults(tmp_path, yaml.safe_dump(with_value(config, path, value)))
            assert HIDDEN not in "".join(found)
    found = faults(tmp_path, SMALL, "products.bands.label=${CHATTY}")
    assert found == [
        "--set products.bands.label: products.0.label: found ${CHATTY}; '${CHATTY}' begins with bad",
    ]


def test_a_variable_that_looks_like_a_number_is_text_where_text_is_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN", "2024")
    monkeypatch.setenv("TILE", "512")
    config = load(tmp_path, SMALL, "name=${RUN}", "products.bands.label=${RUN}", "grid.tile_px=${TILE}")
    assert (config.name, config.grid.tile_px) == ("2024", 512)
    assert faults(tmp_path, SMALL, "name=2024"), "a number of the file is not text"


def test_redacted_shows_variables_as_written_and_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"HIDDEN": HIDDEN, "SIZE": "512", "AREA": "44.6", "WORK": "3"}.items():
        monkeypatch.setenv(name, text)
    text = SMALL.replace("https://earth", "https://me:my-password@earth").replace("44.6", '"${AREA}"')
    sets = ("products.bands.key=${HIDDEN}", "products.bands.label=${HIDDEN}", "grid.tile_px=${SIZE}", "name=${HIDDEN}")
    config = load(tmp_path, text, *sets, "clusters.default.workers=[1, '${WORK}']", output="s3://key:pw1234@bucket/x")
    shown = redacted(config)
    assert json.loads(json.dumps(shown)) == shown
    assert (
        HIDDEN not in json.dumps(shown) and "my-password" not in json.dumps(shown) and "pw1234" not in json.dumps(shown)
    )
    assert shown["name"] == shown["products"][0]["label"] == shown["products"][0]["key"] == "${HIDDEN}"
    assert shown["grid"]["tile_px"] == "${SIZE}" and shown["area"]["bbox"] == [10.9, "${AREA}", 11.2, 44.8]
    assert shown["sources"]["s2"]["stac"] == "https://***@earth-search.aws.element84.com/v1"
    assert shown["clusters"]["default"]["workers"] == [1, "${WORK}"]
    assert shown["period"]["start"] == "2024-06-01T00:00:00Z" and shown["products"][0]["bands"] == ["red", "nir"]
    assert isinstance(config.products[0], Bands) and config.products[0].key is not None
    assert config.products[0].key.get_secret_value() == HIDDEN, "the run itself has the value"
    assert "my-password" not in repr(config) and "pw1234" not in str(config)


def test_a_literal_secret_is_shown_neither_redacted_nor_in_a_fault(tmp_path: Path) -> None:
    config = load(tmp_path, SMALL, f"products.bands.key={HIDDEN}")
    assert HIDDEN not in json.dumps(redacted(config)) + repr(config)
    assert HIDDEN not in "".join(faults(tmp_path, SMALL, f"products.bands.key=[{HIDDEN}]"))


def test_of_a_webhook_records_show_the_host_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of its address is often the only secret that there is."""
    address = f"https://me:{HIDDEN}@hooks.example.org/services/{HIDDEN}?x={HIDDEN}"
    monkeypatch.setenv("HOOK", address)
    config = load(tmp_path, SMALL, f"run.notify=[{{webhook: '{address}'}}, {{webhook: '${{HOOK}}'}}]")
    assert [one.webhook for one in config.run.notify] == [address, address]
    shown = redacted(config)
    assert [one["webhook"] for one in shown["run"]["notify"]] == ["https://***@hooks.example.org/***", "${HOOK}"]
    assert HIDDEN not in json.dumps(shown) + repr(config)


# The command line ---------------------------------------------------------------------------------------------------


def test_set_and_output_win_over_the_file_and_heal_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    text = SMALL.replace("output: ./out", "output: ${NOWHERE}")
    config = load(tmp_path, text, "products.bands.bands=[nir]", "run.retries=5", "run.retries=6", output="/tmp/other/")
    assert isinstance(config.products[0], Bands) and config.products[0].bands == ("nir",)
    assert (config.output, config.run.retries) == ("/tmp/other", 6)
    with pytest.raises(ConfigError, match=r'^--output: output: found "ftp://x"; allowed: a folder'):
        load(tmp_path, text, output="ftp://x")


# The schema ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [KINDS, {"bands": Bands}], ids=["two kinds", "one kind"])
def test_the_schema_is_a_schema_and_takes_what_the_loader_takes(kinds: dict[str, type[ProductConfig]]) -> None:
    schema = config_schema(kinds)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for text in (SMALL, LARGE) if len(kinds) > 1 else (SMALL,):
        assert list(validator.iter_errors(plain(text))) == []
    assert schema["title"] == "Groundswell run"


def test_every_mapping_of_the_schema_is_closed_and_every_key_described() -> None:
    schema = config_schema(KINDS)
    for section in (schema, *schema["$defs"].values()):
        assert section["additionalProperties"] is False
        assert section["description"]
        for key in section["properties"].values():
            assert key.get("description") or schema["$defs"][key["$ref"].rpartition("/")[2]]["description"]


NAMED_BY_USER = {("sources",), ("clusters",)}
LARGE_DATA, EDITOR = plain(LARGE), Draft202012Validator(config_schema(KINDS))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)
@given(data=st.data())
def test_any_unknown_key_anywhere_is_refused_with_its_line(tmp_path: Path, data: st.DataObject) -> None:
    """Whichever mapping of the file it stands in and whatever it is called; the schema refuses it as well."""
    around = data.draw(st.sampled_from([path for path in mappings_of(LARGE_DATA) if path not in NAMED_BY_USER]))
    key = "zz" + data.draw(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=6))
    changed = with_value(LARGE_DATA, (*around, key), data.draw(st.sampled_from([1, "text", None, [1], {"a": 1}])))
    text = yaml.safe_dump(changed, sort_keys=data.draw(st.booleans()), width=1000)
    line = next(i for i, words in enumerate(text.splitlines(), 1) if words.strip().lstrip("-? '\"").startswith("zz"))
    (fault,) = faults(tmp_path, text)
    assert fault.startswith(f"run.yaml:{line}: ") and ": unknown key" in fault and "; allowed: " in fault
    assert not EDITOR.is_valid(changed)


def test_importing_the_config_imports_nothing_heavy() -> None:
    code = "import sys, pipeline.config; print(*{name.partition('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numpy", "xarray", "dask", "distributed", "rasterio", "pystac", "s3fs", "odc", "fsspec", "jsonschema"}
    assert not heavy & set(run.stdout.split())
