"""Specs of clusters on Kubernetes for tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cluster.spec import KubernetesSpec

SPEC = KubernetesSpec(
    name="demo-eu-central-1",
    backend="kubernetes",
    region="eu-central-1",
    workers=4,
    threads=2,
    worker_memory_bytes=2 * 2**30,
    minimum=1,
    run="20240601T120000Z-1a2b",
    image="registry.example.org/groundswell@sha256:" + "0" * 64,
    namespace="geo",
)


def pod_spec(**fields: Any) -> KubernetesSpec:
    """A complete spec with some fields changed."""
    return replace(SPEC, **fields)
