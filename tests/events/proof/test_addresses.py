"""Addresses that messages name count only where they are the topic's own SNS, to the letter."""

from __future__ import annotations

import pytest

from pipeline.events.proof.addresses import Topic, certificate_path, check_subscribe_url, issuer_path
from pipeline.events.refusals import ForgedError

NAME = "SimpleNotificationService-7506a1e35b36ef5a444dd1a8e7cc3ed8.pem"
TOPIC = Topic.of("arn:aws:sns:us-west-2:123456789012:arrivals")
HOST = "https://sns.us-west-2.amazonaws.com"

HOSTILE_CERTIFICATES = [
    "",
    NAME,
    f"{HOST}/",
    f"http://sns.us-west-2.amazonaws.com/{NAME}",
    f"HTTPS://sns.us-west-2.amazonaws.com/{NAME}",
    f"https://SNS.us-west-2.amazonaws.com/{NAME}",
    f"https://sns.us-east-1.amazonaws.com/{NAME}",
    f"https://sns.us-west-2.amazonaws.com.cn/{NAME}",
    f"https://sns.s3-us-west-2.amazonaws.com/{NAME}",
    f"https://sns.s3.amazonaws.com/{NAME}",
    f"https://sns.us-west-2.s3.amazonaws.com/{NAME}",
    f"https://sns.us-west-2.amazonaws.com.evil.test/{NAME}",
    f"https://evil.test/{NAME}",
    f"https://evil.test/sns.us-west-2.amazonaws.com/{NAME}",
    f"https://snsXus-west-2.amazonaws.com/{NAME}",
    f"https://sns.us-west-2.amazonaws.com@evil.test/{NAME}",
    f"https://user:word@sns.us-west-2.amazonaws.com/{NAME}",
    f"https://sns.us-west-2.amazonaws.com:443@evil.test/{NAME}",
    f"https://evil.test#@sns.us-west-2.amazonaws.com/{NAME}",
    f"https://evil.test\\@sns.us-west-2.amazonaws.com/{NAME}",
    f"https://169.254.169.254/{NAME}",
    f"https://[::1]/{NAME}",
    f"https://127.0.0.1/{NAME}",
    f"{HOST}:8443/{NAME}",
    f"{HOST}:80/{NAME}",
    f"{HOST}:/{NAME}",
    f"{HOST}.:443/{NAME}",
    f"{HOST}:443443/{NAME}",
    f"{HOST}//{NAME}",
    f"{HOST}/../{NAME}",
    f"{HOST}/a/{NAME}",
    f"{HOST}/{NAME}?x=1",
    f"{HOST}/{NAME}?",
    f"{HOST}/{NAME}#x",
    f"{HOST}/{NAME}/",
    f"{HOST}/{NAME}\n",
    f"\n{HOST}/{NAME}",
    f" {HOST}/{NAME}",
    f"{HOST}/{NAME}\x00",
    f"{HOST}/{NAME.replace('7', 'G', 1)}",
    f"{HOST}/{NAME.replace('7506', '7506A', 1)}",
    f"{HOST}/{NAME}".replace("7", "\u0667", 1),
    f"{HOST}/{NAME.replace('.pem', '.cer')}",
    f"{HOST}/{NAME.replace('.pem', 'Xpem')}",
    f"{HOST}/SimpleNotificationService.pem",
    f"file:///{NAME}",
    f"//sns.us-west-2.amazonaws.com/{NAME}",
]

TOKEN = "2336412f37fb687f5d51e6e2425929f5"  # noqa: S105 (made up)
QUERY = f"Action=ConfirmSubscription&TopicArn={TOPIC.arn}&Token={TOKEN}"
HOSTILE_SUBSCRIPTIONS = [
    "",
    HOST,
    f"{HOST}/",
    f"{HOST}/?",
    f"http://sns.us-west-2.amazonaws.com/?{QUERY}",
    f"https://sns.us-east-1.amazonaws.com/?{QUERY}",
    f"https://sns.s3-us-west-2.amazonaws.com/?{QUERY}",
    f"https://sns.us-west-2.amazonaws.com@evil.test/?{QUERY}",
    f"https://sns.us-west-2.amazonaws.com.evil.test/?{QUERY}",
    f"https://169.254.169.254/latest/meta-data?{QUERY}",
    f"https://[fd00:ec2::254]/?{QUERY}",
    f"https://localhost/?{QUERY}",
    f"{HOST}:8443/?{QUERY}",
    f"{HOST}/other?{QUERY}",
    f"{HOST}/?{QUERY}#x",
    f"{HOST}/?{QUERY}\n",
    f"{HOST}/?{QUERY}&Action=Unsubscribe",
    f"{HOST}/?{QUERY}&TopicArn={TOPIC.arn}x",
    f"{HOST}/?Token=x&{QUERY}",
    f"{HOST}/?{QUERY.replace('ConfirmSubscription', 'DeleteTopic')}",
    f"{HOST}/?{QUERY.replace('arrivals', 'departures')}",
    f"{HOST}/?{QUERY.replace(TOKEN, 'x')}",
    f"{HOST}/?{QUERY.replace('Token=', 'token=')}",
    f"{HOST}/?{QUERY.removesuffix(TOKEN)}",
]


