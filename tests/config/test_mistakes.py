"""What a new user gets wrong, and the answer: file, line, key, what was found, what is allowed, how to mend it.

Each case is one edit of a good config and what must stand in the one message of it.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from pipeline.config import ProductConfig, load_config
from pipeline.errors import ConfigError
from pipeline.products import product_models

GOOD = """\
name: po-valley
output: ./out
area: {bbox: [10.9, 44.6, 11.2, 44.8]}
period: {start: 2024-06-01, end: 2024-09-01, every: month}
sources:
  s2: {stac: "https://earth-search.aws.element84.com/v1", collection: sentinel-2-c1-l2a}
products:
  - {product: sentinel2, source: s2, bands: [red, nir], composite: median, indices: [ndvi]}
"""
EMPTY = "found nothing; allowed: a mapping of keys such as `name: po-valley`; see the smallest config"
BBOX = "[10.9, 44.6, 11.2, 44.8]"
SOURCE = "collection: sentinel-2-c1-l2a"

# Text of the good config, what stands in its place, line and key, and words of the message.
EDITS = [
    # YAML
    ("  s2:", "\ts2:", "6:", "indent with spaces, never with a tab"),
    ("output: ./out", "output ./out", "2:", "write `key: value`, with a colon and a space"),
    ("output: ./out", "output:./out", "2:", "write `key: value`, with a colon and a space"),
    ("44.8]", "44.8", "3:", "close the [ ] and put commas between its values"),
    ('v1"', "v1", "6:", "close the quotes"),
    ("sources:", " sources:", "5:", "keys of one mapping begin in the same column"),
    ("./out", '"C:\\Users\\me"', "2:", "a \\ in double quotes begins an escape; write single quotes"),
    ("./out", "*here", "2:", "text that begins with * stands in quotes"),
    ("./out", "@here", "2:", "text that begins with this character stands in quotes"),
    ("./out", "a: b", "2:", "text that holds a colon and a space stands in quotes"),
    ("name: po-valley", "name: po-valley\n---", "2:", "write one config a file"),
    ("name: po-valley", "name: a\nname: b", "2: name", "found this key twice, first at po.yaml:1; allowed: once"),
    ("  s2:", "\u00a0\u00a0s2:", "6:", "found a key that holds U+00A0; allowed: text; it may come from a web page"),
    ("./out", "!!python/object:os.system ls", "2: output", "allowed: no tag"),
    # Keys
    ("period:", "peroid:", "4: peroid", "unknown key (did you mean period?); allowed: name, output, storage, area"),
    ("every:", "evry:", "4: period.evry", "unknown key (did you mean every?)"),
    ("name:", "Name:", "1: Name", "unknown key (did you mean name?)"),
    ("products:", "product:", "7: product", "unknown key (did you mean products?)"),
    ("area: {", "area: {bbbox: [0, 0, 1, 1], ", "3: area.bbbox", "unknown key (did you mean bbox?)"),
    ("area: {bbox:", "retries: 5\narea: {bbox:", "3: retries", "unknown key; retries is a key of run"),
    (
        "name: po-valley",
        "name: po-valley\nstart_date: 2024",
        "2: start_date",
        "unknown key; write period: {start: 2024",
    ),
    (
        SOURCE,
        f"{SOURCE}, max_cloud_cover: 20",
        "6: sources.s2.max_cloud_cover",
        'write query: {"eo:cloud_cover": {lt: 20}}',
    ),
    # Kinds of value
    (BBOX, '"10.9,44.6,11.2,44.8"', "3: area.bbox", "allowed: a list of 4: a number; write [10.9, 44.6, 11.2, 44.8]"),
    (BBOX, "[10,9, 44,6, 11,2, 44,8]", "3: area.bbox", "write decimals with a point"),
    (f"{{bbox: {BBOX}}}", BBOX, "3: area", "write {bbox: [10.9, 44.6, 11.2, 44.8]}"),
    ("[red, nir]", "red", "8: products.0.bands", "write [red]"),
    ("[red, nir]", '"red, nir"', "8: products.0.bands", "write [red, nir]"),
    ("  - {product", "  {product", "7: products", "allowed: a list, each a mapping with product: one of argo"),
    ("  - {product", "  {product", "7: products", "begin each entry with -"),
    ("  s2: {", "  - {", "5: sources", "write its keys without - and [ ]; where each entry has a name"),
    ("name: po-valley", "name: 2024", "1: name", 'write "2024"'),
    ("po-valley", "Po Valley", "1: name", "write Po-Valley"),
    ("composite: median", "mask: true", "8: products.0.mask", "write {}"),
    # Values
    (BBOX, "[10.9, 44.8, 11.2, 44.6]", "3: area.bbox", "south below north; write [10.9, 44.6, 11.2, 44.8]"),
    (BBOX, "[44.6, 110.9, 44.8, 111.2]", "3: area.bbox", "the longitude comes first: write [110.9, 44.6, 111.2, 44.8]"),
    (BBOX, "[650000, 4940000, 660000, 4960000]", "3: area.bbox", "these look like metres of a projection"),
    (f"{{bbox: {BBOX}}}", "{mgrs: [32tqq]}", "3: area.mgrs.0", "a Sentinel-2 tile such as 37MBU; write 32TQQ"),
    (
        "2024-09-01",
        "2024-05-01",
        "4: period.end",
        "later than period.start, for the end is excluded; are they swapped?",
    ),
    ("2024-09-01", "2024-06-01", "4: period.end", "for one day write the day after it"),
    ("2024-06-01", "01.06.2024", "4: period.start", "write 2024-06-01"),
    ("2024-06-01", "2024-06-31", "4: period.start", "of a day that the calendar has"),
    ("2024-06-01", "2024", "4: period.start", "write 2024-01-01"),
    ("2024-09-01", "2024-09", "4: period.end", "write 2024-09-01, if that is the first day left out"),
    (
        "{start: 2024-06-01, end: 2024-09-01, every: month}",
        "2024-06-01/2024-08-31",
        "4: period",
        "write {start: 2024-06-01, end: 2024-08-31}, if that is the first day left out",
    ),
    ("composite: median", "dates: {max_cloud: 20%}", "8: products.0.dates.max_cloud", "write 20"),
    ("every: month", "every: monthly", "4: period.every", "(did you mean month?)"),
    ("sentinel2,", "sentinel-2,", "8: products.0.product", "(did you mean sentinel2?)"),
    ("[red, nir]", "[red, B08]", "8: products.0.bands.1", 'found "B08" (did you mean nir?); allowed: one of coastal'),
    ("median", "medain", "8: products.0.composite", "(did you mean median?)"),
    ("[ndvi]", "[ndvy]", "8: products.0.indices.0", "(did you mean ndvi?)"),
    ("[ndvi]", "[evi]", "8: products.0", "evi in indices only where bands has nir and red and blue"),
    ("source: s2", "source: S2", "8: products.0.source", "(did you mean s2?); allowed: a source, of s2"),
    ("./out", "C:\\data\\out", "2: output", "on Windows run in WSL, where it is /mnt/c/data/out"),
    ("./out", "${NO_SUCH}", "2: output", "the environment variable NO_SUCH is not set; set it, or write ${NO_SUCH:-"),
    ("./out", "s3://${NO_SUCH}/x", "2: output", "allowed: a variable as the whole value"),
    ("./out", "$HOME/out", "2: output", "found $HOME; allowed: ${HOME}, as the whole value"),
    ('"https://', '"', "6: sources.s2.stac", "write https://earth-search.aws.element84.com/v1"),
    (f", {SOURCE}", "", "6: sources.s2", "found stac without collection; required: collection, such as sentinel-2-l2a"),
    (SOURCE, f'{SOURCE}, query: {{cloud: {{"<": 2}}}}', "6: sources.s2.query", "found < (did you mean lt?)"),
    (SOURCE, f"{SOURCE}, query: {{cloud: 2}}", "6: sources.s2.query.cloud", "write {eq: 2}, or {lt: ...}"),
]
# What stands in a further line, key, and words of the message.
LINES = [
    ("run: {missing_assets: {max_fraction: 20}}", "run.missing_assets.max_fraction", "at most 1; write 0.2"),
    ("run: {missing_assets: {max_fraction: 20%}}", "run.missing_assets.max_fraction", "write 0.2"),
    ("run: {quality: {min_valid_fraction: 0.5}}", "run.quality.min_valid_fraction", "write {warn: 0.5}"),
    ("run: {quality: {min_valid_fraction: 50}}", "run.quality.min_valid_fraction", "write {warn: 0.5}"),
    ("run: {quality: {min_observations: 5}}", "run.quality.min_observations", "write {warn: 5}"),
    ("run: {plot: yes}", "run.plot", 'found "yes"; allowed: true or false; write true'),
    ('grid: {tile_px: "512"}', "grid.tile_px", 'found "512"; allowed: a whole number, at least 64; write 512'),
    ("grid: {resolution_m: 10m}", "grid.resolution_m", "write 10"),
    ("grid: {resolution: 10}", "grid.resolution", "(did you mean resolution_m?)"),
    ("grid: {kind: geobox, crs: 3413, origin: [0, 0]}", "grid.crs", "write EPSG:3413"),
    ("clusters: {default: {worker_memory: 16G}}", "clusters.default.worker_memory", "write 16GB"),
    ("clusters: {default: {worker_memory: 16 gigs}}", "clusters.default.worker_memory", "write 16GiB"),
    ("clusters: {default: {backend: kubernets}}", "clusters.default.backend", "(did you mean kubernetes?)"),
    ("clusters: {backend: local}", "clusters.backend", "write clusters: {default: {backend: ...}}"),
    ("clusters: {us-west-2: {backend: local}}", "clusters.us-west-2", "found a region of no source; allowed: default"),
    ("write: cog", "write", "write {cog: {}}"),
    ("write: {cog: true}", "write.cog", "write {}"),
    ("write: {cog: {compress: lzw}}", "write.cog.compress", "allowed: one of deflate, zstd"),
    ("  - {product: stack, inputs: sentinel2}", "products.1.inputs", "write [sentinel2]"),
    ("  - {product: stack, inputs: [sentinel-2]}", "products.1.inputs.0", "(did you mean sentinel2?)"),
    ("  - {product: sentinel2, source: s2}", "products.1.product", "allowed: a `name:` of its own"),
]  # fmt: skip


@cache
def models() -> dict[str, type[ProductConfig]]:
    return product_models()


def told(folder: Path, text: str) -> str:
    """The one message about a config."""
    path = folder / "po.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, models())
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize(
    ("written", "instead", "place", "words"), EDITS, ids=[f"{i}-{e[2]}" for i, e in enumerate(EDITS)]
)
def test_one_mistake_is_one_message_with_its_mend(
    tmp_path: Path, written: str, instead: str, place: str, words: str
) -> None:
    assert written in GOOD
    message = told(tmp_path, GOOD.replace(written, instead, 1))
    first = next(line for line in message.splitlines() if words in line)
    assert first.startswith(f"po.yaml:{place}"), message
    assert len(message.splitlines()) == 1 or "U+00A0" in message, message


@pytest.mark.parametrize(("line", "key", "words"), LINES, ids=[line for line, _, _ in LINES])
def test_so_is_one_in_a_further_line(tmp_path: Path, line: str, key: str, words: str) -> None:
    message = told(tmp_path, f"{GOOD}{line}\n")
    assert message.startswith(f"po.yaml:9: {key}: ") and words in message and "\n" not in message, message


@pytest.mark.parametrize("text", ["", "# nothing yet\n"], ids=["empty", "comments only"])
def test_an_empty_file_is_told_what_a_config_is(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text).startswith(f"po.yaml:1: {EMPTY}")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("area", "1: found no area; required: such as area: {bbox: [west, south, east, north]}"),
        ("period", "1: period: missing; required: a mapping with the keys start, end, every"),
        ("sources", "1: sources: missing; required: a mapping, at least 1 of them (Where data comes from"),
        ("products", "1: products: missing; required: a list, each a mapping with product: one of argo, argo_grid"),
    ],
)
def test_what_a_run_needs_is_named_where_it_is_missing(tmp_path: Path, key: str, words: str) -> None:
    lines = GOOD.splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
    last = next((i for i, line in enumerate(lines) if i > first and not line.startswith(" ")), len(lines))
    message = told(tmp_path, "".join(lines[:first] + lines[last:]))
    assert message.startswith(f"po.yaml:{words}") and "\n" not in message


def test_with_several_sources_a_product_names_its_own(tmp_path: Path) -> None:
    text = GOOD.replace("source: s2, ", "").replace("products:", "  other: {items: x.json}\nproducts:")
    assert (
        told(tmp_path, text) == "po.yaml:9: products.0.source: missing; required: the name of its source, of s2, other"
    )


@pytest.mark.parametrize(
    ("sources", "place"),
    [
        ("sources: {s2: 'https://example.org'}", "5: sources.s2: found"),
        ("sources: [{items: x.json}]", "5: sources: found"),
        ("sources: {argo: {gdac: ./argo}}", "8: products.0.source: missing; required: a source with stac or items"),
        ("", "1: sources: missing"),
    ],
)
def test_so_is_one_in_the_sources_of_a_product_that_names_none(tmp_path: Path, sources: str, place: str) -> None:
    lines = GOOD.replace("source: s2, ", "").splitlines()
    message = told(tmp_path, "\n".join([*lines[:4], *([sources, ""] if sources else []), *lines[6:]]))
    assert message.startswith(f"po.yaml:{place}") and "\n" not in message, message


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("every: month", "every: 10d"),
        ("composite: median", "composite: [median, mean]"),
        ("products:", "clusters: {default: {workers: [1, 2, 3, 4]}}\nproducts:"),
        ('"https://earth-search', '" https://me:hunter2@earth-search'),
        ("products:", "run: {notify: [{webhook: hooks.example.org/T0/hunter2}]}\nproducts:"),
    ],
)
def test_no_advice_is_better_than_a_wrong_one_or_a_secret(tmp_path: Path, written: str, instead: str) -> None:
    message = told(tmp_path, GOOD.replace(written, instead, 1))
    assert "allowed: " in message
    assert [words for words in ("write ", "did you mean", "hunter2") if words in message] == []


def test_no_advice_shows_what_came_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hunter2,hunter3")
    for written in ("[red, nir]", BBOX, "2024-06-01", "month", "./out"):
        assert "hunter" not in told(
            tmp_path, GOOD.replace(written, "${SECRET}").replace("name: po-valley", "name: ${SECRET}")
        )


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"po\.yml: cannot be read \(No such file or directory\); give the path of a YAML"
    ):
        load_config(tmp_path / "po.yml", models())
