"""A store on its bad days: whole runs to a bucket, through a proxy that spoils some of its answers."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults._runs import JOBS, Case, Tree, check_items
from tests.faults.invariants import Expected, check_invariants
from tests.servers.proxy import Fault, Rule, Spoil, Verdict, run_proxy
from tests.servers.weed import S3Server

full = pytest.mark.full
Through = Callable[[Rule], Case]


@pytest.fixture
def through(
    faults_world: Path, tmp_path: Path, s3_server: S3Server, s3_bucket: str, request: pytest.FixtureRequest
) -> Iterator[Through]:
    """Makes the case whose runs reach their bucket through a proxy with that rule; a test looks at it directly."""
    prefix = hashlib.sha256(request.node.name.encode()).hexdigest()[:12]
    with ExitStack() as stack:

        def case(rule: Rule) -> Case:
            via = stack.enter_context(run_proxy(s3_server.endpoint, rule))
            return Case(tmp_path / "case", faults_world, s3_server, f"s3://{s3_bucket}/{prefix}", via)

        yield case


def _newest(rules: list[Rule]) -> Rule:
    """The last of them, as of each request."""

    def rule(method: str, path: str) -> Verdict:
        return rules[-1](method, path)

    return rule


@pytest.mark.long
def test_f13_a_store_that_asks_to_slow_down_costs_time_only(through: Through, calm: Tree) -> None:
    """One answer in five is 503 SlowDown: all is done, with retries that are counted."""
    rule = Spoil(Fault("refuse", 503, "SlowDown"), share=0.2, seed=13)
    case = through(rule)
    finished = case.run()
    told = check_invariants(case, calm, finished, Expected())
    assert rule.spoilt > 10
    again = sum(record["store_retries"] for record in told.values())
    assert again > 0
    sys.stdout.write(f"{rule.spoilt} requests refused, {again} sent again by jobs\n")


@full
def test_f14_a_store_that_takes_no_data_ends_in_bounded_time_and_is_named(
    through: Through, calm: Tree, s3_bucket: str
) -> None:
    """Every put of a data file fails: every job does, by name, with bucket, operation and request id."""
    case = through(Spoil(Fault("refuse", 500, "InternalError"), ("PUT",), "/data/sentinel2/"))
    finished = case.start(str(case.config), "--set", "run.retries=0").wait()
    cause = (f"s3://{s3_bucket}", "put_object", "HTTP 500", "req-500", "sentinel2/")
    check_invariants(case, calm, finished, Expected(1, cause, not_made=JOBS))


@full
def test_f14_a_store_that_takes_nothing_at_all_is_found_before_anything_runs(
    through: Through, calm: Tree, s3_bucket: str
) -> None:
    case = through(Spoil(Fault("refuse", 500, "InternalError"), ("PUT",)))
    cause = ("error: ", f"s3://{s3_bucket}", "put_object", "HTTP 500", "req-500")
    check_invariants(case, calm, case.run(), Expected(3, cause, started=False))


@full
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("cut", bytes=200), id="f15-cut"),
        pytest.param(Fault("reset"), id="f17-reset"),
        pytest.param(Fault("reset", bytes=100), id="f17-reset-midway"),
        pytest.param(Fault("drop"), id="f12-drop"),
    ],
)
def test_f12_f15_f17_answers_that_break_off_are_asked_for_again(through: Through, calm: Tree, fault: Fault) -> None:
    """One answer in six breaks off, of every kind of request: nothing is short, nothing is done twice."""
    rule = Spoil(fault, share=1 / 6, seed=15)
    case = through(rule)
    check_invariants(case, calm, case.run(), Expected())
    assert rule.spoilt > 10
    verified = case.verb("verify")
    assert verified.code == 0, verified.text


@full
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault("cut", bytes=5000), id="f15-cut"),
        pytest.param(Fault("short", bytes=5000), id="f15-short"),
        pytest.param(Fault("reset", bytes=5000), id="f17-reset"),
        pytest.param(Fault("stall", bytes=1000, seconds=600), id="f16-stall"),
    ],
)
def test_f15_f16_f17_scenes_whose_bytes_break_off_are_read_whole(
    faults_world: Path, tmp_path: Path, s3_server: S3Server, s3_bucket: str, fault: Fault
) -> None:
    """Scenes on the S3 server, read through the proxy: the same bytes as on a calm day, nothing short, nothing lost."""
    place = f"s3://{s3_bucket}/{hashlib.sha256(repr(fault).encode()).hexdigest()[:12]}"
    s3_server.client().put(str(faults_world / "s2"), place.removeprefix("s3://") + "/s2", recursive=True)
    rules: list[Rule] = [lambda *_: None]
    with run_proxy(s3_server.endpoint, _newest(rules)) as via:
        source = f"sources.s2={{items: {place}/s2/collection.json, storage: {{endpoint: {via}}}}}"
        cases = [Case(tmp_path / name, faults_world) for name in ("calm", "spoilt")]
        calm = cases[0].start(str(cases[0].config), "--set", source, environment=s3_server.environment).wait()
        assert calm.code == 0, calm.text
        spoil = Spoil(fault, ("GET",), ".tif", share=0.05, seed=16, most=3 if fault.kind == "stall" else 8)
        rules.append(spoil)
        finished = cases[1].start(str(cases[1].config), "--set", source, environment=s3_server.environment).wait()
    assert spoil.spoilt >= 3
    check_invariants(cases[1], cases[0].tree(), finished, Expected())


@full
def test_f16_an_answer_that_stalls_is_given_up_and_asked_for_again(through: Through, calm: Tree) -> None:
    """An item's bytes come to a halt, and a put is never answered: a time-out, not the server's patience, ends it."""
    read = Spoil(Fault("stall", bytes=50, seconds=600), ("GET",), "/items/", most=1)
    put = Spoil(Fault("delay", seconds=600), ("PUT",), "/data/sentinel2/", after=2, most=1)
    case = through(lambda method, path: read(method, path) or put(method, path))
    check_invariants(case, calm, case.run(), Expected())
    assert (read.spoilt, put.spoilt) == (1, 1)


@full
def test_f18_no_upload_is_ever_made_in_parts(through: Through, calm: Tree) -> None:
    """What is never begun cannot be left pending: every object is one PUT, so a failed second part cannot be."""
    rule = Spoil(Fault("refuse", 500, "InternalError"), part="partNumber=2")
    begun = Spoil(Fault("delay"), part="uploads")
    case = through(lambda method, path: rule(method, path) or begun(method, path))
    check_invariants(case, calm, case.run(), Expected())
    assert rule.fitting == 0
    assert begun.answers["POST"] == 0 and not [name for name in begun.answers if name.startswith("POST")]


@full
def test_f19_an_exception_within_a_commit_leaves_no_object(through: Through, calm: Tree) -> None:
    """The job fails by name; the file that it was about to put is not there, nor is an item."""
    case = through(lambda *_: None)
    order = {"action": "raise", "step": "data_put:count", "number": 3}
    finished = case.start(str(case.config), order=order).wait()
    told = check_invariants(case, calm, finished, Expected(1, ("sentinel2/", "broken on purpose"), not_made=1))
    (failed,) = (job_id for job_id, record in told.items() if record["status"] == "failed")
    names = {key.rpartition("/")[2].partition("_")[0] for key in case.keys(f"data/{failed}")}
    assert "count" not in names and "qa" not in names


@full
def test_f20_credentials_that_run_out_end_the_run_and_the_next_goes_on(through: Through, calm: Tree) -> None:
    """From the twentieth data file on nothing is allowed any more: no other job begins, exit 3, and it says why."""
    rules: list[Rule] = []
    case = through(_newest(rules))
    data = Spoil(Fault("delay"), ("PUT",), "/data/sentinel2/")
    expired = Spoil(Fault("refuse", 403, "ExpiredToken"))
    rules.append(lambda method, path: expired(method, path) if data.fitting >= 20 else data(method, path))
    finished = case.run()
    rules.append(lambda *_: None)
    told = check_invariants(case, calm, finished, Expected(3, ("ExpiredToken", "renew"), not_made=None))
    done = [job_id for job_id, record in told.items() if record["status"] == "done"]
    assert "cancelled" in {record["status"] for record in told.values()}
    assert len(done) < JOBS
    again = case.run()
    check_invariants(case, calm, again, Expected())
    assert again.counts()["skipped"] == check_items(case.tree()) - again.counts()["done"] >= len(done)


@full
def test_f20_a_token_that_is_refused_once_is_renewed(through: Through, calm: Tree) -> None:
    """Whoever asks again with what is to be had by then is let in: nothing is lost."""
    rule = Spoil(Fault("refuse", 403, "ExpiredToken"), ("PUT",), "/data/", after=10, most=1)
    check_invariants(case := through(rule), calm, case.run(), Expected())
    assert rule.spoilt == 1


@full
@pytest.mark.parametrize("part", ["", "/items/", "/data/"], ids=["nothing", "no-items", "no-data"])
def test_f21_rights_that_lack_are_named_before_anything_is_made(
    through: Through, calm: Tree, s3_bucket: str, part: str
) -> None:
    """Whoever may not put under some prefix learns it, with bucket and prefix, before a job runs."""
    case = through(Spoil(Fault("refuse", 403, "AccessDenied"), ("PUT",), part))
    cause = ("error: ", s3_bucket, "AccessDenied", part.strip("/"))
    check_invariants(case, calm, case.run(), Expected(3, cause, started=False))


@full
def test_f22_a_wrong_clock_is_named(through: Through, calm: Tree) -> None:
    case = through(Spoil(Fault("refuse", 403, "RequestTimeTooSkewed")))
    check_invariants(case, calm, case.run(), Expected(3, ("error: ", "clock"), started=False))
