"""Pods live, fail, wait and end as Kubernetes has them; every process they started ends with them."""

from __future__ import annotations

import base64
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakekube import FakeKube
from tests.fakekube.manifests import deployment, job, pod, python, service
from tests.fakekube.waits import FOREVER, POLITE, STUBBORN, main_status, phase, ready, says, state

pytestmark = pytest.mark.long


def test_a_pod_runs_its_init_containers_first_and_keeps_its_exit_code(kube: FakeKube, namespace: str) -> None:
    volume = {"volumes": [{"name": "work", "emptyDir": {}}]}
    mount = [{"name": "work", "mountPath": "/work-here"}]
    write = python("import sys; open(sys.argv[1], 'w').write('done')", args=["/work-here/x"], volumeMounts=mount)
    read = python("import sys; print(open(sys.argv[1]).read()); sys.exit(3)", args=["/work-here/x"], volumeMounts=mount)
    kube.apply(pod("both", read, initContainers=[{**write, "name": "first"}], **volume), namespace=namespace)
    kube.until(lambda: phase(kube, "both", namespace) == "Failed", 30)
    ended = state(kube, "both", namespace, "terminated")
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    assert kube.logs("both", namespace) == "done\n"
    assert not kube.processes(namespace)


def test_secrets_reach_a_pod_as_soon_as_they_are_there(kube: FakeKube, namespace: str) -> None:
    volume = {"volumes": [{"name": "keys", "secret": {"secretName": "late"}}]}
    main = python(
        "import os; print(os.environ['late_token'], open(os.environ['KEY_FILE']).read())",
        volumeMounts=[{"name": "keys", "mountPath": "/etc/keys"}],
        env=[{"name": "KEY_FILE", "value": "/etc/keys/token"}],
        envFrom=[{"secretRef": {"name": "late"}, "prefix": "late_"}],
    )
    kube.apply(pod("p", main, **volume), namespace=namespace)
    kube.until(lambda: state(kube, "p", namespace, "waiting"), 30)
    assert any('Failed: secret "late" not found' in each for each in kube.events(namespace))
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "late"}}
    kube.apply({**secret, "data": {"token": base64.b64encode(b"hidden").decode()}}, namespace=namespace)
    kube.until(lambda: phase(kube, "p", namespace) == "Succeeded", 30)
    assert kube.logs("p", namespace) == "hidden hidden\n"


