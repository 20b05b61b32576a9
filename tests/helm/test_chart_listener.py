"""The chart's listener at work, on a stand-in for Kubernetes: what it acknowledged is there after it was killed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import requests

from cluster.podstates import is_ready
from tests.fakekube import FakeKube
from tests.helm.charts import CHART
from tests.servers.sns import run_sns, s3_message

pytestmark = pytest.mark.long

NAME, BUCKET = "waves", "arrivals"
LISTENER = "app.kubernetes.io/component=listener"


def ready(kube: FakeKube, namespace: str) -> dict[str, Any]:
    """The listener's pod, once Kubernetes would send it posts."""

    def only() -> dict[str, Any] | None:
        found = [pod for pod in kube.list("pods", namespace, LISTENER) if is_ready(pod)]
        return found[0] if len(found) == 1 else None

    return kube.until(only, 60, what="a listener that is ready")


def post(pod: dict[str, Any], document: dict[str, str]) -> tuple[int, str]:
    with requests.Session() as session:
        session.trust_env = False  # a pod's address is no stranger's
        answer = session.post(f"http://{pod['status']['podIP']}:8080/sns", data=json.dumps(document), timeout=30)
    return answer.status_code, answer.text.strip()


def test_what_the_listener_took_outlives_its_pod(kube: FakeKube, namespace: str, tmp_path: Path) -> None:
    """A post is stored, the same again is a duplicate also to the pod that comes next, and its check is made."""
    root, output = tmp_path / "root", tmp_path / "output"
    (root / BUCKET).mkdir(parents=True)
    (tmp_path / "sns").mkdir()
    (root / BUCKET / "good.csv").write_text("a,b\n1,2\n")
    with (
        run_sns(tmp_path / "sns") as sns,
        helm.Config(kubeconfig_path=kube.kubeconfig, namespace=namespace) as config,
    ):
        rules = {
            "name": "arrivals",
            "inbox": "elsewhere.sqlite",
            "topics": [sns.arn()],
            "buckets": {BUCKET: {}},
            "sns": {"endpoint": sns.endpoint, "trust": str(sns.trust)},
            "rules": {"all": {"match": {"bucket": BUCKET}, "check": {}}},
            "output": str(output),
        }
        values = {
            "image": {"reference": "groundswell:test"},
            "cluster": {"enabled": False},
            "events": {"config": rules},
            "listener": {"enabled": True, "memory": "1Gi", "env": {"LOCAL_S3_ROOT": str(root)}},
            # The SNS of the tests has a port of its own.
            "networkPolicy": {
                "egress": [{"ports": [{"protocol": "TCP", "port": int(sns.endpoint.rpartition(":")[2])}]}]
            },
        }
        config.install(CHART, NAME, values)
        first = ready(kube, namespace)
        document = sns.notification(s3_message(BUCKET, "good.csv", sequencer="0A", size=8, etag="x"))
        assert post(first, document) == (200, "stored")
        assert post(first, {**document, "Subject": "forged"})[0] == 403
        assert post(first, document) == (200, "duplicate")
        kube.kill(first["metadata"]["name"], namespace)
        kube.delete("pods", first["metadata"]["name"], namespace, grace_s=0)
        second = ready(kube, namespace)
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert post(second, document) == (200, "duplicate")
        result = output / "checks" / "all" / BUCKET / "good.csv.json"
        kube.until(result.is_file, 90, what="the result of the check")
        assert json.loads(result.read_bytes())["verdict"] == "pass"
        config.uninstall(NAME)
        assert kube.get("persistentvolumeclaims", f"{NAME}-inbox", namespace), "it is kept"
        kube.delete("persistentvolumeclaims", f"{NAME}-inbox", namespace)
