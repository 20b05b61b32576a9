"""The chart as a whole: it lints, what it renders Kubernetes takes, and what is wrong is refused by name."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

from cluster.settings import DASK, ENVIRON, as_environ
from tests.helm.charts import (
    CHART,
    JUPYTER,
    NAMESPACE,
    OTHERS,
    RELEASE,
    VALUES,
    by_name,
    by_operator,
    chart,
    documents,
    made,
    parsed,
    pods,
    refusals,
    validator,
)

KUBERNETES = ("1.27", "1.37")
"""The oldest that the chart takes, and the newest whose schemas are there."""


@pytest.mark.parametrize("name", VALUES)
def test_it_lints_strictly(name: str) -> None:
    report = helm.lint(CHART, VALUES[name], strict=True, namespace=NAMESPACE, kube_version=KUBERNETES[0])
    assert (report["messages"], report["errors"]) == ([], [])


@pytest.mark.parametrize("name", VALUES)
def test_kubernetes_and_the_operator_take_all_of_it(name: str) -> None:
    """No unknown key, no wrong kind of value; the pods of a DaskCluster also as Deployments of the operator's."""
    found = documents(name)
    for one in [*found, *(deployment for each in found for deployment in by_operator(each))]:
        assert list(refusals(one, KUBERNETES)) == []


