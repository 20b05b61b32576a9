"""Values of the chart: what is wrong or missing is refused by name, and what is odd but right stays what it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from pipeline.config.yamlsource import read_document
from tests.helm.charts import (
    CHART,
    DIGEST,
    JUPYTER,
    OTHERS,
    QUEUE,
    RELEASE,
    RUN,
    VALUES,
    by_name,
    chart,
    parsed,
    pods,
    refusals,
    variables,
)

DRIVER = {"enabled": True, "existingConfigMap": "123", "serviceAccount": {"create": True, "name": "123"}}
EVENTS = {"config": {"a": 1}}
NIGHT = {**EVENTS, "runs": {"night.yaml": {"a": 1}}}
ODD = {
    "fullnameOverride": "null",
    "image": {"pullSecrets": ["123"]},
    "tls": {"existingSecret": "123"},
    "scheduler": {"priorityClassName": "123"},
    "worker": {
        "priorityClassName": "123",
        "secrets": ["123", "on"],
        "env": {"ON": "off", "NO": "1e3", "LINES": 'a: "b"\n\t#c\n', "EMPTY": ""},
        "nodeSelector": {"on": "123"},
    },
    "quota": {"pods": "123"},
    "runner": {**DRIVER, "schedule": "@daily", "rbac": True, "secrets": ["123"]},
    "events": {
        "existingConfigMap": "123",
        "inbox": "postgresql",
        "database": {"existingSecret": "123", "key": "123"},
        "rbac": True,
    },
    "listener": {
        "enabled": True,
        "ingress": {
            "enabled": True,
            "className": "123",
            "host": "1.23",
            "tlsSecret": "123",
            "annotations": {"on": "off"},
        },
        "serviceAccount": {"create": False, "name": "123"},
    },
    "consumer": {
        "enabled": True,
        "keda": {**QUEUE, "region": "123"},
        "serviceAccount": {"create": False, "name": "123"},
    },
    "argoSync": {"enabled": True, "config": {"a": 1}, "serviceAccount": {"create": False, "name": "123"}},
    "jupyter": {**JUPYTER, "existingSecret": "123", "existingClaim": "123"},
    "metrics": {"monitors": True, "alerts": True, "labels": {"on": "123"}},
}
"""Right, but without quotes YAML takes it for numbers, truth or nothing."""


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"workers": {}}, "'workers' not allowed"),
        ({"worker": {"threads": 0}}, "/worker/threads"),
        ({"worker": {"memory": "8GB"}}, "/worker/memory"),
        ({"worker": {"cores": "two"}}, "/worker/cores"),
        ({"worker": {"env": {"A": 1}}}, "/worker/env/A"),
        ({"worker": {"secrets": ["Not A Name"]}}, "/worker/secrets/0"),
        ({"worker": {"spot": "yes"}}, "/worker/spot"),
        ({"autoscaling": {"mode": "keda"}}, "/autoscaling/mode"),
        ({"autoscaling": {"mode": "hpa", "minimum": 0}}, "/autoscaling/minimum"),
        ({"autoscaling": {"hpa": {"stabilizationSeconds": 60}}}, "/autoscaling/hpa/stabilizationSeconds"),
        ({"autoscaling": {"minimum": 5, "maximum": 2}}, "autoscaling.maximum: found 2, .*minimum 5"),
        ({"image": {"reference": "groundswell"}}, "/image/reference"),
        ({"scheduler": {"serviceAccount": {}}}, "'serviceAccount' not allowed"),
        ({"fullnameOverride": "Waves"}, "/fullnameOverride"),
        ({"run": {"owner": "ada lovelace"}}, "/run/owner"),
        ({"dask": {"threads": 4}}, "propertyName 'threads'"),
        ({"jupyter": {"enabled": True, "image": "x:1"}}, "/jupyter/existingSecret"),
        ({"consumer": {"keda": {"enabled": True}}}, "/consumer/keda/queueUrl"),
        ({"listener": {"ingress": {"enabled": True}}}, "/listener/ingress/host"),
        ({"listener": {"ingress": {"enabled": True, "host": "a.b"}}}, "listener.ingress.enabled: found true"),
        ({"listener": {"to": "kafka"}}, "/listener/to"),
        ({"listener": {"graceSeconds": 20}}, "/listener/graceSeconds"),
        ({"listener": {"enabled": True}}, "events.config: found nothing"),
        ({"events": {"inbox": "postgresql"}}, "/events/database/existingSecret"),
        ({"events": {"inbox": "redis"}}, "/events/inbox"),
        ({"events": {"runs": {"../x.yaml": {}}}}, "propertyName '../x.yaml'"),
        ({"events": {**EVENTS, "runs": {"config.yaml": {"a": 1}}}, "consumer": {"enabled": True}}, "found config.yaml"),
        (
            {"events": EVENTS, "listener": {"enabled": True, "to": "queue", "replicas": 2}},
            "listener.to: found queue, and no queue",
        ),
        (
            {"events": EVENTS, "consumer": {"enabled": True, "env": {"GROUNDSWELL_EVENTS__INBOX": "/tmp/x.sqlite"}}},
            "consumer.env: found GROUNDSWELL_EVENTS__INBOX",
        ),
        ({"consumer": {"keda": {"minimum": 5, "maximum": 2}}}, "keda.maximum: found 2, .*minimum 5"),
        # a run on this release's cluster needs one that waits for it
        ({"events": NIGHT, "consumer": {"enabled": True}}, "idleTimeoutSeconds: found 900.* night.yaml without"),
        (
            {"events": NIGHT, "listener": {"enabled": True}, "autoscaling": {"minimum": 0}},
            "autoscaling.minimum: found 0, .* night.yaml without",
        ),
        (
            {"events": {**NIGHT, "config": {"jobs": {"pod": {"image": DIGEST}}}}, "consumer": {"enabled": True}},
            "found night.yaml without clusters beside events.config.jobs.pod",
        ),
        # a SQLite file is one pod's
        ({"events": EVENTS, "listener": {"enabled": True, "replicas": 2}}, "/listener/replicas': maximum: got 2"),
        ({"events": EVENTS, "consumer": {"enabled": True, "replicas": 2}}, "/consumer/replicas': maximum: got 2"),
        ({"events": EVENTS, "consumer": {"enabled": True, "keda": QUEUE}}, "/consumer/keda/enabled"),
        (
            {"events": EVENTS, "listener": {"enabled": True}, "consumer": {"enabled": True}},
            "events.inbox: found sqlite beside listener.enabled and consumer.enabled",
        ),
        (
            {
                "events": {**EVENTS, "rbac": True},
                "listener": {"enabled": True, "serviceAccount": {"create": False}},
            },
            "beside listener.serviceAccount.create: false and no name",
        ),
        ({"runner": {"enabled": True}}, "runner.config: found nothing"),
        ({"runner": {"enabled": True, "config": {"a": 1}, "existingConfigMap": "b"}}, "runner.existingConfigMap"),
        ({"runner": {"enabled": True, "config": {"a": 1}, "schedule": "0 3 * * *"}}, "idleTimeoutSeconds: found 900"),
        (
            {"runner": {"enabled": True, "config": {"a": 1}}, "autoscaling": {"minimum": 0}},
            "minimum: found 0 beside a run",
        ),
        ({"runner": {"enabled": True, "config": {"a": 1}}, "cluster": {"enabled": False}}, "without clusters"),
        ({"jupyter": JUPYTER, "cluster": {"enabled": False}}, "jupyter.enabled: found true"),
        ({"runner": {"schedule": "nightly"}}, "/runner/schedule"),
        ({"argoSync": {"schedule": ""}}, "/argoSync/schedule"),
        ({"tls": {"enabled": False}, "networkPolicy": {"enabled": False}}, "tls.enabled: found false"),
        ({"networkPolicy": {"clients": ["10.0.0.0/8"]}}, "/networkPolicy/clients/0"),
        ({"metrics": {"interval": 30}}, "/metrics/interval"),
        # taken away, which Helm means by null, and what would then be taken for no memory, or for no policy
        ({"worker": {"memory": None}}, "/worker': missing property 'memory'"),
        ({"networkPolicy": {"enabled": None}}, "/networkPolicy': missing property 'enabled'"),
        ({"tls": None}, "missing property 'tls'"),
        ({"worker": {"memory": "8"}}, "/worker/memory"),
        # nothing here has such a limit, and Kubernetes would refuse every pod
        ({"quota": {"limits.cpu": 100}}, "propertyName 'limits.cpu'"),
        (
            {"worker": {"serviceAccount": {"name": "geo"}}, "jupyter": {**JUPYTER, "serviceAccount": {"name": "geo"}}},
            'serviceAccount.create: found true for "geo" with both jupyter and worker',
        ),
        ({"autoscaling": {"mode": "none", "minimum": 0}}, "/autoscaling/minimum"),
        ({"jupyter": {**JUPYTER, "image": "registry:5000/jupyter"}}, "/jupyter/image"),
        ({"argoSync": {"enabled": True, "config": {"a": 1}, "existingConfigMap": "b"}}, "argoSync.existingConfigMap"),
        ({"argoSync": {"enabled": True}}, "argoSync.config: found nothing"),
        (
            {"consumer": {"enabled": True}, "events": {"config": {"a": 1}, "existingConfigMap": "b"}},
            "events.existingConfigMap",
        ),
        (
            {"runner": {"enabled": True, "config": {"a": 1}, "rbac": True, "serviceAccount": {"create": False}}},
            "runner.rbac: found true",
        ),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: dict[str, Any], named: str) -> None:
    assert re.search(named, refusal(values))


def refusal(values: dict[str, Any]) -> str:
    """As an install says it: the schema first, then what contradicts itself."""
    try:
        chart().validate_schema(values)
        parsed(values)
    except (helm.HelmValuesError, helm.HelmRenderError) as error:
        return str(error)
    return "nothing"


def test_a_release_whose_name_is_no_dns_label_is_refused_by_name() -> None:
    for name in ("waves.east", "9waves", "w" * 54):
        with pytest.raises(helm.HelmRenderError, match="fullnameOverride"):
            chart().render({}, name=name)


def test_names_fit_however_long_the_release_is_called() -> None:
    """CronJobs have 52 characters, policies a DNS name's, everything else a DNS label's."""
    limits = {"CronJob": 52, "NetworkPolicy": 253}
    values = VALUES["nightly"] | {"fullnameOverride": "w" + "-x" * 26}
    for one in parsed(values):
        assert len(one["metadata"]["name"]) <= limits.get(one["kind"], 63)


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    free = {"config", "runs", "dask", "quota", "env", "labels", "annotations", "nodeSelector"}

    def check(values: dict[str, Any], at: dict[str, Any], path: str) -> None:
        if reference := at.get("$ref"):
            at = schema["definitions"][reference.rpartition("/")[2]]
        assert at["additionalProperties"] is False, path
        assert values.keys() == at["properties"].keys() - {"global"} == set(at["required"]), path
        for key, value in values.items():
            if isinstance(value, dict) and key not in free:
                check(value, at["properties"][key], f"{path}/{key}")

    check(yaml.safe_load((CHART / "values.yaml").read_text()), schema, "")


@pytest.mark.parametrize("mode", ["dask", "hpa"])
def test_text_stays_text_whatever_it_looks_like(mode: str) -> None:
    """Names, namespaces and values that are numbers, truth or nothing to YAML where nobody quotes them."""
    found = parsed({**ODD, "autoscaling": {"mode": mode}}, release="123", namespace="123")
    assert [fault for one in found for fault in refusals(one, ["1.37"])] == []
    for one in found:
        assert one["metadata"]["name"] in {"null", "123"} or one["metadata"]["name"].startswith("null-")
        assert all(isinstance(value, str) for value in one["metadata"]["labels"].values())
        if one["kind"] in {*OTHERS, "DaskCluster", "DaskAutoscaler"}:
            assert [leaf for leaf in leaves(one["spec"]) if leaf is None or (leaf == 123 and leaf != "123")] == []
    (worker,) = [pod for pod in pods(found) if pod.component == "worker"]
    assert variables(worker, by_name(found)).items() >= ODD["worker"]["env"].items()  # type: ignore[index]


def leaves(value: Any) -> Iterator[Any]:
    """Keys and plain values, however deep."""
    match value:
        case dict():
            yield from value
            for one in value.values():
                yield from leaves(one)
        case list():
            for one in value:
                yield from leaves(one)
        case _:
            yield value


def test_an_environment_has_each_name_once_and_what_is_asked_for_wins() -> None:
    """Kubernetes refuses a name twice where it merges; a HOME of notebooks' own is a thing to ask for."""
    ours = {"HOME": "/notebooks", "DASK_SCHEDULER_ADDRESS": "tls://other:8786"}
    found = parsed({"jupyter": {**JUPYTER, "env": ours}, "worker": {"env": ours}})
    for pod in pods(found):
        names = [one["name"] for one in pod.container["env"]]
        assert len(set(names)) == len(names)
        if pod.component in {"jupyter", "worker"}:
            assert variables(pod, by_name(found)).items() >= ours.items()


def test_two_long_names_that_begin_alike_make_cronjobs_apart() -> None:
    """A CronJob has fewer characters than the name of all else."""
    names = [f"{'night-over-the-adriatic-and-the-tyrrhenian-sea'}-{end}" for end in ("east", "west")]
    made_by = [parsed({**VALUES["nightly"], "fullnameOverride": name}) for name in names]
    crons = [{one["metadata"]["name"] for one in found if one["kind"] == "CronJob"} for found in made_by]
    assert [len(one) for one in crons] == [2, 2]
    assert not crons[0] & crons[1]


def test_a_config_reaches_its_run_as_it_was_written(tmp_path: Path) -> None:
    odd = {"text": "on", "number": "1e3", "lines": "a\n\n  b: c\n", "bound": 1e-5, "many": 12_345_678_901, "none": "~"}
    found = by_name(parsed({"runner": {"enabled": True, "config": {**RUN, "odd": odd}}}))
    path = tmp_path / "config.yaml"
    path.write_text(found[f"ConfigMap/{RELEASE}-runner"]["data"]["config.yaml"])
    read: Any = read_document(path).data
    assert {**read, "clusters": None} == {**RUN, "odd": odd, "clusters": None}
