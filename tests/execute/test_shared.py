"""A task makes what its run could claim, leaves the rest to whoever has it, and says of every job what became of it."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from pipeline.errors import CredentialsError, OutputError, PreflightError, StoreError, TransientStoreError
from pipeline.execute.records.claims import claim_all, claim_key
from pipeline.execute.records.lease import Lease, run_lease
from pipeline.execute.worker import scratch
from pipeline.execute.worker import task as module
from pipeline.execute.worker.scratch import check_scratch, scratch_folder, scratch_full
from pipeline.execute.worker.task import run_group
from pipeline.plan.groups import Group
from pipeline.types import Job, MemoryPlan, Outcome, Period, Status, Tile
from pipeline.write.retry import again
from pipeline.write.stac import item_key
from pipeline.write.store import FolderStore

TOGETHER, ALONE = MemoryPlan(4, 100), MemoryPlan(4, 1)
JOBS = tuple(
    Job(
        "p",
        "p",
        Tile(f"t{number}", GeoBox((4, 4), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633")),
        Period("m", None, None),
        "a",
        (),
        f"{number:032x}",
        ALONE,
        0,
    )
    for number in range(4)
)
Asked = list[tuple[Group, list[str]]]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(str(tmp_path / "out"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Every group that is made, and which claims stand meanwhile; each of its jobs is done at once."""
    seen: Asked = []

    def make(group: Group, assignment: Any, attempt: int) -> list[Outcome]:
        seen.append((group, claims(assignment.store)))
        return [Outcome(job.id, job.region, job.fingerprint, Status.DONE, attempts=attempt) for job in group.jobs]

    monkeypatch.setattr(module, "_made", make)
    return seen


def claims(store: FolderStore) -> list[str]:
    return sorted(key for key, _ in store.list_objects("claims/"))


def run(store: FolderStore, jobs: tuple[Job, ...] = JOBS, attempt: int = 1, run_id: str | None = "me") -> list[Outcome]:
    plan = SimpleNamespace(afloat=False)
    assignment: Any = SimpleNamespace(store=store, claimed_by=run_id, plan=plan, retries=2, differs=None)
    outcomes = run_group(Group(jobs, TOGETHER), assignment, attempt)
    assert [one.job_id for one in outcomes] == [job.id for job in jobs]
    return outcomes


def test_a_run_without_claims_leaves_none(store: FolderStore, asked: Asked) -> None:
    assert {one.status for one in run(store, run_id=None)} == {Status.DONE}
    assert asked == [(Group(JOBS, TOGETHER), [])]


def test_what_another_run_makes_is_left_to_it(store: FolderStore, asked: Asked) -> None:
    """The rest is made together; claims stand while it is, and own ones go."""
    theirs = [JOBS[1], JOBS[2]]
    with Lease(store, run_lease("other")):
        claim_all(store, "other", theirs)
        outcomes = run(store)
    assert [one.status for one in outcomes] == [Status.DONE, Status.CLAIMED, Status.CLAIMED, Status.DONE]
    assert {one.error for one in outcomes if one.status is Status.CLAIMED} == {"ClaimedError"}
    assert "run other has been making it on " in str(outcomes[1].cause)
    assert asked == [(Group((JOBS[0], JOBS[3]), TOGETHER), [claim_key(job) for job in JOBS])]
    assert claims(store) == [claim_key(job) for job in theirs]


def test_one_that_is_left_over_is_made_as_a_job_by_itself(store: FolderStore, asked: Asked) -> None:
    """In the memory that it needs alone."""
    with Lease(store, run_lease("other")):
        claim_all(store, "other", JOBS[1:])
        run(store)
    assert [group for group, _ in asked] == [Group((JOBS[0],), ALONE)]


def test_where_another_run_makes_all_nothing_is_made(store: FolderStore, asked: Asked) -> None:
    with Lease(store, run_lease("other")):
        claim_all(store, "other", JOBS)
        assert {one.status for one in run(store)} == {Status.CLAIMED}
    assert asked == []


def test_what_was_committed_meanwhile_is_done_and_not_made(store: FolderStore, asked: Asked) -> None:
    store.put_bytes(b"{}", item_key(JOBS[0]))
    done, *_ = run(store)
    assert (done.status, done.item_key, done.error, done.written_bytes) == (Status.DONE, item_key(JOBS[0]), None, 0)
    assert "committed meanwhile" in str(done.cause)
    assert asked[0][0].jobs == JOBS[1:]
    assert claims(store) == []


