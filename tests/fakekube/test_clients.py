"""kubectl, kr8s and Helm work on the stand-in as they are."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fakekube import FakeKube
from tests.fakekube.client import run_fakekube
from tests.fakekube.errors import Json
from tests.fakekube.manifests import deployment, pod, python, service
from tests.fakekube.objects import holds

pytestmark = pytest.mark.long

ECHO = """
import socket
with socket.create_server(("", 7000)) as server:
    while True:
        client, _ = server.accept()
        with client:
            while data := client.recv(65536):
                client.sendall(data[::-1])
"""
WAIT = "import time; print('up', flush=True); time.sleep(1000)"


@pytest.fixture
def kubectl(kube: FakeKube, namespace: str, need_binary: Callable[[str], str]) -> Callable[..., str]:
    binary = need_binary("kubectl")

    def run(*arguments: str, given: Any = None) -> str:
        command = [binary, "-n", namespace, *arguments]
        environment = {**os.environ, "KUBECONFIG": str(kube.kubeconfig)}
        text = None if given is None else yaml.safe_dump(given)
        done = subprocess.run(
            command, input=text, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_kubectl_applies_patches_scales_waits_reads_executes_and_deletes(
    kubectl: Callable[..., str], kube: FakeKube, namespace: str
) -> None:
    kubectl("apply", "-f", "-", given=deployment("d", python(WAIT, env=[{"name": "A", "value": "1"}])))
    kubectl("rollout", "status", "deployment/d", "--timeout=30s")
    kubectl("set", "env", "deployment/d", "B=2")  # a strategic merge patch
    kubectl("rollout", "status", "deployment/d", "--timeout=30s")
    kubectl("wait", "--for=condition=Available", "deployment/d", "--timeout=30s")
    (found,) = json.loads(kubectl("get", "deployments", "-o", "json"))["items"]
    values = {each["name"]: each["value"] for each in found["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert values == {"A": "1", "B": "2"}
    kubectl("scale", "deployment/d", "--replicas=2")
    kube.until(lambda: sum(holds(each, "Ready") for each in kube.list("pods", namespace, "app=d")) == 2, 30)
    assert kubectl("logs", "deployment/d") == "up\n"
    assert kubectl("exec", "deployment/d", "--", "sh", "-c", "echo $B") == "2\n"
    assert "pod/d-" in kubectl("get", "all", "-o", "name")
    kubectl("delete", "deployment", "d")
    kube.until(lambda: kube.everything(namespace) == [], 30)


def test_kr8s_forwards_ports_and_streams_logs(kube_env: FakeKube, namespace: str) -> None:
    kr8s = pytest.importorskip("kr8s")
    kube = kube_env
    probe = {"readinessProbe": {"tcpSocket": {"port": 7000}}}
    kube.apply(deployment("echo", python(ECHO, **probe)), namespace=namespace)
    kube.apply(service("echo", "echo", [{"port": 7000}]), namespace=namespace)
    kube.until(lambda: any(holds(each, "Ready") for each in kube.list("pods", namespace)), 30)
    api = kr8s.api(kubeconfig=str(kube.kubeconfig), namespace=namespace)
    (found,) = api.get("services", "echo")
    with found.portforward(7000, "auto") as port, socket.create_connection(("127.0.0.1", port)) as line:
        sent = os.urandom(2**20)
        line.settimeout(30)
        line.sendall(sent[:100])
        assert line.recv(100) == sent[:100][::-1]
    kube.apply(pod("p", python("print('one'); print('two')")), namespace=namespace)
    kube.until(lambda: (kube.get("pods", "p", namespace) or {})["status"]["phase"] == "Succeeded", 30)
    (pods,) = api.get("pods", "p")
    assert list(pods.logs()) == ["one", "two"]
    assert list(pods.logs(tail_lines=1)) == ["two"]


def chart(folder: Path) -> Path:
    """A small chart: a ConfigMap that a Deployment reads, and a test hook."""
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text("apiVersion: v2\nname: small\nversion: 0.1.0\n")
    (folder / "values.yaml").write_text("word: one\nextra: true\n")
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings"},
        "data": {"WORD": "WORD_HERE"},
    }
    main = python("import os, time; print(os.environ['WORD'], flush=True); time.sleep(1000)")
    release = deployment("main", main | {"envFrom": [{"configMapRef": {"name": "settings"}}]})
    release["spec"]["template"]["metadata"]["annotations"] = {"word": "WORD_HERE"}
    hook = pod("check", python("print('checked')"))
    hook["metadata"]["annotations"] = {"helm.sh/hook": "test", "helm.sh/hook-delete-policy": "hook-succeeded"}
    text = yaml.safe_dump_all([settings, release, hook]).replace("WORD_HERE", "{{ .Values.word }}")
    (folder / "templates" / "all.yaml").write_text(text)
    return folder


def test_helm_installs_upgrades_tests_rolls_back_and_uninstalls(kube: FakeKube, namespace: str, tmp_path: Path) -> None:
    helm = pytest.importorskip("helm_python")
    path = str(chart(tmp_path / "small"))

    def log() -> str:
        pods: list[Json] = [each for each in kube.list("pods", namespace, "app=main") if holds(each, "Ready")]
        return kube.logs(pods[0]["metadata"]["name"], namespace) if len(pods) == 1 else ""

    with helm.Config(kubeconfig_path=str(kube.kubeconfig), namespace=namespace) as config:
        config.install(path, "r", {}, wait="watcher", timeout=30)
        kube.until(lambda: log() == "one\n", 30)
        config.upgrade(path, "r", {"word": "two"}, wait="watcher", timeout=30)
        kube.until(lambda: log() == "two\n", 30)
        assert "checked" in config.test("r", timeout=30, logs=True)["logs"]
        config.rollback("r", version=1, wait="watcher", timeout=30)
        kube.until(lambda: log() == "one\n", 30)
        assert [each["status"] for each in config.history("r")] == ["superseded", "superseded", "deployed"]
        config.uninstall("r", wait="watcher", timeout=30)
    kube.until(lambda: kube.everything(namespace) == [], 30)


def test_it_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with run_fakekube(tmp_path / "own", preload=()) as kube:
        kube.apply(pod("p", python(f"import os; os.spawnlp(os.P_NOWAIT, 'sleep', 'sleep', '1000'); {WAIT}")))
        kube.until(lambda: "up" in kube.logs("p", "default"), 30)
        processes = kube.processes()
        assert len(processes) == 1
    for each in processes:
        with pytest.raises(ProcessLookupError):
            os.killpg(each, 0)
