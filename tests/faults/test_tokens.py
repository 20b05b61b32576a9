"""Hrefs are signed when they are read, with a token that is live at that moment; no token is kept, sent or said."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import EXIT_DONE, AssetError, PermanentAssetError, TransientAssetError
from pipeline.execute.worker.task import run_job
from pipeline.read.access import Access, redact, sign
from pipeline.types import Status
from tests.faults._leaks import debug_logging, graph, leaks
from tests.faults._worlds import World, prepare_world, read_band, run_command
from tests.servers.tokens import TokenServer, run_token_server

MASK = {"classes": [0, 9], "open_px": 0, "dilate_px": 0}


def signed_world(server: TokenServer, months: tuple[str, ...] = ("2024-06",)) -> tuple[World, Path]:
    """Three scenes a month behind signed addresses, and a config that reads them."""
    world = World(server.folder, base=server.address)
    for month in months:
        for day in range(1, 4):
            world.add(f"{month}-{day:02d}")
    source = {"items": f"{server.address}items.json", "sign": "planetary-computer", "collection": "tests"}
    period = {"start": "2024-01-01", "end": "2025-01-01", "every": "month"}
    return world, world.config({"mask": MASK}, sources={"s2": source}, period=period)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    """Tokens of a minute, and this process told where they come from."""
    with run_token_server(tmp_path, life_s=60) as server:
        monkeypatch.setenv("PC_SDK_SAS_URL", server.service)
        yield server


def check_long_run(folder: Path, months: int, *, life_s: float, delay_s: float) -> float:
    """A whole run that outlives its tokens: every job done, and nothing of any token left anywhere. Returns seconds."""
    with run_token_server(folder, life_s, delay_s) as server:
        world, config = signed_world(server, tuple(f"2024-{month:02d}" for month in range(1, months + 1)))
        gone = world.items[4]["assets"]["red"]["href"].removeprefix(server.address)
        (folder / gone).unlink()
        started = time.monotonic()
        environment = {"PC_SDK_SAS_URL": server.service, **debug_logging(folder)}
        done = run_command(config, folder / "state", **environment)
        seconds = time.monotonic() - started
    assert done.returncode == EXIT_DONE, done.stdout + done.stderr[-5000:]
    assert f"{months} done, 0 skipped, 0 failed" in done.stdout
    (warning,) = [line for line in done.stdout.splitlines() if line.startswith("warning: ")]
    assert warning.endswith(f"/red ({server.address}{gone}): HTTP 404")
    assert len(server.used) >= 2, "the run was to need more than one token"
    assert "&sig=***" in done.stderr, "the log was to show signed requests, redacted"
    texts = {"stdout": done.stdout, "stderr": done.stderr}
    assert list(leaks(server.signatures, texts, [world.output, folder / "state"])) == []
    return seconds


@pytest.mark.long
def test_a_run_longer_than_its_tokens_renews_them_and_keeps_none(tmp_path: Path) -> None:
    assert check_long_run(tmp_path, 6, life_s=1.5, delay_s=0.2) > 3


@pytest.mark.full
def test_a_run_longer_than_tokens_of_a_minute_renews_them_and_keeps_none(tmp_path: Path) -> None:
    assert check_long_run(tmp_path, 6, life_s=60, delay_s=7) > 70


def test_a_token_refused_before_its_time_is_replaced_by_a_fresh_one(server: TokenServer) -> None:
    world, config = signed_world(server)
    jobs, assignment = prepare_world(config)
    sign(f"{server.address}x.tif", assignment.context.access)
    server.revoke()
    outcome = run_job(jobs["2024-06"], assignment, 1)
    assert (outcome.status, outcome.losses) == (Status.DONE, ())
    assert server.refused and server.used
    np.testing.assert_array_equal(read_band(world, outcome, "red"), world.median(0, 1, 2))


def test_what_is_sent_to_workers_holds_no_token_also_after_reading(server: TokenServer) -> None:
    _, config = signed_world(server)
    jobs, assignment = prepare_world(config)
    outcome = run_job(jobs["2024-06"], assignment, 1)
    assert outcome.status is Status.DONE and server.used
    sent = graph(jobs.values(), assignment)
    texts: dict[str, str | bytes] = {"graph": sent, "outcome": repr(outcome), "assignment": repr(assignment)}
    assert list(leaks([*server.signatures, "sig="], texts, [])) == []
    assert b"scene-0-2024-06-01" in sent


@pytest.mark.parametrize(
    ("service", "loss", "words"),
    [
        ("http://127.0.0.1:9/", TransientAssetError, "no token from the signing service: "),
        ("{address}elsewhere", PermanentAssetError, "no token from the signing service: HTTP 403; .*PC_SDK_SUBS"),
    ],
    ids=["nobody answers", "refused"],
)
def test_without_a_token_the_loss_says_that_none_could_be_had(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch, service: str, loss: type[AssetError], words: str
) -> None:
    """An outage may pass; a refusal does not, and names what opens the door."""
    monkeypatch.setenv("PC_SDK_SAS_URL", service.format(address=server.address))
    with pytest.raises(loss, match=words):
        sign("https://account.blob.core.windows.net/x/y.tif", Access(sign="planetary-computer", collection="tests"))


def test_a_token_goes_to_no_foreign_host(server: TokenServer) -> None:
    access = Access(sign="planetary-computer", collection="tests")
    for foreign in ("https://example.com/x.tif", "https://blob.core.windows.net.example.com/x.tif", "s3://b/x.tif"):
        assert sign(foreign, access) == foreign
    assert not server.signatures
    assert "sig=" in sign("https://account.blob.core.windows.net/x.tif", access)


def test_redacted_text_keeps_the_address_and_loses_every_part_of_the_signature(server: TokenServer) -> None:
    signed = sign(f"{server.address}x.tif?a=b", Access(sign="planetary-computer", collection="tests"))
    (signature,) = server.signatures
    assert signature in signed
    assert redact(f"GET '{signed}' failed") == (
        f"GET '{server.address}x.tif?a=b&se=***&sp=***&sv=***&sr=***&sig=***' failed"
    )
