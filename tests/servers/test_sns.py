"""The SNS of the tests' own delivers as the real one: the answer decides whether, and how long, it tries again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.receiver import run_receiver
from tests.servers.sns import Policy, Sns, run_sns, s3_message


@pytest.fixture(scope="module")
def sns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sns]:
    with run_sns(tmp_path_factory.mktemp("sns")) as server:
        yield server


FAST = Policy(speed=1000)


@pytest.mark.parametrize("status", [200, 204, 302, 400, 403, 404, 499])
def test_success_and_the_clients_fault_end_it(sns: Sns, status: int) -> None:
    with run_receiver(lambda _number, _body: (status, {}, 0.0)) as receiver:
        subscription = sns.subscribe(receiver.url, f"t{status}", confirm=False, policy=FAST)
        sns.publish("x", f"t{status}")
        sns.settle()
    assert [one.status for one in subscription.attempts] == [status]
    assert subscription.dead == []


def test_the_servers_fault_is_tried_again_until_it_is_over(sns: Sns) -> None:
    with run_receiver(lambda number, _body: (500 + number if number < 2 else 200, {}, 0.0)) as receiver:
        subscription = sns.subscribe(receiver.url, "faults", confirm=False, policy=FAST)
        began = time.monotonic()
        message_id = sns.publish("x", "faults")
        sns.settle()
        assert time.monotonic() - began >= 2 * 20 / FAST.speed
    assert [one.status for one in subscription.attempts] == [500, 501, 200]
    assert {json.loads(body)["MessageId"] for body in receiver.taken} == {message_id}
    assert len({one.body for one in receiver.got}) == 1, "every attempt is the same, its signature too"


def test_what_is_never_taken_ends_as_a_dead_letter(sns: Sns) -> None:
    dead: list[dict[str, str]] = []
    subscription = sns.subscribe("http://127.0.0.1:9/", "nobody", confirm=False, policy=FAST, dead=dead.append)
    message_id = sns.publish("x", "nobody")
    sns.settle()
    assert [one.status for one in subscription.attempts] == [0, 0, 0, 0]
    assert [one["MessageId"] for one in subscription.dead] == [one["MessageId"] for one in dead] == [message_id]


def test_no_answer_in_time_is_none(sns: Sns) -> None:
    policy = Policy(delays_s=(20,), speed=1000, timeout_s=1.0)
    with run_receiver(lambda number, _body: (200, {}, 3.0 if number == 0 else 0.0)) as receiver:
        subscription = sns.subscribe(receiver.url, "slow", confirm=False, policy=policy)
        sns.publish("x", "slow")
        sns.settle()
    assert [one.status for one in subscription.attempts] == [0, 200]


def test_an_hour_is_the_end_however_many_attempts_are_left(sns: Sns) -> None:
    policy = Policy(delays_s=(1500,) * 10, speed=10_000)
    subscription = sns.subscribe("http://127.0.0.1:9/", "hour", confirm=False, policy=policy)
    sns.publish("x", "hour")
    sns.settle()
    assert len(subscription.attempts) == 3
    assert len(subscription.dead) == 1


def test_nothing_is_sent_before_the_subscription_is_confirmed(sns: Sns) -> None:
    with run_receiver() as receiver:
        subscription = sns.subscribe(receiver.url, "new", policy=FAST)
        sns.publish("early", "new")
        sns.settle()
        asked = json.loads(receiver.taken[0])
        assert sns.answer(f"/?Action=ConfirmSubscription&TopicArn={sns.arn('new')}&Token=no")[0] == 400
        assert sns.answer(asked["SubscribeURL"].removeprefix(f"https://{sns.host}"))[0] == 200
        assert subscription.confirmed.is_set()
        sns.publish("late", "new", copies=3)
        sns.settle()
    assert [json.loads(body)["Message"] for body in receiver.taken[1:]] == ["late"] * 3
    assert receiver.got[1].headers["x-amz-sns-message-type"] == "Notification"
    assert receiver.got[1].headers["content-type"] == "text/plain; charset=UTF-8"


def test_a_key_stands_as_s3_encodes_it(tmp_path: Path) -> None:
    record = json.loads(s3_message("b", "a folder/é+%.csv", sequencer="0A"))["Records"][0]
    assert record["s3"]["object"]["key"] == "a+folder/%C3%A9%2B%25.csv"
    removed = json.loads(s3_message("b", "k", sequencer="0B", name="ObjectRemoved:Delete"))["Records"][0]
    assert set(removed["s3"]["object"]) == {"key", "sequencer"}