@pytest.mark.parametrize(
    ("error", "attempt", "status"),
    [
        (TransientStoreError("busy"), 2, Status.RETRY),
        (TransientStoreError("busy"), 3, Status.FAILED),
        (CredentialsError("expired"), 2, Status.RETRY),
        (CredentialsError("expired"), 3, Status.FAILED),
        (StoreError("refused"), 1, Status.FAILED),
    ],
)
def test_a_claim_that_cannot_be_put_costs_its_job_alone(
    store: FolderStore, asked: Asked, error: StoreError, attempt: int, status: Status
) -> None:
    class Partly(FolderStore):
        def put_new(self, data: bytes, key: str) -> bool:
            if key == claim_key(JOBS[2]):
                raise error
            return super().put_new(data, key)

    outcomes = run(Partly(store.root), attempt=attempt)
    assert [one.status for one in outcomes] == [Status.DONE, Status.DONE, status, Status.DONE]
    assert (outcomes[2].error, outcomes[2].cause) == (type(error).__name__, str(error))
    assert claims(store) == []


def test_claims_go_whatever_ends_the_making(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(*_: object) -> list[Outcome]:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "_made", end)
    with pytest.raises(KeyboardInterrupt):
        run(store)
    assert claims(store) == []


def test_outcomes_say_when_they_began_and_what_was_sent_again(store: FolderStore, asked: Asked) -> None:
    """Claims included, though they are put by threads of their own."""

    class Slow(FolderStore):
        def put_new(self, data: bytes, key: str) -> bool:
            again()
            return super().put_new(data, key)

    outcomes = run(Slow(store.root))
    assert {one.store_retries for one in outcomes} == {4}
    (began,) = {one.begun_s for one in outcomes}
    assert abs(began - Path(store.root).stat().st_mtime) < 60
    assert len(asked) == 1


def full(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def caused(error: Exception, by: BaseException) -> Exception:
    error.__cause__ = by
    return error


def wrapped(error: BaseException) -> Exception:
    return caused(RuntimeError("the encoder failed"), error)


@pytest.mark.parametrize(
    "error",
    [
        full(errno.ENOSPC),
        full(errno.EDQUOT),
        full(errno.EFBIG),
        wrapped(full(errno.ENOSPC)),
        wrapped(wrapped(full(28))),
    ],
    ids=["space", "quota", "limit", "wrapped", "twice"],
)
def test_a_full_disk_is_named_with_its_folder(error: Exception) -> None:
    told = scratch_full(error)
    assert isinstance(told, OutputError)
    assert f"scratch folder {tempfile.gettempdir()} on " in str(told) and "TMPDIR" in str(told)


def test_a_library_that_lost_the_number_is_understood() -> None:
    assert scratch_full(RuntimeError("ZSTD: No space left on device")) is not None


NOT_OURS = caused(StoreError("folder /out, key x: put failed"), full(errno.ENOSPC))


@pytest.mark.parametrize("error", [ValueError("bug"), full(errno.EACCES), NOT_OURS], ids=["bug", "rights", "output"])
def test_other_errors_are_left_as_they_are(error: Exception) -> None:
    assert scratch_full(error) is None


@pytest.mark.parametrize(("attempt", "status"), [(1, Status.RETRY), (3, Status.FAILED)])
def test_a_job_without_room_is_tried_again_and_then_failed_by_name(attempt: int, status: Status) -> None:
    """Other tasks may leave room, or another worker have more."""
    begun = module._begun(JOBS[0], attempt, 0.0)
    ended = module._ended(begun, full(errno.ENOSPC), 2)
    assert (ended.status, ended.error) == (status, "OutputError")
    assert "scratch folder" in str(ended.cause)


def test_a_scratch_folder_is_gone_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(FileExistsError), scratch_folder() as folder:
        folder.mkdir()
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_found_before(monkeypatch: pytest.MonkeyPatch) -> None:
    check_scratch()
    monkeypatch.setattr(scratch, "LEAST_BYTES", 2**60)
    with pytest.raises(PreflightError, match=r"scratch folder .* is too small: at least \d+ bytes are needed"):
        check_scratch()
