"""Jobs, and CronJobs by hand: pods that are to end well, so many times."""

from __future__ import annotations

import copy

from tests.fakekube import objects
from tests.fakekube.controllers import make_pod, run_each
from tests.fakekube.errors import Json
from tests.fakekube.store import Store


def run_jobs(store: Store) -> None:
    run_each(store, "jobs", _run_job)


def job_of(store: Store, cron: Json) -> Json:
    """A Job of a CronJob, made now as `kubectl create job --from` makes it; its clock is not kept here."""
    template = copy.deepcopy(cron["spec"]["jobTemplate"])
    meta = template.get("metadata") or {}
    meta |= {
        "name": f"{objects.name_of(cron)}-{objects.suffix()}",
        "ownerReferences": [objects.owner_reference(cron)],
        "annotations": {**(meta.get("annotations") or {}), "cronjob.kubernetes.io/instantiate": "manual"},
    }
    job = {"metadata": meta, "spec": template["spec"]}
    return store.create(store.resources.get("batch/v1", "jobs"), objects.namespace_of(cron), job)


def _run_job(store: Store, job: Json) -> None:
    spec, status = job["spec"], job.get("status") or {}
    mine = [pod for pod in store.list("pods", objects.namespace_of(job)) if objects.owned_by(pod, job)]
    if objects.holds(job, "Complete") or objects.holds(job, "Failed"):
        kept = spec.get("ttlSecondsAfterFinished")
        since = max(each["lastTransitionTime"] for each in status["conditions"])
        if kept is not None and objects.seconds_since(since) >= kept:
            store.delete(job)
        return
    if not status.get("startTime"):
        store.set_status(job, {"startTime": objects.now()})
    good = sum(pod["status"].get("phase") == "Succeeded" for pod in mine)
    bad = sum(pod["status"].get("phase") == "Failed" for pod in mine)
    active = [pod for pod in mine if not objects.finished(pod) and not objects.ending(pod)]
    restarts = sum(each["restartCount"] for pod in active for each in pod["status"].get("containerStatuses") or ())
    store.set_status(job, {"active": len(active), "succeeded": good, "failed": bad, "ready": len(active)})
    if good >= spec["completions"]:
        _finish(store, job, "Complete", "CompletionsReached", "")
    elif bad + restarts > spec["backoffLimit"]:
        _fail(store, job, active, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
    elif _late(job):
        _fail(store, job, active, "DeadlineExceeded", "Job was active longer than specified deadline")
    elif not spec.get("suspend"):
        name = objects.name_of(job)
        uid = job["metadata"]["uid"]
        labels = {
            "batch.kubernetes.io/controller-uid": uid,
            "controller-uid": uid,
            "batch.kubernetes.io/job-name": name,
            "job-name": name,
        }
        for _ in range(min(spec["parallelism"], spec["completions"] - good) - len(active)):
            make_pod(store, job, spec["template"], {"generateName": f"{name}-"}, labels)


def _late(job: Json) -> bool:
    most = job["spec"].get("activeDeadlineSeconds")
    began = (job.get("status") or {}).get("startTime")
    return most is not None and began is not None and objects.seconds_since(began) > most


def _fail(store: Store, job: Json, active: list[Json], reason: str, message: str) -> None:
    for pod in active:
        store.delete(pod)
    _finish(store, job, "Failed", reason, message)
    store.event(job, reason, message)


def _finish(store: Store, job: Json, kind: str, reason: str, message: str) -> None:
    stamp = objects.now()
    words = {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": stamp}
    done = {"completionTime": stamp} if kind == "Complete" else {}
    store.set_status(job, {"conditions": [words], "active": 0, "ready": 0, **done})
