"""Listener and consumer of events: one file of rules for both, an inbox that is never two pods', an orderly stop."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.jobs import JobSpec, Task, manifest, secret
from pipeline.config.events import EventsConfig
from pipeline.config.jobs import QueueConfig
from pipeline.config.load import load_events
from pipeline.events.environ import settings
from pipeline.events.listener import serve as listener
from tests.helm.charts import QUEUE, RELEASE, RULES, RUN, VALUES, Pod, by_name, documents, made, parsed, pods, selects

ONE = {"events": {"config": RULES, "runs": {"night.yaml": RUN}}, "idleTimeoutSeconds": 0}
SEVERAL = {"config": RULES, "runs": {"night.yaml": RUN}, "inbox": "postgresql", "database": {"existingSecret": "inbox"}}
ON = {"enabled": True}
FORMS: Mapping[str, tuple[dict[str, Any], str]] = {
    "a listener with a disk": ({**ONE, "listener": ON}, "listener"),
    "a consumer with a disk": ({**ONE, "consumer": ON}, "consumer"),
    "straight on to a queue": (
        {**ONE, "listener": {**ON, "to": "queue", "replicas": 3}, "consumer": ON},
        "consumer",
    ),
    "a database": (
        {**ONE, "events": SEVERAL, "listener": {**ON, "replicas": 3}, "consumer": {**ON, "replicas": 4}},
        "",
    ),
}
"""Values, and the one component whose pod has the file."""


def of_events(values: Mapping[str, Any]) -> dict[str, Pod]:
    return {pod.component: pod for pod in pods(parsed(values)) if pod.component in {"listener", "consumer"}}


def loaded(values: Mapping[str, Any], pod: Pod, folder: Path) -> EventsConfig:
    """What a pod's program reads: the files that are mounted, its command line and its environment."""
    data = by_name(parsed(values))[f"ConfigMap/{RELEASE}-events"]["data"]
    (mount,) = [one for one in pod.container["volumeMounts"] if one["name"] == "config"]
    for name, text in data.items():
        (folder / name).write_text(text)
    command = pod.container["command"]
    assert command[:3] == ["python", "-m", f"pipeline.events.{pod.component}"]
    assert command[3] == f"{mount['mountPath']}/config.yaml"
    environ = {one["name"]: one.get("value", "postgresql://u:p@db/inbox") for one in pod.container["env"]}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        path, sets = settings(folder / "config.yaml", (), environ)
        places = [f"listen.{name.lower()}={environ[name]}" for name in ("HOST", "PORT") if name in environ]
        return load_events(path, [*places, *sets])


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_an_inbox_is_one_pods_and_never_two_at_once(form: str) -> None:
    """Whoever has the file does the work, is one, and goes before the next one comes."""
    values, owner = FORMS[form]
    found = by_name(parsed(values))
    holders = set()
    for component, pod in of_events(values).items():
        claims = [one["persistentVolumeClaim"] for one in pod.spec["volumes"] if "persistentVolumeClaim" in one]
        spec = found[f"Deployment/{RELEASE}-{component}"]["spec"]
        if claims:
            holders.add(component)
            assert claims == [{"claimName": f"{RELEASE}-inbox"}]
            assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
        else:
            assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert holders == ({owner} if owner else set())
    claim = found.get(f"PersistentVolumeClaim/{RELEASE}-inbox")
    assert (claim is not None) == bool(owner)
    if claim is not None:
        assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}, "it holds what was acknowledged"


@pytest.mark.parametrize("form", FORMS)
def test_what_a_pod_reads_is_what_it_was_made_for(form: str, tmp_path: Path) -> None:
    """The inbox is where its volume or its database is, whatever the file of rules says; one does the work."""
    values, owner = FORMS[form]
    for component, pod in of_events(values).items():
        config = loaded(values, pod, tmp_path)
        inbox = config.inbox.get_secret_value()
        (mount,) = [one["mountPath"] for one in pod.container["volumeMounts"] if one["name"] == "inbox"] or [""]
        if owner == component:
            assert Path(inbox).parent == Path(mount)
        elif owner:
            assert config.listen.to == "queue", "it has no inbox"
        else:
            assert inbox == "postgresql://u:p@db/inbox"
        if component == "listener":
            assert config.listen.work is (owner == "listener")
            assert (config.listen.host, config.listen.port) == ("0.0.0.0", 8080)  # noqa: S104 (a pod's own)
        assert config.rules["scenes"].run == str(tmp_path / "night.yaml")


def test_several_pods_share_a_database_whose_password_is_in_no_object() -> None:
    for component in ("listener", "consumer"):
        (pod,) = [one for one in pods(documents("locked-down")) if one.component == component]
        (place,) = [one for one in pod.container["env"] if one["name"] == "DATABASE_URL"]
        assert place["valueFrom"] == {"secretKeyRef": {"name": "inbox", "key": "url"}}
        (config,) = [one["configMap"] for one in pod.spec["volumes"] if one["name"] == "config"]
        assert config == {"name": "rules"}


