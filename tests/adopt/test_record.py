"""Whose a file is, and what an adoption says is current: neither is guessed, whatever went on meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.plan.adopted import adopted_fingerprint
from pipeline.session import Options, Session, open_session
from pipeline.verbs._adopt_checksums import Checksums
from pipeline.verbs._adopt_layouts import Keys, finder
from pipeline.verbs._adopt_record import recorded
from pipeline.verbs._adopt_work import Adoption
from pipeline.write.folder import FolderStore
from pipeline.write.stac import item_key
from tests.verbs.making import make_world

TILE = "33N-469-3906"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of one tile."""
    return make_world(tmp_path_factory.mktemp("record"))[1]


def opened(config: Path, output: Path) -> Session:
    return open_session(Options(config, output=str(output)))


def test_a_file_that_lies_there_for_several_jobs_is_nobodys(config: Path, tmp_path: Path) -> None:
    """One of a year, in a plan of months: of which month it is, nobody knows."""
    session = opened(config, tmp_path)
    june, july = session.plan.jobs
    name = f"2024/{TILE}_red.tif"
    source = FolderStore(str(tmp_path))
    find = finder(None, "{year}/{tile}_{layer}.tif", lambda _: None)
    shown = Adoption(session, source, Keys({name: 1}), find, Checksums(source, {}))
    assert shown.shared_by([june]) == {}
    shared = shown.shared_by([june, july])
    assert shared == {name: [june.id, july.id]}
    adopted = Adoption(session, source, Keys({name: 1}), find, Checksums(source, {}), shared=shared).adopt(june)
    assert adopted is not None and adopted.item_key is None
    assert f"{name}: found the file of 2 jobs ({june.id}, {july.id}), expected of one" in adopted.wrong[0]


def test_what_was_made_here_meanwhile_is_not_hidden(config: Path, tmp_path: Path) -> None:
    """An adoption that was killed left an item; while the next one was at work, a run made the same job and ended."""
    (job, _) = opened(config, tmp_path).plan.jobs
    older = adopted_fingerprint(job.product, job.tile, job.period.id, {"red": "0"})
    store = FolderStore(str(tmp_path))
    store.put_bytes(b"{}", item_key(job).replace(job.fingerprint, older))
    session = opened(config, tmp_path)
    assert [(one.job_id, one.fingerprint, one.reason) for one in session.plan.skipped] == [(job.id, older, "adopted")]
    store.put_bytes(b"{}", item_key(job))
    assert recorded(session, session.plan.skipped, list) == ([], None)
    assert not [*store.list_keys("runs/")]
