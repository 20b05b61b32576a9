"""A container's command, environment and files are what its manifest says."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.fakekube import inside
from tests.fakekube.containers import NotReadyError, Program, Sandbox, expand, program, rewriter
from tests.fakekube.errors import Json
from tests.fakekube.manifests import pod
from tests.fakekube.store import Store

ADDRESS = "127.1.2.3"


@pytest.fixture
def store() -> Store:
    made = Store()
    made.create(made.resources.named("ns"), "", {"metadata": {"name": "here"}})
    secret = {"metadata": {"name": "keys"}, "data": {"token": base64.b64encode(b"hidden").decode()}}
    made.create(made.resources.named("secrets"), "here", secret)
    settings = {"metadata": {"name": "settings"}, "data": {"WORD": "one", "dask.yaml": "ca: /etc/keys/token\n"}}
    made.create(made.resources.named("cm"), "here", settings)
    return made


def run(store: Store, tmp_path: Path, container: Json, **spec: Any) -> Program:
    whole = {"name": "main", "image": "groundswell:test", "command": ["true"], **container}
    made = store.create(store.resources.named("pods"), "here", pod("p", whole, **spec))
    box = Sandbox(made, tmp_path / "pod", tmp_path, ADDRESS, tmp_path / "net", tmp_path / "config", (tmp_path / "out",))
    return program(store, box, whole)


def test_references_are_expanded_and_unknown_ones_are_left() -> None:
    assert expand("$(A)-$(B)-$$(A)", {"A": "1"}) == "1-$(B)-$(A)"


def test_paths_of_mounts_are_rewritten_as_whole_paths_only() -> None:
    rewrite = rewriter({"/tmp": Path("/pod/tmp"), "/tmp/deep": Path("/pod/deep")}, [Path("/tmp/shared")])
    assert rewrite("/tmp") == "/pod/tmp"
    assert rewrite("--dir=/tmp/x,/tmp/deep/y") == "--dir=/pod/tmp/x,/pod/deep/y"
    assert rewrite('["/tmp/a"]') == '["/pod/tmp/a"]'
    for same in ("/tmpfile", "/var/tmp", "/tmp/shared/out", "x/tmp"):
        assert rewrite(same) == same


def test_the_environment_comes_from_values_fields_secrets_and_config_maps(store: Store, tmp_path: Path) -> None:
    limits = {"limits": {"memory": "2Gi", "cpu": "1500m"}}
    container = {
        "resources": limits,
        "envFrom": [{"secretRef": {"name": "keys"}, "prefix": "KEY_"}, {"configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "PLAIN", "value": "$(WORD)!"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "APP", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
            {"name": "MIB", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "x", "optional": True}}},
        ],
        "command": ["tini", "-g", "--", "echo", "$(PLAIN)"],
    }
    made = run(store, tmp_path, container)
    wanted = {"PLAIN": "one!", "SECRET": "hidden", "KEY_token": "hidden", "IP": ADDRESS, "APP": "p", "MIB": "2048"}
    assert {name: made.environment.get(name) for name in wanted} == wanted
    assert "NONE" not in made.environment
    assert made.arguments == ("echo", "one!")
    assert made.environment[inside.ADDRESS] == ADDRESS


def test_volumes_are_folders_and_their_paths_are_led_there(store: Store, tmp_path: Path) -> None:
    volumes = [
        {"name": "keys", "secret": {"secretName": "keys", "items": [{"key": "token", "path": "token"}]}},
        {"name": "both", "projected": {"sources": [{"configMap": {"name": "settings"}}]}},
        {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
    ]
    paths = {"keys": "/etc/keys", "both": "/etc/dask", "tmp": "/tmp"}
    container = {
        "volumeMounts": [{"name": name, "mountPath": path} for name, path in paths.items()],
        "env": [{"name": "OUT", "value": str(tmp_path / "out" / "x")}, {"name": "SPILL", "value": "/tmp/spill"}],
        "command": ["cat", "/etc/keys/token", "/etc/dask/dask.yaml"],
    }
    made = run(store, tmp_path, container, volumes=volumes)
    token, settings = (Path(each) for each in made.arguments[1:])
    assert token.read_text() == "hidden"
    assert settings.read_text() == f"ca: {token}\n"
    assert made.environment["OUT"] == str(tmp_path / "out" / "x"), "a shared folder stays where it is"
    assert made.environment["SPILL"] == made.environment["TMPDIR"] + "/spill"
    assert made.rewrite("/etc/keys/token") == str(token), "hooks find it too"


@pytest.mark.parametrize(
    ("container", "reason", "message"),
    [
        ({"image": "missing:1"}, "ErrImagePull", "missing:1"),
        ({"envFrom": [{"secretRef": {"name": "gone"}}]}, "CreateContainerConfigError", 'secret "gone" not found'),
        ({"command": []}, "RunContainerError", "has no command"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "gone"}}}]},
            "CreateContainerConfigError",
            "couldn't find key gone",
        ),
    ],
)
def test_what_is_missing_is_named(store: Store, tmp_path: Path, container: Json, reason: str, message: str) -> None:
    with pytest.raises(NotReadyError, match=message) as caught:
        run(store, tmp_path, container)
    assert caught.value.reason == reason
