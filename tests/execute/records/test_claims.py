"""A claim spares work: of many runs one makes a job, a dead run keeps nobody waiting, and no job is ever lost by it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import StoreError, TransientStoreError
from pipeline.execute.records import claims as module
from pipeline.execute.records.claims import Claim, Own, claim_all, claim_key, dead_claims, release
from pipeline.execute.records.lease import Lease, run_lease
from pipeline.types import Job, MemoryPlan, Period, Tile
from pipeline.write import retry
from pipeline.write.partition import items_of
from pipeline.write.s3 import S3Store
from pipeline.write.stac import item_key
from pipeline.write.store import FolderStore, Store, open_store
from tests.servers.proxy import Fault, Spoil, run_proxy


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look at a lease is a look; and what is sent again is sent at once."""
    monkeypatch.setattr(module, "TRUSTED_S", 0.0)
    monkeypatch.setattr(retry, "BACKOFF_S", 0.01)


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.long)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "folder":
        return FolderStore(str(tmp_path / "out"))
    request.getfixturevalue("s3_environment")
    return open_store(f"s3://{request.getfixturevalue('s3_bucket')}/claims-{uuid.uuid4().hex}")


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore(str(tmp_path / "out"))


def job(number: int = 0) -> Job:
    tile = Tile(f"t{number}", GeoBox((4, 4), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"))
    return Job("p", "p", tile, Period("m", None, None), "a", (), f"{number:032x}", MemoryPlan(4, 1), 0)


def claim(store: Store, run_id: str, number: int = 0) -> object:
    (verdict,) = claim_all(store, run_id, [job(number)])
    return verdict


def claims(store: Store) -> list[str]:
    return [key for key, _ in store.list_objects("claims/")]


def test_of_many_runs_at_once_one_makes_a_job(store: Store) -> None:
    """All others learn who; when it is released the next one has it, and nothing is left."""
    runs = [f"run-{number}" for number in range(8)]
    with ExitStack() as stack, ThreadPoolExecutor(8) as pool:
        for run_id in runs:
            stack.enter_context(Lease(store, run_lease(run_id)))
        verdicts = list(pool.map(lambda run_id: claim(store, run_id), runs))
        (winner,) = (run_id for run_id, verdict in zip(runs, verdicts, strict=True) if verdict is Own.MINE)
        others = [verdict for verdict in verdicts if verdict is not Own.MINE]
        assert all(isinstance(one, Claim) and one.run == winner for one in others)
        assert f"run {winner} has been making it on " in str(others[0])
        assert claims(store) == [claim_key(job())]
        release(store, [job()])
        assert claim(store, "run-9") is Own.MINE


def test_what_was_committed_meanwhile_is_done_and_leaves_no_claim(store: Store) -> None:
    """Also while a claim stands, as those do whose worker may not delete."""
    store.put_bytes(b"{}", item_key(job()))
    assert claim(store, "late") is Own.DONE
    assert claims(store) == []
    with Lease(store, run_lease("keeper")):
        store.put_bytes(b"{}", item_key(job(1)))
        assert store.put_new(stated("keeper"), claim_key(job(1)))
        assert claim(store, "late", 1) is Own.DONE


def stated(run_id: str) -> bytes:
    return json.dumps({"format": 1, "run": run_id, "host": "h", "at": 0.0}).encode()


def test_the_claim_of_a_dead_run_is_taken_over_by_exactly_one(store: Store) -> None:
    take_over(store, stated("dead"))


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b'{"format": 2}', b'{"run": "../x", "host": "h", "at": 0}'],
    ids=["torn", "list", "newer", "name"],
)
def test_a_claim_that_nobody_can_read_is_taken_over_by_exactly_one(folder: FolderStore, data: bytes) -> None:
    take_over(folder, data)


def take_over(store: Store, data: bytes) -> None:
    runs = [f"run-{number}" for number in range(6)]
    store.put_bytes(data, claim_key(job()))
    with ExitStack() as stack, ThreadPoolExecutor(6) as pool:
        for run_id in runs:
            stack.enter_context(Lease(store, run_lease(run_id)))
        verdicts = list(pool.map(lambda run_id: claim(store, run_id), runs))
    assert [verdict is Own.MINE for verdict in verdicts].count(True) == 1
    assert all(isinstance(verdict, Claim) or verdict is Own.MINE for verdict in verdicts)


def test_a_run_finds_its_own_claim_again(folder: FolderStore) -> None:
    """What a worker that was killed has left is not another's, also without a lease."""
    assert claim(folder, "one") is Own.MINE
    assert claim(folder, "one") is Own.MINE


