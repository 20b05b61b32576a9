"""Kubeconfigs: of one who may do all, and of service accounts."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.fakekube.rbac import Account

CONTEXT = "fakekube"


def write_kubeconfig(path: Path, url: str, account: Account | None = None) -> Path:
    """A kubeconfig with one context; the path again."""
    token = CONTEXT if account is None else account.token
    place = {"cluster": CONTEXT, "user": CONTEXT, "namespace": "default" if account is None else account.namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": CONTEXT,
        "clusters": [{"name": CONTEXT, "cluster": {"server": url}}],
        "users": [{"name": CONTEXT, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": place}],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path
