"""Clusters of a config are told, printed and ended without a run; none that a driver may still use goes unasked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.backend import Found, render
from cluster.labels import label_value, owner
from cluster.spec import CoiledSpec
from pipeline.cli import parser
from pipeline.config import load_config
from pipeline.placement import cluster_specs
from pipeline.products import product_models
from pipeline.verbs.cluster import kept_because
from tests.cluster.coiled_service import WORKSPACE, CoiledService, logged_in
from tests.verbs.making import groundswell

RUN, OTHER = "20261121T173606123Z-ab12cd", "20261121T180000000Z-00ff00"
PODS = {"workers": [1, 4], "image": "registry.example.org/groundswell:1", "namespace": "trees", "context": "nowhere"}
COILED = {"backend": "coiled", "workers": [1, 2], "workspace": WORKSPACE}


def write(folder: Path, **clusters: dict[str, Any]) -> Path:
    """A config with one source and product in each region, none of which is ever read."""
    regions = [region.replace("_", "-") for region in clusters]
    document = {
        "name": "kenya",
        "output": str(folder / "output"),
        "area": {"bbox": [36.0, -1.0, 36.1, -0.9]},
        "period": {"start": "2024-06-01", "end": "2024-07-01", "every": "month"},
        "sources": {
            f"s{number}": {"stac": "http://127.0.0.1:9/", "collection": "sentinel-2-c1-l2a", "region": region}
            for number, region in enumerate(regions)
        },
        "products": [
            {"product": "sentinel2", "name": f"p{number}", "source": f"s{number}", "bands": ["red"]}
            for number in range(len(regions))
        ],
        "clusters": dict(zip(regions, clusters.values(), strict=True)),
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def service(tmp_path: Path) -> Iterator[CoiledService]:
    """Coiled on loopback, with one cluster of each kind."""
    with logged_in(tmp_path) as made:
        made.add(f"groundswell-kenya-us-west-2-{RUN}")
        made.add(f"groundswell-kenya-us-west-2-{OTHER}")
        made.add(f"groundswell-other-{OTHER}", mine=False)
        made.add("somebody-elses")
        yield made


def test_render_prints_what_each_backend_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every region's arguments or manifests, exactly as the backend renders them; manifests one document each."""
    config = write(
        tmp_path,
        us_west_2=COILED,
        eu_central_1={"backend": "kubernetes", **PODS},
        eu_west_1={"backend": "existing", "address": "tcp://127.0.0.1:8786"},
        us_east_1={"backend": "local"},
    )
    specs = cluster_specs(load_config(config, product_models()))
    assert groundswell("cluster", "render", config) == 0
    documents = [one for one in yaml.safe_load_all(capsys.readouterr().out) if one is not None]
    pods = render(specs["eu-central-1"])
    assert "DaskCluster" in {one["kind"] for one in pods.values()}
    expected = [render(specs["us-west-2"]), *pods.values(), render(specs["eu-west-1"]), render(specs["us-east-1"])]
    by_text = {json.dumps(one, sort_keys=True, default=list) for one in expected}
    assert {json.dumps(one, sort_keys=True) for one in documents} == by_text
    assert groundswell("cluster", "render", config, "--region", "us-west-2") == 0
    only = yaml.safe_load(capsys.readouterr().out.partition("---\n")[2])
    assert only == render(specs["us-west-2"])


