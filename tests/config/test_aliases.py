"""Options of the command line: each is an alias of a `--set` key, and `--set` has the last word."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import RunConfig, load_config
from pipeline.config.options import Options
from pipeline.products import product_models
from pipeline.run import parser

CONFIG = """\
name: t
output: ./out
area: {bbox: [11.9, 44.8, 12.1, 45.0]}
period: {start: 2024-06-01, end: 2024-07-01, every: month}
sources:
  s2: {items: items.json, region: us-west-2}
products:
  - {product: sentinel2, source: s2, bands: [red]}
"""
TWO = "clusters:\n  us-west-2: {threads: 1}\n  default: {worker_memory: 1GiB}\n"


def loaded(folder: Path, text: str, *words: str) -> RunConfig:
    path = folder / "run.yaml"
    path.write_text(text)
    options = Options(**vars(parser().parse_args([str(path), *words])))
    return load_config(path, product_models(), options.all_sets, options.output)


@pytest.mark.parametrize(
    ("words", "key", "value"),
    [
        (["--retries", "7"], "retries", 7),
        (["--report-dir", "there"], "report_dir", "there"),
        (["--plot"], "plot", True),
        (["--no-plot"], "plot", False),
        (["--progress", "json"], "progress", "json"),
        (["--quiet"], "progress", "quiet"),
        (["--retries", "7", "--set", "run.retries=2"], "retries", 2),
        ([], "retries", 3),
    ],
)
def test_an_option_stands_for_its_key(tmp_path: Path, words: list[str], key: str, value: object) -> None:
    assert getattr(loaded(tmp_path, CONFIG, *words).run, key) == value


def test_memory_is_that_of_every_cluster(tmp_path: Path) -> None:
    """Of those that the config has; of the default one where it has none."""
    two = loaded(tmp_path, CONFIG + TWO, "--mem", "4GiB").clusters
    assert {region: each.worker_memory for region, each in two.items()} == dict.fromkeys(two, 4 * 2**30)
    assert set(two) == {"us-west-2", "default"}
    assert loaded(tmp_path, CONFIG, "--mem", "4GiB").cluster_of("us-west-2").worker_memory == 4 * 2**30


@pytest.mark.parametrize("option", ["--dest", "--output"])
def test_dest_is_the_output(tmp_path: Path, option: str) -> None:
    assert loaded(tmp_path, CONFIG, option, "s3://bucket/there").output == "s3://bucket/there"


def test_a_command_to_be_repeated_has_no_secret(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(CONFIG)
    words = ["--set", "stores.postgres.dsn=postgresql://u:geheim@h/d", "--set", "sources.s2.items=https://u:geheim@h/i"]
    options = Options(**vars(parser().parse_args([str(path), *words, "--retries", "1", "--yes"])))
    assert options.command == (
        *("python", "-m", "pipeline.run", str(path), "--set", "run.retries=1", "--set", "stores.postgres.dsn=***"),
        *("--set", "sources.s2.items=https://***@h/i"),
    )
