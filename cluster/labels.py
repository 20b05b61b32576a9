"""Names and labels of everything that is made on Kubernetes: by them a run's cluster is found, and found out."""

from __future__ import annotations

import getpass
import hashlib
import re

from cluster.spec import ClusterSpec

PART_OF = "app.kubernetes.io/part-of"
MANAGED_BY = "app.kubernetes.io/managed-by"
RUN = "groundswell.io/run"
REGION = "groundswell.io/region"
OWNER = "groundswell.io/owner"
RENEWED = "groundswell.io/renewed"
"""Annotation: when a driver last said that it still needs the cluster; UTC."""
CLUSTER = "dask.org/cluster-name"
"""The operator's own label, on all that it makes for a DaskCluster; so on what is made beside it."""
COMPONENT = "dask.org/component"
"""The operator's: scheduler or worker."""
OURS = f"{PART_OF}=groundswell,{MANAGED_BY}=groundswell"
"""Selector of what this package made by itself, not by the chart."""

NAME_LENGTH = 53
"""`<name>-scheduler` must be a label of 63 (dask_kubernetes.constants)."""
_DIGEST = 6


def dns_label(text: str, limit: int = NAME_LENGTH) -> str:
    """Lower-case letters, digits and dashes, beginning with a letter (RFC 1035); the same text always gives the same.

    What had to be changed gets a digest of the text at its end, so that two texts never give one name.
    """
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    if label == text and label[:1].isalpha() and len(label) <= limit:
        return label
    if not label[:1].isalpha():
        label = f"x-{label}".strip("-")
    return f"{label[: limit - _DIGEST - 1].strip('-')}-{_digest(text)}"


def resource_name(spec: ClusterSpec) -> str:
    """What a spec's cluster is called; of each run another, so that one run never meets what another left."""
    if not spec.run:
        return dns_label(spec.name)
    return f"{dns_label(spec.name, NAME_LENGTH - _DIGEST - 1)}-{_digest(spec.run)}"


def label_value(text: str) -> str:
    """At most 63 letters, digits, dashes, dots and underscores, ended by letters or digits."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:63].strip("-_.")


def labels_of(spec: ClusterSpec, managed_by: str = "groundswell") -> dict[str, str]:
    """Labels of all that is made for a spec; what is not known is left out."""
    labels = {
        "app.kubernetes.io/name": "groundswell",
        MANAGED_BY: managed_by,
        PART_OF: "groundswell",
        RUN: label_value(spec.run),
        REGION: label_value(spec.region),
        OWNER: owner(),
    }
    return {key: value for key, value in labels.items() if value}


def owner() -> str:
    """Who started this process, as its label; empty for a user without a name, as in many containers."""
    try:
        return label_value(getpass.getuser())
    except (KeyError, OSError):
        return ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]
