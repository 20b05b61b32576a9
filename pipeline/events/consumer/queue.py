"""An SQS queue: messages are received, hidden for as long as their work goes on, and deleted after it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pipeline.config.jobs import QueueConfig
from pipeline.errors import EXIT_PREFLIGHT, GroundswellError, PreflightError

MOST = 10
"""Messages of one request."""
LONGEST_S = 43_200
"""For which a message can be hidden, counted from its receipt."""
LONGEST_BACK_OFF_S = 3600
_CONNECT_S, _ANSWER_S = 5.0, 10.0
_ANY_REGION = "us-east-1"
_COUNT = "ApproximateReceiveCount"

T = TypeVar("T")


class QueueError(GroundswellError):
    """SQS refused, or was not reached; names the queue and what was asked."""

    exit_code = EXIT_PREFLIGHT

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """As SQS has it; empty where there was no answer."""


@dataclass(frozen=True)
class Receipt:
    """A message as it was received; received again, it has another handle."""

    id: str
    handle: str
    body: bytes
    count: int
    """How often it was received, this time included."""


@dataclass(frozen=True)
class Depth:
    """Messages of a queue, about."""

    waiting: int
    hidden: int


def back_off_s(config: QueueConfig, count: int) -> int:
    """Seconds until a message that failed comes again, after so many receipts."""
    return round(min(LONGEST_BACK_OFF_S, config.back_off_s * 2.0 ** min(max(count, 1) - 1, 20)))


def region_of(config: QueueConfig) -> str | None:
    """The region that the config or the address names."""
    host = urlsplit(config.url).hostname or ""
    named = re.fullmatch(r"(?:sqs(?:-fips)?\.)?([a-z]{2}(?:-[a-z]+)+-\d)\.(?:queue\.)?(?:amazonaws\.|api\.aws).*", host)
    return config.region or (named[1] if named else None)


def open_client(config: QueueConfig) -> Any:
    """A client of SQS, for any number of threads. Raises PreflightError without the extra, or with a wrong setting."""
    try:
        import boto3  # noqa: PLC0415 (an extra)
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise PreflightError(f"queue: needs {error.name}: pip install 'groundswell[events]'") from error
    try:
        session = boto3.session.Session(profile_name=config.profile)
        # A server that is none of AWS has no regions, but the client wants one.
        region = region_of(config) or session.region_name or (_ANY_REGION if config.endpoint else None)
        return session.client(
            "sqs",
            region_name=region,
            endpoint_url=config.endpoint,
            config=Config(
                connect_timeout=_CONNECT_S,
                read_timeout=config.wait_s + _ANSWER_S,
                retries={"total_max_attempts": 2, "mode": "standard"},
                tcp_keepalive=True,
            ),
        )
    except BotoCoreError as error:
        raise PreflightError(f"queue {config.url}: {error}") from error


class Queue:
    """One queue. Every method raises QueueError, and may be called from several threads."""

    def __init__(self, config: QueueConfig, client: Any = None) -> None:
        self.url, self.visibility_s, self._config = config.url, config.visibility_s, config
        self._client = client if client is not None else open_client(config)

    def receive(self, most: int) -> list[Receipt]:
        """Up to ten messages, waiting `wait_s` for the first; hidden from others for `visibility_s` from now on."""
        answer = self.ask(
            "receive_message",
            MaxNumberOfMessages=max(1, min(MOST, most)),
            WaitTimeSeconds=self._config.wait_s,
            VisibilityTimeout=self._config.visibility_s,
            AttributeNames=[_COUNT],
        )
        return [
            Receipt(one["MessageId"], one["ReceiptHandle"], _bytes(one["Body"]), int(one["Attributes"][_COUNT]))
            for one in answer.get("Messages", ())
        ]

    def hide(self, receipts: Mapping[Receipt, int]) -> dict[str, str]:
        """Hide messages for so many seconds from now; 0: others get them at once. By id why, where that failed."""
        return self._batches(
            "change_message_visibility_batch",
            [{"ReceiptHandle": one.handle, "VisibilityTimeout": for_s} for one, for_s in receipts.items()],
            list(receipts),
        )

    def delete(self, receipts: Sequence[Receipt]) -> dict[str, str]:
        """Delete messages for good. By id why, where that failed: they come again."""
        return self._batches("delete_message_batch", [{"ReceiptHandle": one.handle} for one in receipts], receipts)

    def attributes(self, *names: str) -> Mapping[str, str]:
        """Attributes of the queue."""
        found: Mapping[str, str] = self.ask("get_queue_attributes", AttributeNames=list(names)).get("Attributes", {})
        return found

    def depth(self) -> Depth:
        """How many messages it has."""
        waiting, hidden = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"
        found = self.attributes(waiting, hidden)
        return Depth(int(found.get(waiting, 0)), int(found.get(hidden, 0)))

    def ask(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """One request about this queue."""
        return asked(self.url, operation, lambda: getattr(self._client, operation)(QueueUrl=self.url, **parameters))

    def _batches(self, operation: str, entries: Sequence[Any], receipts: Sequence[Receipt]) -> dict[str, str]:
        failed = {}
        for first in range(0, len(entries), MOST):
            part = [{"Id": str(number), **one} for number, one in enumerate(entries[first : first + MOST])]
            answer = self.ask(operation, Entries=part)
            for one in answer.get("Failed", ()):
                failed[receipts[first + int(one["Id"])].id] = f"{one.get('Code')}: {one.get('Message', '')}"
        return failed

    def close(self) -> None:
        """Let go of the connections."""
        self._client.close()


def _bytes(body: str) -> bytes:
    """Half of a surrogate pair, which servers other than AWS take, is left for whoever reads it to refuse."""
    return body.encode(errors="surrogatepass")


def asked(url: str, operation: str, ask: Callable[[], T]) -> T:
    """The answer of SQS, or QueueError with what was asked."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (an extra)

    try:
        return ask()
    except ClientError as error:
        found = error.response.get("Error", {})
        code = found.get("Code", "")
        raise QueueError(f"queue {url}: {operation}: {code}: {found.get('Message', '')}", code) from error
    except BotoCoreError as error:
        raise QueueError(f"queue {url}: {operation}: {error}") from error
