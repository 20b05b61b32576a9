"""What drives a cluster: Jobs that are tried again where that can help, configs that load, each as its own command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import run
from pipeline.cli import parser
from pipeline.config import load_config
from pipeline.errors import (
    EXIT_BAD_CONFIG,
    EXIT_CLAIMED,
    EXIT_DONE,
    EXIT_INTERRUPTED,
    EXIT_JOBS_FAILED,
    EXIT_NOTHING_TO_DO,
    EXIT_PREFLIGHT,
    EXIT_TERMINATED,
)
from pipeline.products import product_models
from tests.helm.charts import NAMESPACE, RELEASE, RUN, VALUES, Pod, by_name, documents, made, parsed, pods


def driver(name: str, component: str) -> Pod:
    (found,) = [pod for pod in pods(documents(name)) if pod.component == component]
    return found


def config_of(name: str, component: str) -> str:
    return str(made(name)[f"ConfigMap/{RELEASE}-{component}"]["data"]["config.yaml"])


def jobs() -> list[Any]:
    """Every Job's spec, of CronJobs too."""
    found = []
    for name in VALUES:
        for one in documents(name):
            spec = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one.get("spec")
            if one["kind"] in {"Job", "CronJob"}:
                found.append(pytest.param(spec, id=f"{name}-{one['metadata']['name']}"))
    return found