def test_a_run_without_clusters_runs_on_this_release_and_one_with_them_where_it_says() -> None:
    data = made("listener-jupyter")[f"ConfigMap/{RELEASE}-events"]["data"]
    assert yaml.safe_load(data["config.yaml"]) == RULES
    run = yaml.safe_load(data["night.yaml"])
    assert run["clusters"]["default"]["backend"] == "existing"
    assert {**run, "clusters": None} == {**RUN, "clusters": None}
    own = {**RUN, "clusters": {"default": {"backend": "local"}}}
    for values in ({"runs": {"night.yaml": own}}, {"runs": {"night.yaml": RUN}}):
        alone = {
            "events": {"config": RULES, **values},
            "consumer": ON,
            "cluster": {"enabled": "clusters" in values["runs"]["night.yaml"]},
        }
        text = by_name(parsed(alone))[f"ConfigMap/{RELEASE}-events"]["data"]["night.yaml"]
        assert yaml.safe_load(text) == values["runs"]["night.yaml"]


def test_other_rules_replace_the_pods_that_read_them() -> None:
    """A file is read at the start."""
    other = {**RULES, "name": "others"}
    before, after = (of_events({"events": {"config": one}, "consumer": ON})["consumer"] for one in (RULES, other))
    assert before.annotations["checksum/config"] != after.annotations["checksum/config"]


def test_the_listener_is_asked_whether_it_lives_and_whether_it_can_store() -> None:
    """Two questions: one that cannot store gets no posts, and is not ended for it."""
    pod = of_events(FORMS["a database"][0])["listener"].container
    (port,) = pod["ports"]
    assert port == {"name": "http", "containerPort": 8080, "protocol": "TCP"}
    paths = {kind: pod[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")}
    assert paths == {"liveness": {"path": "/healthz", "port": "http"}, "readiness": {"path": "/readyz", "port": "http"}}
    found = by_name(parsed(FORMS["a database"][0]))
    service = found[f"Service/{RELEASE}-listener"]["spec"]
    assert selects({"matchLabels": service["selector"]}, of_events(FORMS["a database"][0])["listener"].labels)
    assert [one["targetPort"] for one in service["ports"]] == ["http"]


@pytest.mark.parametrize("form", FORMS)
def test_a_stop_leaves_time_for_what_is_in_hand(form: str) -> None:
    """After the hook the requests in hand end, then the batches; the defaults of the programs fit in."""
    values, _ = FORMS[form]
    for component, pod in of_events(values).items():
        hook = pod.container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
        needed = float(hook[1]) + (listener.GRACE_S if component == "listener" else 0)
        needed += EventsConfig.model_fields["jobs"].default.grace_s + 10 + QueueConfig.model_fields["wait_s"].default
        assert pod.spec["terminationGracePeriodSeconds"] > needed + 10
        assert (hook[1] != "0") == (component == "listener"), "it is told last that it goes"


def test_the_ingress_leads_to_the_listener_alone() -> None:
    ingress = made("listener-jupyter")[f"Ingress/{RELEASE}-listener"]["spec"]
    assert ingress["tls"] == [{"hosts": ["events.example.org"], "secretName": "events-tls"}]
    assert [rule["host"] for rule in ingress["rules"]] == ["events.example.org"]
    assert f"Ingress/{RELEASE}-listener" not in made("locked-down")


def test_consumers_follow_the_queue_and_one_stays_for_what_settles() -> None:
    """An order that settles is due days after its message has left the queue."""
    found = made("locked-down")
    scaler = found[f"ScaledObject/{RELEASE}-consumer"]["spec"]
    deployment = found[f"Deployment/{scaler['scaleTargetRef']['name']}"]
    assert "replicas" not in deployment["spec"], "an upgrade would undo what the scaler did"
    (trigger,) = scaler["triggers"]
    assert trigger["metadata"]["scaleOnInFlight"] == "true"
    assert trigger["metadata"]["queueURL"] == QUEUE["queueUrl"]
    assert f"TriggerAuthentication/{trigger['authenticationRef']['name']}" in found
    assert scaler["minReplicaCount"] == 1
    assert found[f"Deployment/{RELEASE}-listener"]["spec"]["replicas"] == 2


def test_who_does_the_work_may_run_jobs_and_read_no_secret() -> None:
    """What a Job is made with and followed by, and what a runner has, for runs with clusters of their own."""
    driver = made("locked-down")[f"Role/{RELEASE}-runner"]["rules"]
    rules = made("locked-down")[f"Role/{RELEASE}-events"]["rules"]
    assert [rule for rule in rules if rule not in driver] == [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "patch", "delete"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]
    assert all(rule in rules for rule in driver)
    verbs = {resource: set(rule["verbs"]) for rule in rules for resource in rule["resources"]}
    assert verbs["secrets"] == {"create"}
    spec = JobSpec("arrivals", "kubernetes", "here", 1, 1, 2**30, image="groundswell")
    task = Task("arrivals-1", ["true"], 60.0)
    objects = [manifest(spec, task), secret(spec, task)]
    assert all("create" in verbs[f"{one['kind'].lower()}s"] for one in objects)
    alone = by_name(parsed({**ONE, "events": {"config": RULES, "rbac": True}, "listener": ON}))
    (subject,) = alone[f"RoleBinding/{RELEASE}-events"]["subjects"]
    assert subject["name"] == f"{RELEASE}-listener", "where it does the work"


def test_monitors_find_the_listener() -> None:
    watch = made("locked-down")[f"ServiceMonitor/{RELEASE}-listener"]["spec"]
    service = made("locked-down")[f"Service/{RELEASE}-listener"]
    assert selects(watch["selector"], service["metadata"]["labels"])
    assert [one["port"] for one in watch["endpoints"]] == [one["name"] for one in service["spec"]["ports"]]
    assert "listener" in VALUES["locked-down"]
