"""From partitions to PostgreSQL: what is there is what is committed, whatever came when and from whom."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pipeline.config import RunConfig
from pipeline.config.stores import StoresConfig
from pipeline.errors import NothingToDoError, StoreError
from pipeline.plan.argo_schema import partition_key
from pipeline.stores.load import Loaded, load_stores
from pipeline.stores.migrations import MIGRATIONS
from pipeline.stores.partition import Listed, list_partitions
from pipeline.stores.postgres import Connection
from pipeline.write.store import Store, open_store
from tests.stores.held import differences, documents, dump, identities, modes
from tests.stores.partitions import EPOCH, Cast, cycles, put_partition

pytestmark = pytest.mark.long

FLOAT = "float:2902269"


def changes(loaded: Loaded) -> tuple[int, int, int, int]:
    return loaded.inserted, loaded.updated, loaded.deleted, loaded.promoted


def test_every_number_of_a_partition_is_held(store: Store, config: RunConfig, database: Connection) -> None:
    """Raw, adjusted, errors and flags, NaN and infinities, levels without numbers, profiles without levels."""
    nan, inf = float("nan"), float("inf")
    odd = Cast(cycle=3, mode="D", levels=4, values={
        "temp": (None, 20.5, None, 20.7), "temp_raw": (nan, 20.5, None, inf),
        "temp_adjusted": (None, -inf, 1e-30, 20.7),
        "temp_adjusted_error": (None, 0.002, None, 0.1), "temp_qc": (4, 1, 9, None), "mtime": (0.1, 1 / 3, None, 2.0),
    })  # fmt: skip
    further = [Cast(cycle=4, levels=0), Cast(cycle=4, direction="D", levels=2), Cast(cycle=4, index=1, levels=1)]
    further += [Cast(cycle=4, kind="bgc", levels=3), Cast(cycle=5, time=None, latitude=None, longitude=None)]
    bucket = put_partition(store, [odd, *further], 1, parameters=("PRES", "TEMP", "PSAL", "MTIME"))
    loaded = load_stores(store, config)
    assert changes(loaded) == (6, 0, 0, 0)
    assert differences(database, store, bucket) == []
    held = database.execute(
        "SELECT level, value, raw FROM levels WHERE cycle = 3 AND parameter = 'temp' ORDER BY level"
    )
    assert repr(held.fetchall()) == repr([(0, None, nan), (1, 20.5, 20.5), (2, None, None), (3, 20.7, inf)])
    assert database.execute("SELECT max(value) FROM levels_wide WHERE cycle = 3").fetchone() == (2.0,)


def test_a_second_load_changes_nothing_and_a_new_file_one_partition(
    store: Store, config: RunConfig, database: Connection
) -> None:
    put_partition(store, cycles(4), 1)
    put_partition(store, cycles(2, wmo=13857), 1)
    assert load_stores(store, config).loaded == 2
    before = dump(database)
    again = load_stores(store, config)
    assert (again.partitions, again.loaded, changes(again)) == (2, 0, (0, 0, 0, 0))
    assert dump(database) == before
    put_partition(store, [*cycles(3), Cast(cycle=4, mode="D", time=EPOCH + timedelta(days=40))], 2)
    one = load_stores(store, config)
    assert (one.loaded, changes(one)) == (1, (0, 1, 0, 1))


def test_delayed_mode_takes_the_place_of_real_time_in_either_order(
    tmp_path: Path, config: RunConfig, stores: StoresConfig, database: Connection
) -> None:
    """In PostgreSQL and Redis: one profile, the delayed one, also where the older state arrives later."""
    place = tmp_path / "out"
    store = open_store(str(place))
    put_partition(store, cycles(2), 1)
    shutil.copytree(place, tmp_path / "early")
    load_stores(store, config)
    assert modes(stores, FLOAT) == [(2, "R"), (1, "R")]
    put_partition(store, cycles(2, mode="D"), 2)
    assert changes(load_stores(store, config)) == (0, 2, 0, 2)
    wanted = [
        (2902269, cycle, "A", "core", 0, "D", f"incois/2902269/profiles/D2902269_00{cycle}.nc") for cycle in (1, 2)
    ]
    assert identities(database) == wanted
    assert modes(stores, FLOAT) == modes(stores, "region:arabian-sea") == [(2, "D"), (1, "D")]

    shutil.rmtree(place)
    shutil.copytree(tmp_path / "early", place)
    late = load_stores(store, config)
    assert changes(late) == (0, 0, 0, 0)
    assert late.notes == (
        "partition 290226x is of generation 1, the database holds 2; where the output was made anew: --anew",
    )
    assert identities(database) == wanted
    assert modes(stores, FLOAT) == [(2, "D"), (1, "D")]


def test_a_profile_that_moves_is_in_one_region_only(
    store: Store, config: RunConfig, stores: StoresConfig, database: Connection
) -> None:
    """Across basin and year: the region that it left forgets it, the one that it is in shows it."""
    put_partition(store, [Cast(longitude=65.0)], 1)
    load_stores(store, config)
    assert (modes(stores, "region:arabian-sea"), documents(stores)["region:bengal"]) == ([(1, "R")], [])
    put_partition(store, [Cast(mode="D", longitude=90.0, time=EPOCH - timedelta(days=3))], 2)
    load_stores(store, config)
    assert (documents(stores)["region:arabian-sea"], modes(stores, "region:bengal")) == ([], [(1, "D")])
    assert database.execute("SELECT count(*), min(extract(year FROM time)) FROM profiles").fetchone() == (1, 2023)


def test_what_is_gone_from_the_output_goes(
    store: Store, config: RunConfig, stores: StoresConfig, database: Connection
) -> None:
    put_partition(store, [*cycles(2), Cast(wmo=2902260)], 1)
    bucket = put_partition(store, cycles(1, wmo=13857), 1)
    load_stores(store, config)
    assert set(documents(stores)) >= {FLOAT, "float:2902260", "float:13857"}
    put_partition(store, cycles(1), 2)
    store.delete(f"data/argo/{bucket}/static/levels.parquet")
    loaded = load_stores(store, config)
    assert (changes(loaded), loaded.removed) == ((0, 0, 3, 0), 1)
    assert [each[:2] for each in identities(database)] == [(2902269, 1)]
    assert database.execute("SELECT wmo, profiles FROM floats").fetchall() == [(2902269, 1)]
    assert database.execute(
        "SELECT count(*) FROM measurements AS m LEFT JOIN profiles AS p USING (profile_id) WHERE p IS NULL"
    ).fetchone() == (0,)
    assert {target for target in documents(stores) if target.startswith("float:")} == {FLOAT}


def test_what_is_committed_and_loaded_by_others_meanwhile_stays(
    store: Store, config: RunConfig, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between this load's listing and its look at the database somebody else commits and loads another partition."""
    put_partition(store, cycles(1), 1)

    def late(store: Store, product: str) -> list[Listed]:
        listed = list_partitions(store, product)
        monkeypatch.undo()
        put_partition(store, cycles(1, wmo=13857), 1)
        load_stores(store, config)
        return listed

    monkeypatch.setattr("pipeline.stores.load.list_partitions", late)
    assert load_stores(store, config).removed == 0
    assert [each[0] for each in identities(database)] == [13857, 2902269]