@pytest.mark.parametrize(
    ("arn", "host"),
    [
        ("arn:aws:sns:us-west-2:123456789012:a", "sns.us-west-2.amazonaws.com"),
        ("arn:aws:sns:ap-southeast-7:123456789012:a", "sns.ap-southeast-7.amazonaws.com"),
        ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:a", "sns.us-gov-west-1.amazonaws.com"),
        ("arn:aws-cn:sns:cn-north-1:123456789012:a", "sns.cn-north-1.amazonaws.com.cn"),
        ("arn:aws-eusc:sns:eusc-de-east-1:123456789012:a", "sns.eusc-de-east-1.amazonaws.eu"),
        ("arn:aws-iso-b:sns:us-isob-east-1:123456789012:a", "sns.us-isob-east-1.sc2s.sgov.gov"),
    ],
)
def test_the_server_follows_from_the_topic_in_every_partition(arn: str, host: str) -> None:
    topic = Topic.of(arn)
    assert topic.host == host
    assert certificate_path(f"https://{host}/{NAME}", topic) == f"/{NAME}"
    assert certificate_path(f"https://{host}:443/{NAME}", topic) == f"/{NAME}"
    with pytest.raises(ForgedError, match="SigningCertURL"):
        certificate_path(
            f"{HOST if topic.region != 'us-west-2' else 'https://sns.us-east-1.amazonaws.com'}/{NAME}", topic
        )


def test_the_partitions_are_those_that_botocore_knows() -> None:
    from botocore.loaders import Loader  # noqa: PLC0415 (slow to import)

    for partition in Loader().load_data("partitions")["partitions"]:
        region = next(one for one in partition["regions"] if not one.endswith("-global"))
        topic = Topic.of(f"arn:{partition['id']}:sns:{region}:123456789012:a")
        assert topic.host == f"sns.{region}.{partition['outputs']['dnsSuffix']}"


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "arn:aws:sqs:us-west-2:123456789012:a",
        "arn:aws-moon:sns:us-west-2:123456789012:a",
        "arn:aws:sns:s3-us-west-2:123456789012:a/b",
        "arn:aws:sns:us-west-2.evil.test#:123456789012:a",
        "arn:aws:sns:us-west-2:123:a",
        "arn:aws:sns:us-west-2:123456789012:a\n",
    ],
)
def test_what_is_no_arn_of_a_known_partition_is_no_topic(arn: str) -> None:
    with pytest.raises(ForgedError, match="allowed: the ARN"):
        Topic.of(arn)


@pytest.mark.parametrize("url", HOSTILE_CERTIFICATES)
def test_hostile_addresses_of_certificates_are_refused(url: str) -> None:
    with pytest.raises(ForgedError, match="found SigningCertURL"):
        certificate_path(url, TOPIC)


@pytest.mark.parametrize("url", [f"{HOST}/?{QUERY}", f"{HOST}:443/?{QUERY}", f"{HOST}?{QUERY}&Version=2010-03-31"])
def test_the_address_that_confirms_this_subscription_is_taken(url: str) -> None:
    check_subscribe_url(url, TOPIC, TOKEN)
    check_subscribe_url(url.replace(":aws:sns:", "%3Aaws%3Asns%3A"), TOPIC, TOKEN)


@pytest.mark.parametrize("url", HOSTILE_SUBSCRIPTIONS)
def test_hostile_addresses_of_confirmations_are_refused(url: str) -> None:
    with pytest.raises(ForgedError, match="found SubscribeURL"):
        check_subscribe_url(url, TOPIC, TOKEN)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("http://crt.r2m01.amazontrust.com/r2m01.cer", "/r2m01.cer"),
        ("https://crt.r2m01.amazontrust.com/r2m01.cer", None),
        ("http://crt.r2m01.amazontrust.com.evil.test/r2m01.cer", None),
        ("http://crt.evil.test/r2m01.cer", None),
        ("http://169.254.169.254/r2m01.cer", None),
        ("http://crt.r2m01.amazontrust.com:81/r2m01.cer", None),
        ("http://crt.r2m01.amazontrust.com/a/../r2m01.cer", None),
        ("http://x@crt.r2m01.amazontrust.com/r2m01.cer", None),
    ],
)
def test_authorities_are_asked_for_where_amazon_publishes_them(url: str, path: str | None) -> None:
    assert issuer_path(url) == path