def test_a_lost_answer_to_a_claim_is_no_lost_claim(s3_environment: object, s3_bucket: str) -> None:
    """The put is sent again, finds a claim there, and knows by its token that it is the same."""
    store = S3Store(s3_bucket, f"claims-{uuid.uuid4().hex}")
    rule = Spoil(Fault("drop"), ("PUT",), "/claims/", most=1)
    endpoint = getattr(s3_environment, "endpoint")  # noqa: B009 (of whatever server the fixture gives)
    with run_proxy(endpoint, rule) as address, Lease(store, run_lease("one")):
        assert claim(replace(store, endpoint=address), "one") is Own.MINE
    assert rule.spoilt == 1


def leaving(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a put finds in its way is gone a moment later, once."""
    kind: Any = type(store)
    put, gone = kind._put, list[str]()

    def refused(self: Store, key: str, *arguments: Any, **options: Any) -> Any:
        try:
            return put(self, key, *arguments, **options)
        except Exception:
            if not gone:
                gone.append(key)
                store.delete(key)
            raise

    monkeypatch.setattr(kind, "_put", refused)


def test_a_claim_that_is_released_while_it_is_looked_at_is_the_next_ones(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No error of the job: two runs that share their work meet like this all the time."""
    store.put_bytes(stated("other"), claim_key(job()))
    leaving(store, monkeypatch)
    assert claim(store, "one") is Own.MINE


def test_a_dead_claim_that_is_removed_while_it_is_taken_over_is_no_error(
    s3_environment: object, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by another run that took it over, made the job and released it."""
    store = S3Store(s3_bucket, f"claims-{uuid.uuid4().hex}")
    store.put_bytes(stated("dead"), claim_key(job()))
    looks, version_of = list[str](), S3Store.version_of

    def look(self: S3Store, key: str) -> str | None:
        """The first look is before it is taken over, the second after another was faster."""
        looks.append(key)
        found = version_of(self, key)
        if len(looks) == 1:
            store.put_bytes(stated("faster"), key)
        elif len(looks) == 2:
            store.delete(key)
        return found

    monkeypatch.setattr(S3Store, "version_of", look)
    assert claim(store, "one") is Own.MINE
    assert len(looks) == 2


class Busy(FolderStore):
    """A store that is down for claims."""

    def put_new(self, data: bytes, key: str) -> bool:
        raise TransientStoreError(f"busy: {key}, {len(data)} bytes")


def test_a_store_that_fails_costs_one_job_and_nothing_is_raised(tmp_path: Path) -> None:
    verdict = claim(Busy(str(tmp_path)), "one")
    assert isinstance(verdict, TransientStoreError)


def test_a_claim_that_never_stands_still_is_an_error_that_passes(folder: FolderStore) -> None:
    class Moving(FolderStore):
        def put_new(self, data: bytes, key: str) -> bool:
            return bool(data) and not key

    verdict = claim(Moving(folder.root), "one")
    assert isinstance(verdict, TransientStoreError) and "it changed" in str(verdict)


def test_a_release_that_is_refused_does_no_harm(folder: FolderStore) -> None:
    class Keeping(FolderStore):
        def delete(self, key: str) -> None:
            raise StoreError(f"may not delete {key}")

    release(Keeping(folder.root), [job()])


def test_a_partition_with_two_items_is_not_done(folder: FolderStore) -> None:
    """One of them is of another state; which, only a look at the partition tells."""
    folder.put_bytes(b"{}", item_key(job()))
    (verdict,) = claim_all(folder, "one", [job()], afloat=True)
    assert verdict is Own.DONE
    folder.put_bytes(b"{}", item_key(replace(job(), fingerprint="f" * 32)))
    assert len(items_of(folder, job())) == 2
    (verdict,) = claim_all(folder, "one", [job()], afloat=True)
    assert verdict is Own.MINE


@pytest.fixture
def mixed(store: Store) -> Iterator[Store]:
    """Claims of a run that lives, of one that is dead, and one that nobody can read."""
    for number, data in enumerate((stated("alive"), stated("dead"), b"?")):
        store.put_bytes(data, claim_key(job(number)))
    with Lease(store, run_lease("alive")):
        yield store


def test_vacuum_is_told_of_claims_that_hold_nobody(mixed: Store) -> None:
    assert sorted(entry.key for entry in dead_claims(mixed)) == [claim_key(job(1)), claim_key(job(2))]


def test_many_are_claimed_at_once_in_their_order(mixed: Store) -> None:
    verdicts = claim_all(mixed, "new", [job(number) for number in range(20)])
    assert [verdict is Own.MINE for verdict in verdicts] == [False, *[True] * 19]
    assert isinstance(verdicts[0], Claim) and verdicts[0].run == "alive"
    release(mixed, [job(number) for number in range(20)])
    assert claims(mixed) == []
