"""Dead letters go back to their queue, whether SQS can do that by itself or not."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import pytest
from botocore.stub import Stubber

from pipeline.config.jobs import QueueConfig
from pipeline.errors import ConfigError
from pipeline.events.consumer.deadletters import dead_letters_of
from pipeline.events.consumer.queue import QueueError
from pipeline.events.event import Ended, Order
from pipeline.events.inbox.inbox import open_inbox
from pipeline.verbs import redrive
from tests.events.consuming import Arrivals
from tests.servers.sqs import CREDENTIALS, Sqs, SqsQueue, run_sqs

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def sqs() -> Iterator[Sqs]:
    with run_sqs() as server:
        yield server


def config_of(queue: SqsQueue, **more: object) -> QueueConfig:
    return QueueConfig.model_validate(queue.config(wait_s=0) | more)


def set_aside(queue: SqsQueue, count: int) -> None:
    """Put messages straight among the dead letters."""
    for number in range(count):
        queue.client.send_message(QueueUrl=queue.dead_url, MessageBody=f"{number} é")


def bodies(queue: SqsQueue) -> list[str]:
    """What waits in a queue; it is hidden then."""
    found = []
    while batch := queue.client.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=10).get("Messages"):
        found += [one["Body"] for one in batch]
    return sorted(found)


def test_dead_letters_are_found_by_the_policy_and_moved_one_by_one_where_the_server_cannot(sqs: Sqs) -> None:
    queue = sqs.queue("moved")
    set_aside(queue, 23)
    letters = dead_letters_of(config_of(queue))
    assert letters is not None
    assert (letters.url, letters.count()) == (queue.dead_url, 23)
    assert letters.move(1.0) == 23
    assert queue.depth(queue.dead_url) == (0, 0)
    assert bodies(queue) == sorted(f"{number} é" for number in range(23))
    letters.close()


def test_a_queue_that_sets_nothing_aside_has_no_dead_letters(sqs: Sqs) -> None:
    url = sqs.client.create_queue(QueueName="none")["QueueUrl"]
    queue = SqsQueue(url, url, sqs.endpoint, sqs.client)
    assert dead_letters_of(config_of(queue)) is None
    with pytest.raises(QueueError, match=r"queue .*/nowhere: get_queue_attributes: .*NonExistentQueue"):
        dead_letters_of(config_of(queue, url=f"{sqs.endpoint}/123456789012/nowhere"))


def test_sqs_moves_them_by_itself_and_is_asked_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of SQS's own operation there is no server but AWS: each request and answer is held against Amazon's model."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    client = botocore.session.get_session().create_client("sqs", region_name="eu-central-1")
    queue, dead = (f"https://sqs.eu-central-1.amazonaws.com/123456789012/{name}" for name in ("q", "dead"))
    arns = [f"arn:aws:sqs:eu-central-1:123456789012:{name}" for name in ("dead", "q")]
    config = QueueConfig.model_validate({"url": queue, "dead_letters": dead})
    task = {"ApproximateNumberOfMessagesMoved": 7, "SourceArn": arns[0]}
    with Stubber(client) as stub:
        for url, arn in zip((dead, queue), arns, strict=True):
            found = {"Attributes": {"QueueArn": arn}}
            stub.add_response("get_queue_attributes", found, {"QueueUrl": url, "AttributeNames": ["QueueArn"]})
        asked = {"SourceArn": arns[0], "DestinationArn": arns[1]}
        stub.add_response("start_message_move_task", {"TaskHandle": "handle"}, asked)
        for status in ("RUNNING", "COMPLETED"):
            results = {"Results": [task | {"Status": status}]}
            stub.add_response("list_message_move_tasks", results, {"SourceArn": arns[0], "MaxResults": 1})
        letters = dead_letters_of(config, client)
        assert letters is not None
        assert letters.move(60.0) == 7
        stub.assert_no_pending_responses()


def options_of(arrivals: Arrivals, *, rule: str | None = None, dry_run: bool = False) -> Namespace:
    return Namespace(config=arrivals.config, sets=[], rule=rule, dry_run=dry_run, json=False)


def test_redrive_begins_failed_jobs_anew_and_moves_dead_letters_back(sqs: Sqs, tmp_path: Path) -> None:
    arrivals, queue = Arrivals(tmp_path), sqs.queue("redriven")
    arrivals.write(queue.config())
    set_aside(queue, 2)
    with open_inbox(str(arrivals.inbox)) as inbox:
        inbox.order([Order("csv", f"object/arrivals/{number}.csv", 0, 0) for number in range(3)])
        for taken in inbox.take(1, 60, 3, {"csv": None}):
            inbox.finish(taken, Ended(taken.order.target, failed=True, cause="HTTP 503"), 1)
        assert inbox.counts()["failed"] == 3
        told = redrive.run(options_of(arrivals, dry_run=True))
        assert (told.text, told.code) == ("3 failed jobs would be begun anew, 2 dead letters would be moved back", 0)
        assert (inbox.counts()["failed"], queue.depth(queue.dead_url)) == (3, (2, 0))
        told = redrive.run(options_of(arrivals, rule="csv"))
        assert told.text == "3 failed jobs were begun anew, 0 dead letters were moved back"
        assert (inbox.counts()["failed"], inbox.counts()["waiting"]) == (0, 3)
        told = redrive.run(options_of(arrivals))
        assert (told.text, told.code) == ("0 failed jobs were begun anew, 2 dead letters were moved back", 0)
        assert (queue.depth(), queue.depth(queue.dead_url)) == ((2, 0), (0, 0))
        assert redrive.run(options_of(arrivals)).code == 5
    with pytest.raises(ConfigError, match="found --rule nothing; expected one of csv"):
        redrive.run(options_of(arrivals, rule="nothing"))
