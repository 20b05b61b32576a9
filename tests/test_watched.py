"""A run that is watched in every way at once: from another process, by Prometheus, by a webhook, in its own log."""

from __future__ import annotations

import json
import re
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from pipeline.demo import build_world
from pipeline.types import Json
from tests.faults._runs import JOBS, Case
from tests.servers.receiver import run_receiver
from tests.servers.weed import S3Server, free_ports


def sets(**values: Json) -> list[str]:
    return [word for key, value in values.items() for word in ("--set", f"run.{key}={json.dumps(value)}")]


def lines_of(text: str) -> list[Json]:
    """Records of a log in which every line is one."""
    return [json.loads(line) for line in text.splitlines()]


def scraped(port: int) -> dict[str, float]:
    """Jobs by state; nothing while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
    except OSError:
        return {}
    return {
        one.labels["state"]: one.value
        for family in families
        for one in family.samples
        if one.name == "groundswell_jobs"
    }


@pytest.mark.long
def test_all_who_watch_a_run_see_the_same(s3_server: S3Server, s3_bucket: str, tmp_path: Path) -> None:
    world, port = build_world(tmp_path / "world", px=256).folder, free_ports(1)[0]
    case = Case(tmp_path / "case", world, s3_server, f"s3://{s3_bucket}/{tmp_path.name}/watched")
    with run_receiver() as receiver:
        notify = [{"webhook": receiver.url, "on": ["commit", "run"], "secret": "s3cr3t"}]
        options = sets(metrics={"port": port}, notify=notify, progress="json")
        run = case.start(str(case.config), *options)
        run.until(lambda: any("plan.jsonl" in key for key in case.keys("runs")), "the run does not begin")
        follower = case.start("status", str(case.config), "--follow", "--every", "0.5", "--json", module="pipeline.cli")
        run.until(lambda: scraped(port).get("open"), "there are no metrics")
        finished, followed = run.wait(), follower.wait()
    assert (finished.code, followed.code) == (0, 0), finished.text + followed.text

    items = [key for key in case.keys("items") if key.endswith(".json")]
    events = [json.loads(body) for body in receiver.taken]
    commits = [event["data"] for event in events if event["type"] == "groundswell.commit"]
    assert sorted(commit["item"] for commit in commits) == sorted(items)
    assert len(items) == JOBS
    assert [event["type"].rpartition(".")[2] for event in (events[0], events[-1])] == ["begin", "end"]
    assert (events[-1]["data"]["code"], events[-1]["data"]["summary"]["jobs"]["done"]) == (0, JOBS)

    records = lines_of(finished.text)
    assert sum(record["event"] == "job" and record["status"] == "done" for record in records) == JOBS
    assert [record for record in records if record["event"] == "progress"][-1]["rows"][0]["done"] == JOBS

    looks = lines_of(followed.text)
    assert (looks[0]["state"], looks[-1]["state"], looks[-1]["done"]) == ("live", "finished", JOBS)
    assert looks[-1]["progress"]["rows"][0]["written_bytes"] == sum(commit["written_bytes"] for commit in commits)

    (page,) = [key for key in case.keys("runs") if re.search(r"/performance-.*\.html$", key)]
    assert b"sentinel2" in case.read(page)
    assert scraped(port) == {}
    told = [*[case.read(key) for key in case.keys("runs") if not key.endswith(".html")], finished.text.encode()]
    assert not any(b"s3cr3t" in one for one in told)
