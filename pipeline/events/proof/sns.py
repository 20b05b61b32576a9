"""Whether what was posted is from SNS, for a topic that is listened to, and of now: all of that before it is believed.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Self, cast

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from pipeline.config.events import EventsConfig, SnsConfig
from pipeline.errors import ConfigError
from pipeline.events.proof.addresses import Topic
from pipeline.events.proof.certificates import CertificateStore
from pipeline.events.refusals import ForgedError, MalformedError, RefusedError, StrangerError, UnprovenError
from pipeline.types import Json

__all__ = [
    "Envelope",
    "ForgedError",
    "Kind",
    "MalformedError",
    "Prover",
    "RefusedError",
    "StrangerError",
    "UnprovenError",
    "refuse_raw",
    "string_to_sign",
]

Kind = Literal["Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"]
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
"""What the signature is of, in this order."""
_UNSIGNED = ("Signature", "SignatureVersion", "SigningCertURL")
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "1": hashes.SHA1(),  # noqa: S303 (what version 1 is; `listen.require_v2` refuses it)
    "2": hashes.SHA256(),
}
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", re.ASCII)
_ID = re.compile(r"[0-9A-Za-z-]{1,64}")
_TOKEN = re.compile(r"[0-9A-Za-z_-]{1,2048}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SIGNATURE_BYTES = range(256, 1025)
"""Of keys from 2048 to 8192 bits."""
_RAW = "x-amz-sns-rawdelivery"


@dataclass(frozen=True)
class Envelope:
    """What SNS said: every value here was signed."""

    kind: Kind
    id: str
    topic: str
    """Its ARN."""
    message: str
    time: datetime
    subject: str | None = None
    token: str = ""
    """Of confirmations."""
    subscribe_url: str = ""
    """Of confirmations."""


@dataclass(frozen=True)
class _Claim:
    """A message that is in order, and what is left to prove of it."""

    envelope: Envelope
    topic: Topic
    url: str
    """Of the certificate; not checked yet."""
    now: datetime
    signature: bytes
    signed: bytes
    algorithm: hashes.HashAlgorithm

    def proven_by(self, key: RSAPublicKey) -> Envelope:
        """What it says, where this key signed that; raises ForgedError."""
        try:
            key.verify(self.signature, self.signed, padding.PKCS1v15(), self.algorithm)
        except InvalidSignature as error:
            raise ForgedError(
                f"message {self.envelope.id} of {self.topic.arn}: its signature is not of what it says, "
                "or by another key"
            ) from error
        return self.envelope


class Prover:
    """Proves messages for some topics; for any number of threads.

    window_s: greatest difference between a message's time and `now`, in seconds. require_v2: refuse version 1, SHA-1.
    Raises ConfigError for a topic of a partition that is not known, and for files that cannot be read.
    """

    def __init__(
        self,
        topics: Iterable[str],
        config: SnsConfig,
        *,
        window_s: float = 7200.0,
        require_v2: bool = False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        try:
            self._topics = {arn: Topic.of(arn) for arn in topics}
        except ForgedError as error:
            raise ConfigError(f"topics: {error}") from error
        self._window, self._now = timedelta(seconds=window_s), now
        self._versions = ("2",) if require_v2 else ("1", "2")
        self._certificates = CertificateStore(config)

    @classmethod
    def of(cls, config: EventsConfig, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Self:
        """As a file of rules says."""
        listen = config.listen
        return cls(config.topics, config.sns, window_s=listen.window_s, require_v2=listen.require_v2, now=now)

    def prove_at_once(self, fields: Mapping[str, Json]) -> Envelope | None:
        """As `prove`, without any request; None where it would take one to SNS, which may take some seconds."""
        claim = self._claim(fields)
        known = self._certificates.known(claim.url, claim.topic, claim.now)
        return None if known is None else claim.proven_by(known.key)

    def prove(self, fields: Mapping[str, Json]) -> Envelope:
        """What a message says, where SNS said it, of a topic that is listened to, lately.

        fields: the JSON document that was posted. Nothing is asked for over the network before all else was checked,
        and then of the topic's own SNS alone. Raises MalformedError, StrangerError, ForgedError or UnprovenError.
        """
        claim = self._claim(fields)
        return claim.proven_by(self._certificates.proven(claim.url, claim.topic, claim.now).key)

    def _claim(self, fields: Mapping[str, Json]) -> _Claim:
        """What a message says, after all that can be checked of it without its certificate."""
        envelope = _envelope(fields)
        topic = self._topics.get(envelope.topic)
        if topic is None:
            raise StrangerError(f"found a message of topic {envelope.topic}; allowed: the topics of the config")
        texts = cast("Mapping[str, str]", fields)
        version, now = texts["SignatureVersion"], self._now()
        if version not in self._versions:
            raise ForgedError(f"found SignatureVersion {version[:16]!r}; allowed: {' or '.join(self._versions)}")
        if abs(now - envelope.time) > self._window:
            raise ForgedError(
                f"found Timestamp {texts['Timestamp']}; allowed: at most {self._window.total_seconds():g} s from now, "
                f"{now.isoformat(timespec='seconds')}"
            )
        signature, url = _signature(texts["Signature"]), texts["SigningCertURL"]
        return _Claim(envelope, topic, url, now, signature, string_to_sign(texts), _HASHES[version])


def refuse_raw(headers: Mapping[str, str]) -> None:
    """Raises MalformedError for a raw delivery, which has no signature. headers: with names in lower case."""
    if headers.get(_RAW, "").strip().lower() == "true":
        raise MalformedError(
            "found a raw delivery, which has no signature; required: the subscription's RawMessageDelivery off, "
            "or an SQS queue between, from which raw messages are taken"
        )


def string_to_sign(fields: Mapping[str, str]) -> bytes:
    """What the signature is of: each signed key that there is and its value, a line for each."""
    keys = _SIGNED[fields["Type"]]
    return "".join(f"{key}\n{fields[key]}\n" for key in keys if key in fields).encode()


def _envelope(fields: Mapping[str, Json]) -> Envelope:
    """The same document as values; nothing of it is proven yet."""
    kind = fields.get("Type")
    if not isinstance(kind, str) or kind not in _SIGNED:
        raise MalformedError(f"found Type {str(kind)[:64]!r}; allowed: {', '.join(_SIGNED)}")
    for key in (*_SIGNED[kind], *_UNSIGNED):
        _check_text(fields, key)
    texts = cast("Mapping[str, str]", fields)
    if not _ID.fullmatch(texts["MessageId"]):
        raise MalformedError("found a MessageId of other characters than digits, letters and hyphens")
    if "Token" in _SIGNED[kind] and not _TOKEN.fullmatch(texts["Token"]):
        raise MalformedError("found a Token of other characters than digits and letters")
    return Envelope(
        cast("Kind", kind),
        texts["MessageId"],
        texts["TopicArn"],
        texts["Message"],
        _time(texts["Timestamp"]),
        subject=texts.get("Subject") if kind == "Notification" else None,
        token=texts["Token"] if kind != "Notification" else "",
        subscribe_url=texts["SubscribeURL"] if kind != "Notification" else "",
    )


def _check_text(fields: Mapping[str, Json], key: str) -> None:
    """A text that UTF-8 can hold; and of one line, except the message: else two documents could sign alike."""
    if key not in fields:
        if key == "Subject":
            return
        raise MalformedError(f"found no {key}; required: all keys of a message of SNS with a signature")
    value = fields[key]
    if not isinstance(value, str):
        raise MalformedError(f"found {key} that is {type(value).__name__}; required: text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedError(f"found {key} with half of a surrogate pair; required: text of Unicode") from error
    if key != "Message" and _CONTROL.search(value):
        raise MalformedError(f"found {key} with a control character; required: one line of text")


def _time(stamp: str) -> datetime:
    try:
        if _STAMP.fullmatch(stamp):
            return datetime.fromisoformat(stamp)
    except ValueError:
        pass  # a day or an hour that does not exist
    raise MalformedError(f"found Timestamp {stamp[:64]!r}; required: such as 2026-03-06T19:53:21.424Z")


def _signature(text: str) -> bytes:
    try:
        signature = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ForgedError(f"found a Signature that is no base64: {error}") from error
    if len(signature) not in _SIGNATURE_BYTES:
        raise ForgedError(f"found a Signature of {len(signature)} bytes; allowed: those of RSA, 256 to 1024")
    return signature
