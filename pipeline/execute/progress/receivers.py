"""The two ways to tell somebody of something: an HTTP POST that is signed, and a message to an SNS topic."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pipeline.config import NoticeConfig
from pipeline.execute.progress.delivery import Sender, Sent

_CONNECT_S, _ANSWER_S = 5.0, 15.0
_PATIENCE_S = 60.0
"""A receiver that asks for more than that is asked again all the same."""
_LATER = frozenset({408, 425, 429})
"""Of the statuses from 400 to 499, those that may pass; all from 500 on may."""
_CODED = "whsec_"
"""How a secret begins that is base64 of the key, as the libraries of Standard Webhooks make them."""
_SNS_NEVER = frozenset(
    {"AuthorizationError", "AccessDenied", "EndpointDisabled", "InvalidParameter", "InvalidParameterValue", "NotFound"}
)
_SNS_MOST = 10


def sender_of(config: NoticeConfig) -> Sender:
    """The way to the receiver that the config names."""
    return _Webhook(config) if config.webhook is not None else _Topic(config)


def name_of(config: NoticeConfig) -> str:
    """The receiver for people: of an address only the host, since the rest is often the only secret that there is."""
    if config.webhook is None:
        return str(config.sns)
    parts = urlsplit(str(config.webhook))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def signature(key: bytes, message_id: str, time_s: int, body: bytes) -> str:
    """As in https://www.standardwebhooks.com: `v1,` and base64 of the HMAC-SHA256 of `id.time.body`."""
    signed = f"{message_id}.{time_s}.".encode() + body
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for: its own bytes, or what `whsec_…` encodes."""
    if secret.startswith(_CODED):
        try:
            return base64.b64decode(secret.removeprefix(_CODED), validate=True)
        except binascii.Error:
            pass  # a secret that only looks like one
    return secret.encode()


class _Webhook:
    most = 1

    def __init__(self, config: NoticeConfig) -> None:
        import requests  # noqa: PLC0415 (only where somebody is told)

        self._url, self._session = str(config.webhook), requests.Session()
        self._key = key_of(config.secret.get_secret_value()) if config.secret is not None else None

    def send(self, bodies: Sequence[bytes]) -> Sent:
        import requests  # noqa: PLC0415

        (body,) = bodies
        try:
            # Never to another place than the one that was named, and no more of the answer than its head.
            with self._session.post(
                self._url,
                data=body,
                headers=self._headers(body),
                timeout=(_CONNECT_S, _ANSWER_S),
                allow_redirects=False,
                stream=True,
            ) as answer:
                return _of_status(body, answer.status_code, answer.headers.get("Retry-After", ""))
        except requests.RequestException as error:
            # The words of the error hold the whole address.
            return Sent(again=(body,), cause=f"no answer ({type(error).__name__})")

    def _headers(self, body: bytes) -> dict[str, str]:
        message_id, now = str(json.loads(body)["id"]), int(time.time())
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "User-Agent": "groundswell",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
        }
        return headers | ({"webhook-signature": signature(self._key, message_id, now, body)} if self._key else {})


def _of_status(body: bytes, status: int, retry_after: str) -> Sent:
    if 200 <= status < 300:
        return Sent(delivered=1)
    cause = f"answered with HTTP status {status}"
    if status >= 500 or status in _LATER:
        after = min(_PATIENCE_S, float(retry_after)) if retry_after.isdecimal() else 0.0
        return Sent(again=(body,), cause=cause, after_s=after)
    if 300 <= status < 400:
        cause += ", which is not followed: give the address that it leads to"
    return Sent(refused=((body, cause),))


class _Topic:
    most = _SNS_MOST

    def __init__(self, config: NoticeConfig) -> None:
        self._arn, self._endpoint = str(config.sns), config.endpoint
        self._client: Any = None

    def send(self, bodies: Sequence[bytes]) -> Sent:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (only where somebody is told)

        try:
            self._client = self._client or self._made()
            entries = [self._entry(number, body) for number, body in enumerate(bodies)]
            answer = self._client.publish_batch(TopicArn=self._arn, PublishBatchRequestEntries=entries)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            cause = f"SNS refused: {code}: {error.response.get('Error', {}).get('Message', '')}"
            if code in _SNS_NEVER:
                return Sent(refused=tuple((body, cause) for body in bodies))
            return Sent(again=tuple(bodies), cause=cause)
        except BotoCoreError as error:
            return Sent(again=tuple(bodies), cause=f"SNS: {error}")
        again, refused, cause = [], [], ""
        for one in answer.get("Failed", ()):
            cause, body = f"SNS refused: {one.get('Code')}: {one.get('Message', '')}", bodies[int(one["Id"])]
            if one.get("SenderFault"):
                refused.append((body, cause))
            else:
                again.append(body)
        return Sent(len(bodies) - len(again) - len(refused), tuple(again), tuple(refused), cause)

    def _made(self) -> Any:
        import botocore.session  # noqa: PLC0415
        from botocore.config import Config  # noqa: PLC0415

        return botocore.session.get_session().create_client(
            "sns",
            region_name=self._arn.split(":")[3],
            endpoint_url=self._endpoint,
            config=Config(connect_timeout=_CONNECT_S, read_timeout=_ANSWER_S, retries={"total_max_attempts": 1}),
        )

    def _entry(self, number: int, body: bytes) -> dict[str, Any]:
        """A message with what subscriptions filter by as its attributes."""
        document = json.loads(body)
        named = {"type": document["type"], **{key: document["data"].get(key) for key in ("name", "product", "region")}}
        attributes = {key: {"DataType": "String", "StringValue": value} for key, value in named.items() if value}
        entry = {"Id": str(number), "Message": body.decode(), "MessageAttributes": attributes}
        if self._arn.endswith(".fifo"):
            entry |= {"MessageGroupId": document["data"]["run"], "MessageDeduplicationId": document["id"]}
        return entry
