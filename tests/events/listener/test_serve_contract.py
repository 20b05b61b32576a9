"""The listener's contract, line by line, over HTTP: what it takes, what it refuses, and in which order it finds out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pipeline.config.events import ListenConfig
from pipeline.events.inbox.inbox import open_inbox
from pipeline.events.listener import posts
from tests.events.listening import BUCKET, Stage, keys_of, post, rules_of, run_stage, stored, told_of
from tests.servers.listener import serve_listener
from tests.servers.sns import s3_message

MEBIBYTE = 2**20


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with run_stage(tmp_path_factory.mktemp("listener")) as stage:
        yield stage


@pytest.fixture
def stage(shared: Stage) -> Stage:
    shared.reset()
    return shared


# POST only; a length of at most 1 MiB; 10 s to read; JSON safe; unknown Type; acknowledged when durable.


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_only_post_is_taken(stage: Stage, method: str) -> None:
    answer = stage.listener.get("/sns", method)
    assert (answer.status, "allow: POST" in answer.head) == (405, True)


def test_a_length_is_required(stage: Stage) -> None:
    head = b"POST /sns HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    assert stage.listener.ask(head + b"\r\n").status == 411
    assert stage.listener.ask(head + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n").status == 411


def test_a_body_may_have_one_mebibyte_and_not_a_byte_more(stage: Stage) -> None:
    assert ListenConfig().max_body_bytes == MEBIBYTE
    # A whole message with white space around it.
    body = json.dumps(told_of(stage.sns, "one-mebibyte.csv")).encode()
    assert stage.listener.post(body.ljust(MEBIBYTE)).status == 200
    assert stage.listener.post(body.ljust(MEBIBYTE + 1)).status == 413


def test_a_request_must_have_come_within_ten_seconds(stage: Stage, tmp_path: Path) -> None:
    assert ListenConfig().read_timeout_s == 10
    with serve_listener(rules_of(tmp_path, stage.sns, {"read_timeout_s": 1.0})) as listener:
        began_s = time.monotonic()
        answer = listener.ask(b"POST /sns HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        assert (answer.status, answer.body) == (408, b"the request did not come in time\n")
        assert time.monotonic() - began_s < 5


def test_json_that_is_too_deep_or_names_a_key_twice_is_refused(stage: Stage) -> None:
    body = json.dumps(told_of(stage.sns, "safe.csv"))
    assert stage.listener.post(b"[" * 500_000 + b"]" * 500_000).status == 400
    assert stage.listener.post(b'{"a":' * 100_000 + b"1" + b"}" * 100_000).status == 400
    assert stage.listener.post(f'{body[:-1]}, "Message": "other"}}'.encode()).status == 400
    assert stage.listener.post(f'{body[:-1]}, "more": NaN}}'.encode()).status == 400
    assert stage.listener.post(body.encode("utf-16")).status == 400
    assert "safe.csv" not in keys_of(stage.config)


@pytest.mark.parametrize(
    "body",
    [
        b'{"x": [' + b"{}," * 300_000 + b"{}]}",
        b'{"x": [' + b'"",' * 300_000 + b'""]}',
        b'{"x": [' + b"1.5," * 200_000 + b"1.5]}",
        b'"' + b'\\"' * 500_000,
    ],
)
def test_json_of_more_parts_than_an_envelope_is_refused_unread(
    stage: Stage, body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which would take a hundred times the memory of the body, and everybody's time."""
    if body.startswith(b"{"):
        monkeypatch.setattr(posts, "read_json", None)  # would be answered with 500
    assert stage.listener.post(body).status == 400


def test_an_envelope_may_hold_many_quotes_and_attributes(stage: Stage) -> None:
    record = s3_message(BUCKET, "attributes.csv")
    said = stage.sns.notification(json.dumps({**json.loads(record), "more": [{"a": "b"}] * 20_000}))
    attributes = {f"name-{number}": {"Type": "String", "Value": "x"} for number in range(100)}
    assert stage.status({**said, "MessageAttributes": attributes}) == 200


