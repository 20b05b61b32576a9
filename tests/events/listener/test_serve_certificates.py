"""The certificate that a message names, over HTTP: from which place it may be, and what it must be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests.events.listening import Stage, keys_of, post, rules_of, run_stage, told_of
from tests.servers.listener import serve_listener
from tests.servers.signer import DAY, Signer, make_authority, make_leaf
from tests.servers.sns import run_sns, utc_now


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with run_stage(tmp_path_factory.mktemp("listener")) as stage:
        yield stage


@pytest.fixture
def stage(shared: Stage) -> Stage:
    shared.reset()
    return shared


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.us-east-1.amazonaws.com{path}",
        "https://sns.us-east-1.amazonaws.com:8443{path}",
        "https://sns.us-east-1.amazonaws.com.evil.test{path}",
        "https://sns.us-east-1.amazonaws.com@evil.test{path}",
        "https://sns.s3-us-west-2.amazonaws.com{path}",
        "https://sns.us-west-2.amazonaws.com{path}",
        "https://sns.us-east-1.amazonaws.com.cn{path}",
        "https://169.254.169.254{path}",
        "https://sns.us-east-1.amazonaws.com/x{path}",
        "https://sns.us-east-1.amazonaws.com{path}?x=1",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-1.pem",
    ],
)
def test_the_certificate_is_of_the_topics_own_host_and_no_other_is_asked(stage: Stage, address: str) -> None:
    path = stage.sns.certificate_url.removeprefix(f"https://{stage.sns.host}")
    fields = told_of(stage.sns, "elsewhere.csv") | {"SigningCertURL": address.format(path=path)}
    assert stage.status(stage.sns.sign(fields)) == 403
    assert stage.sns.requests == []


@pytest.mark.parametrize(
    ("partition", "region"), [("aws", "eu-central-1"), ("aws-us-gov", "us-gov-west-1"), ("aws-cn", "cn-north-1")]
)
def test_each_partition_has_hosts_of_its_own(partition: str, region: str, tmp_path: Path) -> None:
    with run_sns(tmp_path, partition=partition, region=region) as sns:
        assert sns.host.endswith(".amazonaws.com.cn") is (partition == "aws-cn")
        with serve_listener(rules_of(tmp_path, sns)) as listener:
            assert post(listener, told_of(sns, "a.csv")).status == 200


def test_a_certificate_is_fetched_once_for_many_messages(stage: Stage, tmp_path: Path) -> None:
    with serve_listener(rules_of(tmp_path, stage.sns)) as listener:
        assert [post(listener, told_of(stage.sns, f"{number}.csv")).status for number in range(5)] == [200] * 5
    assert len(stage.asked("SimpleNotificationService")) == 1


def named(stage: Stage, signer: Signer, key: str) -> dict[str, str]:
    """A notification that is signed by this one and names its certificate."""
    url = stage.sns.publish_certificate(signer)
    return stage.sns.sign(told_of(stage.sns, key) | {"SigningCertURL": url}, by=signer)


def test_a_certificate_must_be_within_its_dates_when_the_message_comes(stage: Stage) -> None:
    over = make_leaf(stage.sns.issuer, utc_now(), life=(-30 * DAY, timedelta(seconds=-60)))
    early = make_leaf(stage.sns.issuer, utc_now(), life=(timedelta(hours=1), 30 * DAY))
    assert stage.status(named(stage, over, "dates.csv")) == 403
    assert stage.status(named(stage, early, "dates.csv")) == 403
    soon = make_leaf(stage.sns.issuer, utc_now(), life=(-30 * DAY, timedelta(minutes=5)))
    assert stage.status(named(stage, soon, "dates-of-now.csv")) == 200
    later = named(stage, soon, "dates.csv")
    stage.clock.ahead = timedelta(minutes=6)
    assert stage.status(later) == 403, "also of one that was fetched while it was valid"
    assert "dates.csv" not in keys_of(stage.config)


def test_a_certificate_is_of_sns_by_name(stage: Stage) -> None:
    for name in ("evil.test", "sns.amazonaws.com.evil.test", "s3.amazonaws.com"):
        assert stage.status(named(stage, make_leaf(stage.sns.issuer, utc_now(), name), "name.csv")) == 403


def test_a_certificate_leads_to_an_authority_that_is_trusted(stage: Stage) -> None:
    stranger = make_authority(utc_now())
    assert stage.status(named(stage, make_leaf(stranger, utc_now(), issuer_url=None), "chain.csv")) == 403
    assert stage.status(named(stage, make_leaf(stage.sns.issuer, utc_now()), "chain-of-ours.csv")) == 200
    assert "chain.csv" not in keys_of(stage.config)


def test_a_redirect_to_a_certificate_is_not_followed(stage: Stage) -> None:
    path = "/SimpleNotificationService-" + 32 * "a" + ".pem"
    stage.sns.files[path] = (302, stage.sns.certificate_url.encode())
    told = told_of(stage.sns, "redirect.csv") | {"SigningCertURL": f"https://{stage.sns.host}{path}"}
    assert stage.status(stage.sns.sign(told)) == 403
    assert stage.asked("SimpleNotificationService") == [path]
    assert "redirect.csv" not in keys_of(stage.config)


def test_a_certificate_of_more_than_16_kib_is_not_taken(stage: Stage) -> None:
    url = stage.sns.publish_certificate(stage.sns.signer, b"#" * 2**14)
    told = stage.sns.sign(told_of(stage.sns, "large.csv") | {"SigningCertURL": url})
    assert stage.status(told) == 403
    assert "large.csv" not in keys_of(stage.config)


def test_a_certificate_that_cannot_be_had_now_is_asked_for_again(tmp_path: Path) -> None:
    """503, so that SNS comes again; never 403, which would lose the message."""
    with run_sns(tmp_path) as sns, serve_listener(rules_of(tmp_path, sns)) as listener:
        path = sns.certificate_url.removeprefix(f"https://{sns.host}")
        found = sns.files[path]
        sns.files[path] = (500, b"")
        assert post(listener, told_of(sns, "later.csv")).status == 503
        sns.files[path] = found
        deadline_s = time.monotonic() + 15
        while post(listener, told_of(sns, "later.csv")).status != 200:
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
