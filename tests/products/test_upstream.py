"""What a job is made from is as it was committed, or an error that names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import PermanentAssetError
from pipeline.prepare import output_access
from pipeline.read.access import check_href
from tests.products.derived import OPTICAL, plan


@pytest.mark.parametrize("what", ["nothing", "a list", "another text"])
def test_an_input_that_is_not_as_it_was_committed_is_named(demo_world: Path, tmp_path: Path, what: str) -> None:
    run = plan(demo_world, tmp_path, [OPTICAL, "{product: stack, inputs: [sentinel2]}"])
    source = run.job("sentinel2", "2024-06")
    run.make(source)
    path = run.output / str(run.outcomes[source.id].item_key)
    text = path.read_text()
    path.unlink()
    if what != "nothing":
        path.write_text("[1]" if what == "a list" else text.replace("nir_", "red_"))
    outcome = run.make(run.job("stack", "2024-06"))
    assert outcome.error == "StoreError"
    assert f"{source.id}, which it is made from, cannot be had" in str(outcome.cause)
    assert "run that job too, or the whole config" in str(outcome.cause)


def test_an_output_elsewhere_names_no_file_of_this_machine(demo_world: Path, tmp_path: Path) -> None:
    """Whoever can write to a bucket cannot have workers read their own disks for a product made of it."""
    config = plan(demo_world, tmp_path, [OPTICAL]).session.config
    check_href("/etc/hostname", output_access(config))
    with pytest.raises(PermanentAssetError, match="names a local path"):
        check_href("/etc/hostname", output_access(config.model_copy(update={"output": "s3://bucket/out"})))
