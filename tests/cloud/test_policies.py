"""Who may do what, as Terraform itself makes the documents: least privilege, in every partition."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cloud.terraform import MODULES, applied

REGIONS = {"aws": "eu-central-1", "aws-us-gov": "us-gov-west-1", "aws-cn": "cn-north-1"}
ACCOUNT = "123456789012"
ARGUMENTS: Mapping[str, Any] = {
    "source": str(MODULES / "policies"),
    "account": ACCOUNT,
    "name": "groundswell",
    "cluster": "theirs",
    "services": {name: f"{name}.example" for name in ("ec2", "eks", "events", "s3", "sns")},
    "logs_service": "logs.example",
    "inputs": ["s3://archive/", "s3://shared/scenes/2024/"],
    "outputs": ["s3://shared/products/", "s3://other/kenya/"],
    "bucket_keys": ["arn:aws:kms:eu-central-1:123456789012:key/0a-1b"],
    "event_buckets": ["shared"],
    "source_topics": ["arn:aws:sns:eu-central-1:999999999999:new-scene"],
    "service_accounts": {role: [f"ns:{role}"] for role in ("worker", "runner", "listener", "consumer", "autoscaler")},
    "provider_url": "https://oidc.example/id/ABC",
    "provider_arn": "arn:x:iam::123456789012:oidc-provider/oidc.example/id/ABC",
}
NONE: Mapping[str, Any] = {"inputs": [], "bucket_keys": [], "event_buckets": [], "source_topics": []}
Statement = Mapping[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """Every document by partition and name, made by one `terraform apply` without provider."""
    modules = {
        partition: {**ARGUMENTS, "partition": partition, "region": region} for partition, region in REGIONS.items()
    }
    modules["bare"] = {**modules["aws"], **NONE}
    outputs = {name: {"value": f"${{module.{name}}}"} for name in modules}
    return applied(tmp_path_factory.mktemp("policies"), {"module": modules, "output": outputs})


@pytest.fixture(params=REGIONS)
def partition(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def statements(document: str) -> list[Statement]:
    parsed = json.loads(document)
    assert parsed["Version"] == "2012-10-17"
    return list(parsed["Statement"])


def grants(document: str) -> Iterator[tuple[str, str, Statement]]:
    """Every (action, resource) pair that is allowed."""
    for statement in statements(document):
        assert statement["Effect"] == "Allow" and not {"NotAction", "NotResource"} & set(statement)
        for action in listed(statement["Action"]):
            for resource in listed(statement["Resource"]):
                yield action, resource, statement


def allowed(document: str) -> set[tuple[str, str]]:
    return {(action, resource) for action, resource, _ in grants(document)}


def test_every_name_is_of_the_partition(made: Mapping[str, Any], partition: str) -> None:
    """Nothing that is not given begins with another partition's `arn:`."""
    text = json.dumps(made[partition])
    for given in (*ARGUMENTS["bucket_keys"], *ARGUMENTS["source_topics"], ARGUMENTS["provider_arn"]):
        text = text.replace(given, "")
    assert f"arn:{partition}:" in text
    assert text.count("arn:") == text.count(f"arn:{partition}:")
    assert "amazonaws" not in text.replace("sts.amazonaws.com", "")


def test_a_worker_reads_inputs_and_outputs_and_writes_outputs_only(made: Mapping[str, Any], partition: str) -> None:
    s3 = f"arn:{partition}:s3:::"
    read = {f"{s3}archive/*", f"{s3}shared/scenes/2024/*", f"{s3}shared/products/*", f"{s3}other/kenya/*"}
    written = {f"{s3}shared/products/*", f"{s3}other/kenya/*"}
    found = allowed(made[partition]["role"]["worker"])
    assert {resource for action, resource in found if action == "s3:GetObject"} == read
    assert {resource for action, resource in found if action == "s3:PutObject"} == written
    assert {action for action, _ in found} == {
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
    }


def test_a_listing_is_of_the_prefix_only(made: Mapping[str, Any], partition: str) -> None:
    found = {
        resource: statement["Condition"]["StringLike"]["s3:prefix"]
        for action, resource, statement in grants(made[partition]["role"]["worker"])
        if action == "s3:ListBucket"
    }
    s3 = f"arn:{partition}:s3:::"
    assert found == {f"{s3}archive": ["*"], f"{s3}shared": ["scenes/2024/*", "products/*"], f"{s3}other": ["kenya/*"]}


def test_only_the_runner_deletes_and_only_below_outputs(made: Mapping[str, Any], partition: str) -> None:
    role = made[partition]["role"]
    more = allowed(role["runner"]) - allowed(role["worker"])
    s3 = f"arn:{partition}:s3:::"
    assert more == {
        ("s3:DeleteObject", f"{s3}shared/products/*"),
        ("s3:DeleteObject", f"{s3}other/kenya/*"),
        ("s3:ListBucketMultipartUploads", f"{s3}shared"),
        ("s3:ListBucketMultipartUploads", f"{s3}other"),
    }


