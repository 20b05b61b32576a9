"""Where a topic's own SNS is: exact addresses that follow from its ARN, and from nothing that a message says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import parse_qsl

from pipeline.events.refusals import ForgedError

_SUFFIXES = {
    "aws": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
    "aws-us-gov": "amazonaws.com",
}
"""How the names of its servers end, by partition. Source: `partitions.json` of botocore."""
_GOVERNMENT = "sns-us-gov-west-1.amazonaws.com"
"""Both regions of the partition sign by its certificate."""
_ARN = re.compile(r"arn:(aws[a-z-]*):sns:([a-z]{2,5}(?:-[a-z]+)+-\d{1,2}):(\d{12}):([A-Za-z0-9_.-]{1,256})")
_CERTIFICATE = r"/SimpleNotificationService-[0-9a-f]{32}\.pem"
_ISSUER = re.compile(r"http://crt\.[a-z0-9]+\.amazontrust\.com(/[A-Za-z0-9_-]+\.cer)")
_LONGEST = 2048


@dataclass(frozen=True)
class Topic:
    """What the ARN of a topic says."""

    arn: str
    partition: str
    region: str
    suffix: str

    @classmethod
    def of(cls, arn: str) -> Self:
        """Raises ForgedError where it is no ARN of a topic, or of a partition that is not known."""
        match = _ARN.fullmatch(arn)
        if match is None or match[1] not in _SUFFIXES:
            raise ForgedError(
                f"found topic {arn[:_LONGEST]!r}; allowed: the ARN of an SNS topic in {', '.join(_SUFFIXES)}"
            )
        return cls(arn, match[1], match[2], _SUFFIXES[match[1]])

    @property
    def host(self) -> str:
        """The only server that is asked about this topic."""
        return f"sns.{self.region}.{self.suffix}"

    @property
    def names(self) -> tuple[str, ...]:
        """What the certificate of its messages may be issued to: SNS, or SNS in its region.

        Source: `SnsHostProvider` of the AWS SDK for Java 2, and a certificate of af-south-1.
        """
        common = {"aws": ("sns.amazonaws.com",), "aws-us-gov": (_GOVERNMENT,)}.get(self.partition, ())
        return (*common, f"sns-signing.{self.region}.{self.suffix}", self.host, f"sns-{self.region}.{self.suffix}")


def certificate_path(url: str, topic: Topic) -> str:
    """The path of a certificate's address, if that is one of the topic's own SNS; raises ForgedError otherwise.

    The text as a whole has one form, so that no two readers can take it for two addresses.
    """
    match = re.fullmatch(rf"https://{re.escape(topic.host)}(?::443)?({_CERTIFICATE})", url)
    if match is None:
        raise ForgedError(
            f"found SigningCertURL {url[:_LONGEST]!r} for topic {topic.arn}; "
            f"allowed: https://{topic.host}/SimpleNotificationService-<32 hexadecimal digits>.pem"
        )
    return match[1]


def check_subscribe_url(url: str, topic: Topic, token: str) -> None:
    """Return where an address confirms this subscription, at the topic's own SNS; raises ForgedError otherwise."""
    match = re.fullmatch(rf"https://{re.escape(topic.host)}(?::443)?/?\?([!-~]*)", url)
    # Where a name comes twice, two readers may see two values.
    pairs = parse_qsl(match[1], keep_blank_values=True) if match is not None and "#" not in url else []
    wanted = {"Action": "ConfirmSubscription", "TopicArn": topic.arn, "Token": token}
    if len(dict(pairs)) != len(pairs) or dict(pairs) != dict(pairs) | wanted or not pairs:
        raise ForgedError(
            # Who knows the token can confirm the subscription.
            f"found SubscribeURL {url.replace(token, '<its token>')[:_LONGEST]!r} for topic {topic.arn}; "
            f"allowed: https://{topic.host}/?Action=ConfirmSubscription with the message's own TopicArn and Token"
        )


def issuer_path(url: str) -> str | None:
    """The path of an address where Amazon publishes the certificate of an authority; None: it is none."""
    match = _ISSUER.fullmatch(url)
    return match and match[1]
