"""The four kinds of patch do what Kubernetes says of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakekube.errors import ApiError, Json
from tests.fakekube.patches import applied, json_patched, merged, strategic

POD: dict[str, Any] = {
    "replicas": 2,
    "containers": [{"name": "a", "image": "x", "env": [{"name": "K", "value": "1"}]}, {"name": "b", "image": "y"}],
}


def test_a_merge_patch_replaces_lists_and_removes_by_null() -> None:
    patch = {"replicas": None, "containers": [{"name": "a"}], "new": {"deep": 1}}
    assert merged(POD, patch) == {"containers": [{"name": "a"}], "new": {"deep": 1}}
    assert POD["replicas"] == 2, "the object itself is as before"


def test_a_json_patch_follows_its_operations_in_order() -> None:
    operations: list[Json] = [
        {"op": "test", "path": "/replicas", "value": 2},
        {"op": "replace", "path": "/containers/0/image", "value": "z"},
        {"op": "add", "path": "/containers/-", "value": {"name": "c"}},
        {"op": "remove", "path": "/containers/1"},
        {"op": "move", "from": "/replicas", "path": "/count"},
        {"op": "add", "path": "/a~1b", "value": 1},
    ]
    result = json_patched(POD, operations)
    assert [each["name"] for each in result["containers"]] == ["a", "c"]
    assert result["containers"][0]["image"] == "z"
    assert (result["count"], result["a/b"]) == (2, 1) and "replicas" not in result


def test_a_json_patch_whose_test_fails_changes_nothing() -> None:
    with pytest.raises(ApiError, match="cannot test /replicas"):
        json_patched(POD, [{"op": "test", "path": "/replicas", "value": 3}])


def test_a_strategic_patch_merges_containers_by_name_and_their_environment_too() -> None:
    patch = {
        "$setElementOrder/containers": [{"name": "a"}],
        "containers": [
            {"name": "a", "env": [{"name": "L", "value": "2"}]},
            {"name": "b", "$patch": "delete"},
            {"name": "c", "image": "z"},
        ],
    }
    first, second = strategic(POD, patch)["containers"]
    assert first == {"name": "a", "image": "x", "env": [{"name": "K", "value": "1"}, {"name": "L", "value": "2"}]}
    assert second == {"name": "c", "image": "z"}


def test_server_side_apply_removes_what_its_manager_no_longer_names_and_nothing_of_others() -> None:
    before = {"spec": {"a": 1, "b": {"c": 2}, "containers": [{"name": "x", "image": "1"}, {"name": "y", "image": "1"}]}}
    stored = {
        "spec": {
            "a": 1,
            "b": {"c": 2, "others": 3},
            "containers": [
                {"name": "x", "image": "1", "default": True},
                {"name": "y", "image": "1"},
                {"name": "sidecar"},
            ],
        }
    }
    now = {"spec": {"a": 5, "containers": [{"name": "x", "image": "2"}]}}
    assert applied(stored, now, before) == {
        "spec": {
            "a": 5,
            "b": {"others": 3},
            "containers": [{"name": "x", "image": "2", "default": True}, {"name": "sidecar"}],
        }
    }
