"""What pods are doing, as their status says, in words for a message."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_NAMED = 5
"""Pods that are named, at most: the others are counted."""


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod serves and is not leaving."""
    conditions = pod.get("status", {}).get("conditions", ())
    ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def told(pods: Sequence[Mapping[str, Any]]) -> str:
    """Those that are ready counted, and the others named, with why they are not."""
    ready = sum(map(is_ready, pods))
    troubled = [f"{pod['metadata']['name']} {_state(pod)}" for pod in pods if not is_ready(pod)]
    parts = [f"{ready} ready"] if ready else []
    parts += troubled[:_NAMED]
    if len(troubled) > _NAMED:
        parts.append(f"and {len(troubled) - _NAMED} more")
    return "; ".join(parts) or "none"


def _state(pod: Mapping[str, Any]) -> str:
    """Phase, and why: of its containers what they wait for, else why no node takes it."""
    status = pod.get("status", {})
    phase = "leaving" if "deletionTimestamp" in pod["metadata"] else status.get("phase", "unknown")
    waiting = [one.get("state", {}).get("waiting") or {} for one in status.get("containerStatuses", ())]
    reasons = [one for one in waiting if one] or [
        one for one in status.get("conditions", ()) if one["type"] == "PodScheduled" and one["status"] == "False"
    ]
    why = "; ".join(": ".join(filter(None, (one.get("reason"), one.get("message")))) for one in reasons)
    return f"{phase} ({why})" if why else str(phase)
