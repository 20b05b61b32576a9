"""The kinds that the API serves: those built in, and those that a CustomResourceDefinition adds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.fakekube.errors import ApiError, Json

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
VERSION: Mapping[str, str] = {"major": "1", "minor": "32", "gitVersion": "v1.32.4", "platform": "linux/amd64"}


@dataclass(frozen=True)
class Resource:
    """One kind of object, in one version."""

    api_version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    replicas: tuple[str, ...] = ("spec", "replicas")
    """Where the wanted number stands, for the scale subresource."""
    schema: Mapping[str, Any] = field(default_factory=dict, compare=False)
    """openAPIV3Schema of a custom resource; empty for built-in kinds."""

    @property
    def group(self) -> str:
        return self.api_version.rpartition("/")[0]

    @property
    def key(self) -> tuple[str, str]:
        """Group and plural: all versions of a kind are the same objects."""
        return self.group, self.plural

    def _categories(self) -> list[str]:
        return ["all"] if self.plural in {"pods", "services", "deployments", "statefulsets", "jobs", "cronjobs"} else []

    def discovery(self) -> Iterator[Json]:
        common = {"namespaced": self.namespaced, "kind": self.kind}
        names = {"singularName": self.kind.lower(), "shortNames": list(self.short), "categories": self._categories()}
        yield {"name": self.plural, "verbs": list(VERBS), **common, **names}
        for each in self.subresources:
            kind = {"scale": "Scale", "eviction": "Eviction"}.get(each, self.kind)
            yield {
                "name": f"{self.plural}/{each}",
                "singularName": "",
                "verbs": ["create", "get", "patch", "update"],
                **common,
                "kind": kind,
            }


# Plural, kind, short name, subresources; a leading * is a kind without namespaces.
_STATUS = "status"
_SCALE = "status scale"
_BUILT_IN: Mapping[str, tuple[tuple[str, str, str, str], ...]] = {
    "v1": (
        ("*namespaces", "Namespace", "ns", "status finalize"),
        ("*nodes", "Node", "no", _STATUS),
        ("*persistentvolumes", "PersistentVolume", "pv", _STATUS),
        ("pods", "Pod", "po", "status log portforward exec eviction"),
        ("services", "Service", "svc", _STATUS),
        ("endpoints", "Endpoints", "ep", ""),
        ("configmaps", "ConfigMap", "cm", ""),
        ("secrets", "Secret", "", ""),
        ("serviceaccounts", "ServiceAccount", "sa", "token"),
        ("events", "Event", "ev", ""),
        ("persistentvolumeclaims", "PersistentVolumeClaim", "pvc", _STATUS),
        ("replicationcontrollers", "ReplicationController", "rc", _SCALE),
        ("resourcequotas", "ResourceQuota", "quota", _STATUS),
        ("limitranges", "LimitRange", "limits", ""),
    ),
    "apps/v1": (
        ("deployments", "Deployment", "deploy", _SCALE),
        ("statefulsets", "StatefulSet", "sts", _SCALE),
        ("replicasets", "ReplicaSet", "rs", _SCALE),
        ("daemonsets", "DaemonSet", "ds", _STATUS),
    ),
    "autoscaling/v2": (("horizontalpodautoscalers", "HorizontalPodAutoscaler", "hpa", _STATUS),),
    "batch/v1": (("jobs", "Job", "", _STATUS), ("cronjobs", "CronJob", "cj", _STATUS)),
    "networking.k8s.io/v1": (
        ("networkpolicies", "NetworkPolicy", "netpol", ""),
        ("ingresses", "Ingress", "ing", _STATUS),
        ("*ingressclasses", "IngressClass", "", ""),
    ),
    "policy/v1": (("poddisruptionbudgets", "PodDisruptionBudget", "pdb", _STATUS),),
    "rbac.authorization.k8s.io/v1": (
        ("roles", "Role", "", ""),
        ("rolebindings", "RoleBinding", "", ""),
        ("*clusterroles", "ClusterRole", "", ""),
        ("*clusterrolebindings", "ClusterRoleBinding", "", ""),
    ),
    "apiextensions.k8s.io/v1": (("*customresourcedefinitions", "CustomResourceDefinition", "crd", _STATUS),),
    "coordination.k8s.io/v1": (("leases", "Lease", "", ""),),
    "storage.k8s.io/v1": (("*storageclasses", "StorageClass", "sc", ""),),
    "scheduling.k8s.io/v1": (("*priorityclasses", "PriorityClass", "pc", ""),),
    "authorization.k8s.io/v1": (("*selfsubjectaccessreviews", "SelfSubjectAccessReview", "", ""),),
}


def _built_in() -> Iterator[Resource]:
    for version, rows in _BUILT_IN.items():
        for plural, kind, short, further in rows:
            yield Resource(
                api_version=version,
                plural=plural.lstrip("*"),
                kind=kind,
                namespaced=not plural.startswith("*"),
                short=(short,) if short else (),
                subresources=tuple(further.split()),
            )


class Resources:
    """The kinds served now, by version and plural."""

    def __init__(self) -> None:
        self._all = {(each.api_version, each.plural): each for each in _built_in()}

    def __iter__(self) -> Iterator[Resource]:
        return iter(tuple(self._all.values()))

    def get(self, api_version: str, plural: str) -> Resource:
        """Raises ApiError 404 for a kind that is not served."""
        found = self._all.get((api_version, plural))
        if found is None:
            raise ApiError(404, "NotFound", f"the server could not find the requested resource {api_version} {plural}")
        return found

    def named(self, name: str) -> Resource:
        """By plural, kind or short name, as `kubectl get` takes them. Raises ApiError 404."""
        for each in self:
            if name in {each.plural, each.kind, each.kind.lower(), *each.short}:
                return each
        raise ApiError(404, "NotFound", f"the server doesn't have a resource type {name!r}")

    def add(self, definition: Json) -> None:
        """Serve what a CustomResourceDefinition describes."""
        spec = definition["spec"]
        for version in spec["versions"]:
            if not version.get("served", True):
                continue
            further = version.get("subresources") or {}
            path = (further.get("scale") or {}).get("specReplicasPath", ".spec.replicas")
            resource = Resource(
                api_version=f"{spec['group']}/{version['name']}",
                plural=spec["names"]["plural"],
                kind=spec["names"]["kind"],
                namespaced=spec["scope"] == "Namespaced",
                short=tuple(spec["names"].get("shortNames", ())),
                subresources=tuple(further),
                replicas=tuple(path.strip(".").split(".")),
                schema=(version.get("schema") or {}).get("openAPIV3Schema") or {},
            )
            self._all[resource.api_version, resource.plural] = resource

    def drop(self, definition: Json) -> list[Resource]:
        """Serve it no longer; what was served."""
        spec = definition["spec"]
        gone = [each for each in self if each.key == (spec["group"], spec["names"]["plural"])]
        for each in gone:
            del self._all[each.api_version, each.plural]
        return gone

    def groups(self) -> list[Json]:
        """Documents of the API groups, the core group left out."""
        versions: dict[str, list[Json]] = {}
        for each in self:
            document = {"groupVersion": each.api_version, "version": each.api_version.rpartition("/")[2]}
            if each.group and document not in versions.setdefault(each.group, []):
                versions[each.group].append(document)
        return [
            {"name": name, "versions": documents, "preferredVersion": documents[0]}
            for name, documents in versions.items()
        ]

    def listing(self, api_version: str) -> Json:
        """What one group and version holds. Raises ApiError 404."""
        found = [document for each in self if each.api_version == api_version for document in each.discovery()]
        if not found:
            raise ApiError(404, "NotFound", f"the server could not find the requested resource {api_version}")
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": found}