def test_a_graceful_end_is_the_hook_then_sigterm(kube: FakeKube, namespace: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    hook = {"exec": {"command": ["python", "-c", f"import os; open({str(told)!r}, 'w').write(os.environ['WORD'])"]}}
    main = python(POLITE, env=[{"name": "WORD", "value": "hooked"}], lifecycle={"preStop": hook})
    kube.apply(pod("p", main), namespace=namespace)
    says(kube, "p", namespace, "up")
    (process,) = kube.processes(namespace)
    kube.delete("pods", "p", namespace)
    kube.until(lambda: kube.get("pods", "p", namespace) is None, 30)
    assert told.read_text() == "hooked"
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


@pytest.mark.parametrize("hook", ["import time; time.sleep(1000)", None])
def test_after_its_grace_a_pod_is_killed_and_the_hook_has_no_grace_of_its_own(
    kube: FakeKube, namespace: str, hook: str | None
) -> None:
    lifecycle = {"lifecycle": {"preStop": {"exec": {"command": ["python", "-c", hook]}}}} if hook else {}
    kube.apply(pod("p", python(STUBBORN, **lifecycle), terminationGracePeriodSeconds=1), namespace=namespace)
    says(kube, "p", namespace, "up")
    kube.delete("pods", "p", namespace)
    ending = kube.get("pods", "p", namespace)
    assert ending and ending["metadata"]["deletionGracePeriodSeconds"] == 1
    kube.until(lambda: kube.get("pods", "p", namespace) is None, 30)
    assert not kube.processes(namespace)


def test_a_forced_deletion_is_at_once_and_a_deployment_makes_another(kube: FakeKube, namespace: str) -> None:
    kube.apply(deployment("d", python(STUBBORN)), namespace=namespace)
    (first,) = kube.until(ready(kube, namespace, 1), 30)
    kube.delete("pods", first["metadata"]["name"], namespace, grace_s=0)
    assert kube.get("pods", first["metadata"]["name"], namespace) is None
    (second,) = kube.until(ready(kube, namespace, 1), 30)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    kube.until(lambda: len(kube.processes(namespace)) == 1, 30)


def test_a_deployment_rolls_and_scales_and_serves_by_name(kube: FakeKube, namespace: str) -> None:
    serve = "import http.server; http.server.test(http.server.SimpleHTTPRequestHandler, port=8080, bind='0.0.0.0')"
    probe = {"readinessProbe": {"httpGet": {"port": "web"}}, "ports": [{"name": "web", "containerPort": 8080}]}
    kube.apply(
        deployment("web", python(serve, **probe), replicas=2),
        service("web", "web", [{"port": 80, "targetPort": "web"}]),
        namespace=namespace,
    )
    before = kube.until(ready(kube, namespace, 2), 30)
    addresses = {each["status"]["podIP"] for each in before}
    assert len(addresses) == 2, "both listen on the same port, each on its own address"
    get = (
        "import sys, requests; print(*(requests.get(f'http://{each}', timeout=9).status_code for each in sys.argv[1:]))"
    )
    names = [f"web.{namespace}.svc", f"web.{namespace}.svc.cluster.local"]
    kube.apply(pod("client", python(get, args=names)), namespace=namespace)
    kube.until(lambda: phase(kube, "client", namespace) == "Succeeded", 30, "a client of the service")
    assert kube.logs("client", namespace) == "200 200\n"
    changed = deployment("web", python(serve, env=[{"name": "A", "value": "1"}], **probe))
    kube.apply(changed, namespace=namespace)
    after = kube.until(ready(kube, namespace, 1, "app=web"), 30)
    assert not {each["metadata"]["uid"] for each in after} & {each["metadata"]["uid"] for each in before}
    kube.patch("deployments", "web", {"spec": {"replicas": 0}}, namespace)
    kube.until(lambda: not kube.list("pods", namespace, "app=web"), 30)


def test_a_container_that_crashes_waits_and_starts_again(kube: FakeKube, namespace: str) -> None:
    kube.apply(deployment("d", python("import sys; sys.exit(1)")), namespace=namespace)
    (one,) = kube.until(lambda: kube.list("pods", namespace), 30)
    name = one["metadata"]["name"]
    kube.until(lambda: state(kube, name, namespace, "waiting").get("reason") == "CrashLoopBackOff", 30)
    assert main_status(kube, name, namespace)["lastState"]["terminated"]["exitCode"] == 1


def test_the_out_of_memory_killer_is_seen_and_the_container_restarts(kube: FakeKube, namespace: str) -> None:
    kube.apply(deployment("d", python(FOREVER)), namespace=namespace)
    (one,) = kube.until(ready(kube, namespace, 1), 30)
    name = one["metadata"]["name"]
    says(kube, name, namespace, "up")
    kube.kill(name, namespace, signal.SIGKILL)
    kube.until(lambda: kube.logs(name, namespace).count("up") == 2, 30, "a second start")
    status = main_status(kube, name, namespace)
    last = status["lastState"]["terminated"]
    assert (status["restartCount"], last["exitCode"], last["reason"]) == (1, 137, "OOMKilled")


def test_a_failing_liveness_probe_restarts_and_a_failing_readiness_probe_hides(
    kube: FakeKube, namespace: str, tmp_path: Path
) -> None:
    here = tmp_path / "here"
    test = {"exec": {"command": ["test", "-e", str(here)]}, "periodSeconds": 0.1, "failureThreshold": 1}
    kube.apply(deployment("hides", python(FOREVER, readinessProbe=test)), namespace=namespace)
    kube.apply(deployment("dies", python(FOREVER, livenessProbe={**test, "periodSeconds": 0.5})), namespace=namespace)
    kube.until(lambda: any("failed liveness probe" in each for each in kube.events(namespace)), 30)
    assert not ready(kube, namespace, 1, "app=hides")()
    here.touch()
    kube.until(ready(kube, namespace, 1, "app=hides"), 30)
    here.unlink()
    kube.until(lambda: not ready(kube, namespace, 1, "app=hides")(), 30, "the end of readiness")


def test_jobs_end_well_or_with_a_reason_and_cron_jobs_make_them(kube: FakeKube, namespace: str) -> None:
    kube.apply(job("good", python("print('done')"), completions=2, parallelism=2), namespace=namespace)
    kube.apply(job("bad", python("raise SystemExit(2)"), backoffLimit=1), namespace=namespace)
    kube.apply(job("slow", python(FOREVER), activeDeadlineSeconds=1), namespace=namespace)
    template = {"spec": job("x", python("print('by hand')"), ttlSecondsAfterFinished=0)["spec"]}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"}}
    kube.apply({**cron, "spec": {"schedule": "0 3 * * *", "jobTemplate": template}}, namespace=namespace)
    made = kube.run_cronjob("nightly", namespace)

    def condition(name: str) -> Callable[[], str | None]:
        def ask() -> str | None:
            found = (kube.get("jobs", name, namespace) or {"status": {}})["status"].get("conditions", ())
            return f"{found[0]['type']} {found[0]['reason']}" if found else None

        return ask

    assert kube.until(condition("good"), 30) == "Complete CompletionsReached"
    assert kube.until(condition("bad"), 30) == "Failed BackoffLimitExceeded"
    assert kube.until(condition("slow"), 30) == "Failed DeadlineExceeded"
    counts = {name: (kube.get("jobs", name, namespace) or {})["status"] for name in ("good", "bad")}
    assert (counts["good"]["succeeded"], counts["bad"]["failed"]) == (2, 2)
    kube.until(lambda: kube.get("jobs", made, namespace) is None, 30, "the end of a job whose time is over")
    kube.until(lambda: not kube.processes(namespace), 30)


def test_a_command_in_a_container_has_its_environment(kube: FakeKube, namespace: str) -> None:
    kube.apply(pod("p", python(FOREVER, env=[{"name": "WORD", "value": "inside"}])), namespace=namespace)
    says(kube, "p", namespace, "up")
    assert kube.execute("p", namespace, "sh", "-c", "echo $WORD; exit 4") == (4, "inside\n")
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import socket; print(socket.gethostname)'])"
    assert kube.execute("p", namespace, "python", "-c", code)[0] == 0
    assert kube.execute("p", namespace, "no-such-program")[0] == 127


def test_children_that_multiprocessing_spawns_are_children_in_all_respects(kube: FakeKube, namespace: str) -> None:
    code = """
import multiprocessing as mp, os, sys
os.environ['ADDED'] = 'later'
context = mp.get_context('spawn')
queue = context.Queue()
child = context.Process(target=os.kill, args=(os.getpid(), 0))
child.start(); child.join()
bad = context.Process(target=sys.exit, args=(5,))
bad.start(); bad.join()
with context.Pool(2) as pool:
    print(child.exitcode, bad.exitcode, pool.map(abs, [-1, 2]), pool.apply(os.getenv, ('ADDED',)))
"""
    kube.apply(pod("p", python(code)), namespace=namespace)
    kube.until(lambda: phase(kube, "p", namespace) in {"Succeeded", "Failed"}, 30)
    assert kube.logs("p", namespace) == "0 5 [1, 2] later\n"


def test_a_pod_asks_the_api_as_its_service_account(kube: FakeKube, namespace: str) -> None:
    code = """
import os, requests, yaml
config = yaml.safe_load(open(os.environ["KUBECONFIG"]))
headers = {"Authorization": "Bearer " + config["users"][0]["user"]["token"]}
server = config["clusters"][0]["cluster"]["server"]
place = config["contexts"][0]["context"]["namespace"]
url = f"{server}/api/v1/namespaces/{place}"
print(*(requests.get(f"{url}/{kind}", headers=headers, timeout=9).status_code for kind in ("pods", "secrets")))
"""
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": "reader"}}
    rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}
    subject = {"kind": "ServiceAccount", "name": "reader"}
    kube.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}},
        {**head, "kind": "Role", "rules": [rule]},
        {**head, "kind": "RoleBinding", "roleRef": {"kind": "Role", "name": "reader"}, "subjects": [subject]},
        pod("reader", python(code), serviceAccountName="reader"),
        pod("nobody", python("import os; print('KUBECONFIG' in os.environ)"), automountServiceAccountToken=False),
        namespace=namespace,
    )
    kube.until(lambda: {phase(kube, each, namespace) for each in ("reader", "nobody")} == {"Succeeded"}, 30)
    assert kube.logs("reader", namespace) == "200 403\n"
    assert kube.asked(namespace, "reader") == {("pods", "list"), ("secrets", "list")}
    assert kube.logs("nobody", namespace) == "False\n"
