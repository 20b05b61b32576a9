"""A mosaic equals its tiles, grows by commits that leave older objects alone, and never shows half an update."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pytest
import xarray as xr

from pipeline.demo import build_world
from pipeline.errors import StoreError
from pipeline.read.access import Access
from pipeline.results.find import find_outputs
from pipeline.results.window import WindowReader
from pipeline.write import mosaic
from pipeline.write.mosaic import Mosaic, by_crs, write_mosaic
from pipeline.write.outputs import Output, Source
from pipeline.write.patchwork import GridsDifferError
from pipeline.write.repository import open_repository
from pipeline.write.store import Store, open_store
from tests.results.made import make, open_mosaic, paste, read_cogs
from tests.servers.weed import S3Server
from tests.worlds import small_world

ZONE = "EPSG:32633"
READ = WindowReader(Access())
Outputs = tuple[Output, ...]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two zones and two months, run once; mosaics of its items are written elsewhere."""
    folder = tmp_path_factory.mktemp("made")
    build_world(folder / "world", px=256)
    return make(small_world(folder / "world", folder)).prepared.store


@pytest.fixture
def square(made: Store) -> Outputs:
    """Four tiles, two by two, in two months."""
    outputs = tuple(output for output in find_outputs(made, None) if output.grid.crs == ZONE)
    assert len({output.grid.transform[2] for output in outputs}) == 2
    assert len({output.grid.transform[5] for output in outputs}) == 2
    assert len(outputs) == 8
    return outputs


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "output"))


