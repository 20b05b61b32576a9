"""One entry among a bucket's notifications: those of others stay as they are, whatever is done and undone."""

from __future__ import annotations

import copy
import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.exceptions import ClientError
from moto.server import ThreadedMotoServer

from cluster.notifications import Entry, NotificationError, added, apply, main, removed
from tests.cloud.terraform import MODULES, applied, terraform

ACCOUNT = "123456789012"
TOPIC = f"arn:aws:sns:us-west-2:{ACCOUNT}:groundswell-objects"
ENTRY = Entry("scenes", "us-west-2", ACCOUNT, "groundswell-argo", TOPIC, "in/", ".nc")
OTHERS: Mapping[str, Any] = {
    "TopicConfigurations": [{"Id": "theirs", "TopicArn": TOPIC, "Events": ["s3:ObjectRemoved:*"]}],
    "QueueConfigurations": [
        {"Id": "queue", "QueueArn": f"arn:aws:sqs:us-west-2:{ACCOUNT}:theirs", "Events": ["s3:ObjectCreated:Put"]}
    ],
}


def found(client: Any, bucket: str = ENTRY.bucket) -> Mapping[str, Any]:
    answer = client.get_bucket_notification_configuration(Bucket=bucket)
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Any]:
    """A client of S3 in an account with a topic of ours and a queue of somebody else's."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "AWS_ENDPOINT_URL": address,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_CONFIG_FILE": "/nowhere",
            "AWS_SHARED_CREDENTIALS_FILE": "/nowhere",
            "GROUNDSWELL_PYTHON": sys.executable,
        }.items():
            patch.setenv(name, value)
        session = botocore.session.get_session()
        session.create_client("sns").create_topic(Name="groundswell-objects")
        session.create_client("sqs").create_queue(QueueName="theirs")
        yield session.create_client("s3")


@pytest.fixture
def aws(client: Any) -> Iterator[Any]:
    """The same, with a bucket that others have notifications on."""
    client.create_bucket(Bucket=ENTRY.bucket, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    client.put_bucket_notification_configuration(Bucket=ENTRY.bucket, NotificationConfiguration=OTHERS)
    yield client
    client.delete_bucket(Bucket=ENTRY.bucket)


def test_adding_and_taking_away_leaves_what_was_there() -> None:
    document = {**OTHERS, "EventBridgeConfiguration": {}, "ResponseMetadata": {"HTTPStatusCode": 200}}
    before = copy.deepcopy(document)
    more = added(document, ENTRY)
    assert document == before
    assert removed(more, ENTRY) == {**OTHERS, "EventBridgeConfiguration": {}}
    assert removed(added({}, ENTRY), ENTRY) == {}


def test_adding_twice_is_adding_once_and_a_changed_entry_replaces_itself() -> None:
    once = added(OTHERS, ENTRY)
    assert added(once, ENTRY) == once
    moved = added(once, replace(ENTRY, prefix="elsewhere/", suffix=""))
    assert [one["Id"] for one in moved["TopicConfigurations"]] == ["theirs", ENTRY.entry]
    rules = moved["TopicConfigurations"][1]["Filter"]["Key"]["FilterRules"]
    assert rules == [{"Name": "prefix", "Value": "elsewhere/"}]


def test_eventbridge_is_a_switch_that_stays_on() -> None:
    """Nobody knows who else listens there."""
    bridge = replace(ENTRY, topic=None)
    on = added(OTHERS, bridge)
    assert on == {**OTHERS, "EventBridgeConfiguration": {}} == removed(on, bridge)


def test_a_server_keeps_the_others_through_add_and_remove(aws: Any) -> None:
    before = found(aws)
    apply(added, ENTRY, aws)
    during = found(aws)
    assert during["QueueConfigurations"] == before["QueueConfigurations"]
    assert {one["Id"] for one in during["TopicConfigurations"]} == {"theirs", ENTRY.entry}
    apply(removed, ENTRY, aws)
    assert found(aws) == before


class Rival:
    """A client in front of which somebody else writes the whole document, so many times."""

    def __init__(self, client: Any, times: int) -> None:
        self._client, self._times = client, times

    def get_bucket_notification_configuration(self, **where: Any) -> Any:
        return self._client.get_bucket_notification_configuration(**where)

    def put_bucket_notification_configuration(self, **arguments: Any) -> None:
        self._client.put_bucket_notification_configuration(**arguments)
        if self._times:
            self._times -= 1
            self._client.put_bucket_notification_configuration(
                Bucket=arguments["Bucket"], NotificationConfiguration=OTHERS
            )


def test_an_entry_that_a_rival_wrote_over_is_written_again(aws: Any) -> None:
    apply(added, ENTRY, Rival(aws, times=5))
    assert ENTRY.entry in {one["Id"] for one in found(aws)["TopicConfigurations"]}


def test_a_rival_without_end_is_named_after_a_bounded_number_of_tries(aws: Any) -> None:
    with pytest.raises(NotificationError, match=r"s3://scenes, entry groundswell-argo: somebody else changes it"):
        apply(added, ENTRY, Rival(aws, times=1000))


def test_two_of_ours_at_once_do_not_write_over_each_other(aws: Any) -> None:
    """Terraform adds the sources of one bucket at the same time; each sees that its own held, and then it must stay."""
    read, over = threading.Event(), threading.Event()

    class Slow(Rival):
        def put_bucket_notification_configuration(self, **arguments: Any) -> None:
            read.set()  # what it is about to write is what it found a while ago
            over.wait(0.5)
            super().put_bucket_notification_configuration(**arguments)

    slow = threading.Thread(target=apply, args=(added, replace(ENTRY, entry="slow", prefix="b/"), Slow(aws, times=0)))
    slow.start()
    assert read.wait(30)
    apply(added, ENTRY, aws)
    over.set()
    slow.join()
    assert {one["Id"] for one in found(aws)["TopicConfigurations"]} == {"theirs", "slow", ENTRY.entry}


class Refusing(Rival):
    """Refuses the first writes, so many times, by a code and words of S3's; nothing, where it is not to validate."""

    def __init__(self, client: Any, code: str, said: str = "", times: int = 1) -> None:
        super().__init__(client, 0)
        self._error, self._refusals = {"Error": {"Code": code, "Message": said}}, times

    def put_bucket_notification_configuration(self, **arguments: Any) -> None:
        if self._refusals and not arguments.get("SkipDestinationValidation"):
            self._refusals -= 1
            raise ClientError(self._error, "PutBucketNotificationConfiguration")
        super().put_bucket_notification_configuration(**arguments)


