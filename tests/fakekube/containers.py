"""What a container is as a process: its command, environment and files.

There is no mount namespace. A volume is a folder of this machine; wherever a mount's path stands in a command, in an
environment variable or in a file of a ConfigMap, the folder's path is written instead.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakekube import inside
from tests.fakekube.errors import Json
from tests.fakekube.launcher import ROOT
from tests.fakekube.scheduling import quantity
from tests.fakekube.selectors import field_at
from tests.fakekube.store import Store

_INIT = {"tini", "dumb-init"}
_PATH_END = r"(?=$|[/:;,\"'\s)\]}])"


class NotReadyError(Exception):
    """A container cannot start yet; the words and the reason are what its status says."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Sandbox:
    """A pod's place on this machine."""

    pod: Json
    folder: Path
    logs: Path
    address: str
    network: Path
    kubeconfig: Path
    shared: tuple[Path, ...]
    """Folders that are the same inside as outside, whatever is mounted over them."""


@dataclass(frozen=True)
class Program:
    """What is started."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    rewrite: Callable[[str], str]
    """Writes folders for the paths of mounts, in further commands."""


def log_name(pod: Json, container: str) -> str:
    """File that holds a container's output, of all its restarts."""
    return f"{pod['metadata']['uid']}.{container}.log"


