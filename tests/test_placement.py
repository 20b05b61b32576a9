"""Every section under `clusters:` becomes a complete spec, and every region's cluster lives and dies by itself."""

from __future__ import annotations

import pickle
from dataclasses import fields
from pathlib import Path

import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from cluster.backend import BACKENDS
from cluster.spec import SPECS, ClusterSpec, ExistingSpec, HelmSpec, KubernetesSpec, LocalSpec, TlsFiles
from pipeline.config import clusters
from pipeline.errors import PlanRefusedError
from pipeline.placement import cluster_specs, versions_check, with_crossings
from pipeline.types import Job, MemoryPlan, Period, Plan, Tile
from pipeline.write.store import open_store
from tests.configs import faults, load

GIB = 2**30
TWO_REGIONS = """\
name: both
output: out
area: {bbox: [10, 44, 11, 45]}
period: {start: 2024-06-01, end: 2024-07-01, every: month}
sources:
  west: {items: w.json, region: us-west-2}
  here: {items: h.json}
products:
  - {product: bands, source: west, name: one}
  - {product: bands, source: here, name: two}
clusters:
"""
PODS = "image: repo/groundswell@sha256:0, workers: [1, 40]"


def specs(folder: Path, sections: str) -> dict[str, ClusterSpec]:
    return cluster_specs(load(folder, TWO_REGIONS + sections))


def test_a_region_has_its_own_cluster_or_one_like_the_default(tmp_path: Path) -> None:
    made = specs(
        tmp_path, f"  us-west-2: {{backend: kubernetes, context: eks, {PODS}}}\n  default: {{workers: [1, 2]}}\n"
    )
    assert isinstance(made["us-west-2"], KubernetesSpec)
    assert isinstance(made["default"], LocalSpec)
    assert (made["us-west-2"].name, made["default"].name) == ("both-us-west-2", "both-default")
    assert (made["us-west-2"].least, made["us-west-2"].workers) == (1, 40)
    assert made["default"].adaptive


@pytest.mark.parametrize(
    ("section", "where", "stands"),
    [
        (f"us-west-2: {{backend: kubernetes, {PODS}}}", "us-west-2", "us-west-2"),
        (f"us-west-2: {{backend: kubernetes, region: eu-central-1, {PODS}}}", "us-west-2", "eu-central-1"),
        (f"default: {{backend: kubernetes, {PODS}}}", "us-west-2", None),
        (f"default: {{backend: kubernetes, region: eu-central-1, {PODS}}}", "us-west-2", "eu-central-1"),
        ("us-west-2: {backend: local}", "us-west-2", None),
        ("default: {backend: coiled, workers: [1, 2]}", "us-west-2", "us-west-2"),
        ("default: {backend: coiled, workers: [1, 2]}", "default", None),
    ],
)
def test_a_cluster_stands_where_its_section_is_for_unless_it_says_otherwise(
    tmp_path: Path, section: str, where: str, stands: str | None
) -> None:
    """A laptop is nowhere; Coiled's machines are wherever they are asked for; a default may be anywhere."""
    assert specs(tmp_path, f"  {section}\n")[where].located == stands


def test_every_key_of_a_section_reaches_its_spec(tmp_path: Path) -> None:
    made = specs(
        tmp_path,
        f"  us-west-2: {{backend: helm, release: gs, values: {{a: 1}}, secrets: [keys], "
        f"scheduler_memory: 2GiB, {PODS}}}\n"
        "  default: {backend: existing, address: 'tls://host:8786', tls: {ca: a.pem, cert: /b.pem, key: c.pem}, "
        "start_timeout_s: 5}\n",
    )
    helm, existing = made["us-west-2"], made["default"]
    assert isinstance(helm, HelmSpec) and isinstance(existing, ExistingSpec)
    assert (helm.release, helm.values, helm.secrets, helm.scheduler_memory_bytes) == (
        "gs",
        {"a": 1},
        ("keys",),
        2 * GIB,
    )
    assert (helm.image, helm.workers, helm.least) == ("repo/groundswell@sha256:0", 40, 1)
    assert existing.tls == TlsFiles(str(tmp_path / "a.pem"), "/b.pem", str(tmp_path / "c.pem"))
    assert existing.start_timeout_s == 5


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_key_of_every_section_is_a_field_of_its_spec(backend: str) -> None:
    """Or it would be taken and do nothing."""
    names = {field.name.removesuffix("_bytes") for field in fields(SPECS[backend])}
    # region: where it stands; workers: both ends of the range; what one costs, the estimate reads of the config
    assert set(clusters.SECTIONS[backend].model_fields) - {"region", "usd_per_worker_hour"} <= names


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("default: {backend: existing}", "found neither address nor scheduler_file; allowed: exactly one of them"),
        ("default: {backend: existing, address: 'tls://h:1'}", "found a tls:// address without tls; required: tls:"),
        ("default: {backend: existing, address: h}", "allowed: an address such as tcp://host:8786"),
        ("default: {backend: kubernetes, image: i}", "clusters.default.workers: missing; required:"),
        ("default: {backend: kubernetes, workers: [1, 2]}", "clusters.default.image: missing; required: text"),
        (
            "default: {backend: coiled, workers: [1, 2], image: i}",
            "clusters.default.image: unknown key; allowed: workers,",
        ),
        ("default: {backend: coiled, workers: [0, 2]}", "clusters.default.workers.0: found 0; allowed: a whole number"),
    ],
)
def test_a_section_knows_its_own_keys_only(tmp_path: Path, section: str, fault: str) -> None:
    (found,) = faults(tmp_path, f"{TWO_REGIONS}  {section}\n")
    assert fault in found


def test_reads_between_regions_are_told_first_or_refused(tmp_path: Path) -> None:
    """And a cluster of which nobody knows where it stands is no way around."""
    tile = Tile("t", GeoBox((4, 4), Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"))
    job = Job("one", "bands", tile, Period("m", None, None), "us-west-2", (), "f", MemoryPlan(4, 1), 3 * 10**9)
    plan, store = Plan((job,), (), ("another note",)), open_store(str(tmp_path / "out"))

    def told(section: str, wanted: str) -> tuple[str, ...]:
        config = load(tmp_path, f"{TWO_REGIONS}  {section}\nrun: {{cross_region: {wanted}}}\n")
        return with_crossings(plan, cluster_specs(config), config, store).notes

    away = f"us-west-2: {{backend: kubernetes, region: eu-central-1, {PODS}}}"
    lost = f"default: {{backend: kubernetes, {PODS}}}"
    first, *rest = told(away, "warn")
    assert "one: 1 jobs read 3.00 GB that lie in us-west-2 on a cluster in eu-central-1: 0.06 USD" in first
    assert rest == ["another note"]
    assert told(away, "allow") == told("default: {backend: local}", "refuse") == ("another note",)
    assert "nobody knows where the cluster for us-west-2 stands" in told(lost, "warn")[0]
    for section, why in ((away, "that lie in us-west-2"), (lost, "nobody knows where the cluster for us-west-2")):
        with pytest.raises(PlanRefusedError, match=why):
            told(section, "refuse")


def test_only_workers_elsewhere_are_asked_for_their_versions(tmp_path: Path) -> None:
    assert versions_check(specs(tmp_path, "  default: {workers: 2}\n")) is None
    check = versions_check(specs(tmp_path, "  default: {backend: existing, address: 'tcp://h:1'}\n"))
    assert check is not None
    assert pickle.loads(pickle.dumps(check))() == []
