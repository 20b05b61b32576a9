"""The HTTP face of the store: discovery, and create, read, patch, watch and delete of every kind."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml
from aiohttp import web

from tests.fakekube import objects, protobuf, rbac
from tests.fakekube.controllers import disruption_refused
from tests.fakekube.errors import ApiError, Json
from tests.fakekube.kubelet import Kubelet
from tests.fakekube.patches import applied, json_patched, merged, strategic
from tests.fakekube.resources import VERSION, Resource
from tests.fakekube.selectors import match_fields, match_labels
from tests.fakekube.store import Store, as_list
from tests.fakekube.streams import execute, forward, log, watch

_SUCCESS = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
_DOCUMENTS: Mapping[str, Json] = {
    "version": dict(VERSION),
    "openapi": {"paths": {}},
    "api": {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []},
}
_MAX_BODY = 64 * 2**20


@dataclass(frozen=True)
class Call:
    """One request, taken apart."""

    request: web.Request
    resource: Resource
    namespace: str
    name: str
    part: str
    """The subresource, or nothing."""
    body: Any

    @property
    def dry(self) -> bool:
        return "dryRun" in self.request.query

    @property
    def watching(self) -> bool:
        given = self.request.query.get("watch")
        return self.request.method == "GET" and not self.name and given in {"1", "true", "True"}

    def fits(self, value: Json) -> bool:
        """Whether an object is one that the request asks about."""
        query = self.request.query
        return (
            (not self.namespace or objects.namespace_of(value) == self.namespace)
            and match_labels(value["metadata"].get("labels"), query.get("labelSelector"))
            and match_fields(value, query.get("fieldSelector"))
        )


class Api:
    """Answers requests from a store, and from the kubelet what only it knows."""

    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self.store = store
        self.kubelet = kubelet
        self.asked: dict[rbac.Account, set[tuple[str, str]]] = defaultdict(set)
        """What each service account did or tried to do: resources and verbs."""

    def application(self, control: Callable[[web.Request], Awaitable[web.Response]]) -> web.Application:
        """control: answers what is posted to /fakekube, which no API of Kubernetes has."""
        self._control = control
        application = web.Application(client_max_size=_MAX_BODY)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._route(request)
        except ApiError as error:
            return web.json_response(error.status(), status=error.code)

    async def _route(self, request: web.Request) -> web.StreamResponse:
        match request.path.strip("/").split("/"):
            case ["api", "v1", _, *_] as parts:
                return await self._handle(await self._call(request, "v1", parts[2:]))
            case ["apis", group, version, _, *_] as parts:
                return await self._handle(await self._call(request, f"{group}/{version}", parts[3:]))
            case ["fakekube"]:
                return await self._control(request)
            case ["healthz" | "readyz" | "livez"]:
                return web.Response(text="ok")
            case ["openapi", "v2"]:
                # An empty document as protobuf: Go's client then knows no schema, and leaves validation to the server.
                kind = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
                return web.Response(body=b"", content_type=kind)
            case parts:
                return web.json_response(self._discovery(parts))

    def _discovery(self, parts: list[str]) -> Json:
        resources = self.store.resources
        match parts:
            case ["version"] | ["openapi", "v3"] | ["api"]:
                return dict(_DOCUMENTS[parts[0]])
            case ["api", "v1"]:
                return resources.listing("v1")
            case ["apis"]:
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": resources.groups()}
            case ["apis", group]:
                found = {each["name"]: each for each in resources.groups()}
                return {"kind": "APIGroup", "apiVersion": "v1", **found.get(group, {"name": group, "versions": []})}
            case ["apis", group, version]:
                return resources.listing(f"{group}/{version}")
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    async def _call(self, request: web.Request, version: str, rest: list[str]) -> Call:
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in {"status", "finalize"}:
            namespace, rest = rest[1], rest[2:]
        plural, name, part = [*rest, "", ""][:3]
        raw = await request.read()
        body = _decoded(raw) if raw else {}
        return Call(request, self.store.resources.get(version, plural), namespace, name, part, body)

    async def _handle(self, call: Call) -> web.StreamResponse:
        if call.part and call.part not in call.resource.subresources:
            raise ApiError(404, "NotFound", f"the server could not find {call.resource.plural}/{call.part}")
        self._check(call)
        if call.part in {"log", "portforward", "exec"}:
            return await self._stream(call)
        if call.watching:
            return await watch(self.store, call.resource, call.request, call.fits)
        methods: dict[str, Callable[[Call], Awaitable[web.Response]]] = {
            "GET": self._get,
            "POST": self._post,
            "PUT": self._put,
            "PATCH": self._patch,
            "DELETE": self._delete,
        }
        if call.request.method not in methods:
            raise ApiError(405, "MethodNotAllowed", f"{call.request.method} is not allowed")
        return await methods[call.request.method](call)

    def _check(self, call: Call) -> None:
        verb = rbac.verb_of(call.request.method, one=bool(call.name), watching=call.watching)
        resource = f"{call.resource.plural}/{call.part}" if call.part else call.resource.plural
        wish = rbac.Wish(verb, call.resource.group, resource, call.namespace, call.name)
        account = rbac.account_of(call.request.headers.get("Authorization"))
        if account is not None and call.resource.plural != "selfsubjectaccessreviews":
            self.asked[account].add((resource, verb))
            rbac.check(self.store, account, wish)

    def _found(self, call: Call) -> Json:
        return self.store.get(call.resource, call.namespace, call.name)

    async def _stream(self, call: Call) -> web.StreamResponse:
        pod, query = self._found(call), call.request.query
        container = query.get("container") or pod["spec"]["containers"][0]["name"]
        names = {each["name"] for each in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())]}
        if container not in names:
            message = f"container {container} is not valid for pod {call.name}"
            raise ApiError(400, "BadRequest", message)
        if call.part == "log":
            return await log(call.request, self.kubelet.log_of(pod, container), lambda: self.kubelet.alive(pod))
        if call.part == "portforward":
            return await forward(call.request, pod["status"].get("podIP"))
        return await execute(call.request, lambda argv: self.kubelet.execute(pod, container, argv))

    async def _get(self, call: Call) -> web.Response:
        if not call.name:
            fitting = self.store.list(call.resource.plural, fit=call.fits, version=call.resource.api_version)
            return web.json_response(as_list(call.resource, fitting, self.store.revision))
        found = self._found(call)
        return web.json_response(_scale(call.resource, found) if call.part == "scale" else found)

    async def _post(self, call: Call) -> web.Response:
        if call.resource.plural == "selfsubjectaccessreviews":
            return web.json_response({**call.body, "status": {"allowed": True}}, status=201)
        if call.part == "eviction":
            pod = self._found(call)
            if refusal := disruption_refused(self.store, pod):
                raise ApiError(429, "TooManyRequests", refusal)
            options = call.body.get("deleteOptions") or {}
            self.store.delete(pod, options.get("gracePeriodSeconds"))
            return web.json_response(_SUCCESS, status=201)
        made = self.store.create(call.resource, call.namespace, call.body, dry=call.dry)
        return web.json_response(made, status=201)

    async def _delete(self, call: Call) -> web.Response:
        options = call.body if isinstance(call.body, dict) else {}
        given = options.get("gracePeriodSeconds", call.request.query.get("gracePeriodSeconds"))
        grace = None if given is None else int(given)
        if not call.name:
            for each in self.store.list(call.resource.plural, fit=call.fits, version=call.resource.api_version):
                self.store.delete(each, grace)
            return web.json_response(_SUCCESS)
        found = self._found(call)
        wanted = (options.get("preconditions") or {}).get("uid")
        if wanted and wanted != found["metadata"]["uid"]:
            raise ApiError(409, "Conflict", f"the UID in the precondition ({wanted}) does not match")
        if options.get("propagationPolicy") == "Orphan" and not call.dry:
            self._orphan(found)
        return web.json_response(found if call.dry else self.store.delete(found, grace))

    def _orphan(self, owner: Json) -> None:
        for _, each in self.store.every():
            if objects.owned_by(each, owner):
                others = [ref for ref in each["metadata"]["ownerReferences"] if ref["uid"] != owner["metadata"]["uid"]]
                self.store.set_meta(each, ownerReferences=others)

    async def _put(self, call: Call) -> web.Response:
        if call.part == "scale":
            return self._rescaled(call, self._found(call), call.body)
        call.body.setdefault("metadata", {}).update({"name": call.name, "namespace": call.namespace})
        return web.json_response(self.store.replace(call.resource, call.body, call.part, dry=call.dry))

    def _rescaled(self, call: Call, found: Json, scale: Json) -> web.Response:
        wanted = scale["spec"].get("replicas", 0)
        *path, last = call.resource.replicas
        patch: Json = {last: wanted}
        for name in reversed(path):
            patch = {name: patch}
        new = self.store.replace(call.resource, cast("Json", merged(found, patch)), dry=call.dry)
        return web.json_response(_scale(call.resource, new))

    async def _patch(self, call: Call) -> web.Response:
        kind = call.request.content_type
        if kind == "application/apply-patch+yaml":
            return self._apply(call)
        found = self._found(call)
        target = _scale(call.resource, found) if call.part == "scale" else found
        if kind == "application/json-patch+json":
            new = json_patched(target, call.body)
        elif kind == "application/strategic-merge-patch+json":
            if call.resource.schema:
                raise ApiError(415, "UnsupportedMediaType", "strategic merge patch is not for custom resources")
            new = strategic(target, call.body)
        else:
            new = merged(target, call.body)
        if call.part == "scale":
            return self._rescaled(call, found, new)
        return web.json_response(self.store.replace(call.resource, new, call.part, dry=call.dry))

    def _apply(self, call: Call) -> web.Response:
        manager = call.request.query.get("fieldManager", "")
        config = call.body
        config.setdefault("metadata", {})["name"] = call.name
        found = self.store.find(call.resource, call.namespace, call.name)
        if found is None:
            new = self.store.create(call.resource, call.namespace, config, dry=call.dry)
        else:
            before = self.store.applied.get((found["metadata"]["uid"], manager), {})
            new = applied(found, config, before)
            new = self.store.replace(call.resource, new, call.part, dry=call.dry)
        if not call.dry:
            self.store.applied[new["metadata"]["uid"], manager] = config
        return web.json_response(new, status=201 if found is None else 200)


def _decoded(raw: bytes) -> Any:
    """A body as protobuf, JSON or YAML. Raises ApiError 400."""
    if raw.startswith(protobuf.MAGIC):
        return protobuf.decode(raw)
    try:
        return json.loads(raw) if raw[:1] in b"{[" else yaml.safe_load(raw)
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ApiError(400, "BadRequest", f"the body is neither JSON nor YAML: {error}") from error


def _scale(resource: Resource, value: Json) -> Json:
    wanted: Any = value
    for name in resource.replicas:
        wanted = (wanted or {}).get(name)
    meta = {key: value["metadata"].get(key) for key in ("name", "namespace", "uid", "resourceVersion")}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": meta,
        "spec": {"replicas": wanted or 0},
        "status": {"replicas": (value.get("status") or {}).get("replicas", 0)},
    }
