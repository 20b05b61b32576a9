"""Fixtures: the stand-in and the operator once a session, a namespace a test."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator

import pytest

from tests.fakekube import inside
from tests.fakekube.client import FakeKube, run_fakekube


@pytest.fixture(scope="session")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeKube]:
    """A Kubernetes API with controllers and a kubelet, and two nodes; loopback only, nothing needs root.

    Skips by name where 127.0.0.1 is the only loopback address: each pod has one of its own.
    """
    if sys.platform != "linux":
        pytest.skip("needs Linux, where all of 127.0.0.0/8 is loopback")
    folder = tmp_path_factory.mktemp("fakekube")
    with run_fakekube(folder, shared=[tmp_path_factory.getbasetemp()]) as running:
        yield running


@pytest.fixture(scope="session")
def operator(kube: FakeKube) -> FakeKube:
    """The same, with the real operator of dask-kubernetes; skips by name where it is not installed, fails in CI."""
    if importlib.util.find_spec("dask_kubernetes") is None:
        reason = "needs the package dask-kubernetes: pip install 'groundswell[kubernetes]'"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    from tests.fakekube.operator import install  # noqa: PLC0415 (only here)

    install(kube)
    return kube


@pytest.fixture
def namespace(kube: FakeKube) -> Iterator[str]:
    """A namespace of the test's own; nothing of it is left, no process either."""
    with kube.namespace() as name:
        yield name


@pytest.fixture
def kube_env(kube: FakeKube, monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    """This process has a kubeconfig, and is outside of the cluster: services cannot be reached by name."""
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    return kube


@pytest.fixture
def kube_dns(kube_env: FakeKube, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeKube]:
    """The same inside of the cluster: names of services resolve in this process, and lead to their pods."""
    monkeypatch.setenv(inside.NETWORK, kube_env.environ[inside.NETWORK])
    undo = inside.install()
    yield kube_env
    undo()
