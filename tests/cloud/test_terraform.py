"""What the Terraform files promise, read as a program reads them: no provider can be had where these tests run."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from pipeline.config.clusters import KubernetesCluster
from tests.cloud.terraform import HERE, MODULES, ROOT, applied, blocks, each, files, terraform, variables

FOLDERS = [HERE, *sorted(path for path in MODULES.iterdir() if path.is_dir())]
NAMED = re.compile(r"\b(var|local|module|data\.\w+|(?:aws|terraform)_\w+)\.([a-z_]\w*)")
WRONG: Mapping[str, tuple[Any, ...]] = {
    "region": ("here", "us-west-2a"),
    "name": ("Groundswell", "a", "two--hyphens"),
    "tags": ({"aws:x": "y"},),
    "inputs": (["bucket/prefix/"], ["s3://bucket"], ["s3://bucket/a*/"], ["s3://bucket/${aws:userid}/"]),
    "outputs": ([], ["s3://bucket/"], ["s3://bucket/prefix"], ["s3://bucket/*/"]),
    "bucket_keys": (["alias/key"], ["arn:aws:kms:us-west-2:123456789012:alias/key"]),
    "service_accounts": ({"worker": ["ns:*"]}, {"runner": ["groundswell-runner"]}, {"autoscaler": []}),
    "vpc_id": (None, "subnet-1"),  # not beside a wrong existing_cluster, without which it cannot be judged
    "cidr": ("10.0.0.0/8", "10.0.0.0/24", "ten", "fd00::/16"),
    "zones": (1, 5),
    "existing_cluster": ("a cluster",),
    "kubernetes_version": ("1.3", "latest"),
    "api_cidrs": (["0.0.0.0/0"], ["10.0.0.0/8"], ["::/0"], ["2001::/16"]),
    "admins": (["*"], ["arn:aws:iam::aws:policy/AdministratorAccess"]),
    "system_instance_types": ([],),
    "system_nodes": ({"minimum": 0, "maximum": 4}, {"minimum": 4, "maximum": 2}),
    "worker_instance_types": ([], ["m6i.2xlarge", "m6i.4xlarge"], ["m6i"]),
    "worker_nodes": (0, 1000),
    "worker_disk_gb": (8,),
    "image_digest": ("latest", "sha256:abc"),
    "event_sources": (
        {"A": {"bucket": "b"}},
        {"a": {"bucket": "b", "mode": "replace"}},
        {"a": {"bucket": "b", "prefix": "*"}},
        {"a" * 32: {"bucket": "b"}},
    ),
    "listener_url": ("http://events.example.org/sns", "https://events.example.org/", "https://user@example.org/sns"),
    "visibility_timeout_s": (5, 50000),
    "receive_attempts": (1,),
    "alarm_topic_arn": ("ops@example.com",),
}
BESIDES: Mapping[str, Any] = {
    "subnet_ids": ["subnet-1", "subnet-2"],
    "existing_oidc_provider": True,
    "arm": True,
    "source_topics": ["arn:aws:sns:eu-west-1:123456789012:elsewhere"],
}
"""Wrong beside the others' right values: a network, a cluster, a region and machines."""
TOPIC = "arn:aws:sns:us-west-2:123456789012:new-scene"
RIGHT: Mapping[str, Any] = {"region": "us-west-2", "outputs": ["s3://bucket/prefix/"]}


def declared(folder: Path) -> set[tuple[str, str]]:
    found = {("var", name) for name in variables(folder)}
    for path in files(folder):
        parsed = blocks(path)
        found |= {("local", name) for block in parsed.get("locals", ()) for name in block}
        found |= {("module", name) for block in parsed.get("module", ()) for name in block}
        for check in parsed.get("check", ()):
            for body in check.values():
                for block in body.get("data", ()):
                    found |= {(f"data.{type_}", name) for type_, named in block.items() for name in named}
    found |= {(type_, name) for type_, name, _ in each("resource", folder)}
    return found | {(f"data.{type_}", name) for type_, name, _ in each("data", folder)}


