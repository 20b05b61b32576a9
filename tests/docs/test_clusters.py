"""What the pages about clusters and the chart show is taken by what reads it: configs, values, variables."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml

from pipeline.config import load_config
from pipeline.config.load import load_events
from pipeline.products import product_models
from tests.docs.archives import earth_search
from tests.docs.checkout import make_checkout
from tests.docs.markdown import ROOT, SHELL, Block, commands, of_language, section
from tests.docs.registry import BLOCKS, COILED_RUN, EKS, TAKEN
from tests.helm.charts import RULES, RUN, parsed

API = "https://earth-search.aws.element84.com/v1"
PLACE = [11.975, 44.872, 11.99, 44.885]
DIGEST = "@sha256:" + "0" * 64


def whole(block: Block) -> Any:
    """A block as YAML, an image's digest written out."""
    return yaml.safe_load(block.text.replace("@sha256:…", DIGEST).replace("image: …", f"image: x{DIGEST}"))


def config_with(sections: dict[str, Any]) -> dict[str, Any]:
    """Some sections of a config over those of the shortest real one; a source for each region that they name."""
    config = yaml.safe_load((ROOT / "configs" / "earth-search.yaml").read_text(encoding="utf-8"))
    (source,), (product,) = config["sources"].values(), config["products"]
    for region in sections.get("clusters", {}).keys() - {source["region"], "default"}:
        config["sources"][region] = {**source, "region": region}
        config["products"].append({**product, "name": region, "source": region})
    return {**config, **sections}


CONFIGS = [block for block in of_language("yaml") if BLOCKS.get((block.page, block.heading, "yaml")) == TAKEN]


@pytest.mark.parametrize("block", CONFIGS, ids=lambda block: block.place)
def test_a_config_that_is_shown_is_taken(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones as they are; sections of clusters or of floats in the place of those of a runnable one."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        monkeypatch.setenv(name, "unix:///nowhere")
    shown = whole(block)
    document = shown if "area" in shown else config_with(shown)
    if "gdac" in str(shown):
        document = {**yaml.safe_load((ROOT / "configs" / "argo.yaml").read_text(encoding="utf-8")), **shown}
    path = tmp_path / "shown.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    assert load_config(path, product_models()).products


def test_values_of_the_chart_that_are_shown_are_rendered() -> None:
    """Placeholders filled: a config, and rules, as they stand elsewhere in the same page."""
    shown = [whole(block) for block in of_language("yaml") if block.page.startswith("helm/")]
    values = [{**one, "runner": {**one["runner"], "config": {**RUN, **one["runner"]["config"]}}} for one in shown]
    for block in section("pipeline/events/README.md", "On Kubernetes"):
        if block.language == "yaml":
            values.append({**whole(block), "image": {"reference": f"x{DIGEST}"}})
            values[-1]["events"] = {"config": RULES, "runs": {"night.yaml": RUN}}
    assert len(values) == 2
    for one in values:
        kinds = {document["kind"] for document in parsed(one)}
        assert kinds & {"CronJob", "Deployment", "StatefulSet"}


def test_checks_that_are_shown_are_taken(tmp_path: Path) -> None:
    """Those of chapter Checks; `events/test_example.py` says what they are."""
    (block,) = (block for block in section("pipeline/events/README.md", "Checks") if block.language == "yaml")
    path = tmp_path / "events.yaml"
    path.write_text(
        f"name: x\ninbox: i.sqlite\noutput: out\nbuckets: {{arrivals: {{}}}}\n{block.text}", encoding="utf-8"
    )
    assert load_events(path).rules


def test_variables_of_terraform_that_are_shown_are_declared() -> None:
    (block,) = of_language("hcl")
    declared = set(
        re.findall(r'^variable "(\w+)"', (ROOT / "cluster/terraform/variables.tf").read_text(), re.MULTILINE)
    )
    given = hcl2.loads(block.text)
    assert {name for name in given if not name.startswith("__")} <= declared


@pytest.mark.long
@pytest.mark.parametrize("chapter", [EKS, COILED_RUN])
def test_sections_of_the_chapter_are_rendered_and_planned(chapter: str, demo_world: Path, tmp_path: Path) -> None:
    """`render` prints what would be asked for, `--dry-run` the plan; the API is one of this machine."""
    checkout = make_checkout(tmp_path / "checkout", demo_world)
    shutil.copytree(ROOT / "cluster" / "terraform" / "regions", checkout.folder / "cluster" / "terraform" / "regions")
    shown = section("cluster/README.md", chapter)
    once = [line for block in shown if block.language in SHELL for line in commands(block)]
    (config,) = (whole(block) for block in shown if block.language == "yaml")
    document = config_with({**config, "output": "./out/ferrara", "storage": {}, "area": {"bbox": PLACE}})
    copied = [line for line in once if line.startswith(("cd ", "cp "))]
    if copied:
        checkout.sh(*copied, "test -f cluster/terraform/regions/us-west-2.tfvars")
    render, dry = (line for line in once if "render" in line or "--dry-run" in line)
    with earth_search(demo_world) as address:
        (checkout.folder / "ferrara.yaml").write_text(yaml.safe_dump(document).replace(API, address))
        rendered = [one for one in yaml.safe_load_all(checkout.say(render)) if one]
        planned = checkout.say(dry)
    assert rendered and "to run, 0 skipped" in planned
