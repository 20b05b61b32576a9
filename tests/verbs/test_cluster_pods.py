"""On Kubernetes a driver leaves its time at its cluster: by it the verb tells dead drivers from live ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cluster.backend import render
from cluster.labels import RENEWED, resource_name
from cluster.spec import KubernetesSpec
from tests.cluster.pod_specs import pod_spec
from tests.fakekube import FakeKube
from tests.verbs.making import groundswell
from tests.verbs.test_cluster import RUN, write

OLDER = "20261121T100000000Z-0000aa"


def make(kube: FakeKube, spec: KubernetesSpec, silent: timedelta) -> str:
    """The DaskCluster of a run whose driver was last heard of so long ago."""
    manifest = dict(render(spec)["cluster"])
    renewed = (datetime.now(UTC) - silent).strftime("%Y-%m-%dT%H:%M:%SZ")
    annotations = {**manifest["metadata"].get("annotations", {}), RENEWED: renewed}
    kube.apply({**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}, namespace=spec.namespace)
    return resource_name(spec)


@pytest.mark.long
def test_gc_ends_the_cluster_of_a_dead_driver(
    operator: FakeKube, namespace: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dead driver's goes with all that belongs to it; the live one's stays, also when it is named."""
    where = {"namespace": namespace, "context": operator.context, "kubeconfig": str(operator.kubeconfig)}
    pods = {"backend": "kubernetes", "image": "groundswell:test", "workers": [1, 1], "worker_memory": "1GiB", **where}
    config = write(tmp_path, eu_central_1=pods)
    dead = make(operator, pod_spec(run=OLDER, **where), timedelta(hours=2))
    live = make(operator, pod_spec(run=RUN, **where), timedelta(seconds=5))
    assert groundswell("cluster", "list", config, "--json") == 0
    told = {one["name"]: one for one in json.loads(capsys.readouterr().out)["clusters"]}
    assert told.keys() == {dead, live}
    assert told[dead]["run"] == OLDER
    assert told[dead]["silent_s"] >= 7200
    assert told[live]["silent_s"] < 900
    assert groundswell("cluster", "gc", config, "--run", RUN) == 0
    assert "its driver was heard of" in capsys.readouterr().out
    assert groundswell("cluster", "gc", config) == 0
    said = capsys.readouterr().out
    assert f"ended: {dead}" in said
    assert f"kept: {live}" in said
    assert operator.get("daskclusters", dead, namespace) is None
    assert operator.get("daskclusters", live, namespace) is not None
    assert operator.list("pods", namespace, f"dask.org/cluster-name={dead}") == []
    assert groundswell("cluster", "gc", config, "--run", RUN, "--silent-for", "0") == 0
    assert f"ended: {live}" in capsys.readouterr().out
    assert operator.list("daskclusters", namespace) == []