def source(folder: Path) -> str:
    """All files of a module without comments and descriptions."""
    text = "\n".join(path.read_text() for path in files(folder))
    return re.sub(r"^\s*(#.*|description\s*=.*)$", "", text, flags=re.MULTILINE)


def resources(type_: str) -> Mapping[str, Mapping[str, Any]]:
    return {name: body for found, name, body in each("resource") if found == type_}


def test_it_is_formatted() -> None:
    done = terraform(HERE, "fmt", "-check", "-diff", "-recursive")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_whatever_is_named_is_declared_and_whatever_is_declared_is_used(folder: Path) -> None:
    """Half of what `terraform validate` would say if it had the provider."""
    known, used = declared(folder), set(NAMED.findall(source(folder)))
    assert used <= known
    ends = {"aws_", "module", "terraform"}
    assert {one for one in known - used if not one[0].startswith(tuple(ends))} == set()


def test_each_module_is_given_what_it_asks_for() -> None:
    for path in files():
        for block in blocks(path).get("module", ()):
            for name, body in block.items():
                given = set(body) - {"source", "for_each", "depends_on", "count"}
                assert given == set(variables(HERE / body["source"])), name


def test_what_is_made_many_times_is_counted_before_anything_is_there(tmp_path: Path) -> None:
    """The first plan of all knows no ARN: such a value may be one of `for_each`'s, never one of its keys."""
    shutil.copy(HERE / "variables.tf", tmp_path)
    (tmp_path / "given.auto.tfvars.json").write_text(json.dumps({**RIGHT, "source_topics": [TOPIC]}))
    unknown, main = re.compile(r"\baws_\w+\.(\w+)\.\w+"), {}
    for type_, name, body in each("resource"):
        if unknown.search(many := str(body.get("for_each", ""))):
            main[f"{type_}-{name}"] = {
                "for_each": unknown.sub(r"terraform_data.\1.output", many),
                "input": "${each.value}",
            }
            main |= {known: {"input": "x"} for known in unknown.findall(many)}
    (tmp_path / "main.tf.json").write_text(json.dumps({"resource": {"terraform_data": main}}))
    done = terraform(tmp_path, "plan", "-input=false", "-no-color")
    assert main and done.returncode == 0, done.stderr


def test_machines_come_after_their_way_out_and_go_before_it() -> None:
    """A machine that is up without it never joins; one that loses it first leaves interfaces that hold the network."""
    for group in resources("aws_eks_node_group").values():
        assert "aws_route_table_association.private" in str(group["depends_on"])
    assert "aws_nat_gateway.own" in str(resources("aws_route_table")["private"])
    assert "aws_route_table_association.public" in str(resources("aws_nat_gateway")["own"]["depends_on"])
    assert "aws_route_table.private" in str(resources("aws_route_table_association")["private"])


@pytest.mark.parametrize(("there", "taken"), [(2, 2), (3, 3), (6, 3)])
def test_a_region_with_fewer_zones_gives_those_it_has(there: int, taken: int, tmp_path: Path) -> None:
    shutil.copy(HERE / "variables.tf", tmp_path)
    (tmp_path / "given.auto.tfvars.json").write_text(json.dumps(RIGHT))
    names = json.dumps([f"zone-{number}" for number in range(there)])
    zones = next(block["zones"] for block in blocks(HERE / "network.tf")["locals"])
    zones = zones.replace("data.aws_availability_zones.open[0].names", names)
    stub = {"locals": {"own_network": True, "zones": zones}, "output": {"zones": {"value": "${local.zones}"}}}
    assert len(applied(tmp_path, stub)["zones"]) == taken


def test_every_variable_says_what_it_is_and_what_it_may_be() -> None:
    for name, body in variables().items():
        assert body["description"] and body["type"], name
        assert name in {**WRONG, **BESIDES} or body["type"] in {"bool", "${bool}"}, f"{name} takes anything"


def judged(folder: Path, values: Mapping[str, Any]) -> str:
    """What Terraform says of values for the variables of the root."""
    folder.mkdir(exist_ok=True)
    shutil.copy(HERE / "variables.tf", folder)
    (folder / "given.auto.tfvars.json").write_text(json.dumps(values))
    done = terraform(folder, "plan", "-input=false", "-no-color")
    return done.stderr if done.returncode else ""


