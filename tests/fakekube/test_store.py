"""The store keeps objects as an API server does: versions, status, finalizers, owners, schemas, selectors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakekube.controllers import collect_garbage
from tests.fakekube.errors import ApiError, Json
from tests.fakekube.manifests import definition, deployment, pod, python
from tests.fakekube.selectors import match_fields, match_labels, match_selector
from tests.fakekube.store import Store

Make = Callable[[Json], Json]


@pytest.fixture
def store() -> Store:
    made = Store()
    made.create(made.resources.named("ns"), "", {"metadata": {"name": "here"}})
    return made


@pytest.fixture
def make(store: Store) -> Make:
    return lambda manifest: store.create(store.resources.named(manifest["kind"]), "here", manifest)


def config_map(name: str, **meta: Any) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **meta}, "data": {"key": "value"}}


def test_a_write_with_an_old_version_is_refused(store: Store, make: Make) -> None:
    first = make(config_map("a"))
    resource = store.resources.named("cm")
    second = store.replace(resource, {**first, "data": {"key": "new"}})
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    with pytest.raises(ApiError, match="the object has been modified"):
        store.replace(resource, {**first, "data": {"key": "newer"}})


def test_a_write_that_changes_nothing_is_no_change(store: Store, make: Make) -> None:
    first, length = make(config_map("a")), len(store.log)
    assert store.replace(store.resources.named("cm"), first)["metadata"] == first["metadata"]
    assert len(store.log) == length


def test_the_status_of_a_built_in_kind_is_written_by_its_subresource_only(store: Store, make: Make) -> None:
    made = make(deployment("d", python("pass")))
    resource = store.resources.named("deploy")
    made = store.replace(resource, {**made, "status": {"replicas": 3}})
    assert made["status"] == {}
    made = store.replace(resource, {**made, "spec": {}, "status": {"replicas": 3}}, "status")
    assert made["status"] == {"replicas": 3} and made["spec"]["replicas"] == 1
    assert made["metadata"]["generation"] == 1, "a status is no new generation"


def test_an_object_with_a_finalizer_stays_till_it_is_taken_off(store: Store, make: Make) -> None:
    made = make(config_map("a", finalizers=["test/keep"]))
    store.delete(made)
    kept = store.named("cm", "here", "a")
    assert kept is not None and kept["metadata"]["deletionTimestamp"]
    store.replace(store.resources.named("cm"), {**kept, "metadata": {**kept["metadata"], "finalizers": []}})
    assert store.named("cm", "here", "a") is None


def test_what_is_owned_goes_with_its_last_owner(store: Store, make: Make) -> None:
    owners = [make(config_map(name)) for name in ("one", "two")]
    references = [{"kind": "ConfigMap", "name": "x", "uid": each["metadata"]["uid"]} for each in owners]
    make(config_map("owned", ownerReferences=references))
    store.delete(owners[0])
    collect_garbage(store)
    assert store.named("cm", "here", "owned")
    store.delete(owners[1])
    collect_garbage(store)
    assert store.named("cm", "here", "owned") is None


def test_a_namespace_takes_all_that_is_in_it_and_nothing_new(store: Store, make: Make) -> None:
    make(config_map("a"))
    space = store.named("ns", "", "here")
    assert space is not None
    store.delete(space)
    with pytest.raises(ApiError, match="is being terminated"):
        make(config_map("b"))
    for _ in range(2):
        collect_garbage(store)
    assert store.named("ns", "", "here") is None and not store.list("cm")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (pod("p"), "spec.containers: Required value"),
        ({**deployment("d", python("pass")), "spec": {"template": {}}}, "`selector` does not match"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}, "name or generateName is required"),
        ({"kind": "Job", "metadata": {"name": "j"}, "spec": {"template": {"spec": {}}}}, "restartPolicy"),
    ],
)
def test_an_object_that_no_api_server_takes_is_refused(make: Make, manifest: Json, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        make(manifest)


def test_custom_resources_are_checked_and_pruned_by_their_schema(store: Store, make: Make) -> None:
    spec = {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "default": 7},
            "port": {"x-kubernetes-int-or-string": True},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    make(definition("Thing", spec))
    head = {"apiVersion": "test.example/v1", "kind": "Thing"}
    good = make({**head, "metadata": {"name": "a"}, "spec": {"unknown": 1, "port": "http", "free": {"any": 1}}})
    assert good["spec"] == {"count": 7, "port": "http", "free": {"any": 1}}
    with pytest.raises(ApiError, match=r"spec\.count: '3' is not of type 'integer'"):
        make({**head, "metadata": {"name": "b"}, "spec": {"count": "3"}})
    definitions = store.named("crd", "", "things.test.example")
    assert definitions is not None
    store.delete(definitions)
    with pytest.raises(ApiError, match="resource type"):
        store.list("Thing")


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ("", True),
        ("a=1", True),
        ("a==1,b!=3", True),
        ("a=2", False),
        ("a in (0, 1),c notin (x)", True),
        ("a in (0,2)", False),
        ("b", True),
        ("!b", False),
        ("missing!=1", True),
    ],
)
def test_label_selectors(query: str, *, fits: bool) -> None:
    assert match_labels({"a": "1", "b": "2"}, query) is fits


def test_a_label_selector_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ApiError, match="unable to parse"):
        match_labels({}, "a b c")


def test_selectors_in_objects_and_fields() -> None:
    labels = {"a": "1"}
    expressions = [{"key": "a", "operator": "In", "values": ["1"]}, {"key": "z", "operator": "DoesNotExist"}]
    assert match_selector(labels, {"matchLabels": labels, "matchExpressions": expressions})
    assert match_selector(labels, {}) and not match_selector(labels, None)
    value = {"metadata": {"name": "x"}, "status": {"phase": "Running"}}
    assert match_fields(value, "metadata.name=x,status.phase!=Pending")
    assert not match_fields(value, "status.phase=Pending")