@pytest.mark.parametrize("kind", ["", "notification", "Notification ", "Records", None, 1])
def test_an_unknown_type_is_refused(stage: Stage, kind: object) -> None:
    assert stage.status({**told_of(stage.sns, "unknown-type.csv"), "Type": kind}) == 400


def test_a_message_is_durable_within_two_seconds_when_it_is_acknowledged_and_its_work_is_still_to_do(
    stage: Stage,
) -> None:
    began_s = time.monotonic()
    answer = stage.post(told_of(stage.sns, "durable.csv"))
    assert (answer.status, answer.body, time.monotonic() - began_s < 2) == (200, b"stored\n", True)
    (filed,) = [one for one in stored(stage.config) if getattr(one.arrival.event, "key", "") == "durable.csv"]
    assert (filed.arrival.via, filed.arrival.topic) == ("sns", stage.sns.arn())
    with open_inbox(stage.config.inbox.get_secret_value()) as inbox:
        assert inbox.counts()["waiting"] == 0, "no rule was asked yet"


# The topic first, without a request for strangers; then the certificate, from the topic's own host alone.


def test_a_strangers_topic_is_refused_before_anything_is_asked_for(stage: Stage) -> None:
    assert stage.status(stage.sns.notification(s3_message(BUCKET, "stranger.csv"), topic="strangers")) == 403
    assert stage.sns.requests == []


# Subscriptions.


def test_a_subscription_of_an_allowed_topic_is_confirmed_after_its_signature_was(stage: Stage) -> None:
    asked = stage.sns.confirmation()
    forged = asked | {"Message": asked["Message"] + "!"}
    assert stage.status(forged) == 403
    assert stage.asked("ConfirmSubscription") == []
    answer = stage.post(asked)
    assert (answer.status, answer.body) == (200, b"confirmed\n")
    assert len(stage.asked("ConfirmSubscription")) == 1


def test_a_subscription_of_another_topic_is_never_confirmed(stage: Stage) -> None:
    assert stage.status(stage.sns.confirmation(topic="strangers")) == 403
    other = stage.sns.confirmation()
    crossed = other | {"SubscribeURL": other["SubscribeURL"].replace(":arrivals", ":strangers")}
    assert stage.status(stage.sns.sign(crossed)) == 403
    assert stage.asked("ConfirmSubscription") == []


@pytest.mark.parametrize(
    ("found", "instead"),
    [
        ("https://sns.us-east-1.amazonaws.com/", "https://sns.us-east-1.amazonaws.com.evil.test/"),
        ("https://sns.us-east-1.amazonaws.com/", "https://169.254.169.254/"),
        ("https:", "http:"),
        ("Action=ConfirmSubscription", "Action=DeleteTopic"),
        ("https://sns.us-east-1.amazonaws.com/", "https://sns.us-east-1.amazonaws.com:444/"),
    ],
)
def test_a_subscribe_url_that_is_not_the_topics_own_confirms_nothing(stage: Stage, found: str, instead: str) -> None:
    asked = stage.sns.confirmation()
    changed = asked | {"SubscribeURL": asked["SubscribeURL"].replace(found, instead)}
    assert stage.status(stage.sns.sign(changed)) == 403
    assert stage.asked("Action") == []


def test_confirming_can_be_switched_off(stage: Stage, tmp_path: Path) -> None:
    with serve_listener(rules_of(tmp_path, stage.sns, {"confirm": False})) as listener:
        answer = post(listener, stage.sns.confirmation())
    assert (answer.status, answer.body) == (200, b"not confirmed: listen.confirm is false\n")
    assert stage.asked("ConfirmSubscription") == []


def test_an_unsubscription_is_taken_and_its_address_never_visited(stage: Stage) -> None:
    answer = stage.post(stage.sns.confirmation(kind="UnsubscribeConfirmation"))
    assert (answer.status, answer.body) == (200, b"unsubscribed\n")
    assert stage.asked("ConfirmSubscription") == []


# Signatures, and what is said of them.


@pytest.mark.parametrize("version", ["3", "0", "", "02", "2.0", 2, None, "\uff11"])
def test_a_signature_has_exactly_version_1_or_2(stage: Stage, version: object) -> None:
    document = {**told_of(stage.sns, "version.csv"), "SignatureVersion": version}
    assert stage.status(document) in {400, 403}
    assert "version.csv" not in keys_of(stage.config)


