"""Catalog makes the derived pages and the table again, from the current items alone."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tests.verbs.making import files, groundswell


def derived(output: Path) -> dict[str, bytes]:
    return {key: data for key, data in files(output).items() if not key.startswith(("items/", "data/", "runs/"))}


def test_lost_and_spoilt_pages_come_back_as_they_were(output: Path) -> None:
    before = derived(output)
    shutil.rmtree(output / "collections")
    (output / "items.parquet").write_bytes(b"spoilt")
    assert groundswell("catalog", output) == 0
    assert derived(output) == before


def test_a_lost_root_page_gets_the_name_of_the_newest_run(output: Path) -> None:
    before = derived(output)
    assert json.loads(before["catalog.json"])["id"] == "faults"
    (output / "catalog.json").unlink()
    assert groundswell("catalog", output) == 0
    assert derived(output) == before


def test_a_page_that_no_item_needs_goes(output: Path) -> None:
    before = derived(output)
    (output / "collections" / "old").mkdir()
    (output / "collections" / "old" / "collection.json").write_text("{}")
    assert groundswell("catalog", output) == 0
    assert derived(output) == before