def test_a_planted_fault_is_found() -> None:
    deployment = copy.deepcopy(made("none")[f"Deployment/{RELEASE}-worker"])
    deployment["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    assert list(refusals(deployment, KUBERNETES[:1]))


def test_only_what_is_asked_for_needs_more_than_the_operator() -> None:
    kinds = {name: {one["kind"] for one in documents(name)} & OTHERS for name in VALUES}
    assert {name: found for name, found in kinds.items() if found} == {
        "hpa": {"ServiceMonitor", "PodMonitor"},
        "locked-down": {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ScaledObject", "TriggerAuthentication"},
    }


def test_by_default_nothing_drives_the_cluster() -> None:
    """Runner, sync, listener, consumer and Jupyter are there when they are asked for."""
    assert {pod.component for pod in pods(documents("defaults"))} == {"scheduler", "worker", "test"}


@pytest.mark.parametrize("name", VALUES)
def test_everything_says_whose_it_is(name: str) -> None:
    """Objects and pods of a run can be found, priced and removed by their labels."""
    common = {
        "app.kubernetes.io/name": "groundswell",
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/part-of": "groundswell",
        "app.kubernetes.io/managed-by": "Helm",
    }
    common |= {
        f"groundswell.io/{'run' if key == 'id' else key}": value for key, value in VALUES[name].get("run", {}).items()
    }
    found = documents(name)
    for one in [*(each["metadata"]["labels"] for each in found), *(pod.labels for pod in pods(found))]:
        assert one.items() >= common.items()
    assert len({(one["kind"], one["metadata"]["name"]) for one in found}) == len(found)
    assert all("helm.sh/chart" not in pod.labels for pod in pods(found)), "an upgrade would replace every pod"


def test_two_regions_are_two_releases_that_share_nothing() -> None:
    """In one namespace: no object of one name, and no selector that finds the other's pods."""
    east, west = documents("region-east", "east"), documents("region-west", "west")
    assert not {_key(one) for one in east} & {_key(one) for one in west}
    labels = [pod.labels for pod in pods(west)]
    selectors = [selector for one in east for selector in _selectors(one)]
    assert len(selectors) > 5
    assert [chosen for chosen in selectors for pod in labels if pod.items() >= chosen.items()] == []
    roles = {json.dumps(one["metadata"].get("annotations")) for one in east + west if one["kind"] == "ServiceAccount"}
    assert len(roles) == 3, "none, the east's and the west's"


def _key(one: dict[str, Any]) -> tuple[str, str]:
    return one["kind"], one["metadata"]["name"]


def _selectors(one: dict[str, Any]) -> list[dict[str, str]]:
    """Every matchLabels and plain selector of it."""
    found = []
    stack: list[Any] = [one["spec"]] if "spec" in one else []
    while stack:
        each = stack.pop()
        if isinstance(each, dict):
            found += [each["matchLabels"]] if "matchLabels" in each else []
            plain = each.get("selector", {})
            found += [plain] if plain and all(isinstance(value, str) for value in plain.values()) else []
            stack += each.values()
        elif isinstance(each, list):
            stack += each
    return [chosen for chosen in found if chosen.get("app.kubernetes.io/name") != "dask-kubernetes-operator"]


def test_dask_is_configured_in_one_place() -> None:
    """The chart's copy says what `cluster.settings` says, and `dask:` goes over it."""
    copied = json.loads((CHART / "files" / "settings.json").read_text())
    meant = {"dask": as_environ(DASK), "worker": dict(ENVIRON)}
    assert copied == meant, f"files/settings.json should be:\n{json.dumps(meant, indent=2)}"
    key = next(iter(DASK))
    changed = {key: 7, "distributed.worker.profile.enabled": True, "a.b-c": "x"}
    data = by_name(parsed({"dask": changed}))[f"ConfigMap/{RELEASE}-dask"]["data"]
    over = as_environ(changed)
    assert data == {"DASK_TEMPORARY_DIRECTORY": "/tmp", "HOME": "/tmp", **as_environ(DASK), **over}


@pytest.mark.parametrize(
    ("change", "replaced"),
    [
        ({"dask": {"distributed.comm.retry.count": 9}}, {"scheduler", "worker"}),
        ({"worker": {"disk": "30Gi"}}, {"worker"}),
        ({"autoscaling": {"mode": "none", "minimum": 4}}, set()),
        ({"run": {"id": "next"}, "image": {"reference": "x:2"}}, {"scheduler", "worker"}),
    ],
)
def test_other_settings_replace_the_pods_that_read_them(change: dict[str, Any], replaced: set[str]) -> None:
    """Where the chart makes the pods itself: an environment is read once, at a pod's start. No other pod goes."""

    def specs(values: dict[str, Any]) -> dict[str, Any]:
        found = [one for one in parsed(values) if one["kind"] == "Deployment"]
        return {_key(one)[1].removeprefix(f"{RELEASE}-"): one["spec"] for one in found}

    before, after = specs(VALUES["none"]), specs({**VALUES["none"], **change})
    assert {role for role in before if before[role]["template"] != after[role]["template"]} == replaced
    assert [one["selector"] for one in before.values()] == [one["selector"] for one in after.values()], "cannot change"


def test_another_version_of_the_chart_replaces_no_pod(tmp_path: Path) -> None:
    """Only another image or other settings do; workers hold results, and a scheduler the whole run."""
    shutil.copytree(CHART, tmp_path / "chart")
    about = tmp_path / "chart" / "Chart.yaml"
    about.write_text(about.read_text().replace("version: 0.1.0", "version: 0.2.0+build.7", 1))
    values = {**VALUES["none"], "events": {"config": {"a": 1}}, "listener": {"enabled": True}, "jupyter": JUPYTER}

    def specs(of: helm.Chart) -> tuple[dict[str, Any], set[str]]:
        found = parsed(values, of=of)
        labels = {one["metadata"]["labels"]["helm.sh/chart"] for one in found if one["kind"] == "ConfigMap"}
        return {_key(one)[1]: one["spec"] for one in found if one["kind"] == "Deployment"}, labels

    with helm.Chart.load(tmp_path / "chart") as other:
        (before, was), (after, now) = specs(chart()), specs(other)
    assert before == after
    assert (was, now) == ({"groundswell-0.1.0"}, {"groundswell-0.2.0_build.7"})


def test_it_is_the_chart_of_this_version() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert chart().metadata["appVersion"] == project["version"]
    assert (
        made("defaults")[f"Pod/{RELEASE}-test"]["spec"]["containers"][0]["image"] == f"groundswell:{project['version']}"
    )


@pytest.mark.parametrize("name", VALUES)
def test_the_notes_say_what_is_there(name: str) -> None:
    """Objects that they name are made, or by the operator; nothing that is off is spoken of."""
    notes = _notes(name)
    found = made(name)
    kinds = {"job": "Job", "cronjob": "CronJob", "deployment": "Deployment"}
    for word in notes.replace("=", " ").split():
        kind, _, target = word.partition("/")
        if kind in kinds and target:
            assert f"{kinds[kind]}/{target}" in found
    on = {pod.component for pod in pods(documents(name))}
    assert ("JupyterLab" in notes, "The run" in notes) == ("jupyter" in on, "runner" in on)
    assert ("https://events.example.org/sns" in notes) == (name == "listener-jupyter")
    assert "listener" not in notes
    assert "sync" not in notes
    assert ("WARNING" in notes) == (not VALUES[name].get("tls", {}).get("enabled", True))


def test_the_notes_make_the_secret_that_pods_wait_for() -> None:
    command = next(line for line in _notes("defaults").splitlines() if line.strip().startswith("python -c"))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(shlex.split(command)[2], {})  # noqa: S102 (what a user is told to run)
    secret = json.loads(said.getvalue())
    assert not list(validator("1.32", "Secret", "v1").iter_errors(secret))
    for pod in pods(documents("defaults")):
        (mounted,) = [volume["secret"] for volume in pod.spec["volumes"] if "secret" in volume]
        assert mounted["secretName"] == secret["metadata"]["name"]
        assert {item["key"] for item in mounted["items"]} <= secret["stringData"].keys()


def test_the_notes_give_a_section_that_a_config_takes() -> None:
    from pydantic import TypeAdapter  # noqa: PLC0415

    from pipeline.config.clusters import ClusterConfig  # noqa: PLC0415

    lines = _notes("hpa", release="123", namespace="1e3").splitlines()
    at = lines.index("  clusters:")
    section = yaml.safe_load("\n".join(lines[at : at + 2]))["clusters"]["default"]
    taken: Any = TypeAdapter(ClusterConfig).validate_python(section)
    assert (taken.backend, taken.release, taken.namespace) == ("helm", "123", "1e3")


def _notes(name: str, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
    values = VALUES[name] | {"fullnameOverride": RELEASE}
    return chart().render(values, name=release, namespace=namespace)["groundswell/templates/NOTES.txt"]