@pytest.mark.parametrize("spec", jobs())
def test_a_job_is_tried_again_only_where_that_can_help(spec: Mapping[str, Any]) -> None:
    """Exit codes say which: failed jobs and a lost pod are resumed, what a config or a budget forbids is not."""
    lost, final = spec["podFailurePolicy"]["rules"]
    (container,) = spec["template"]["spec"]["containers"]
    assert (lost["action"], lost["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (final["action"], final["onExitCodes"]["operator"]) == ("FailJob", "In")
    assert final["onExitCodes"]["containerName"] == container["name"]
    stops = set(final["onExitCodes"]["values"])
    assert stops == {EXIT_BAD_CONFIG, EXIT_PREFLIGHT, EXIT_CLAIMED, EXIT_NOTHING_TO_DO}
    assert not stops & {EXIT_DONE, EXIT_JOBS_FAILED, EXIT_INTERRUPTED, EXIT_TERMINATED}
    assert spec["template"]["spec"]["restartPolicy"] == "Never", "as Kubernetes wants it beside a podFailurePolicy"
    assert spec["backoffLimit"] > 0
    assert spec["activeDeadlineSeconds"] > 0
    assert spec["ttlSecondsAfterFinished"] > 0


@pytest.mark.parametrize("name", VALUES)
def test_what_runs_by_the_clock_never_runs_twice_at_once(name: str) -> None:
    for one in documents(name):
        if one["kind"] == "CronJob":
            assert one["spec"]["concurrencyPolicy"] == "Forbid"
            assert one["spec"]["timeZone"] == "Etc/UTC"
    scheduled = {one["metadata"]["name"] for one in documents("nightly") if one["kind"] == "CronJob"}
    assert scheduled == {f"{RELEASE}-runner", f"{RELEASE}-argo-sync"}


def test_a_config_without_clusters_runs_on_this_release(tmp_path: Path) -> None:
    """With the certificates that its pod has, and with as many slots and bytes as the workers have."""
    path = tmp_path / "config.yaml"
    path.write_text(config_of("none", "runner"))
    config = load_config(path, product_models())
    cluster: Any = config.clusters["default"]
    assert (cluster.backend, cluster.address) == ("existing", f"tls://{RELEASE}-scheduler.{NAMESPACE}.svc:8786")
    pod = driver("none", "runner")
    worker = driver("none", "worker")
    (mounted,) = [one for one in pod.container["volumeMounts"] if one["name"] == "tls"]
    (secret,) = [one["secret"] for one in pod.spec["volumes"] if one["name"] == "tls"]
    there = {f"{mounted['mountPath']}/{item['path']}" for item in secret["items"]}
    assert {cluster.tls.ca, cluster.tls.cert, cluster.tls.key} == there
    assert str(cluster.threads) in worker.container["args"]
    assert str(cluster.worker_memory) in worker.container["args"], "what Dask is told, not what the container has"
    assert str(path.read_text()).count("workers: 3") == 1


def test_a_config_with_clusters_of_its_own_is_left_as_it_is() -> None:
    assert yaml.safe_load(config_of("locked-down", "runner"))["name"] == RUN["name"]
    clusters = {"default": {"backend": "kubernetes", "workers": [1, 40], "image": "x:1"}}
    values = {"runner": {"enabled": True, "rbac": True, "config": {**RUN, "clusters": clusters}}}
    config = yaml.safe_load(by_name(parsed(values))[f"ConfigMap/{RELEASE}-runner"]["data"]["config.yaml"])
    assert config == {**RUN, "clusters": clusters}


def test_drivers_may_be_all_there_is(tmp_path: Path) -> None:
    """Nothing that costs between two runs: each makes the cluster that its config names, as its account may."""
    kinds = {one["kind"] for one in documents("drivers")}
    assert kinds == {"ConfigMap", "CronJob", "NetworkPolicy", "Role", "RoleBinding", "ServiceAccount"}
    path = tmp_path / "config.yaml"
    path.write_text(config_of("drivers", "runner"))
    assert load_config(path, product_models()).clusters["default"].backend == "kubernetes"
    assert driver("drivers", "runner").spec["automountServiceAccountToken"] is True
    assert f"ServiceAccount/{RELEASE}-worker" in made("drivers"), "an account for the workers that it makes"


def test_commands_are_those_of_this_project() -> None:
    """The runner's is understood as it stands; its config is where the ConfigMap is mounted."""
    for name, values in (("none", VALUES["none"]), ("nightly", VALUES["nightly"])):
        pod = driver(name, "runner")
        command = pod.container["command"]
        assert command[:3] == ["python", "-m", "pipeline.run"]
        options = run.parser().parse_args(command[3:])
        (mount,) = [one for one in pod.container["volumeMounts"] if one["name"] == "config"]
        assert str(options.config) == f"{mount['mountPath']}/config.yaml"
        assert options.yes, "nobody is there to be asked"
        (volume,) = [one["configMap"]["name"] for one in pod.spec["volumes"] if one["name"] == "config"]
        assert volume == values["runner"].get("existingConfigMap", f"{RELEASE}-runner")


def test_each_revision_runs_anew() -> None:
    """A Job cannot be changed: an upgrade makes another, and what is committed is skipped."""
    names = []
    for revision in (1, 2):
        found = parsed(VALUES["none"], revision=revision)
        names += [one["metadata"]["name"] for one in found if one["kind"] == "Job"]
    assert names == [f"{RELEASE}-run-1", f"{RELEASE}-run-2"]


def test_the_copy_of_a_gdac_lies_where_it_is_told() -> None:
    """The command is one that the command line understands; the copy outlives the pod where there is a claim."""
    pod = driver("nightly", "argo-sync")
    verb, *words = pod.container["command"][1:]
    options = parser().parse_args([verb, *words])
    assert (options.verb, str(options.config), options.json) == ("sync", "/etc/groundswell/run/config.yaml", True)
    (mount,) = [one for one in pod.container["volumeMounts"] if one["name"] == "gdac"]
    assert mount["mountPath"] == "/gdac"
    claims = [one.get("persistentVolumeClaim") for one in pod.spec["volumes"] if one["name"] == "gdac"]
    assert claims == [{"claimName": "gdac"}]
    (without,) = [one for one in driver("locked-down", "argo-sync").spec["volumes"] if one["name"] == "gdac"]
    assert "emptyDir" in without


def test_jupyter_asks_for_a_token_and_keeps_notebooks_where_it_is_told() -> None:
    pod = driver("listener-jupyter", "jupyter")
    (token,) = [one["valueFrom"] for one in pod.container["env"] if one["name"] == "JUPYTER_TOKEN"]
    assert token == {"secretKeyRef": {"name": "notebook-token", "key": "token"}}
    (mount,) = [one for one in pod.container["volumeMounts"] if one["name"] == "notebooks"]
    assert f"--ServerApp.root_dir={mount['mountPath']}" in pod.container["command"]
    (volume,) = [one for one in pod.spec["volumes"] if one["name"] == "notebooks"]
    assert volume["persistentVolumeClaim"] == {"claimName": "notebooks"}
    compile(pod.container["readinessProbe"]["exec"]["command"][2], "probe", "exec")


def test_the_test_of_a_release_computes_with_its_certificate() -> None:
    pod = made("defaults")[f"Pod/{RELEASE}-test"]
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = pod["spec"]["containers"]
    compile(container["command"][2], "test", "exec")
    assert json.dumps(container).count(f"tls://{RELEASE}-scheduler") == 1
