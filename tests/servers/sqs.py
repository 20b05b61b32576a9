"""A real SQS over HTTP (moto's server) and queues of it, with a queue of dead letters each."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

from pipeline.types import Json

REGION = "eu-central-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class SqsQueue:
    """A queue, and the one that its dead letters go to."""

    url: str
    dead_url: str
    endpoint: str
    client: Any

    def config(self, **more: Json) -> dict[str, Json]:
        """As under `queue:`."""
        return {"url": self.url, "endpoint": self.endpoint, "region": REGION, "wait_s": 1, **more}

    def send(self, bodies: Sequence[str]) -> None:
        """In requests of ten."""
        for first in range(0, len(bodies), 10):
            part = bodies[first : first + 10]
            entries = [{"Id": str(number), "MessageBody": body} for number, body in enumerate(part)]
            assert not self.client.send_message_batch(QueueUrl=self.url, Entries=entries).get("Failed")

    def depth(self, url: str = "") -> tuple[int, int]:
        """(messages that wait, messages that are hidden)."""
        names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
        found = self.client.get_queue_attributes(QueueUrl=url or self.url, AttributeNames=list(names))["Attributes"]
        waiting, hidden = (int(found[name]) for name in names)
        return waiting, hidden

    @property
    def empty(self) -> bool:
        """Whether everything was deleted, or set aside."""
        return self.depth() == (0, 0)


@dataclass(frozen=True)
class Sqs:
    """The server."""

    endpoint: str
    client: Any

    def queue(self, name: str, receipts: int = 3) -> SqsQueue:
        """A new queue; what was received so many times in vain goes to the queue of dead letters."""
        name = f"{name}-{uuid.uuid4().hex[:8]}"  # all servers of a process share what they hold
        dead: str = self.client.create_queue(QueueName=f"{name}-dead")["QueueUrl"]
        found = self.client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]
        policy = json.dumps({"deadLetterTargetArn": found["QueueArn"], "maxReceiveCount": receipts})
        url: str = self.client.create_queue(QueueName=name, Attributes={"RedrivePolicy": policy})["QueueUrl"]
        return SqsQueue(url, dead, self.endpoint, self.client)


@contextlib.contextmanager
def run_sqs() -> Iterator[Sqs]:
    """A server on a free port of loopback; this process and its children have credentials meanwhile."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        endpoint = f"http://{host}:{port}"
        client = botocore.session.get_session().create_client("sqs", region_name=REGION, endpoint_url=endpoint)
        try:
            yield Sqs(endpoint, client)
        finally:
            client.close()
            server.stop()
