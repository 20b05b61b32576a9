"""An adoption between any two stores, and one that is killed: begun again, it ends as one that never was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.errors import EXIT_DONE
from pipeline.session import Options, open_session
from pipeline.write.store import open_store
from tests.adopt.conftest import TEMPLATE, Older
from tests.servers.weed import S3Server

pytestmark = pytest.mark.long
KILL = """\
import logging, os, sys

class Kill(logging.Handler):
    def emit(self, record):
        if record.getMessage() == f"commit step {sys.argv[1]}":
            os._exit(9)

logging.getLogger("pipeline.write.commit").setLevel(logging.DEBUG)
logging.getLogger("pipeline.write.commit").addHandler(Kill())
from pipeline import cli
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.parametrize("step", ["data_put:nir", "item_put_done"])
def test_one_that_is_killed_goes_on_where_it_was(older: Older, step: str, tmp_path: Path) -> None:
    """Nobody sees half of a tile meanwhile; what is current is known when it has ended."""
    arguments = ["adopt", str(older.config), str(older.folder), "--template", TEMPLATE, "--output", str(older.output)]
    environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-c", KILL, step, *arguments]
    assert subprocess.run(command, env=environ, check=False, timeout=120).returncode == 9
    for item in older.items().values():
        hrefs = [older.output / "items" / "sentinel2" / asset["href"] for asset in item["assets"].values()]
        assert all(path.resolve().is_file() for path in hrefs)
    assert not (older.output / "items.parquet").exists()
    assert older.adopt() == EXIT_DONE
    assert len(older.items()) == 2 and {one.reason for one in older.session().plan.skipped} == {"adopted"}
    assert older.groundswell("verify", str(older.output)) == EXIT_DONE
    assert (older.output / "items.parquet").exists()
    assert older.groundswell("vacuum", str(older.output), "--older-than", "0") == EXIT_DONE
    data = [path for path in older.output.glob("data/sentinel2/*/*/*") if path.is_file()]
    named = {asset["href"].rpartition("/")[2] for item in older.items().values() for asset in item["assets"].values()}
    assert {path.name for path in data} == named


def test_from_a_bucket_into_a_bucket(older: Older, s3_environment: S3Server, s3_bucket: str) -> None:
    """The same items as between folders, but for where they came from."""
    place, output = f"s3://{s3_bucket}/old-{os.getpid()}", f"s3://{s3_bucket}/new-{os.getpid()}"
    store = open_store(place, endpoint=s3_environment.endpoint)
    for path in older.folder.glob("*/*.tif"):
        store.put_file(path, path.relative_to(older.folder).as_posix())
    named = ["--template", TEMPLATE, "--output", output, "--set", f"storage.endpoint={s3_environment.endpoint}"]
    assert cli.main(["adopt", str(older.config), place, *named]) == EXIT_DONE
    assert older.adopt() == EXIT_DONE
    committed = open_store(output, endpoint=s3_environment.endpoint)
    keys = sorted(committed.list_keys("items/"))
    assert keys == sorted(older.items())
    data = {path.relative_to(older.output).as_posix() for path in older.output.glob("data/*/*/*/*.tif")}
    assert data <= {*committed.list_keys("data/")}
    for key in data:
        assert committed.get_bytes(key) == (older.output / key).read_bytes()
    sets = (f"storage.endpoint={s3_environment.endpoint}",)
    assert {one.reason for one in open_session(Options(older.config, sets=sets, output=output)).plan.skipped} == {
        "adopted"
    }