@pytest.fixture(params=["icechunk", "plain"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With Icechunk, and as it is where that is not installed."""
    if request.param == "plain":
        monkeypatch.setattr(mosaic, "find_spec", lambda _: None)
    return str(request.param)


def in_month(outputs: Outputs, month: str) -> Outputs:
    return tuple(output for output in outputs if output.period == month)


def corner(outputs: Outputs, which: Callable[..., float]) -> Outputs:
    """The tile farthest to the north-west (min) or to the south-east (max)."""
    place = which(output.grid.transform[2] - output.grid.transform[5] for output in outputs)
    return tuple(output for output in outputs if output.grid.transform[2] - output.grid.transform[5] == place)


def check(found: xr.Dataset, made: Store, outputs: Outputs) -> None:
    """Every pixel of every band and period is that of these items' COGs, and there is no other."""
    shown = {(output.tile, output.period) for output in outputs}
    cogs = [cog for cog in read_cogs(made) if (cog.tile, cog.period) in shown]
    places = {(cog.period, cog.band) for cog in cogs}
    assert {band for _, band in places} == set(found.data_vars)
    periods = found["time"].attrs["period"]
    assert sorted({period for period, _ in places}) == periods
    assert [str(time)[:7] for time in found["time"].values] == periods
    for period, band in places:
        group = [cog for cog in cogs if (cog.period, cog.band) == (period, band)]
        layer, whole = found[band].isel(time=periods.index(period)), paste(group)
        assert layer.dtype == whole.dtype
        west, north = min(cog.transform[2] for cog in group), max(cog.transform[5] for cog in group)
        assert (layer["x"].values[0], layer["y"].values[0]) == (west + 5, north - 5)
        np.testing.assert_array_equal(layer.values, whole)


def objects(store: Store, key: str) -> dict[str, bytes]:
    """All of the repository but the name of its newest snapshot, and its settings."""
    return {
        name: store.get_bytes(name)
        for name, _ in store.list_objects(f"{key}/")
        if not name.endswith(("/ref.json", "/config.yaml"))
    }


def ancestry(store: Store, written: Mosaic) -> list[dict[str, Any]]:
    """Metadata of all commits, newest first, but for Icechunk's own first one."""
    return [commit.metadata for commit in open_repository(store, written.key).ancestry(branch="main")][:-1]


def test_a_mosaic_equals_its_tiles(store: Store, made: Store, square: Outputs, kind: str) -> None:
    written = write_mosaic(store, square, READ)
    assert (written.snapshot is None) == (kind == "plain")
    assert written.key.startswith("mosaics/sentinel2/EPSG-32633")
    found = open_mosaic(store, written)
    check(found, made, square)
    assert found["spatial_ref"].attrs["spatial_ref"].startswith("PROJCRS")
    assert "no Copernicus data" in found.attrs["attribution"]


def test_the_same_items_again_write_nothing(store: Store, square: Outputs, kind: str) -> None:
    first = write_mosaic(store, square, READ)
    before = list(store.list_objects("mosaics/"))
    again = write_mosaic(store, square, READ)
    assert (again.key, again.snapshot, again.commits) == (first.key, first.snapshot, 0)
    assert list(store.list_objects("mosaics/")) == before


def test_a_period_is_one_commit_that_names_its_items(store: Store, square: Outputs) -> None:
    written = write_mosaic(store, square, READ)
    assert written.commits == 2
    assert [commit["items"] for commit in reversed(ancestry(store, written))] == [
        {month: {output.tile: output.content for output in in_month(square, month)}} for month in ("2024-06", "2024-07")
    ]


def test_a_new_period_is_a_new_commit_and_old_objects_stay(store: Store, made: Store, square: Outputs) -> None:
    """Every object that was there is there, byte for byte; and who opened the older snapshot still sees it."""
    june = write_mosaic(store, in_month(square, "2024-06"), READ)
    reader = open_mosaic(store, june)
    before = objects(store, june.key)
    both = write_mosaic(store, square, READ)
    assert both.commits == 1
    after = objects(store, both.key)
    assert before.items() <= after.items()
    assert len(after) > len(before)
    check(open_mosaic(store, both), made, square)
    check(reader, made, in_month(square, "2024-06"))


def test_a_changed_tile_is_rewritten_alone(store: Store, made: Store, square: Outputs) -> None:
    """Tiles whose item is the same are not read again."""
    first = write_mosaic(store, square, READ)
    old = square[0]
    seen: list[Source] = []

    def read(source: Source, rows: slice, columns: slice) -> Any:
        seen.append(source)
        return READ(source, rows, columns)

    again = write_mosaic(store, (replace(old, fingerprint="0" * 32), *square[1:]), read)
    assert again.commits == 1
    assert again.snapshot != first.snapshot
    assert len(seen) == len({source.href for source in seen}) == len(old.layers)
    assert all(f"/{old.tile}/{old.period}/" in source.href for source in seen)
    assert ancestry(store, again)[0]["items"][old.period][old.tile].startswith("0" * 32)
    check(open_mosaic(store, again), made, square)


@pytest.mark.parametrize(
    ("which", "commits"), [pytest.param(min, 2, id="south-east"), pytest.param(max, 1, id="north-west")]
)
def test_more_tiles(store: Store, made: Store, square: Outputs, which: Callable[..., float], commits: int) -> None:
    """To the south and east arrays grow, a commit a period; else they are made anew, in one commit."""
    few = corner(square, which)
    small = write_mosaic(store, few, READ)
    before = objects(store, small.key)
    large = write_mosaic(store, square, READ)
    assert large.commits == commits
    assert before.items() <= objects(store, large.key).items()
    check(open_mosaic(store, small), made, few)
    check(open_mosaic(store, large), made, square)


def test_an_earlier_period_makes_the_arrays_anew_in_one_commit(store: Store, made: Store, square: Outputs) -> None:
    write_mosaic(store, in_month(square, "2024-07"), READ)
    both = write_mosaic(store, square, READ)
    assert both.commits == 1
    assert ancestry(store, both)[0]["anew"]
    check(open_mosaic(store, both), made, square)


def test_a_tile_that_is_no_longer_current_is_gone(store: Store, made: Store, square: Outputs) -> None:
    write_mosaic(store, square, READ)
    few = corner(square, max)
    check(open_mosaic(store, write_mosaic(store, few, READ)), made, few)


@pytest.mark.parametrize("after", [0, 1, 5, 6, 9])
def test_a_failure_leaves_the_last_commit_and_the_next_run_goes_on(
    store: Store, made: Store, square: Outputs, kind: str, after: int
) -> None:
    """Five bands, one tile, two months: after five reads the first month is committed, before that nothing is."""
    outputs = corner(square, min)
    assert sum(len(output.layers) for output in outputs) == 10
    lock, left = Lock(), [after]

    def failing(source: Source, rows: slice, columns: slice) -> Any:
        with lock:
            if not left[0]:
                raise RuntimeError("killed")
            left[0] -= 1
        return READ(source, rows, columns)

    with pytest.raises(RuntimeError, match="killed"):
        write_mosaic(store, outputs, failing)
    if kind == "icechunk":
        repository = open_repository(store, "mosaics/sentinel2/EPSG-32633.icechunk")
        assert len(list(repository.ancestry(branch="main"))) - 1 == after // 5
        if after >= 5:
            shown = xr.open_zarr(repository.readonly_session("main").store, consolidated=False, mask_and_scale=False)
            check(shown, made, in_month(outputs, "2024-06"))
    else:
        ends = (".zarr/zarr.json", "-manifest.json")
        assert not [key for key, _ in store.list_objects("mosaics/") if key.endswith(ends)]
    written = write_mosaic(store, outputs, READ)
    assert written.commits == (1 if kind == "plain" or after >= 5 else 2)
    check(open_mosaic(store, written), made, outputs)


def test_two_runs_at_once_are_told_and_nothing_is_lost(store: Store, made: Store, square: Outputs) -> None:
    lock, other = Lock(), list[Mosaic]()

    def read(source: Source, rows: slice, columns: slice) -> Any:
        with lock:
            if not other:
                other.append(write_mosaic(store, square, READ))
        return READ(source, rows, columns)

    with pytest.raises(StoreError, match="another run committed at the same time"):
        write_mosaic(store, square, read)
    again = write_mosaic(store, square, READ)
    assert (again.snapshot, again.commits) == (other[0].snapshot, 0)
    check(open_mosaic(store, again), made, square)


def test_a_plain_mosaic_is_never_changed(
    store: Store, made: Store, square: Outputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other items make another store; its manifest lists every object."""
    monkeypatch.setattr(mosaic, "find_spec", lambda _: None)
    june = write_mosaic(store, in_month(square, "2024-06"), READ)
    before = {key: store.get_bytes(key) for key, _ in store.list_objects("mosaics/")}
    both = write_mosaic(store, square, READ)
    assert june.key != both.key
    assert before.items() <= {key: store.get_bytes(key) for key, _ in store.list_objects("mosaics/")}.items()
    check(open_mosaic(store, both), made, square)
    manifest = json.loads(store.get_bytes(both.key.replace(".zarr", "-manifest.json")))
    listed = {f"{both.key}/{each['key']}": each["size"] for each in manifest["objects"]}
    assert listed == dict(store.list_objects(f"{both.key}/"))


def test_tiles_of_two_zones_are_two_mosaics_and_never_one(store: Store, made: Store) -> None:
    outputs = find_outputs(made, None)
    assert [group[0].grid.crs for group in by_crs(outputs)] == ["EPSG:32632", ZONE]
    with pytest.raises(GridsDifferError):
        write_mosaic(store, outputs, READ)


@pytest.fixture(params=["environment", "profile"])
def s3_output(
    request: pytest.FixtureRequest,
    s3_server: S3Server,
    s3_bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Store:
    """A server named by `endpoint`, and keys from the environment or from a profile."""
    names = {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    profile = None
    if request.param == "profile":
        profile, file = "groundswell-test", tmp_path / "credentials"
        file.write_text(f"[{profile}]\naws_access_key_id={s3_server.key}\naws_secret_access_key={s3_server.secret}\n")
        names["AWS_SHARED_CREDENTIALS_FILE"] = str(file)
    else:
        names |= {"AWS_ACCESS_KEY_ID": s3_server.key, "AWS_SECRET_ACCESS_KEY": s3_server.secret}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    return open_store(f"s3://{s3_bucket}/mosaic-{request.param}", endpoint=s3_server.endpoint, profile=profile)


@pytest.mark.long
def test_a_mosaic_on_s3(s3_output: Store, made: Store, square: Outputs) -> None:
    """The same laws on a server."""
    june = write_mosaic(s3_output, in_month(square, "2024-06"), READ)
    before = objects(s3_output, june.key)
    both = write_mosaic(s3_output, square, READ)
    assert (june.commits, both.commits) == (1, 1)
    assert before.items() <= objects(s3_output, both.key).items()
    check(open_mosaic(s3_output, both), made, square)
    check(open_mosaic(s3_output, june), made, in_month(square, "2024-06"))
