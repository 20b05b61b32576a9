"""An SNS of the tests' own on loopback: it signs, subscribes, delivers, tries again and gives up as the real one does.

Its messages name the real addresses of AWS; a listener reaches this server in their place by `sns.endpoint`.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.messages import s3_message
from tests.servers.signer import Signer, make_authority, make_leaf
from tests.servers.sns_delivery import POLICY, TIMEOUT_S, Attempt, Deliveries, Document, Policy, Subscription

__all__ = ["Attempt", "Document", "Policy", "Sns", "Subscription", "run_sns", "s3_message", "utc_now"]
ACCOUNT = "123456789012"
SUFFIXES = {"aws-cn": "amazonaws.com.cn"}
NAMES = {"aws": "sns.amazonaws.com", "aws-us-gov": "sns-us-gov-west-1.amazonaws.com"}
"""What a certificate is issued to, where that is not SNS in its region."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Sns:
    """Topics of any name in one region, their subscriptions, and the certificate that all is signed by."""

    def __init__(self, folder: Path, region: str, partition: str, now: Callable[[], datetime], workers: int) -> None:
        self.region, self.partition, self.now = region, partition, now
        self.host = f"sns.{region}.{SUFFIXES.get(partition, 'amazonaws.com')}"
        self.root = make_authority(now())
        self.issuer = make_authority(now(), "Tests Intermediate", self.root)
        self.signer = make_leaf(self.issuer, now(), NAMES.get(partition, self.host.replace("sns.", "sns-", 1)))
        self.trust = folder / "authority.pem"
        self.trust.write_bytes(self.root.pem)
        self.endpoint = ""
        self.requests: list[str] = []
        """Paths, with their queries, that the server was asked for."""
        self.files: dict[str, tuple[int, bytes]] = {"/tests.cer": (200, self.issuer.der)}
        """Status and bytes by path."""
        self.certificate_url = self.publish_certificate(self.signer)
        self.tokens: dict[str, Subscription] = {}
        """What confirms a subscription."""
        self.rights: list[str] = []
        """What stood under `Authorization` of requests that confirm; the key `denied` has no rights."""
        self.instead: tuple[int, bytes] | None = None
        """Status and bytes in place of every answer; of a redirect the bytes say where to."""
        self.held = threading.Event()
        """Cleared: the server answers nobody until it is set again."""
        self.held.set()
        self._subscriptions: list[Subscription] = []
        self._deliveries = Deliveries(workers)

    def arn(self, name: str = "arrivals") -> str:
        """Of a topic; any name is one."""
        return f"arn:{self.partition}:sns:{self.region}:{ACCOUNT}:{name}"

    def publish_certificate(self, signer: Signer, more: bytes = b"") -> str:
        """Serve a certificate (more: what follows in its file); the address that messages give for it."""
        path = f"/SimpleNotificationService-{uuid.uuid4().hex}.pem"
        self.files[path] = (200, signer.pem + more)
        return f"https://{self.host}{path}"

    def notification(
        self,
        message: str,
        *,
        topic: str = "arrivals",
        subject: str | None = None,
        version: str = "2",
        time: datetime | None = None,
    ) -> Document:
        """A signed Notification."""
        return self.sign(self._said(message, topic, subject, time), version)

    def confirmation(
        self,
        *,
        topic: str = "arrivals",
        version: str = "2",
        time: datetime | None = None,
        kind: str = "SubscriptionConfirmation",
        subscription: Subscription | None = None,
    ) -> Document:
        """A signed SubscriptionConfirmation or UnsubscribeConfirmation, whose token confirms."""
        token = secrets.token_hex(144)
        self.tokens[token] = subscription or Subscription("", self.arn(topic))
        query = f"Action=ConfirmSubscription&TopicArn={self.arn(topic)}&Token={token}"
        fields = {"Type": kind, "Token": token, "SubscribeURL": f"https://{self.host}/?{query}"}
        fields["Message"] = f"You have chosen to subscribe to the topic {self.arn(topic)}.\nTo confirm, visit the URL."
        return self.sign(self._head(topic, time) | fields, version)

    def sign(self, fields: Mapping[str, str], version: str = "2", by: Signer | None = None) -> Document:
        """Any fields with a signature of what they say now; by: another than the server's own."""
        signed = {"SigningCertURL": self.certificate_url, **fields, "SignatureVersion": version}
        return signed | {"Signature": (by or self.signer).sign(signed, version)}

    def subscribe(
        self,
        url: str,
        topic: str = "arrivals",
        *,
        version: str = "2",
        policy: Policy = POLICY,
        dead: Callable[[Document], None] | None = None,
        confirm: bool = True,
    ) -> Subscription:
        """Send what is published to this endpoint; it is asked first, unless `confirm` is False.

        dead: is given what was given up.
        """
        one = Subscription(url, self.arn(topic), version, policy, dead)
        one.arn = f"{one.topic}:{uuid.uuid4()}"
        self._subscriptions.append(one)
        if confirm:
            self._deliveries.deliver(one, self.confirmation(topic=topic, version=version, subscription=one))
        else:
            one.confirmed.set()
        return one

    def publish(self, message: str, topic: str = "arrivals", *, subject: str | None = None, copies: int = 1) -> str:
        """Deliver a message, `copies` times over, to every confirmed subscription; returns its id at once."""
        to = [one for one in self._subscriptions if one.topic == self.arn(topic) and one.confirmed.is_set()]
        said = self._said(message, topic, subject, None)
        signed = {version: self.sign(said, version) for version in {one.version for one in to}}
        for one in to:
            for _ in range(copies):
                self._deliveries.deliver(one, signed[one.version])
        return said["MessageId"]

    def post(self, url: str, document: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S, arn: str = "") -> int:
        """One attempt: the status of the answer; 0 where there is none in time."""
        return self._deliveries.post(url, document, timeout_s=timeout_s, arn=arn)

    def settle(self, timeout_s: float = 30.0) -> None:
        """Return when nothing is on its way and nothing waits for another attempt."""
        self._deliveries.settle(timeout_s)

    def answer(self, target: str, rights: str = "") -> tuple[int, bytes]:
        """What the server says to a GET or, by its form, to a POST."""
        self.requests.append(target)
        self.held.wait(30)
        if self.instead is not None:
            return self.instead
        parts = urlsplit(target)
        asked = {key: values[0] for key, values in parse_qs(parts.query).items()}
        if asked.get("Action") != "ConfirmSubscription":
            return self.files.get(parts.path, (404, b"not here"))
        self.rights.append(rights)
        if "Credential=denied/" in rights:
            return 403, _ERROR % (b"AuthorizationError", b"User is not authorized to perform: SNS:ConfirmSubscription")
        one = self.tokens.get(asked.get("Token", ""))
        if one is None or one.topic != asked.get("TopicArn"):
            return 400, _ERROR % (b"InvalidParameter", b"Invalid parameter: Token")
        one.confirmed.set()
        return 200, _CONFIRMED % (one.arn or f"{one.topic}:{uuid.uuid4()}").encode()

    def close(self) -> None:
        """Deliver nothing further."""
        self._deliveries.close()

    def _said(self, message: str, topic: str, subject: str | None, time: datetime | None) -> Document:
        """A Notification without its signature."""
        fields = {"Type": "Notification", "Message": message} | ({} if subject is None else {"Subject": subject})
        unsubscribe = f"https://{self.host}/?Action=Unsubscribe&SubscriptionArn={self.arn(topic)}:none"
        return self._head(topic, time) | fields | {"UnsubscribeURL": unsubscribe}

    def _head(self, topic: str, time: datetime | None) -> Document:
        stamp = (time or self.now()).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {"MessageId": str(uuid.uuid4()), "TopicArn": self.arn(topic), "Timestamp": stamp}


