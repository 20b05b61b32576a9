"""A secret given to a run is nowhere in what the run prints, logs, keeps, sends or commits, also when a job crashes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipeline.errors import EXIT_BAD_CONFIG, EXIT_JOBS_FAILED, EXIT_PREFLIGHT
from pipeline.run import main
from tests.faults._leaks import debug_logging, graph, leaks
from tests.faults._worlds import World, prepare_world, run_command
from tests.servers.tokens import run_token_server

CANARY = "CANARYc0ffee5ecret"
SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": f"key{CANARY}",
    "AWS_SESSION_TOKEN": f"session{CANARY}",
    "PC_SDK_SUBSCRIPTION_KEY": f"subscription{CANARY}",
}
CRASH = """\
from pipeline.products._optical_product import OpticalProduct

if not hasattr(OpticalProduct, "real_properties"):
    OpticalProduct.real_properties = OpticalProduct._properties

def crash(self, config, tile, readings):
    if tile.part.work.job.period.id == "2024-07":
        raise RuntimeError("crashed on purpose")
    return self.real_properties(config, tile, readings)

OpticalProduct._properties = crash
"""
"""Loaded by every worker before its first task, sometimes twice."""


def secret_world(folder: Path, address: str) -> tuple[Path, dict[str, str]]:
    """A config whose catalogue address holds a secret and comes from the environment, and that environment."""
    world = World(folder, base=address)
    for day in range(1, 4):
        world.add(f"2024-06-{day:02d}")
    world.add("2024-06-20", {"red": "gone.tif"})
    world.add("2024-07-01")
    config = world.config(sources={"s2": {"items": "${CATALOGUE}"}})
    signed = f"{address.replace('//', f'//user:{CANARY}@')}items.json?code={CANARY}&sig={CANARY}"
    return config, {"CATALOGUE": signed, **SECRETS}


@pytest.mark.long
def test_secrets_leak_nowhere_from_a_run_with_a_lost_asset_and_a_crashed_job(tmp_path: Path) -> None:
    with run_token_server(tmp_path) as server:
        config, environment = secret_world(tmp_path, server.address)
        (tmp_path / "crash.py").write_text(CRASH)
        environment["DASK_DISTRIBUTED__WORKER__PRELOAD"] = str([str(tmp_path / "crash.py")])
        done = run_command(config, tmp_path / "state", **environment, **debug_logging(tmp_path))
    assert done.returncode == EXIT_JOBS_FAILED, done.stdout + done.stderr[-3000:]
    assert "1 done, 0 skipped, 1 failed" in done.stdout
    assert "/2024-07: RuntimeError: crashed on purpose" in done.stdout and "gone.tif): HTTP 404" in done.stdout
    assert "urllib3.connectionpool DEBUG" in done.stderr, "everything was to be logged"
    texts = {"stdout": done.stdout, "stderr": done.stderr}
    assert list(leaks([CANARY], texts, [tmp_path / "output", tmp_path / "state"])) == []
    (kept,) = (tmp_path / "output" / "runs").glob("*/config.json")
    assert "${CATALOGUE}" in kept.read_text(encoding="utf-8")


def test_what_is_sent_to_workers_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with run_token_server(tmp_path) as server:
        config, environment = secret_world(tmp_path, server.address)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        jobs, assignment = prepare_world(config)
    sent = graph(jobs.values(), assignment)
    assert list(leaks([CANARY], {"graph": sent, "words": repr((jobs, assignment))}, [])) == []
    assert b"scene-0-2024-06-01" in sent


@pytest.mark.long
def test_an_output_that_cannot_be_reached_is_named_without_its_credentials(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add("2024-06-01")
    config = world.config(output="s3://bucket/prefix", storage={"endpoint": "http://127.0.0.1:9"})
    done = run_command(config, tmp_path / "state", **SECRETS, **debug_logging(tmp_path), AWS_MAX_ATTEMPTS="1")
    assert done.returncode == EXIT_PREFLIGHT, done.stdout + done.stderr[-3000:]
    assert "error: output: " in done.stderr and "bucket" in done.stderr
    assert list(leaks([f"key{CANARY}"], {"stdout": done.stdout, "stderr": done.stderr}, [])) == []


def test_a_catalogue_that_cannot_be_read_is_named_without_its_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with run_token_server(tmp_path) as server:
        config, environment = secret_world(tmp_path, server.address)
        monkeypatch.setenv("CATALOGUE", environment["CATALOGUE"])
        (tmp_path / "items.json").unlink()
        assert main([str(config)]) == EXIT_PREFLIGHT
    said = capsys.readouterr()
    assert "items.json" in said.err and "HTTP 404" in said.err
    assert f"user:{CANARY}" not in said.err + said.out and f"sig={CANARY}" not in said.err + said.out


def test_a_python_tag_in_the_config_ends_with_2_and_runs_nothing(tmp_path: Path) -> None:
    config = World(tmp_path).config()
    tag = f"name: !!python/object/apply:os.system [touch {tmp_path / 'touched'}]"
    config.write_text(config.read_text().replace("name: faults", tag))
    done = run_command(config, tmp_path / "state")
    assert done.returncode == EXIT_BAD_CONFIG, done.stdout + done.stderr
    assert re.search(r"run\.yaml:\d+(:\d+)?: name: .*python/object/apply", done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not any((tmp_path / name).exists() for name in ("touched", "output", "state"))


def test_every_other_fault_of_a_config_is_named_at_once_with_file_line_and_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = World(tmp_path).config()
    text = config.read_text()
    for right, wrong in (
        ("tile_px: 128", "tile_pix: 128"),
        ("name: faults", "name: ${NOT_SET_ANYWHERE}"),
        ("resolution_m: 10", "resolution_m: ten"),
        ("retries: 0", "retries: -1"),
    ):
        assert right in text
        text = text.replace(right, wrong)
    config.write_text(text)
    assert main([str(config)]) == EXIT_BAD_CONFIG
    said = capsys.readouterr().err
    for fault in (
        r"grid\.tile_pix: .*tile_px",
        "name: .*NOT_SET_ANYWHERE",
        r'grid\.resolution_m: .*"ten"',
        r"run\.retries: .*-1",
    ):
        assert re.search(rf"run\.yaml:\d+(:\d+)?: {fault}", said), said
    assert not (tmp_path / "output").exists()