def test_an_output_that_was_made_anew_is_told_and_taken_when_asked(
    store: Store, config: RunConfig, database: Connection
) -> None:
    for generation in (1, 2):
        put_partition(store, cycles(generation), generation)
    load_stores(store, config)
    put_partition(store, cycles(1, mode="D"), 2)
    assert "the database holds 2 of another" in load_stores(store, config).notes[0]
    anew = load_stores(store, config, anew=True)
    assert (anew.notes, changes(anew)) == ((), (1, 0, 0, 0))
    assert [each[5] for each in identities(database)] == ["D"]


def test_a_damaged_partition_costs_itself_by_name(store: Store, config: RunConfig, database: Connection) -> None:
    bucket = put_partition(store, cycles(2), 1)
    load_stores(store, config)
    key = partition_key("argo", bucket)
    store.put_bytes(store.get_bytes(key)[:-100], key)
    put_partition(store, cycles(3, wmo=4902252), 1)
    loaded = load_stores(store, config)
    assert (loaded.loaded, changes(loaded)) == (1, (3, 0, 0, 0))
    assert [note.split(": found no whole")[0] for note in loaded.notes] == [f"{store.uri}, key {key}"]
    assert len(identities(database)) == 5


def test_a_schema_shows_one_output(tmp_path: Path, config: RunConfig) -> None:
    for name in ("one", "other"):
        put_partition(open_store(str(tmp_path / name)), cycles(1), 1)
    load_stores(open_store(str(tmp_path / "one")), config)
    with pytest.raises(
        StoreError, match=r"found product argo of .*one in this schema, expected argo of .*other; .*schema_name"
    ):
        load_stores(open_store(str(tmp_path / "other")), config)