@contextlib.contextmanager
def run_sns(
    folder: Path,
    *,
    region: str = "us-east-1",
    partition: str = "aws",
    now: Callable[[], datetime] = utc_now,
    workers: int = 16,
) -> Iterator[Sns]:
    """A server on a free loopback port while the block runs; its authority's certificate is put into `folder`."""
    sns = Sns(folder, region, partition, now, workers)

    class Handler(_Handler):
        service = sns

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    sns.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield sns
    finally:
        sns.close()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    service: Sns

    def do_GET(self) -> None:
        self._say(*self.service.answer(self.path))

    def do_POST(self) -> None:
        form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._say(*self.service.answer(f"{self.path}?{form}", self.headers.get("Authorization", "")))

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status in range(300, 400):
            self.send_header("Location", body.decode())
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent; tests read the state."""


_CONFIRMED = (
    b'<ConfirmSubscriptionResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><ConfirmSubscriptionResult>'
    b"<SubscriptionArn>%s</SubscriptionArn></ConfirmSubscriptionResult><ResponseMetadata>"
    b"<RequestId>075ecce8-8dac-11e1-bf80-f781d96e9307</RequestId></ResponseMetadata></ConfirmSubscriptionResponse>"
)
_ERROR = (
    b'<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
    b"<Code>%s</Code><Message>%s</Message></Error>"
    b"<RequestId>075ecce8-8dac-11e1-bf80-f781d96e9307</RequestId></ErrorResponse>"
)
