"""Claims of dead runs go; what a run at work has claimed stays, also when it took over the claim just now."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.execute.records.claims import dead_claims
from pipeline.execute.records.lease import this_process
from pipeline.verbs import _leftovers
from pipeline.verbs._leftovers import Rules
from pipeline.verbs.vacuum import vacuum
from pipeline.write.entries import Entry
from pipeline.write.store import FolderStore, Store
from tests.verbs.making import ended_process, files, groundswell, put, put_run

LIVE, DEAD = "20260101T000000000Z-aaaaaa", "20260101T000000000Z-bbbbbb"
FINGERPRINT = "0123456789abcdef" * 2


def claim(run_id: str, number: int = 1) -> bytes:
    return json.dumps({"format": 1, "run": run_id, "token": str(number), "host": "here", "at": 0.0}).encode()


def test_claims_of_dead_runs_go_and_those_of_a_live_run_stay(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put_run(output, LIVE, this_process(), {})
    put_run(output, DEAD, ended_process(), {})
    kept = put(output, f"claims/sentinel2/{FINGERPRINT}", claim(LIVE))
    gone = [put(output, f"claims/sentinel2/{FINGERPRINT[::-1]}{number}", claim(DEAD)) for number in range(2)]
    young = files(output)
    assert groundswell("vacuum", output) == 0
    assert files(output) == young, "a day is the default age"
    assert groundswell("vacuum", output, "--older-than", "0") == 0
    assert "2 claims of dead runs" in capsys.readouterr().out
    assert kept.exists() and not any(path.exists() for path in gone)


def test_a_claim_that_was_taken_over_meanwhile_stays(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_run(output, DEAD, ended_process(), {})
    claimed = put(output, f"claims/sentinel2/{FINGERPRINT}", claim(DEAD), age_s=100)

    def late(store: Store) -> list[Entry]:
        found = list(dead_claims(store))
        put_run(output, LIVE, this_process(), {})
        claimed.write_bytes(claim(LIVE, 2))
        return found

    monkeypatch.setattr(_leftovers, "dead_claims", late)
    assert len(vacuum(FolderStore(str(output)), Rules(0)).claims) == 1
    assert claimed.exists()
