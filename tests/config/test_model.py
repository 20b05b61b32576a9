"""Laws of the values: each rule of each key, and the words that say what was found and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.configs import SMALL, faults, load

NAMES = "allowed: up to 64 letters, digits, - and _, the first a letter or a digit"
TILES = "allowed: a whole number, at least 64"
GRID = "kind, tile_px, resolution_m, crs, transform, origin, anchor, shape"
WORKERS = "allowed: a whole number, at least 1, or a list of 2: a whole number, at least 1"
SIZES = "allowed: a size such as 4GiB or 500MB, or a number of bytes"
ITEMS = "allowed: a path, or an http://, https:// or s3:// address"
KINDS = "a mapping with product: one of bands, heights"

AT_THE_KEY = [
    ("name", "po valley", f'found "po valley"; {NAMES}; write po-valley'),
    ("name", "../x", f'found "../x"; {NAMES}'),
    ("name", "2024", f'found 2024; {NAMES}; write "2024"'),
    ("output", "gs://b/x", 'found "gs://b/x"; allowed: a folder, or s3://bucket/prefix'),
    ("output", "''", 'found ""; allowed: a folder, or s3://bucket/prefix'),
    ("storage.endpoint", "ftp://x", 'found "ftp://x"; allowed: an http:// or https:// address'),
    ("storage.anonymous", "yes", 'found "yes"; allowed: true or false; write true'),
    ("area.bbox", "[1, 2, 3]", "found [1, 2, 3]; allowed: a list of 4: a number"),
    ("area.bbox", "[1, 2, 3, 4, 5]", "found [1, 2, 3, 4, 5]; allowed: a list of 4: a number"),
    ("area.bbox", "1 2 3 4", 'found "1 2 3 4"; allowed: a list of 4: a number; write [1, 2, 3, 4]'),
    ("area.bbox.0", "west", 'found "west"; allowed: a number'),
    ("grid", "[]", f"found a list of 0; allowed: a mapping with the keys {GRID}"),
    ("grid.kind", "h3", 'found "h3"; allowed: one of utm, mgrs, region, geobox, ttc'),
    ("grid.tile_px", "100", f"found 100; {TILES}, a multiple of 16 (but for kind mgrs)"),
    ("grid.tile_px", "48", f"found 48; {TILES}"),
    ("grid.tile_px", "'512'", f'found "512"; {TILES}; write 512'),
    ("grid.tile_px", "true", f"found true; {TILES}"),
    ("grid.tile_size", "512", f"unknown key (did you mean tile_px?); allowed: {GRID}"),
    ("grid.resolution_m", "0", "found 0; allowed: a number, more than 0"),
    ("period.every", "mnth", ('found "mnth" (did you mean month?); allowed: one of day, dekad, 15d, month, quarter, '
     "season, year, span")),
    ("period.end", "9999-01-02", 'found "9999-01-02"; allowed: nothing after 9999-01-01'),
    ("period.end", "2024-06-01", ('found "2024-06-01"; allowed: a date or time later than period.start, for the end is '
     "excluded; for one day write the day after it")),
    ("sources", "null", "found nothing; allowed: a mapping, at least 1 of them"),
    ("sources", "{}", "found a mapping; allowed: a mapping, at least 1 of them"),
    ("sources.s2.sign", "nasa", ('found "nasa"; allowed: one of none, planetary-computer, earthdata, '
     "requester-pays")),
    ("sources.s2.items", "ftp://x/y", f'found "ftp://x/y"; {ITEMS}'),
    ("products", "[]", f"found a list of 0; allowed: a list, each {KINDS}, at least 1 of them"),
    ("products.0", "3", f"found 3; allowed: {KINDS}"),
    ("products.0.product", "band", 'found "band" (did you mean bands?); allowed: one of bands, heights'),
    ("products.0.product", "[x]", 'found ["x"]; allowed: one of bands, heights'),
    ("products.0.bands", "[]", "found a list of 0; allowed: a list, each one of red, nir, at least 1 of them"),
    ("products.0.bands.1", "blue", 'found "blue"; allowed: one of red, nir'),
    ("products.0.label", "badly", "found \"badly\"; 'badly' begins with bad"),
    ("products.0.key", "[12345]", "found a hidden value; allowed: text"),
    ("products.0.source", "s22", 'found "s22" (did you mean s2?); allowed: a source, of s2'),
    ("write.cog.compress", "lzw", 'found "lzw"; allowed: one of deflate, zstd'),
    ("write.cog.level", "12", "found 12; allowed: 1 to 9 for deflate, 1 to 22 for zstd"),
    ("write.cog.level", "23", "found 23; allowed: a whole number, at least 1, at most 22"),
    ("clusters.default.backend", "colied", ('found "colied" (did you mean coiled?); allowed: one of local, existing, '
     "kubernetes, helm, coiled")),
    ("clusters.default.image", "x", ("unknown key; allowed: workers, threads, worker_memory, region, "
     "start_timeout_s, usd_per_worker_hour, backend")),
    ("clusters.default.workers", "0", f"found 0; {WORKERS}"),
    ("clusters.default.workers", "[1]", f"found [1]; {WORKERS}; write 1"),
    ("clusters.default.workers", "[4, 2]", "found [4, 2]; allowed: [minimum, maximum] with the smaller one first"),
    ("clusters.default.worker_memory", "4 Gio", f'found "4 Gio"; {SIZES}'),
    ("clusters.default.worker_memory", "0", f"found 0; {SIZES}"),
    ("clusters.default.worker_memory", "true", f"found true; {SIZES}"),
    ("run.retries", "-1", "found -1; allowed: a whole number, at least 0"),
    ("run.retries", "1.0", "found 1.0; allowed: a whole number, at least 0"),
    ("run.missing_assets.max_fraction", "1.5", "found 1.5; allowed: a number, at least 0, at most 1"),
    ("run.budget_usd", "0", "found 0; allowed: a number, more than 0"),
    ("run.job_timeout_s", "0", "found 0; allowed: a number, more than 0"),
    ("run.metrics.port", "0", "found 0; allowed: a whole number, at least 1, at most 65535"),
    ("run.progress", "loud", 'found "loud"; allowed: one of auto, bars, lines, json, quiet'),
    ("run.super_tile", "3", "found 3; allowed: one of auto, 1, 2, 4"),
]  # fmt: skip

AROUND_THE_KEY = [
    ("sources.s2.stac", "null", "run.yaml:6: sources.s2: found none; allowed: exactly one of stac, items and gdac"),
    ("sources.s2.items", "x", ("run.yaml:6: sources.s2: found stac and items; "
     "allowed: exactly one of stac, items and gdac")),
    ("sources.s2.collection", "null", ("run.yaml:6: sources.s2: found stac without collection; required: collection, "
     "such as sentinel-2-l2a")),
    ("products.0.bands", "[red, red]", "run.yaml:8: products.0: allowed: each band once"),
    ("products.0.mask.classes", "[-1]", ("--set products.0.mask.classes: products.0.mask.classes.0: found -1; allowed: "
     "a whole number, at least 0")),
    ("run.notify", "[{}]", ("--set run.notify: run.notify.0: found neither webhook nor sns; "
     "allowed: exactly one of them")),
    ("run.notify", "[{sns: topic}]", ('--set run.notify: run.notify.0.sns: found "topic"; '
     "allowed: the ARN of an SNS topic")),
    ("clusters.mars.threads", "1", ("--set clusters.mars.threads: clusters.mars: found a region of no source; allowed: "
     "default")),
]  # fmt: skip


@pytest.mark.parametrize(("key", "value", "fault"), AT_THE_KEY, ids=[f"{key}={value}" for key, value, _ in AT_THE_KEY])
def test_each_rule_says_what_was_found_and_what_is_allowed(tmp_path: Path, key: str, value: str, fault: str) -> None:
    # Without its source, the one product refers to nothing, and without its product, the source serves nothing.
    found = [line for line in faults(tmp_path, SMALL, f"{key}={value}") if not line.startswith("run.yaml:")]
    assert found == [f"--set {key}: {key}: {fault}"]


@pytest.mark.parametrize(("key", "value", "fault"), AROUND_THE_KEY, ids=[f"{k}={v}" for k, v, _ in AROUND_THE_KEY])
def test_a_rule_of_a_section_is_named_at_the_section(tmp_path: Path, key: str, value: str, fault: str) -> None:
    assert faults(tmp_path, SMALL, f"{key}={value}") == [fault]


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("4GiB", 4 * 2**30),
        ("500MB", 500 * 10**6),
        ("1.5 kib", 1536),
        ("12", 12),
        ("'12'", 12),
        ("7B", 7),
        ("2TB", 2 * 10**12),
    ],
)
def test_a_size_is_bytes(tmp_path: Path, text: str, size_bytes: int) -> None:
    assert (
        load(tmp_path, SMALL, f"clusters.default.worker_memory={text}").clusters["default"].worker_memory == size_bytes
    )


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-05-01", "2024-05-01T00:00:00+00:00"),
        ("2024-05-01T06:30", "2024-05-01T06:30:00+00:00"),
        ("2024-05-01 06:30:15Z", "2024-05-01T06:30:15+00:00"),
        ("2024-05-01T06:30:00+03:00", "2024-05-01T03:30:00+00:00"),
    ],
)
def test_a_time_without_a_zone_is_utc_and_one_with_a_zone_is_made_so(tmp_path: Path, text: str, utc: str) -> None:
    assert load(tmp_path, SMALL, f"period.start={text}").period.start.isoformat() == utc


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a/b.json", "FOLDER/a/b.json"),
        ("../b.json", "PARENT/b.json"),
        ("/a/b.json", "/a/b.json"),
        ("~/b.json", "HOME/b.json"),
        ("https://example.org/c.json", "https://example.org/c.json"),
        ("s3://b/c.json", "s3://b/c.json"),
    ],
)
def test_items_lie_beside_the_config_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, meant: str
) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    config = load(tmp_path, SMALL, f"sources.s2={{items: '{written}'}}")
    places = {"FOLDER": str(tmp_path), "PARENT": str(tmp_path.parent), "HOME": "/home/someone"}
    for word, place in places.items():
        meant = meant.replace(word, place)
    assert config.sources["s2"].items == meant


@pytest.mark.parametrize(
    "bbox",
    ["[1, 46, 2, 46]", "[1, 44, 1, 46]", "[-181, 44, 1, 46]", "[1, 44, 181, 46]", "[1, 44, 2, 91]"],
)
def test_a_bbox_lies_on_earth_and_has_an_area(tmp_path: Path, bbox: str) -> None:
    allowed = (
        "allowed: [west, south, east, north] in degrees, longitudes from -180 to 180 and not equal, "
        "latitudes from -90 to 90, south below north"
    )
    assert faults(tmp_path, SMALL, f"area.bbox={bbox}") == [f"--set area.bbox: area.bbox: found {bbox}; {allowed}"]


@pytest.mark.parametrize(
    "time", ["2024-02-30", "2024", "20240601", "2024-06-01T25:00", "0001-01-01T00:00+10:00", "june", "[]"]
)
def test_a_time_is_a_date_or_a_time_of_day_that_exists(tmp_path: Path, time: str) -> None:
    (fault,) = faults(tmp_path, SMALL, f"period.start={time}")
    assert fault.startswith("--set period.start: period.start: found ")
    assert "; allowed: a date such as 2024-06-01 or a time such as 2024-06-01T12:00:00Z" in fault


def test_what_a_notebook_shows_of_a_config_holds_nothing_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATALOGUE", "https://user:hunter2@example.org/c.json")
    config = load(tmp_path, SMALL, "sources.s2={items: '${CATALOGUE}'}")
    assert "hunter2" in str(config.sources["s2"].items)
    assert "hunter2" not in f"{config!r} {config}" and config.name in repr(config)
