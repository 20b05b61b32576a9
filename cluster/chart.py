"""What a spec asks of the chart: its folder, its values, what it renders, and what Helm's refusals mean. No network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

from cluster.backend import ClusterError
from cluster.labels import OWNER, REGION, RUN, labels_of, resource_name
from cluster.spec import HelmSpec

_CHART = Path(__file__).parents[1] / "helm" / "groundswell"
_OWN = ("fullnameOverride", "run", "tls")
"""Values that this backend relies on."""


def rendered(spec: HelmSpec) -> dict[str, Any]:
    """The arguments of an install, and by kind and name what it makes. Raises ClusterError for values refused."""
    values = values_of(spec)
    name, chart = resource_name(spec), chart_of(spec)
    with told(spec), helm.Chart.load(chart) as loaded:
        loaded.validate_schema(values)
        texts = loaded.render(values, name=name, namespace=spec.namespace)
    files = [text for path, text in texts.items() if path.endswith(".yaml")]
    manifests = [one for text in files for one in yaml.safe_load_all(text) if one]
    return {
        "chart": str(chart),
        "release": name,
        "namespace": spec.namespace,
        "labels": labels_of(spec),
        "values": values,
        "manifests": {f"{one['kind']}/{one['metadata']['name']}": one for one in manifests},
    }


def values_of(spec: HelmSpec) -> dict[str, Any]:
    """The chart's values for a release of the run's own; pure. Raises ClusterError for values not to be set."""
    taken = sorted(set(_OWN) & spec.values.keys())
    if taken:
        raise ClusterError(
            f"region {spec.region}: helm: values may not have {', '.join(taken)}: they are made for each run; "
            "remove them, or install a release with them and name it by `release:`"
        )
    account = {"create": False, "name": spec.service_account} if spec.service_account else {"create": True}
    labels = labels_of(spec)
    made: dict[str, Any] = {
        "run": {"id": labels.get(RUN, ""), "region": labels.get(REGION, ""), "owner": labels.get(OWNER, "")},
        "image": {"reference": spec.image, "pullSecrets": list(spec.pull_secrets)},
        "autoscaling": {"mode": "dask", "minimum": spec.least, "maximum": spec.workers},
        "idleTimeoutSeconds": round(spec.idle_timeout_s),
        "tls": {"enabled": True, "existingSecret": secret_of(resource_name(spec))},
        # A driver may be anywhere: it is let in by its certificate.
        "networkPolicy": {"clients": [{"namespaceSelector": {}}]},
        "scheduler": {"cores": spec.scheduler_cores, "memory": spec.scheduler_memory_bytes},
        "worker": {
            "threads": spec.threads,
            "cores": spec.cores,
            "memory": spec.worker_memory_bytes,
            "graceSeconds": spec.grace_s,
            "spot": spec.spot,
            "secrets": list(spec.secrets),
            "env": dict(spec.environ),
            "nodeSelector": dict(spec.node_selector),
            "tolerations": [dict(one) for one in spec.tolerations],
            "serviceAccount": account,
        },
    }
    return _merged(made, spec.values)


def chart_of(spec: HelmSpec) -> Path:
    """Folder of the chart. Raises ClusterError where it is not there, as beside an installed package."""
    chart = Path(spec.chart) if spec.chart else _CHART
    if not (chart / "Chart.yaml").is_file():
        raise ClusterError(
            f"region {spec.region}: helm: no chart in {chart}: name the folder helm/groundswell by `chart:`"
        )
    return chart


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """As Helm merges values: mappings key by key, all else replaced."""
    both = {
        key: _merged(base[key], value)
        for key, value in over.items()
        if isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
    }
    return {**base, **over, **both}


def secret_of(name: str) -> str:
    """Name of the secret with the certificates of everything of this name."""
    return f"{name}-tls"


@contextmanager
def told(spec: HelmSpec) -> Iterator[None]:
    """Helm's errors as ClusterError, with what to do."""
    try:
        yield
    except helm.HelmError as error:
        context = f"context {spec.context}, " if spec.context else ""
        release = f"helm release {spec.release or resource_name(spec)} ({context}namespace {spec.namespace})"
        raise ClusterError(f"region {spec.region}: {release}: {error}{_advice(error)}") from error


def _advice(error: helm.HelmError) -> str:
    match error:
        case helm.HelmValuesError() | helm.HelmRenderError():
            return ": change `values:`, or the keys of the cluster that it is made from"
        case helm.HelmNotFoundError():
            return ": install it, or leave out `release:` for one of the run's own"
        case _ if 'no matches for kind "Dask' in str(error):
            return (
                ": the operator of dask-kubernetes is not installed: `helm install --repo https://helm.dask.org "
                "--create-namespace -n dask-operator dask-operator dask-kubernetes-operator`, or set "
                "`values: {autoscaling: {mode: none}}` for workers that are always all there"
            )
        case _ if "cannot reuse a name" in str(error):
            return ": see `groundswell cluster list`; `groundswell cluster gc` removes what dead drivers left"
        case _:
            return ""