@pytest.mark.parametrize("turn", range(-1, max(map(len, WRONG.values()))))
def test_a_wrong_value_is_refused_by_name(turn: int, tmp_path: Path) -> None:
    wrong = {name: some[turn] for name, some in WRONG.items() if turn < len(some) and some[turn] is not None}
    values = wrong if turn >= 0 else BESIDES
    said = " ".join(judged(tmp_path, {**RIGHT, **values}).replace("│", " ").split())
    assert {name for name in values if f" {name}: " not in said} == set()


def test_a_cluster_that_is_there_has_its_network(tmp_path: Path) -> None:
    """Another one beside it would be passed over in silence."""
    assert "vpc_id: " in judged(tmp_path, {**RIGHT, "existing_cluster": "theirs", "vpc_id": "vpc-1"})


def test_a_right_value_is_not_refused(tmp_path: Path) -> None:
    """Many-region keys; Graviton, where all machines are."""
    right = {
        "bucket_keys": ["arn:aws:kms:us-west-2:123456789012:key/mrk-1234abcd12ab34cd56ef1234567890ab"],
        "arm": True,
        "system_instance_types": ["m7g.large", "t4g.large"],
        "worker_instance_types": ["m6g.2xlarge", "m7gd.2xlarge", "c8gn.2xlarge"],
        "api_cidrs": ["203.0.113.7/32", "198.51.0.0/16"],
    }
    assert judged(tmp_path, {**RIGHT, **right}) == ""


def test_the_example_is_right(tmp_path: Path) -> None:
    shutil.copy(HERE / "regions" / "example.tfvars", tmp_path / "example.auto.tfvars")
    assert judged(tmp_path, {}) == ""
    given = set(re.findall(r"^(\w+)\s*=", (HERE / "regions" / "example.tfvars").read_text(), re.MULTILINE))
    assert given <= set(variables())


def test_the_service_accounts_of_the_readme_may_take_their_roles() -> None:
    """A release names its accounts after itself unless it is told: no role knows those."""
    found = re.search(r"```yaml\n(image:.*?)```", (ROOT / "helm" / "README.md").read_text(), re.DOTALL)
    assert found
    values = yaml.safe_load(found[1])
    trusted = (HERE / "variables.tf").read_text()
    for part in ("worker", "runner"):
        assert f'["groundswell:{values[part]["serviceAccount"].get("name")}"]' in trusted, part


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_partition_is_asked_for_and_never_written(folder: Path) -> None:
    text = source(folder)
    for same_everywhere in ('"sts.amazonaws.com"', "eks.amazonaws.com/role-arn"):
        text = text.replace(same_everywhere, "")
    assert not re.search(r"arn:aws|amazonaws\.com|us-east-1|eu-[a-z]+-[0-9]", text)
    asked = {type_ for type_, _, _ in each("data", HERE)}
    assert {"aws_partition", "aws_service_principal", "aws_caller_identity"} <= asked


def test_notifications_of_others_are_never_written_over() -> None:
    """`aws_s3_bucket_notification` writes a bucket's whole document: it is nowhere, a script merges."""
    types = {type_ for folder in FOLDERS for type_, _, _ in each("resource", folder)}
    assert "aws_s3_bucket_notification" not in types and "terraform_data" in types
    entry = next(body for _, _, body in each("resource", MODULES / "notification"))
    commands = [one["local-exec"]["command"] for one in entry["provisioner"]]
    assert [command.split()[-1].strip('"') for command in commands] == ["add", "remove"]
    assert not any("${" in re.sub(r"\$\$\{\w+:-python3\}", "", command) for command in commands), "values in a shell"


def test_no_bucket_of_anybody_is_made_changed_or_removed() -> None:
    assert not [type_ for type_, _, _ in each("resource") if type_.startswith("aws_s3")]


