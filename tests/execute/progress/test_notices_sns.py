"""The same notices through a real SNS: to a queue that filters by attributes, in batches, and what SNS refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from pipeline.config import NoticeConfig
from tests.execute.progress.test_notices import ABOUT, Told, done

ACCOUNT = "123456789012"


@dataclass(frozen=True)
class Cloud:
    """A server of SNS and SQS, and clients of it."""

    endpoint: str
    sns: Any
    sqs: Any

    def queue(self, topic: str, policy: Any = None) -> str:
        """A new queue that is subscribed to a topic: the messages themselves, maybe only some of them."""
        name = f"queue-{len(self.sqs.list_queues().get('QueueUrls', ()))}"
        fifo = {"FifoQueue": "true"} if topic.endswith(".fifo") else {}
        url: str = self.sqs.create_queue(QueueName=name + ".fifo" * bool(fifo), Attributes=fifo)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        filtered = {"FilterPolicy": json.dumps(policy)} if policy else {}
        self.sns.subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true", **filtered}
        )
        return url

    def messages(self, url: str) -> list[Any]:
        """Everything in a queue."""
        found = []
        while batch := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            for one in batch:
                found.append(json.loads(one["Body"]))
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
        return found


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        endpoint, session = f"http://{host}:{port}", botocore.session.get_session()
        made = {
            name: session.create_client(name, region_name="eu-central-1", endpoint_url=endpoint)
            for name in ("sns", "sqs")
        }
        yield Cloud(endpoint, made["sns"], made["sqs"])
        for one in made.values():
            one.close()
    server.stop()


def topic_of(cloud: Cloud, arn: str) -> NoticeConfig:
    return NoticeConfig.model_validate({"sns": arn, "endpoint": cloud.endpoint, "on": ("commit", "run")})


def test_every_notice_reaches_a_queue_and_subscriptions_filter_by_attributes(cloud: Cloud) -> None:
    arn = cloud.sns.create_topic(Name="groundswell")["TopicArn"]
    everything, commits = cloud.queue(arn), cloud.queue(arn, {"type": ["groundswell.commit"], "product": ["dem"]})
    told = Told()
    with told.run(topic_of(cloud, arn)) as notices:
        for number in range(23):
            notices.ended(done(number))
        notices.drain()
        notices.end(0, None, {"jobs": {"done": 23}})
    subjects = {f"dem/t{number}/static" for number in range(23)}
    assert {event["subject"] for event in cloud.messages(commits)} == subjects
    found = cloud.messages(everything)
    assert {event["subject"] for event in found} == subjects | {ABOUT.run}
    assert {event["type"] for event in found if event["subject"] == ABOUT.run} == {
        *("groundswell.run.begin", "groundswell.run.end")
    }
    assert (told.says, told.records) == ([], [])


def test_a_fifo_topic_takes_a_notice_once_however_often_it_comes(cloud: Cloud) -> None:
    arn = cloud.sns.create_topic(Name="ordered.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]
    queue = cloud.queue(arn)
    for _ in range(2):
        with Told().run(topic_of(cloud, arn)) as notices:
            notices.ended(done(1))
            notices.drain()
    assert sorted(event["type"] for event in cloud.messages(queue)) == ["groundswell.commit", "groundswell.run.begin"]


def test_a_topic_that_is_not_there_is_named_with_what_it_was_not_told(cloud: Cloud) -> None:
    arn = f"arn:aws:sns:eu-central-1:{ACCOUNT}:nowhere"
    told = Told()
    with told.run(topic_of(cloud, arn)) as notices:
        for number in range(3):
            notices.ended(done(number))
        notices.drain()
    assert sorted(told.lost) == sorted([ABOUT.run, *(f"dem/t{number}/static" for number in range(3))])
    assert {record["target"] for record in told.records} == {arn}
    assert all(record["cause"].startswith("SNS refused: NotFound: ") for record in told.records)


def test_without_credentials_it_is_tried_until_the_run_ends_and_then_named(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nowhere")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    told = Told()
    with told.run(topic_of(cloud, f"arn:aws:sns:eu-central-1:{ACCOUNT}:any"), patience_s=0.5) as notices:
        notices.drain()
    assert told.lost == [ABOUT.run]
    assert told.records[0]["cause"] == "SNS: Unable to locate credentials"
