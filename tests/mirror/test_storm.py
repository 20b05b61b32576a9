"""Everything at once: two mirrors of different kinds, both of which fail at random."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.mirror.ftpd import run_ftp
from tests.mirror.gdacs import QUICK, fetch_all, files_below, gdac_of, path_of, profile_bytes
from tests.servers.faulty import Answer, Request, run_faulty

COUNT, MOST_RUNS = 150, 6
FAULTS = (
    Answer(503),
    Answer(404),
    Answer(cut_bytes=100),
    Answer(cut_bytes=150_000),
    Answer(body=b"<!DOCTYPE html><p>Maintenance"),
    Answer(delay_s=0.8),
)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_in_any_weather_what_is_there_is_whole_and_at_last_all_of_it_is(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (of faults, not a secret)
    files = {path_of(k): profile_bytes(k, levels=40 if k % 15 else 90_000) for k in range(COUNT)}
    for path, data in files.items():
        (tmp_path / "remote" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "remote" / path).write_bytes(data)

    def http(_request: Request, _earlier: int) -> Answer | None:
        return chance.choice(FAULTS) if chance.random() < 0.4 else None

    here = tmp_path / "here"
    served = {f"/{path}": data for path, data in files.items()}
    with run_faulty(served, http, etags=True) as web, run_ftp(tmp_path / "remote", most=3) as ftp:

        def cut(_file: Path) -> None:
            if chance.random() < 0.2:
                ftp.cut_bytes, ftp.cut_code = chance.randrange(100_000), chance.choice(["426", "226"])

        ftp.before = cut
        gdac = gdac_of(web.address, ftp.address, patience=replace(QUICK, timeout_s=0.4, retries=1))
        left = set(files)
        for _ in range(MOST_RUNS):
            got = fetch_all(gdac, sorted(left), here)
            there = {path: data for path, data in files_below(here).items() if path.endswith(".nc")}
            assert there.items() <= files.items()
            assert {path for path, each in got.items() if each.state == "fetched"} == left & there.keys()
            # The FTP server has every file: no file vanishes because one mirror says so.
            assert "vanished" not in {each.state for each in got.values()}
            left -= there.keys()
    assert left == set()
    assert files_below(here) == files