def test_there_are_no_credentials_and_no_place_for_any() -> None:
    providers = [block["aws"] for path in files() for block in blocks(path).get("provider", ())]
    assert [set(one) for one in providers] == [{"region", "default_tags"}]
    secret = re.compile(r"access_?key|secret|password|token|credential", re.IGNORECASE)
    assert [name for name in variables() if secret.search(name)] == []
    assert not {type_ for type_, _, _ in each("resource")} & {"aws_iam_access_key", "aws_iam_user"}


def test_schedulers_stand_on_demand_and_workers_on_spot_that_nothing_else_enters() -> None:
    system, workers = resources("aws_eks_node_group")["system"], resources("aws_eks_node_group")["workers"]
    assert (system["capacity_type"], workers["capacity_type"]) == ("ON_DEMAND", "SPOT")
    assert "taint" not in system
    assert workers["taint"] == [{"key": "groundswell.io/spot", "value": "true", "effect": "NO_SCHEDULE"}]
    assert workers["scaling_config"][0]["min_size"] == 0


def test_pods_cannot_reach_the_role_of_their_machine() -> None:
    (template,) = resources("aws_launch_template").values()
    (options,) = template["metadata_options"]
    assert (options["http_tokens"], options["http_put_response_hop_limit"]) == ("required", 1)
    assert template["block_device_mappings"][0]["ebs"][0]["encrypted"] in {True, "true"}


def test_what_is_kept_is_encrypted() -> None:
    key = "${aws_kms_key.own.arn}"
    assert resources("aws_eks_cluster")["own"]["encryption_config"][0]["provider"][0]["key_arn"] == key
    assert resources("aws_cloudwatch_log_group")["cluster"]["kms_key_id"] == key
    assert resources("aws_ecr_repository")["own"]["encryption_configuration"][0]["kms_key"] == key
    assert resources("aws_sns_topic")["objects"]["kms_master_key_id"] == key
    assert all(one["sqs_managed_sse_enabled"] in {True, "true"} for one in resources("aws_sqs_queue").values())


def test_images_do_not_change_under_their_tag_and_run_by_digest() -> None:
    assert resources("aws_ecr_repository")["own"]["image_tag_mutability"] == "IMMUTABLE"
    image = next(block["image"] for block in blocks(HERE / "registry.tf")["locals"])
    assert "@${data.aws_ecr_image.chosen[0].image_digest}" in image


def test_a_message_that_fails_too_often_waits_among_the_dead_letters() -> None:
    queues = resources("aws_sqs_queue")
    assert "aws_sqs_queue.dead.arn" in queues["objects"]["redrive_policy"]
    # A dead letter's age counts from the day on which it came into the first queue.
    assert int(queues["dead"]["message_retention_seconds"]) >= 2 * int(queues["objects"]["message_retention_seconds"])
    for type_ in ("aws_sns_topic_subscription", "aws_cloudwatch_event_target"):
        assert "aws_sqs_queue.dead.arn" in str(resources(type_)["objects"])
    assert "aws_sqs_queue.dead.arn" in str(resources("aws_sns_topic_subscription")["listener"])
    assert int(resources("aws_sns_topic")["objects"]["signature_version"]) == 2, "what the listener proves it by"


def test_the_output_is_a_section_of_a_config(tmp_path: Path) -> None:
    """Evaluated by Terraform, read by the model of the config; without an image it says that one is missing."""
    shutil.copy(HERE / "variables.tf", tmp_path)
    (tmp_path / "given.auto.tfvars.json").write_text(json.dumps(RIGHT))
    image = f"123456789012.dkr.ecr.us-west-2.example/groundswell@sha256:{'a' * 64}"
    value = next(block["clusters"]["value"] for block in blocks(HERE / "outputs.tf")["output"] if "clusters" in block)
    stub = {
        "locals": {"image": image, "none": None, "global_name": "groundswell-us-west-2"},
        "output": {"first": {"value": value.replace("local.image", "local.none")}, "then": {"value": value}},
    }
    first, then = (yaml.safe_load(text)["us-west-2"] for text in applied(tmp_path, stub).values())
    assert "image" not in first and {**first, "image": image} == then
    cluster = TypeAdapter(KubernetesCluster).validate_python(then)
    assert cluster.spot and cluster.service_account == "groundswell-worker" and cluster.region == "us-west-2"
    assert cluster.image == image
