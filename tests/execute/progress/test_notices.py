"""Others are told of a run's begin, commits and end, at least once each, signed; and the run never waits for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.config import NoticeConfig
from pipeline.errors import PreflightError
from pipeline.execute.progress import delivery
from pipeline.execute.progress.delivery import Backlog
from pipeline.execute.progress.notices import About, Notices
from pipeline.types import Finding, Json, Outcome, Quality, Status
from tests.servers.receiver import Answer, Receiver, run_receiver

ABOUT = About("20260101T000000000Z-aaaaaa", "kenya", "s3://bucket/out put")
BOTH = ("commit", "run")


def done(number: int) -> Outcome:
    job, quality = f"dem/t{number}/static", Quality("warn", (Finding("few", "warn", "3 of 5"),))
    key = f"items/dem/t{number}/t{number}_static_{number:032x}.json"
    return Outcome(job, "eu-central-1", f"{number:032x}", Status.DONE, key, written_bytes=7, quality=quality)


def hook(receiver: Receiver, on: tuple[str, ...] = BOTH, secret: str | None = None) -> NoticeConfig:
    return NoticeConfig.model_validate({"webhook": receiver.url, "on": on, "secret": secret})


class Told:
    """What a run says and writes down meanwhile."""

    def __init__(self) -> None:
        self.says: list[str] = []
        self.records: list[Json] = []

    @contextmanager
    def run(self, *configs: NoticeConfig, patience_s: float = 30.0) -> Iterator[Notices]:
        with Notices(configs, ABOUT, self.records.append, self.says.append, patience_s) as notices:
            yield notices

    @property
    def lost(self) -> list[str]:
        return [subject for record in self.records for subject in record["subjects"]]


def events(receiver: Receiver) -> list[Json]:
    return [json.loads(body) for body in receiver.taken]


def test_a_run_is_told_from_its_begin_to_its_end() -> None:
    """The end comes last, when all commits have been told, each in the form of a CloudEvent."""
    told = Told()
    with run_receiver() as receiver, run_receiver() as other:
        with told.run(hook(receiver), hook(other, ("run",))) as notices:
            for number in range(20):
                notices.ended(done(number))
            notices.ended(Outcome("dem/x/static", "r", "f", Status.FAILED))
            notices.ended(Outcome("dem/y/static", "r", "f", Status.DONE))  # nothing to commit, so no commit
            notices.drain()
            notices.end(1, None, {"jobs": {"done": 20}})
        found = events(receiver)
    assert [event["type"] for event in events(other)] == ["groundswell.run.begin", "groundswell.run.end"]
    assert Counter(event["type"] for event in found) == {
        "groundswell.run.begin": 1,
        "groundswell.commit": 20,
        "groundswell.run.end": 1,
    }
    assert found[-1]["type"] == "groundswell.run.end"
    assert (found[-1]["data"]["code"], found[-1]["data"]["summary"]) == (1, {"jobs": {"done": 20}})
    commit = next(event for event in found if event["subject"] == "dem/t3/static")
    assert (commit["specversion"], commit["source"]) == ("1.0", "s3://bucket/out%20put")
    assert commit["id"] == f"{ABOUT.run}-{3:032x}"
    assert commit["data"]["href"] == f"s3://bucket/out put/{done(3).item_key}"
    assert commit["data"]["quality"] == {"status": "warn", "flags": ["few"]}
    assert len({event["id"] for event in found}) == 22
    assert (told.says, told.records) == ([], [])


@pytest.mark.parametrize("secret", ["a secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"])
def test_what_is_posted_is_signed_as_standard_webhooks_want_it(secret: str) -> None:
    """HMAC-SHA256 of `id.time.body`, computed here from the specification; nothing shows the secret."""
    told = Told()
    with run_receiver() as receiver, told.run(hook(receiver, secret=secret)) as notices:
        notices.ended(done(1))
        notices.drain()
    assert len(receiver.got) == 2
    for one in receiver.got:
        signed = f"{one.headers['webhook-id']}.{one.headers['webhook-timestamp']}.".encode() + one.body
        key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert one.headers["webhook-signature"] == f"v1,{digest}"
        assert abs(int(one.headers["webhook-timestamp"]) - time.time()) < 100
        assert one.headers["webhook-id"] == json.loads(one.body)["id"]
        assert one.headers["content-type"].startswith("application/cloudevents+json")
        assert secret not in str(one)


def test_the_example_of_the_specification_has_its_signature() -> None:
    """The one that Standard Webhooks' own libraries are tested with."""
    from pipeline.execute.progress.receivers import key_of, signature  # noqa: PLC0415

    key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_receiver_that_fails_for_a_while_gets_everything_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each at least once, also those that it refused ten times; and the warning names the host alone."""
    monkeypatch.setattr(delivery, "_LONGEST_S", 0.02)
    told = Told()

    def rule(number: int, _body: bytes) -> Answer:
        return (503 if number % 2 else 429, {"Retry-After": "0"}, 0.0) if number < 40 else (200, {}, 0.0)

    with run_receiver(rule) as receiver, told.run(hook(receiver, ("commit",))) as notices:
        for number in range(10):
            notices.ended(done(number))
        notices.drain()
    assert {event["subject"] for event in events(receiver)} == {f"dem/t{number}/static" for number in range(10)}
    assert told.records == []
    assert len(told.says) == 1
    assert told.says[0].startswith(
        f"warning: notices: {receiver.url.partition('/hook')[0]}: answered with HTTP status "
    )
    assert "not-to-be-told" not in told.says[0]


@pytest.mark.long
def test_one_notice_that_its_receiver_cannot_stand_holds_up_no_other() -> None:
    told = Told()

    def rule(_number: int, body: bytes) -> Answer:
        return (500 if b"dem/t0/static" in body else 204), {}, 0.0

    with run_receiver(rule) as receiver, told.run(hook(receiver, ("commit",)), patience_s=3.0) as notices:
        for number in range(30):
            notices.ended(done(number))
        notices.drain()
    assert len(events(receiver)) == 29
    assert told.lost == ["dem/t0/static"]


@pytest.mark.parametrize("status", [400, 404, 302])
def test_what_is_refused_for_good_is_named_and_not_sent_again(status: int) -> None:
    """A redirection is not followed: a signed document goes where it was meant to go, and nowhere else."""
    told = Told()
    with run_receiver() as elsewhere:

        def rule(number: int, _body: bytes) -> Answer:
            return status if number == 1 else 204, {"Location": elsewhere.url}, 0.0

        with run_receiver(rule) as receiver, told.run(hook(receiver, ("commit",))) as notices:
            for number in range(5):
                notices.ended(done(number))
            notices.drain()
    assert (len(receiver.got), len(receiver.taken), elsewhere.got) == (5, 4, [])
    assert told.records[0]["cause"].startswith(f"answered with HTTP status {status}")
    assert len(told.lost) == 1
    assert told.lost[0] not in {event["subject"] for event in events(receiver)}
    assert any(told.lost[0] in line for line in told.says)


def test_a_receiver_that_is_away_costs_the_run_its_patience_and_every_notice_is_named() -> None:
    told = Told()
    with run_receiver() as gone:
        pass
    began = time.monotonic()
    with told.run(hook(gone), patience_s=0.5) as notices:
        for number in range(700):
            notices.ended(done(number))
        assert time.monotonic() - began < 5
        notices.drain()
        notices.end(0, None, {})
    assert time.monotonic() - began < 30
    assert sorted(told.lost) == sorted([ABOUT.run, *(f"dem/t{number}/static" for number in range(700))])
    assert max(len(record["subjects"]) for record in told.records) <= 500
    assert {record["cause"] for record in told.records} == {"no answer (ConnectionError)"}
    assert len(told.says) == 3  # that it is away, what of the jobs it was not told, and that it was not told of the end


@pytest.mark.long
def test_several_receivers_that_are_away_are_waited_for_once_and_hardly_by_a_run_in_a_hurry() -> None:
    """Whoever asked it to end may end it by force soon, with its last records unwritten."""
    told, began = Told(), time.monotonic()
    with run_receiver() as receiver:
        gone = [hook(receiver) for _ in range(6)]
    with told.run(*gone) as notices:
        notices.drain(hurried=True)
        assert time.monotonic() - began < 15  # one after the other: 18
    assert told.lost == [ABOUT.run] * 6


def test_nobody_waits_for_a_slow_receiver_until_the_run_has_ended() -> None:
    told, released = Told(), threading.Event()

    def rule(_number: int, _body: bytes) -> Answer:
        released.wait(60)
        return 200, {}, 0.0

    with run_receiver(rule) as receiver, told.run(hook(receiver, ("commit",))) as notices:
        for number in range(20):
            notices.ended(done(number))
        assert receiver.taken == []
        released.set()
        notices.drain()
        assert len(events(receiver)) == 20
    assert told.records == []


@pytest.mark.long
def test_patience_counts_from_the_last_success() -> None:
    """What takes longer in all is not cut off, as long as it goes on."""
    told = Told()

    def rule(_number: int, _body: bytes) -> Answer:
        return 200, {}, 0.35

    with run_receiver(rule) as receiver, told.run(hook(receiver, ("commit",)), patience_s=2.0) as notices:
        began = time.monotonic()
        for number in range(32):
            notices.ended(done(number))
        notices.drain()
        assert time.monotonic() - began > 2.0
        assert len(events(receiver)) == 32
    assert told.records == []


def test_an_error_is_told_as_the_end_with_its_exit_code() -> None:
    told = Told()
    with run_receiver() as receiver, pytest.raises(PreflightError), told.run(hook(receiver, ("run",))):
        raise PreflightError("no cluster came up")
    end = events(receiver)[-1]
    assert (end["type"], end["data"]["code"]) == ("groundswell.run.end", 3)
    assert end["data"]["reason"] == "no cluster came up"


def test_somebody_in_a_hurry_is_not_held_up() -> None:
    """A second Ctrl-C ends a run at once, whatever has not been told."""
    told = Told()
    with run_receiver() as gone:
        pass
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), told.run(hook(gone)):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 10


def test_without_receivers_there_is_no_thread_and_no_file() -> None:
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    with Told().run() as notices:
        notices.ended(done(1))
        assert threading.active_count() == threads
        assert len(list(Path("/proc/self/fd").iterdir())) == files
        notices.drain()
        notices.end(0, None, {})


def test_a_backlog_gives_back_what_it_was_given_in_its_order() -> None:
    backlog = Backlog()
    for turn in range(3):
        given = [bytes([number]) * (number + turn) for number in range(50)]
        for one in given[:30]:
            backlog.put(one)
        taken = [backlog.take() for _ in range(10)]
        for one in given[30:]:
            backlog.put(one)
        assert [*taken, *(backlog.take() for _ in range(40))] == given
        assert len(backlog) == 0
    backlog.close()


def test_a_full_disk_costs_notices_by_name_and_not_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()

    def full(_backlog: Backlog, _body: bytes) -> None:
        raise OSError(28, "No space left on device")

    with run_receiver() as receiver, told.run(hook(receiver, ("commit",))) as notices:
        notices.ended(done(1))
        notices.drain()
        monkeypatch.setattr(Backlog, "put", full)
        notices.ended(done(2))
        notices.drain()
    assert told.lost == ["dem/t2/static"]
    assert "No space left on device" in told.records[0]["cause"]
