"""The objects, and the log of their changes that watches read: one writer, nothing on disk.

An object that is stored is never changed: each write puts a new one, so that the log can hold them all.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from tests.fakekube import objects
from tests.fakekube.errors import ApiError, Json, conflict, not_found
from tests.fakekube.patches import merged
from tests.fakekube.resources import Resource, Resources
from tests.fakekube.schemas import admitted

_FIXED = ("uid", "creationTimestamp", "namespace", "name", "deletionTimestamp", "deletionGracePeriodSeconds")

Query = tuple[str, str]
"""Namespace, empty for kinds that have none, and name."""


@dataclass(frozen=True)
class Change:
    """One entry of the log."""

    revision: int
    key: tuple[str, str]
    kind: str
    """ADDED, MODIFIED or DELETED."""
    value: Json
    before: Json | None


class Store:
    """Everything there is; raises ApiError as the API answers."""

    def __init__(self) -> None:
        self.resources = Resources()
        self.revision = 1000
        self.log: list[Change] = []
        self.applied: dict[tuple[str, str], Json] = {}
        """Uid and manager → the last config that the manager applied."""
        self._objects: dict[tuple[str, str], dict[Query, Json]] = {}
        self._watchers: set[asyncio.Event] = set()

    def watcher(self) -> asyncio.Event:
        """An event that is set at each change; give it back to `unwatch`."""
        event = asyncio.Event()
        self._watchers.add(event)
        return event

    def unwatch(self, event: asyncio.Event) -> None:
        self._watchers.discard(event)

    def wake(self) -> None:
        for event in self._watchers:
            event.set()

    def every(self) -> Iterator[tuple[Resource, Json]]:
        """All objects of all kinds; it may be changed meanwhile."""
        served = {resource.key: resource for resource in self.resources}
        for key, found in list(self._objects.items()):
            for value in list(found.values()):
                yield served[key], value

    def list(
        self, plural: str, namespace: str = "", fit: Callable[[Json], bool] | None = None, version: str = ""
    ) -> list[Json]:
        """Objects of one kind, oldest first; of all namespaces without one. `plural` may be any name of the kind."""
        resource = self.resources.get(version, plural) if version else self.resources.named(plural)
        return [
            value
            for (place, _), value in self._objects.get(resource.key, {}).items()
            if (not namespace or place == namespace) and (fit is None or fit(value))
        ]

    def find(self, resource: Resource, namespace: str, name: str) -> Json | None:
        return self._objects.get(resource.key, {}).get((namespace if resource.namespaced else "", name))

    def get(self, resource: Resource, namespace: str, name: str) -> Json:
        found = self.find(resource, namespace, name)
        if found is None:
            raise not_found(f"{resource.plural}{'.' if resource.group else ''}{resource.group}", name)
        return found

    def current(self, value: Json) -> Json | None:
        """The object as it is now; None where it is gone, or another one has its name."""
        resource = self.resources.named(value["kind"])
        found = self.find(resource, objects.namespace_of(value), objects.name_of(value))
        return found if found is not None and found["metadata"]["uid"] == value["metadata"]["uid"] else None

    def create(self, resource: Resource, namespace: str, value: Json, *, dry: bool = False) -> Json:
        value = copy.deepcopy(value)
        place = (namespace or value.get("metadata", {}).get("namespace") or "default") if resource.namespaced else ""
        objects.begin(value, place, resource.api_version, resource.kind)
        value = admitted(resource, value)
        name = objects.name_of(value)
        if place:
            self._check_namespace(place, resource, name)
        if self.find(resource, place, name) is not None:
            raise ApiError(409, "AlreadyExists", f'{resource.plural} "{name}" already exists')
        return value if dry else self._put(resource, "ADDED", value, None)

    def _check_namespace(self, place: str, resource: Resource, name: str) -> None:
        found = self.get(self.resources.get("v1", "namespaces"), "", place)
        if objects.ending(found) and resource.plural != "events":
            message = f'{resource.plural} "{name}" is forbidden: namespace {place} is being terminated'
            raise ApiError(403, "Forbidden", message)

    def replace(self, resource: Resource, value: Json, part: str = "", *, dry: bool = False) -> Json:
        """Write over the object of that name; part: `status`, or nothing for all but the status."""
        meta = value["metadata"]
        old = self.get(resource, meta.get("namespace", ""), meta["name"])
        wanted = meta.get("resourceVersion")
        if wanted and wanted != old["metadata"]["resourceVersion"]:
            raise conflict(
                f'Operation cannot be fulfilled on {resource.plural} "{meta["name"]}": the object has been modified; '
                "please apply your changes to the latest version and try again"
            )
        new = admitted(resource, self._next(resource, old, value, part))
        if dry or new == old:
            return new
        if objects.ending(new) and not new["metadata"].get("finalizers") and resource.plural != "pods":
            self.remove(new)
            return new
        return self._put(resource, "MODIFIED", new, old)

    def _next(self, resource: Resource, old: Json, value: Json, part: str) -> Json:
        if part == "status":
            new = {**copy.deepcopy(old), "status": copy.deepcopy(value.get("status"))}
        else:
            new = copy.deepcopy(value)
            if "status" in resource.subresources:
                new.pop("status", None)
                if "status" in old:
                    new["status"] = old["status"]
        before, meta = old["metadata"], new["metadata"]
        for name in _FIXED:
            if name in before:
                meta[name] = before[name]
            else:
                meta.pop(name, None)
        meta.pop("managedFields", None)
        meta["resourceVersion"] = before["resourceVersion"]
        meta["generation"] = before.get("generation", 1) + (new.get("spec") != old.get("spec"))
        new["apiVersion"], new["kind"] = old["apiVersion"], old["kind"]
        return new

    def set_status(self, value: Json, status: Json) -> None:
        """Merge into the status of an object, as its controller does; nothing where it is gone."""
        old = self.current(value)
        if old is None:
            return
        new = {**old, "status": merged(old.get("status"), status)}
        if new != old:
            self._put(self.resources.named(old["kind"]), "MODIFIED", new, old)

    def set_meta(self, value: Json, **fields: object) -> None:
        """Set fields of an object's metadata; None removes one."""
        old = self.current(value)
        if old is not None:
            meta = merged(old["metadata"], fields)
            self._put(self.resources.named(old["kind"]), "MODIFIED", {**old, "metadata": meta}, old)

    def set_spec(self, value: Json, **fields: object) -> None:
        """Set fields of an object's spec, such as a pod's node."""
        old = self.current(value)
        if old is not None:
            new = {**old, "spec": {**old["spec"], **fields}}
            self._put(self.resources.named(old["kind"]), "MODIFIED", new, old)

    def delete(self, value: Json, grace_s: int | None = None) -> Json:
        """Begin its end: pods that run and objects with finalizers go later, all others now; what depends on it later.

        grace_s: of a pod; nothing: its own, and 0: the API forgets it at once, whatever its processes do.
        """
        old = self.current(value)
        if old is None:
            return value
        resource = self.resources.named(old["kind"])
        meta = old["metadata"]
        runs = resource.plural == "pods" and old["spec"].get("nodeName") and grace_s != 0
        if runs or meta.get("finalizers") or resource.plural == "namespaces":
            grace = old["spec"].get("terminationGracePeriodSeconds", 30) if grace_s is None and runs else grace_s or 0
            sooner = runs and grace < meta.get("deletionGracePeriodSeconds", grace + 1)
            if not objects.ending(old) or sooner:
                self.set_meta(old, deletionTimestamp=objects.now(), deletionGracePeriodSeconds=grace)
            if resource.plural == "namespaces":
                self.set_status(old, {"phase": "Terminating"})
            return self.current(old) or old
        self.remove(old)
        return old

    def remove(self, value: Json) -> None:
        """Forget an object; what it owned is found by the garbage collector."""
        old = self.current(value)
        if old is None:
            return
        resource = self.resources.named(old["kind"])
        del self._objects[resource.key][objects.namespace_of(old), objects.name_of(old)]
        self._log(resource, "DELETED", copy.deepcopy(old), old)
        if resource.plural == "customresourcedefinitions":
            for gone in self.resources.drop(old):
                self._objects.pop(gone.key, None)

    def _put(self, resource: Resource, kind: str, value: Json, before: Json | None) -> Json:
        value = {**value, "metadata": dict(value["metadata"])}
        self._log(resource, kind, value, before)
        place = objects.namespace_of(value), objects.name_of(value)
        self._objects.setdefault(resource.key, {})[place] = value
        if resource.plural == "customresourcedefinitions":
            self.resources.add(value)
        return value

    def _log(self, resource: Resource, kind: str, value: Json, before: Json | None) -> None:
        self.revision += 1
        value["metadata"]["resourceVersion"] = str(self.revision)
        self.log.append(Change(self.revision, resource.key, kind, value, before))
        self.wake()

    def event(self, about: Json, reason: str, message: str, kind: str = "Warning") -> None:
        """Say what happened to an object; the same words are said once."""
        place = objects.namespace_of(about) or "default"
        target = {key: about["metadata"].get(key) for key in ("name", "namespace", "uid")}
        target |= {"kind": about["kind"], "apiVersion": about["apiVersion"]}
        events = self.resources.get("v1", "events")
        for old in self.list("events", place):
            if (old["involvedObject"]["uid"], old["reason"], old["message"]) == (target["uid"], reason, message):
                return
        namespace = self.find(self.resources.get("v1", "namespaces"), "", place)
        if namespace is None:
            return
        stamp = objects.now()
        value = {
            "metadata": {"generateName": f"{objects.name_of(about)}."},
            "involvedObject": target,
            "reason": reason,
            "message": message,
            "type": kind,
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": "fakekube"},
        }
        self.create(events, place, value)

    def named(self, plural: str, namespace: str, name: str) -> Json | None:
        """An object by any name of its kind."""
        return self.find(self.resources.named(plural), namespace, name)


def as_list(resource: Resource, items: list[Json], revision: int) -> Json:
    """The document of a list."""
    head = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
    return cast("Json", {**head, "metadata": {"resourceVersion": str(revision)}, "items": items})