GONE = ("InvalidArgument", "Unable to validate the following destination configurations")


@pytest.mark.parametrize("refusal", [GONE, ("OperationAborted", "A conflicting conditional operation is in progress")])
def test_what_passes_is_tried_again(aws: Any, monkeypatch: pytest.MonkeyPatch, refusal: tuple[str, str]) -> None:
    monkeypatch.setattr("cluster.notifications._WAIT_S", 0.0)
    apply(added, ENTRY, Refusing(aws, *refusal, times=5))
    assert ENTRY.entry in {one["Id"] for one in found(aws)["TopicConfigurations"]}
    with pytest.raises(NotificationError, match=refusal[1]):
        apply(added, replace(ENTRY, suffix=""), Refusing(aws, *refusal, times=1000))


def test_an_end_does_not_wait_for_others_destinations_nor_for_a_bucket_that_is_gone(aws: Any) -> None:
    """S3 asks every destination of a document before it takes it: somebody else's may be gone by then."""
    apply(added, ENTRY, aws)
    apply(removed, ENTRY, Refusing(aws, *GONE, times=1000))
    assert [one["Id"] for one in found(aws)["TopicConfigurations"]] == ["theirs"]
    apply(removed, replace(ENTRY, bucket="nowhere"), aws)


def test_a_filter_is_written_as_s3_compares_it() -> None:
    """Source: Amazon S3 User Guide, "Configuring event notifications using object key name filtering"."""
    (ours,) = added({}, replace(ENTRY, prefix="year=2024/a b/", suffix="_ü+1.tif"))["TopicConfigurations"]
    values = [rule["Value"] for rule in ours["Filter"]["Key"]["FilterRules"]]
    assert values == ["year%3D2024/a+b/", "_%C3%BC%2B1.tif"]


def test_what_s3_spells_otherwise_is_not_written_again(aws: Any) -> None:
    """AWS answers `Prefix` where `prefix` was written, and orders lists as it likes."""

    class Spelling(Rival):
        def get_bucket_notification_configuration(self, **where: Any) -> Any:
            document = super().get_bucket_notification_configuration(**where)
            for one in document.get("TopicConfigurations", ()):
                for rule in one.get("Filter", {}).get("Key", {}).get("FilterRules", ()):
                    rule["Name"] = rule["Name"].capitalize()
            return {**document, "TopicConfigurations": document["TopicConfigurations"][::-1]}

    apply(added, ENTRY, Spelling(aws, times=0))


def test_a_bucket_that_is_not_there_is_named_with_what_to_do(
    aws: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = {"bucket": "nowhere", "region": "us-west-2", "owner": ACCOUNT, "entry": "one", "topic": TOPIC}
    monkeypatch.setenv("GROUNDSWELL_NOTIFICATION", json.dumps(nowhere))
    assert main(["add"]) == 1
    said = capsys.readouterr().err
    assert "s3://nowhere, entry one: NoSuchBucket" in said and "in this region and account?" in said
    assert main(["put"]) == 2 and "add|remove" in capsys.readouterr().err


def test_terraform_adds_changes_and_takes_away_only_its_own(aws: Any, tmp_path: Path) -> None:
    """The module as it is applied: real Terraform, a real S3 protocol, no provider."""
    before = found(aws)
    (tmp_path / "modules").symlink_to(MODULES)
    arguments = {
        "source": "./modules/notification",
        "bucket": ENTRY.bucket,
        "region": ENTRY.region,
        "owner": ACCOUNT,
        "entry": ENTRY.entry,
        "topic": TOPIC,
        "suffix": ".nc",
    }

    def entries(prefix: str) -> Mapping[str, Any]:
        applied(tmp_path, {"module": {"one": {**arguments, "prefix": prefix}}})
        return {one["Id"]: one for one in found(aws)["TopicConfigurations"]}

    first, second = entries("a/b c/"), entries('"; echo $HOME/')
    theirs = before["TopicConfigurations"][0]
    assert first["theirs"] == second["theirs"] == theirs and set(first) == set(second) == {"theirs", ENTRY.entry}
    values = [one[ENTRY.entry]["Filter"]["Key"]["FilterRules"][0]["Value"] for one in (first, second)]
    assert values == ["a/b+c/", "%22%3B+echo+%24HOME/"]
    done = terraform(tmp_path, "destroy", "-auto-approve", "-input=false", "-no-color")
    assert done.returncode == 0, done.stderr
    assert found(aws) == before
