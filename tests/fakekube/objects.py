"""What every object is given when it is made, and small questions about objects that several parts ask."""

from __future__ import annotations

import base64
import random
import string
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from tests.fakekube.errors import Json, invalid

_LETTERS = string.ascii_lowercase + string.digits


def now() -> str:
    """Time in UTC, in whole seconds, as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds_since(stamp: str) -> float:
    """Seconds between a time that the API wrote and now."""
    return (datetime.now(UTC) - datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)).total_seconds()


def suffix(length: int = 5) -> str:
    return "".join(random.choices(_LETTERS, k=length))  # noqa: S311 (a name, no secret)


def begin(value: Json, namespace: str, api_version: str, kind: str) -> None:
    """Fill in what the API itself writes in a new object. Raises ApiError 422 without a name."""
    meta = value.setdefault("metadata", {})
    if not meta.get("name"):
        if not meta.get("generateName"):
            raise invalid(f"{kind}: metadata.name: Required value: name or generateName is required")
        meta["name"] = meta["generateName"] + suffix()
    meta.pop("managedFields", None)
    if namespace:
        meta["namespace"] = namespace
    meta.update(uid=str(uuid.uuid4()), creationTimestamp=now(), generation=1)
    value["apiVersion"], value["kind"] = api_version, kind
    for default in _DEFAULTS.get(kind, ()):
        default(value)


def _pod(value: Json) -> None:
    spec = value.setdefault("spec", {})
    if not spec.get("containers"):
        raise invalid(f'Pod "{value["metadata"]["name"]}" is invalid: spec.containers: Required value')
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    value["status"] = {"phase": "Pending"}


def _service(value: Json) -> None:
    spec = value.setdefault("spec", {})
    spec.setdefault("type", "ClusterIP")
    for port in spec.get("ports", ()):
        port.setdefault("targetPort", port["port"])
        port.setdefault("protocol", "TCP")
    value["status"] = {"loadBalancer": {}}


def _replicated(value: Json) -> None:
    spec = value["spec"]
    if spec.get("replicas") is None:
        spec["replicas"] = 1
    labels = spec["template"].get("metadata", {}).get("labels") or {}
    wanted = (spec.get("selector") or {}).get("matchLabels") or {}
    if not wanted or any(labels.get(key) != each for key, each in wanted.items()):
        raise invalid(
            f'{value["kind"]} "{value["metadata"]["name"]}" is invalid: spec.template.metadata.labels: '
            "`selector` does not match template `labels`"
        )
    value["status"] = {}


def _job(value: Json) -> None:
    spec = value["spec"]
    spec.setdefault("parallelism", 1)
    spec.setdefault("completions", 1)
    spec.setdefault("backoffLimit", 6)
    uid = value["metadata"]["uid"]
    spec.setdefault("selector", {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
    if spec["template"]["spec"].get("restartPolicy") not in {"Never", "OnFailure"}:
        raise invalid(
            f'Job "{value["metadata"]["name"]}" is invalid: spec.template.spec.restartPolicy: '
            'Required value: valid values: "OnFailure", "Never"'
        )
    value["status"] = {}


def _secret(value: Json) -> None:
    """Texts are stored encoded, and only so."""
    value.setdefault("type", "Opaque")
    plain = value.pop("stringData", None) or {}
    if plain:
        coded = {key: base64.b64encode(text.encode()).decode() for key, text in plain.items()}
        value["data"] = {**(value.get("data") or {}), **coded}


def _namespace(value: Json) -> None:
    meta = value["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
    value["status"] = {"phase": "Active"}


_DEFAULTS: dict[str, Sequence[Any]] = {
    "Pod": (_pod,),
    "Service": (_service,),
    "Deployment": (_replicated,),
    "StatefulSet": (_replicated,),
    "Job": (_job,),
    "Secret": (_secret,),
    "Namespace": (_namespace,),
}


def owned_by(value: Json, owner: Json) -> bool:
    return any(each.get("uid") == owner["metadata"]["uid"] for each in value["metadata"].get("ownerReferences", ()))


def owner_reference(owner: Json) -> Json:
    meta = owner["metadata"]
    head = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
    return {**head, "controller": True, "blockOwnerDeletion": True}


def condition(value: Json, kind: str) -> Json | None:
    found: Iterator[Json] = (each for each in (value.get("status") or {}).get("conditions", ()) if each["type"] == kind)
    return next(found, None)


def holds(value: Json, kind: str) -> bool:
    """Whether a condition of that type is True."""
    found = condition(value, kind)
    return found is not None and found["status"] == "True"


def ending(value: Json) -> bool:
    return bool(value["metadata"].get("deletionTimestamp"))


def finished(pod: Json) -> bool:
    return pod["status"].get("phase") in {"Succeeded", "Failed"}


def name_of(value: Json) -> str:
    return cast("str", value["metadata"]["name"])


def namespace_of(value: Json) -> str:
    return cast("str", value["metadata"].get("namespace", ""))