def program(store: Store, sandbox: Sandbox, container: Json) -> Program:
    """Command and environment of a container, its volumes written. Raises NotReadyError where something is missing."""
    image = str(container.get("image", ""))
    if "missing" in image:
        raise NotReadyError("ErrImagePull", f'failed to pull image "{image}": not found')
    mounts = {each["mountPath"]: _mount(store, sandbox, each) for each in container.get("volumeMounts") or ()}
    rewrite = rewriter(mounts, sandbox.shared)
    for folder in mounts.values():
        _rewrite_files(folder, rewrite)
    environment = {**_base(sandbox, mounts), **_environment(store, sandbox, container, rewrite)}
    words = [*(container.get("command") or ()), *(container.get("args") or ())]
    if not words:
        raise NotReadyError("RunContainerError", f"container {container['name']} has no command, and images hold none")
    arguments = [rewrite(expand(str(each), environment)) for each in words]
    while Path(arguments[0]).name in _INIT:
        arguments.pop(0)
        while arguments[0].startswith("-"):
            arguments.pop(0)
    return Program(tuple(arguments), environment, rewrite)


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` is replaced where the name is known; `$$(NAME)` stands for itself."""
    return re.sub(
        r"\$(\$?)\(([\w.-]+)\)",
        lambda found: f"$({found[2]})" if found[1] else environment.get(found[2], found[0]),
        text,
    )


def rewriter(mounts: Mapping[str, Path], shared: Sequence[Path]) -> Callable[[str], str]:
    """Writes folders for the paths that they are mounted at."""
    paths = sorted((path.rstrip("/") for path in mounts), key=len, reverse=True)
    if not paths:
        return lambda text: text
    folders = {path.rstrip("/"): str(folder) for path, folder in mounts.items()}
    names = "|".join(re.escape(path) for path in paths)
    pattern = re.compile(rf"(?<![\w./-])({names}){_PATH_END}(?P<rest>[^\s:;,\"')\]}}]*)")

    def replaced(found: re.Match[str]) -> str:
        if any(found[0] == str(each) or found[0].startswith(f"{each}/") for each in shared):
            return found[0]
        return folders[found[1]] + found["rest"]

    return lambda text: pattern.sub(replaced, text)


def _base(sandbox: Sandbox, mounts: Mapping[str, Path]) -> dict[str, str]:
    """What every container has: this Python first on its path, its own home, and its view of the network."""
    meta, spec = sandbox.pod["metadata"], sandbox.pod["spec"]
    home = sandbox.folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    result = {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "HOME": str(home),
        "HOSTNAME": meta["name"],
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join((str(Path(__file__).with_name("site")), str(ROOT))),
        "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")),  # the image's compiled kernels
        inside.NETWORK: str(sandbox.network),
        inside.ADDRESS: sandbox.address,
        inside.NAMESPACE: meta["namespace"],
    }
    for name in ("NUMBA_CACHE_DIR", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"):
        if name in os.environ:
            result[name] = os.environ[name]
    for name in ("NO_PROXY", "no_proxy"):
        if name in result:
            result[name] += ",.svc,.cluster.local"
    if "/tmp" in mounts:
        result["TMPDIR"] = str(mounts["/tmp"])
    if spec.get("automountServiceAccountToken", True):
        result["KUBECONFIG"] = str(sandbox.kubeconfig)
    return result


def _environment(store: Store, sandbox: Sandbox, container: Json, rewrite: Callable[[str], str]) -> dict[str, str]:
    result: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for kind, plural in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if kind in source:
                values = _values(store, sandbox, plural, source[kind])
                result |= {source.get("prefix", "") + key: value.decode() for key, value in values.items()}
    for each in container.get("env") or ():
        value = each.get("value", "") if "valueFrom" not in each else _value_from(store, sandbox, container, each)
        if value is not None:
            result[each["name"]] = expand(str(value), result)
    return {key: rewrite(value) for key, value in result.items()}


def _value_from(store: Store, sandbox: Sandbox, container: Json, entry: Json) -> str | None:
    source = entry["valueFrom"]
    if "fieldRef" in source:
        own = {"status.podIP": sandbox.address, "status.hostIP": "127.0.0.1"}
        path = source["fieldRef"]["fieldPath"]
        return str(own.get(path) or field_at(sandbox.pod, path) or "")
    if "resourceFieldRef" in source:
        wanted = source["resourceFieldRef"]
        amounts = container.get("resources") or {}
        kind, _, name = wanted["resource"].partition(".")
        amount = quantity((amounts.get(kind) or {}).get(name, 0)) / quantity(wanted.get("divisor") or 1)
        return str(-(-amount.numerator // amount.denominator))
    for kind, plural in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if kind in source:
            values = _values(store, sandbox, plural, source[kind])
            key = source[kind]["key"]
            if key in values:
                return values[key].decode()
            if source[kind].get("optional"):
                return None
            message = (
                f"couldn't find key {key} in {plural} {sandbox.pod['metadata']['namespace']}/{source[kind]['name']}"
            )
            raise NotReadyError("CreateContainerConfigError", message)
    raise NotReadyError("CreateContainerConfigError", f"environment variable {entry['name']} comes from {source}")


def _values(store: Store, sandbox: Sandbox, plural: str, reference: Json) -> dict[str, bytes]:
    """Keys of a Secret or ConfigMap; none of one that is not there and optional."""
    name = str(reference.get("name") or reference.get("secretName"))
    found = store.named(plural, sandbox.pod["metadata"]["namespace"], name)
    if found is None:
        if reference.get("optional"):
            return {}
        raise NotReadyError("CreateContainerConfigError", f'{plural.rstrip("s")} "{name}" not found')
    data = found.get("data") or {}
    if plural == "secrets":
        plain = {key: value.encode() for key, value in (found.get("stringData") or {}).items()}
        return {key: base64.b64decode(value) for key, value in data.items()} | plain
    return {key: value.encode() for key, value in data.items()}


def _mount(store: Store, sandbox: Sandbox, mount: Json) -> Path:
    volumes = {each["name"]: each for each in sandbox.pod["spec"].get("volumes") or ()}
    volume = volumes.get(mount["name"])
    if volume is None:
        raise NotReadyError("CreateContainerConfigError", f"volumeMounts: volume {mount['name']} is not there")
    if "hostPath" in volume:
        folder = Path(volume["hostPath"]["path"])
    elif "persistentVolumeClaim" in volume:
        claim = volume["persistentVolumeClaim"]["claimName"]
        folder = sandbox.folder.parent / "claims" / sandbox.pod["metadata"]["namespace"] / claim
        folder.mkdir(parents=True, exist_ok=True)
    else:
        folder = sandbox.folder / "volumes" / mount["name"]
        folder.mkdir(parents=True, exist_ok=True)
        _fill(store, sandbox, volume, folder)
    return folder / (mount.get("subPath") or "")


def _fill(store: Store, sandbox: Sandbox, volume: Json, folder: Path) -> None:
    """Write what a volume is made of."""
    sources = (volume.get("projected") or {}).get("sources") or [volume]
    for source in sources:
        for kind, plural in (("secret", "secrets"), ("configMap", "configmaps")):
            if kind in source:
                values = _values(store, sandbox, plural, source[kind])
                for item in source[kind].get("items") or [{"key": key, "path": key} for key in values]:
                    if item["key"] not in values:
                        message = f"references non-existent {plural.rstrip('s')} key: {item['key']}"
                        raise NotReadyError("FailedMount", message)
                    path = folder / item["path"]
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(values[item["key"]])
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            found = field_at(sandbox.pod, item["fieldRef"]["fieldPath"])
            (folder / item["path"]).write_text(found if isinstance(found, str) else json.dumps(found))
        if "serviceAccountToken" in source:
            (folder / source["serviceAccountToken"]["path"]).write_text("fakekube")


def _rewrite_files(folder: Path, rewrite: Callable[[str], str]) -> None:
    """Paths in the small text files of a volume are rewritten as those in the environment are."""
    files = [folder] if folder.is_file() else [*folder.rglob("*.y*ml"), *folder.rglob("*.json")]
    for path in files:
        text = path.read_text(errors="surrogateescape")
        if (new := rewrite(text)) != text:
            path.write_text(new, errors="surrogateescape")


def discard(sandbox: Sandbox) -> None:
    """Remove a pod's files; what it mounted of the machine stays."""
    shutil.rmtree(sandbox.folder, ignore_errors=True)