def test_a_listener_sends_to_one_queue_and_takes_nothing(made: Mapping[str, Any], partition: str) -> None:
    queue = f"arn:{partition}:sqs:{REGIONS[partition]}:{ACCOUNT}:groundswell-objects"
    topics = [f"arn:{partition}:sns:{REGIONS[partition]}:{ACCOUNT}:groundswell-objects", *ARGUMENTS["source_topics"]]
    assert allowed(made[partition]["role"]["listener"]) == {
        *((f"sqs:{action}", queue) for action in ("GetQueueAttributes", "SendMessage")),
        *(("sns:ConfirmSubscription", topic) for topic in topics),
    }


def test_a_consumer_makes_what_a_runner_makes_and_takes_from_one_queue(made: Mapping[str, Any], partition: str) -> None:
    """Beside it only what brings dead letters back."""
    role = made[partition]["role"]
    queue = f"arn:{partition}:sqs:{REGIONS[partition]}:{ACCOUNT}:groundswell-objects"
    back = ("GetQueueAttributes", "GetQueueUrl", "ListMessageMoveTasks", "StartMessageMoveTask")
    assert allowed(role["consumer"]) - allowed(role["runner"]) - allowed(role["listener"]) == {
        *((f"sqs:{action}", queue) for action in ("ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage")),
        *((f"sqs:{action}", f"{queue}-dead") for action in (*back, "DeleteMessage", "ReceiveMessage")),
    }
    assert allowed(role["runner"]) | allowed(role["listener"]) <= allowed(role["consumer"])


def test_no_role_has_a_wildcard_but_to_look_at_machines(made: Mapping[str, Any], partition: str) -> None:
    for name, document in made[partition]["role"].items():
        for action, resource, statement in grants(document):
            assert "*" not in action
            look = name == "autoscaler" and action.split(":")[1].startswith(("Describe", "Get"))
            assert resource != "*" or look, (name, action)
            if name == "autoscaler" and not look:
                assert statement["Condition"] == {
                    "StringEquals": {"aws:ResourceTag/k8s.io/cluster-autoscaler/theirs": "owned"}
                }


def test_a_role_is_taken_by_named_accounts_of_one_cluster_only(made: Mapping[str, Any], partition: str) -> None:
    """No wildcard, and the token's audience is checked; the scheduler has no role at all."""
    assert set(made[partition]["trust"]) == set(made[partition]["role"]) == set(ARGUMENTS["service_accounts"])
    for name, document in made[partition]["trust"].items():
        assert statements(document) == [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Principal": {"Federated": ARGUMENTS["provider_arn"]},
                "Condition": {
                    "StringEquals": {
                        "oidc.example/id/ABC:aud": "sts.amazonaws.com",
                        "oidc.example/id/ABC:sub": [f"system:serviceaccount:ns:{name}"],
                    }
                },
            }
        ]


@pytest.mark.parametrize("name", ["queue", "dead", "topic", "key"])
def test_who_is_not_of_the_account_enters_by_a_condition(made: Mapping[str, Any], partition: str, name: str) -> None:
    """Services act for somebody: each is let in for our sources only, and nobody without TLS."""
    found = statements(made[partition][name])
    for statement in found:
        if statement["Effect"] == "Deny":
            assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        elif set(statement["Principal"]) == {"AWS"}:
            assert statement["Principal"]["AWS"] == f"arn:{partition}:iam::{ACCOUNT}:root"
        else:
            assert set(statement["Principal"]) == {"Service"} and statement["Condition"]
            assert statement["Action"] != "*"
    assert name == "key" or found[-1]["Effect"] == "Deny"


def test_the_queue_hears_our_topic_our_rules_and_the_topics_named(made: Mapping[str, Any], partition: str) -> None:
    own = f"{REGIONS[partition]}:{ACCOUNT}"
    topics, rules, _ = statements(made[partition]["queue"])
    ours = f"arn:{partition}:sns:{own}:groundswell-objects"
    assert topics["Condition"] == {"ArnEquals": {"aws:SourceArn": [ours, *ARGUMENTS["source_topics"]]}}
    assert rules["Condition"] == {"ArnLike": {"aws:SourceArn": f"arn:{partition}:events:{own}:rule/groundswell-*"}}


def test_without_buckets_and_keys_nothing_is_granted_for_them(made: Mapping[str, Any]) -> None:
    """Empty lists make no statement: AWS refuses one without resource."""
    documents = made["bare"]
    assert "kms:Decrypt" not in documents["role"]["worker"] and "sns:Publish" in documents["topic"]
    everything = [
        *documents["role"].values(),
        documents["queue"],
        documents["dead"],
        documents["topic"],
        documents["key"],
    ]
    for statement in (one for document in everything for one in statements(document)):
        assert statement["Resource"]
