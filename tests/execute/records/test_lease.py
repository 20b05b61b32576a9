"""A lease is held by exactly the process that put it: here asked of the process, from elsewhere by its last put."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.errors import PreflightError, StoreError
from pipeline.execute.records import lease as module
from pipeline.execute.records.lease import LEASE_S, Lease, Owner, is_held, read_owner, repeated, this_process
from pipeline.execute.records.runs import settle_run
from pipeline.types import Plan, Skip
from pipeline.write.store import Entry, FolderStore

KEY = "runs/1/lease.json"


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(str(tmp_path / "out"))


def entry(store: FolderStore) -> Entry | None:
    return next(iter(store.list_entries("runs/")), None)


def test_it_is_there_while_its_holder_works_and_gone_after(store: FolderStore) -> None:
    with Lease(store, KEY) as lease:
        assert lease.held
        assert is_held(store, entry(store))
        assert read_owner(store, entry(store)) == this_process()
    assert entry(store) is None
    assert not is_held(store, None)


def test_it_is_put_again_and_again(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.01)
    with Lease(store, KEY):
        path = Path(store.root, KEY)
        path.unlink()
        deadline = time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_killed_process_is_dead_even_before_anybody_has_waited_for_it() -> None:
    """Nor is another process with its number it."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(this_process(), pid=child.pid, started=module._started(child.pid) or 0)
    assert owner.alive() is True
    assert replace(owner, started=owner.started + 1).alive() is False
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert owner.alive() is False, "a zombie"
    child.communicate()
    assert owner.alive() is False


@pytest.mark.parametrize("field", ["host", "machine"])
@pytest.mark.parametrize(("age_s", "held"), [(0.0, True), (LEASE_S - 60, True), (LEASE_S + 60, False)])
def test_from_elsewhere_the_last_put_decides(store: FolderStore, field: str, age_s: float, *, held: bool) -> None:
    """By the store's clock: this machine's may say what it likes. A reboot, or another container, is elsewhere."""
    owner = this_process()
    other = replace(owner, host="other") if field == "host" else replace(owner, machine="another boot")
    assert other.alive() is None
    with Lease(store, KEY), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "this_process", lambda: other)
        Lease(store, KEY)._put()
        path = Path(store.root, KEY)
        then = path.stat().st_mtime - age_s
        os.utime(path, (then, then))
        patch.setattr(time, "time", lambda: 0.0)
        assert is_held(store, entry(store)) is held


def test_an_owner_that_cannot_be_read_is_judged_by_the_last_put(store: FolderStore) -> None:
    store.put_bytes(b"{", KEY)
    assert read_owner(store, entry(store)) is None
    assert is_held(store, entry(store))


def test_owners_are_told_apart() -> None:
    assert this_process() == this_process()
    assert this_process().started > 0
    assert Owner("a", "b", 1, 2) != Owner("a", "b", 1, 3)


def test_what_is_repeated_goes_on_after_a_refusal_and_ends_with_its_block() -> None:
    calls: list[int] = []
    enough = threading.Event()

    def call() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise StoreError("busy")
        enough.set()

    with repeated(call, 0.001):
        assert enough.wait(60)
    after = len(calls)
    assert not [thread for thread in threading.enumerate() if thread.name == "groundswell-beat"]
    assert len(calls) == after


def test_a_run_whose_items_went_while_it_was_planned_is_not_begun(store: FolderStore) -> None:
    """Else it would make current what is no more."""
    kept, gone = "0" * 32, "1" * 32
    store.put_bytes(b"{}", f"items/p/t_m_{kept}.json")
    plan = Plan((), (Skip("p/t/m", kept, "already committed"),))
    settle_run(store, plan, pytest.fail)
    with pytest.raises(PreflightError, match=r"1 items were removed while this run was planned \(p/t/n\)"):
        settle_run(store, Plan((), (*plan.skipped, Skip("p/t/n", gone, "already committed"))), pytest.fail)