def test_render_of_a_release_has_its_manifests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What Helm would install is printed with the values that it comes from."""
    config = write(tmp_path, eu_central_1={"backend": "helm", **PODS})
    assert groundswell("cluster", "render", config) == 0
    rendered = yaml.safe_load(capsys.readouterr().out.partition("---\n")[2])
    assert rendered["values"]["image"]["reference"] == PODS["image"]
    assert any(one["kind"] == "DaskCluster" for one in rendered["manifests"].values())


def test_a_foreign_region_is_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = write(tmp_path, us_west_2={"backend": "local"})
    assert groundswell("cluster", "list", config, "--region", "mars") == 2
    assert "--region: found mars; this config's regions: us-west-2" in capsys.readouterr().err


def test_list_tells_each_cluster_once(
    tmp_path: Path, service: CoiledService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two regions that point to one place are one place; other people's clusters are told, foreign ones are not."""
    config = write(tmp_path, us_west_2=COILED, eu_west_1=COILED, us_east_1={"backend": "local"})
    assert groundswell("cluster", "list", config) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "BACKEND", "PLACE", "RUN", "OWNER", "AGE", "DRIVER", "WORKERS"]
    assert len(rows) == 3
    assert [RUN in row for row in rows] == [True, False, False]
    assert groundswell("cluster", "list", config, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    names = sorted(made.asked["name"] for made in service.clusters.values())
    assert sorted(one["name"] for one in told["clusters"]) == names[:3]
    assert {one["owner"] for one in told["clusters"]} == {label_value(owner()), ""}
    assert told["unread"] == []


def test_a_place_that_cannot_be_looked_at_is_named(
    tmp_path: Path, service: CoiledService, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are told all the same, and the exit code says that this is not all."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": []}))
    pods = {"backend": "kubernetes", **PODS, "kubeconfig": str(kubeconfig)}
    config = write(tmp_path, us_west_2=COILED, eu_central_1=pods)
    assert groundswell("cluster", "list", config) == 3
    said = capsys.readouterr().out
    assert f"groundswell-kenya-us-west-2-{RUN}" in said
    assert "not looked at: region eu-central-1" in said
    assert service.alive()


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where there can be none, the answer names what was looked at."""
    config = write(tmp_path, us_west_2={"backend": "local"})
    assert groundswell("cluster", "gc", config) == 0
    assert capsys.readouterr().out == "found no cluster: us-west-2 (local)\n"


def test_gc_ends_only_what_it_is_told(
    tmp_path: Path, service: CoiledService, capsys: pytest.CaptureFixture[str]
) -> None:
    """Coiled tells nothing of drivers: none goes unasked; a run's clusters go by its id, and only those."""
    config, before = write(tmp_path, us_west_2=COILED), service.alive()
    assert groundswell("cluster", "gc", config) == 0
    said = capsys.readouterr().out
    assert said.count("nobody knows whether its driver lives: --run ID ends it") == 2
    assert said.count("of somebody else: --everyone ends theirs too") == 1
    assert groundswell("cluster", "gc", config, "--run", RUN, "--dry-run") == 0
    assert f"would end: groundswell-kenya-us-west-2-{RUN}" in capsys.readouterr().out
    assert service.alive() == before
    assert groundswell("cluster", "gc", config, "--run", RUN) == 0
    assert f"ended: groundswell-kenya-us-west-2-{RUN}" in capsys.readouterr().out
    assert service.alive() == before[1:]


ME = label_value(owner())
SPEC = CoiledSpec("kenya", "coiled", "us-west-2", 2, 2, 2**30, idle_timeout_s=900)
DEAD = Found("c", "kubernetes", "context x", RUN, ME, 7200, 3600, 3)


@pytest.mark.parametrize(
    ("found", "arguments", "reason"),
    [
        (DEAD, [], None),
        (replace(DEAD, silent_s=12), [], "its driver was heard of 12s ago, less than 15min"),
        (replace(DEAD, silent_s=12), ["--run", RUN], "its driver was heard of 12s ago, less than 15min"),
        (replace(DEAD, silent_s=12), ["--run", RUN, "--silent-for", "10s"], None),
        (DEAD, ["--silent-for", "2h"], "its driver was heard of 1h ago, less than 2h"),
        (replace(DEAD, owner="ann"), [], "of ann: --everyone ends theirs too"),
        (replace(DEAD, owner="ann"), ["--everyone"], None),
        (replace(DEAD, owner="ann"), ["--run", RUN], None),
        (replace(DEAD, owner=""), [], "of somebody else: --everyone ends theirs too"),
        (replace(DEAD, silent_s=None), [], "nobody knows whether its driver lives: --run ID ends it"),
        (replace(DEAD, silent_s=None), ["--everyone"], "nobody knows whether its driver lives: --run ID ends it"),
        (DEAD, ["--run", OTHER], f"of run {RUN}"),
        (replace(DEAD, run="", silent_s=None), ["--run", ""], "of run unknown"),  # a script's empty variable
    ],
)
def test_what_is_ended(found: Found, arguments: list[str], reason: str | None) -> None:
    """A cluster goes when it is this user's and its driver was silent for long, or by its run when no driver lives."""
    options: argparse.Namespace = parser().parse_args(["cluster", "gc", "config.yaml", *arguments])
    assert kept_because(found, SPEC, options) == reason
