"""Subscriptions are confirmed by a request of our own to the topic's SNS; no address that a message names is visited.

Source: https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
"""

from __future__ import annotations

from typing import Any, Final

from pipeline.config.events import SnsConfig
from pipeline.events.proof.addresses import Topic, check_subscribe_url
from pipeline.events.proof.sns import Envelope
from pipeline.events.refusals import ForgedError, MalformedError, UnprovenError

SECONDS: Final = 5.0
_PASSING: Final = 500
_DENIED: Final = frozenset({"AuthorizationError", "AccessDenied", "AccessDeniedException"})
_UNKNOWN: Final = frozenset({"InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException"})


def confirm(envelope: Envelope, config: SnsConfig) -> str:
    """Have SNS send what is published to the topic from now on; returns the subscription's ARN.

    Where this process has AWS credentials, SNS is asked to let nobody end the subscription without a signature
    (`AuthenticateOnUnsubscribe`, which SNS takes in signed requests alone); without, and where they may not confirm,
    the request has no signature. Raises ForgedError, before any request, where the message would have another
    subscription confirmed; MalformedError where SNS does not know the token, as after three days; UnprovenError where
    SNS cannot be reached.
    """
    if envelope.kind != "SubscriptionConfirmation":
        raise ForgedError(f"found {envelope.kind}; required: SubscriptionConfirmation")
    topic = Topic.of(envelope.topic)
    check_subscribe_url(envelope.subscribe_url, topic, envelope.token)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (only where something subscribes)
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    try:
        return _asked(envelope, topic, config.endpoint)
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", _PASSING)
        cause = f"{topic.host}: ConfirmSubscription: {error.response.get('Error', {}).get('Message', '')}"
        if status >= _PASSING or _code(error) in {"Throttling", "ThrottlingException", "ThrottledException"}:
            raise UnprovenError(cause) from error
        raise MalformedError(f"{cause}; subscribe again, or request a new confirmation") from error
    except BotoCoreError as error:
        raise UnprovenError(f"{topic.host}: ConfirmSubscription: {error}") from error
    except ResponseParserError as error:
        raise UnprovenError(f"{topic.host}: ConfirmSubscription: found an answer that is not of SNS") from error


def _asked(envelope: Envelope, topic: Topic, endpoint: str | None) -> str:
    import botocore.session  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    session = botocore.session.get_session()
    asked = {"TopicArn": topic.arn, "Token": envelope.token}
    try:
        signed = session.get_credentials() is not None
    except BotoCoreError:
        signed = False  # a profile that is not there, and the like
    if signed:
        try:
            client = _client(session, topic, endpoint)
            return str(client.confirm_subscription(**asked, AuthenticateOnUnsubscribe="true")["SubscriptionArn"])
        except ClientError as error:
            if _code(error) not in _DENIED | _UNKNOWN:
                raise
    return str(_client(session, topic, endpoint, signed=False).confirm_subscription(**asked)["SubscriptionArn"])


def _client(session: Any, topic: Topic, endpoint: str | None, *, signed: bool = True) -> Any:
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    settings = Config(
        connect_timeout=SECONDS,
        read_timeout=SECONDS,
        retries={"total_max_attempts": 1},
        **({} if signed else {"signature_version": UNSIGNED}),
    )
    return session.create_client(
        "sns", region_name=topic.region, endpoint_url=endpoint or f"https://{topic.host}", config=settings
    )


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