def test_version_1_is_taken_unless_the_config_requires_2(stage: Stage, tmp_path: Path) -> None:
    message = s3_message(BUCKET, "sha1.csv")
    assert stage.status(stage.sns.notification(message, version="1")) == 200
    with serve_listener(rules_of(tmp_path, stage.sns, {"require_v2": True})) as listener:
        assert post(listener, stage.sns.notification(message, version="1")).status == 403
        assert post(listener, stage.sns.notification(message, version="2")).status == 200


def test_all_that_is_refused_is_told_the_same(stage: Stage) -> None:
    told = told_of(stage.sns, "told.csv")
    refused = [
        stage.sns.notification("{}", topic="strangers"),
        told | {"Message": "{}"},
        told | {"Signature": "AAAA"},
        told | {"Timestamp": "2020-01-01T00:00:00.000Z"},
        told | {"SigningCertURL": "https://evil.test/x.pem"},
        stage.sns.notification(s3_message("bucket-of-others", "a.csv")),
    ]
    answers = [stage.post(each) for each in refused]
    assert {(answer.status, answer.body) for answer in answers} == {(403, b"refused\n")}


# Replays.


def test_a_message_is_taken_for_two_hours_which_is_longer_than_sns_tries(stage: Stage) -> None:
    assert ListenConfig().window_s == 7200
    now = datetime.now(UTC)
    message = s3_message(BUCKET, "late.csv")
    for age, wanted in ((3600, 200), (7100, 200), (7300, 403), (-7100, 200), (-7300, 403)):
        assert stage.status(stage.sns.notification(message, time=now - timedelta(seconds=age))) == wanted, age


def test_the_time_of_a_message_is_judged_by_the_listeners_clock(stage: Stage) -> None:
    told = told_of(stage.sns, "clock.csv")
    stage.clock.ahead = timedelta(hours=3)
    assert stage.status(told) == 403
    stage.clock.ahead = timedelta()
    assert stage.status(told) == 200


def test_a_message_that_is_replayed_is_a_duplicate(stage: Stage) -> None:
    told = told_of(stage.sns, "replayed.csv")
    assert [stage.post(told).body for _ in range(3)] == [b"stored\n", b"duplicate\n", b"duplicate\n"]
    assert keys_of(stage.config).count("replayed.csv") == 1


# What S3 says.


def test_the_test_event_of_s3_is_acknowledged_and_starts_nothing(stage: Stage) -> None:
    said = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Time": "2014-10-13T15:57:02.089Z", "Bucket": BUCKET}
    before = len(stored(stage.config))
    answer = stage.post(stage.sns.notification(json.dumps({**said, "RequestId": "R", "HostId": "H"})))
    assert (answer.status, answer.body) == (200, b"nothing to do\n")
    assert len(stored(stage.config)) == before


@pytest.mark.parametrize(("version", "wanted"), [("2.0", 200), ("2.9", 200), ("3.0", 400), ("1.0", 400), ("x", 400)])
def test_events_have_major_version_2_and_any_minor(stage: Stage, version: str, wanted: int) -> None:
    message = json.loads(s3_message(BUCKET, f"minor-{version}.csv"))
    message["Records"][0]["eventVersion"] = version
    assert stage.status(stage.sns.notification(json.dumps(message))) == wanted


def test_a_bucket_that_is_not_in_the_config_is_refused(stage: Stage) -> None:
    assert stage.status(stage.sns.notification(s3_message("bucket-of-others", "a.csv"))) == 403
    assert "a.csv" not in keys_of(stage.config)


def test_a_raw_delivery_is_refused_and_the_answer_says_why(stage: Stage) -> None:
    body = s3_message(BUCKET, "raw.csv").encode()
    answer = stage.listener.post(body, {"x-amz-sns-rawdelivery": "true", "x-amz-sns-topic-arn": stage.sns.arn()})
    assert answer.status == 400
    assert answer.body.startswith(b"raw delivery has no signature")
    assert stage.listener.post(body).status == 400
    assert "raw.csv" not in keys_of(stage.config)