def test_a_table_of_profiles_that_comes_later_is_loaded_later(
    store: Store, config: RunConfig, database: Connection
) -> None:
    """A crash between the puts of a partition leaves levels without metadata, which are shown, and completed later."""
    put_partition(store, cycles(1), 1, beside=False)
    load_stores(store, config)
    held = "SELECT levels, metadata ->> 'platform_type' FROM profiles"
    assert database.execute(held).fetchone() == (5, None)
    put_partition(store, cycles(1), 1)
    assert changes(load_stores(store, config)) == (0, 1, 0, 0)
    assert database.execute(held).fetchone() == (5, "ARVOR")


@settings(
    deadline=None, max_examples=8, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_whatever_order_states_arrive_in_the_newest_is_held(
    tmp_path: Path, config: RunConfig, database: Connection, data: st.DataObject
) -> None:
    """States of two floats, loaded in any order with repeats: afterwards the databases hold what the newest does."""
    cast = st.builds(
        Cast, wmo=st.sampled_from([2902269, 2902260]), cycle=st.integers(1, 3), mode=st.sampled_from("RAD"),
        longitude=st.sampled_from([65.0, 85.0, None]), levels=st.integers(0, 2), offset=st.sampled_from([0.0, 0.5]),
    )  # fmt: skip
    states = data.draw(st.lists(st.lists(cast, min_size=1, unique_by=lambda one: one.identity), min_size=2, max_size=5))
    order = data.draw(st.lists(st.sampled_from(range(len(states))), min_size=1, max_size=6))
    store = open_store(str(tmp_path / "out"))
    assert dump_of(store, config, database, states, order) == dump_of(store, config, database, states, [max(order)])


def dump_of(
    store: Store, config: RunConfig, database: Connection, states: Sequence[Sequence[Cast]], order: Sequence[int]
) -> tuple[list[str], dict[str, list[Any]]]:
    """What the databases hold after loading these states in this order into empty ones."""
    for place, number in enumerate(order):
        put_partition(store, states[number], number + 1)
        load_stores(store, config, anew=not place)
    assert config.stores is not None
    return dump(database), {target: found for target, found in documents(config.stores).items() if found}


def test_migrations_are_applied_once_and_newer_tables_are_refused(
    store: Store, config: RunConfig, database: Connection
) -> None:
    put_partition(store, cycles(1), 1)
    load_stores(store, config)
    load_stores(store, config)
    numbers = database.execute("SELECT number FROM migrations ORDER BY number").fetchall()
    assert [number for (number,) in numbers] == list(range(1, len(MIGRATIONS) + 1))
    database.execute("INSERT INTO migrations (number, purpose) VALUES (99, 'of tomorrow')")
    with pytest.raises(StoreError, match=r"found migration 99, this release knows \d"):
        load_stores(store, config)


def test_an_output_without_partitions_removes_nothing(tmp_path: Path, config: RunConfig, database: Connection) -> None:
    store = open_store(str(tmp_path / "out"))
    put_partition(store, cycles(1), 1)
    load_stores(store, config)
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(NothingToDoError, match="found no partition under data/argo/"):
        load_stores(store, config)
    assert len(identities(database)) == 1
