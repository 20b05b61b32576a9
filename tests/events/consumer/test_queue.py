"""A queue's messages: received, hidden, deleted; who is asked where, and how long a message that failed stays away."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.jobs import QueueConfig
from pipeline.errors import PreflightError
from pipeline.events.consumer.queue import Depth, Queue, QueueError, back_off_s, open_client, region_of
from tests.servers.sqs import Sqs, run_sqs


@pytest.fixture(scope="module")
def sqs() -> Iterator[Sqs]:
    with run_sqs() as server:
        yield server


def config_of(url: str, **more: object) -> QueueConfig:
    return QueueConfig.model_validate({"url": url} | more)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/q", "eu-central-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/q", "us-gov-west-1"),
        ("https://sqs-fips.us-east-1.amazonaws.com/123456789012/q", "us-east-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/q", "cn-north-1"),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/q", "eu-west-1"),
        ("https://sqs.us-east-1.api.aws/123456789012/q", "us-east-1"),
        ("http://127.0.0.1:4566/000000000000/q", None),
        ("https://queue.example.org/q", None),
    ],
)
def test_the_region_is_in_the_address(url: str, region: str | None) -> None:
    assert region_of(config_of(url)) == region
    assert region_of(config_of(url, region="ap-south-1")) == "ap-south-1"


@given(count=st.integers(0, 10_000), base=st.floats(0.5, 100_000))
def test_a_message_that_failed_stays_away_ever_longer_and_never_more_than_an_hour(count: int, base: float) -> None:
    config = config_of("http://127.0.0.1/q", back_off_s=base)
    found = [back_off_s(config, count), back_off_s(config, count + 1)]
    assert found == sorted(found)
    assert 0 <= found[0] <= 3600
    assert back_off_s(config, 1) == round(min(3600, base))


def test_messages_are_received_hidden_and_deleted(sqs: Sqs) -> None:
    made = sqs.queue("plain", receipts=1000)
    queue = Queue(QueueConfig.model_validate(made.config(wait_s=0)))
    made.send([f"{number} é" for number in range(25)])
    received = [one for _ in range(3) for one in queue.receive(100)]
    assert sorted(one.body.decode() for one in received) == sorted(f"{number} é" for number in range(25))
    assert {one.count for one in received} == {1}
    assert queue.depth() == Depth(0, 25)
    assert queue.hide(dict.fromkeys(received[:12], 0)) == {}
    assert queue.depth() == Depth(12, 13)
    assert queue.delete(received[12:]) == {}
    again = [one for _ in range(2) for one in queue.receive(10)]
    assert {one.id for one in again} == {one.id for one in received[:12]}
    assert {one.count for one in again} == {2}
    assert queue.delete(again) == {}
    assert (queue.depth(), queue.receive(10)) == (Depth(0, 0), [])
    queue.close()


def test_what_is_gone_already_is_named_and_nothing_else_fails(sqs: Sqs) -> None:
    made = sqs.queue("gone")
    queue = Queue(QueueConfig.model_validate(made.config(wait_s=0)))
    made.send(["a", "b"])
    gone, there = queue.receive(10)
    queue.delete([gone])
    [(name, cause)] = queue.hide({gone: 10, there: 10}).items()
    assert name == gone.id and cause.startswith("ReceiptHandleIsInvalid")
    queue.close()


@pytest.mark.long
def test_an_empty_queue_is_waited_for(sqs: Sqs) -> None:
    queue = Queue(QueueConfig.model_validate(sqs.queue("empty").config(wait_s=2)))
    since_s = time.monotonic()
    assert queue.receive(10) == []
    assert time.monotonic() - since_s > 1
    queue.close()


def test_errors_name_the_queue_and_what_was_asked(sqs: Sqs) -> None:
    url = f"{sqs.endpoint}/123456789012/nowhere"
    queue = Queue(QueueConfig.model_validate(sqs.queue("other").config(url=url, wait_s=0)))
    with pytest.raises(QueueError, match=r"^queue .*/nowhere: receive_message: AWS\..*\.NonExistentQueue"):
        queue.receive(1)
    with pytest.raises(PreflightError, match=r"queue http://127.0.0.1/q: .*nobody"):
        open_client(config_of("http://127.0.0.1/q", profile="nobody"))
