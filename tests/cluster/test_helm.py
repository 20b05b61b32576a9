"""What a run asks of the chart follows from its spec alone, and what the chart or Helm refuses says what to change."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import helm_python
import pytest

from cluster.backend import ClusterError, open_cluster, render
from cluster.chart import told, values_of
from cluster.helm import _fixed
from cluster.labels import labels_of, resource_name
from cluster.spec import HelmSpec
from tests.cluster.pod_specs import SPEC


def helm_spec(**changes: Any) -> HelmSpec:
    """The spec of the other backend on Kubernetes, as a release."""
    same = {field.name: getattr(SPEC, field.name) for field in fields(SPEC)}
    return HelmSpec(**{**same, "backend": "helm", **changes})


def test_a_release_is_rendered_whole_and_always_the_same() -> None:
    spec = helm_spec()
    made, name = render(spec), resource_name(spec)
    assert made == render(spec)
    assert (made["release"], made["namespace"]) == (name, "geo")
    assert made["labels"] == labels_of(spec)
    scaler = made["manifests"][f"DaskAutoscaler/{name}"]["spec"]
    assert scaler == {"cluster": name, "minimum": 1, "maximum": 4}
    cluster = made["manifests"][f"DaskCluster/{name}"]
    assert cluster["spec"]["idleTimeout"] == 900
    assert cluster["metadata"]["labels"].items() >= (labels_of(spec) | {"app.kubernetes.io/managed-by": "Helm"}).items()


def test_a_cluster_of_one_size_needs_no_autoscaler() -> None:
    made = render(helm_spec(minimum=None))["manifests"]
    assert not any(name.startswith("DaskAutoscaler") for name in made)
    assert made[f"DaskCluster/{resource_name(helm_spec())}"]["spec"]["worker"]["replicas"] == 4


def test_further_values_are_put_over_those_of_the_spec_key_by_key() -> None:
    values = values_of(helm_spec(values={"autoscaling": {"mode": "none"}, "worker": {"priorityClassName": "low"}}))
    assert values["autoscaling"] == {"mode": "none", "minimum": 1, "maximum": 4}
    assert values["worker"]["priorityClassName"] == "low" and values["worker"]["threads"] == 2


def test_a_release_begins_without_an_autoscaler() -> None:
    """The operator asks the scheduler as soon as there is one, and where that fails not again for a minute."""
    assert _fixed(values_of(helm_spec()))["autoscaling"] == {"mode": "dask", "minimum": 1, "maximum": 1}
    none = values_of(helm_spec(values={"autoscaling": {"mode": "none"}}))
    assert _fixed(none) == none


def test_without_the_operator_a_release_is_of_deployments() -> None:
    made = render(helm_spec(values={"autoscaling": {"mode": "none"}}))["manifests"]
    kinds = {name.partition("/")[0] for name in made}
    assert "Deployment" in kinds and not kinds & {"DaskCluster", "DaskAutoscaler"}


@pytest.mark.parametrize("key", ["run", "tls", "fullnameOverride"])
def test_values_that_the_backend_counts_on_are_refused(key: str) -> None:
    with pytest.raises(ClusterError, match=f"region eu-central-1: helm: values may not have {key}"):
        values_of(helm_spec(values={key: {}}))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"worker": {"thread": 2}}, "thread"),
        ({"autoscaling": {"mode": "keda"}}, "mode"),
        ({"worker": {"memory": "much"}}, "memory"),
        ({"dask": ["a"]}, "dask"),
    ],
)
def test_a_wrong_value_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ClusterError, match=rf"(?s)region eu-central-1: helm release .*{message}.*change `values:`"):
        render(helm_spec(values=values))


def test_a_chart_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=f"no chart in {tmp_path}: name the folder helm/groundswell by `chart:`"):
        render(helm_spec(chart=str(tmp_path)))


def test_a_standing_release_is_only_named() -> None:
    """Nothing of it is made, so nothing is shown of what our values would make."""
    assert render(helm_spec(release="shared")) == {"release": "shared", "namespace": "geo"}


def test_an_unreachable_kubernetes_is_named(tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "{apiVersion: v1, kind: Config, current-context: gone, users: [{name: u, user: {token: t}}], "
        "clusters: [{name: gone, cluster: {server: 'http://127.0.0.1:9'}}], "
        "contexts: [{name: gone, context: {cluster: gone, user: u}}]}"
    )
    spec = helm_spec(kubeconfig=str(kubeconfig))
    with pytest.raises(ClusterError, match=r"region eu-central-1.*namespace geo"), open_cluster(spec):
        pass


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (helm_python.HelmNotFoundError("release: not found"), "install it, or leave out `release:`"),
        (helm_python.HelmReleaseError('no matches for kind "DaskCluster" in version "v1"'), "is not installed: `helm"),
        (helm_python.HelmReleaseError("cannot reuse a name that is still in use"), "`groundswell cluster gc` removes"),
    ],
)
def test_what_helm_refuses_says_what_to_do(error: helm_python.HelmError, advice: str) -> None:
    with (
        pytest.raises(ClusterError, match=f"{resource_name(helm_spec())} .namespace geo.: .*{advice}"),
        told(helm_spec()),
    ):
        raise error
