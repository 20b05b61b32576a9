"""What the Dockerfile promises, read as a program reads it: where no builder is, this is all that can be known."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from cluster.pods import worker_pod
from cluster.settings import ENVIRON
from cluster.spec import KubernetesSpec

ROOT = Path(__file__).parents[2]
HERE = ROOT / "cluster" / "image"
Instruction = tuple[str, str]


def read() -> list[list[Instruction]]:
    """Instructions by stage; those before the first `FROM` are stage 0."""
    text = re.sub(r"^#.*\n", "", (HERE / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    stages: list[list[Instruction]] = [[]]
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            stages.append([])
        stages[-1].append((word, " ".join(rest.split())))
    return stages


HEAD, BASE, BUILD, FINAL = read()


def said(stage: list[Instruction], word: str) -> list[str]:
    return [rest for found, rest in stage if found == word]


def environ(stage: list[Instruction]) -> dict[str, str]:
    pairs = [pair for rest in said(stage, "ENV") for pair in rest.split()]
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def test_every_stage_comes_from_one_base_that_is_named_by_digest() -> None:
    (argument,) = said(HEAD, "ARG")
    assert re.fullmatch(r"BASE=[a-z0-9./-]+:3\.1[123][a-z0-9.-]*@sha256:[0-9a-f]{64}", argument)
    assert [said(stage, "FROM") for stage in (BASE, BUILD, FINAL)] == [["${BASE} AS base"], ["base AS build"], ["base"]]


def test_it_runs_as_the_user_that_pods_name_and_not_as_root() -> None:
    spec = KubernetesSpec("one", "kubernetes", "here", 1, 1, 2**30, image="groundswell")
    context = worker_pod(spec, "one")["securityContext"]
    assert said(FINAL, "USER") == [f"{context['runAsUser']}:{context['runAsGroup']}"]
    assert context["runAsUser"] >= 10001


def test_the_last_stage_runs_nothing_and_takes_what_was_built() -> None:
    """So no cache, installer or source is left in it, and nothing that it runs can be written by who runs it."""
    assert said(FINAL, "RUN") == [] and said(FINAL, "ADD") == []
    assert said(FINAL, "COPY") == ["--from=build /opt/groundswell /opt/groundswell"]
    assert environ(FINAL)["PATH"].startswith("/opt/groundswell/bin:")


def test_a_pods_arguments_are_the_command() -> None:
    assert said(FINAL, "ENTRYPOINT") == [] and said(FINAL, "CMD")[0].startswith("[")


def test_loops_are_compiled_for_the_processor_and_folder_that_are_read() -> None:
    """And a pod's environment does not say otherwise."""
    names = [name for name in environ(FINAL) if name.startswith("NUMBA_")]
    assert {name: environ(BUILD)[name] for name in names} == {name: environ(FINAL)[name] for name in names}
    assert set(names) == {"NUMBA_CACHE_DIR", "NUMBA_CPU_FEATURES", "NUMBA_CPU_NAME"} and not set(names) & set(ENVIRON)
    assert [rest for stage in (BUILD, FINAL) for rest in said(stage, "ARG") if rest.startswith("CPU=")] == [
        "CPU=x86-64-v3"
    ] * 2
    assert said(BUILD, "RUN")[-1] == "/opt/groundswell/bin/python -m pipeline.compiled"


def test_every_package_is_a_pin_with_its_hash() -> None:
    installs = [part for rest in said(BUILD, "RUN") for part in rest.split(" && ") if "pip install" in part]
    assert len(installs) == 3
    assert "--require-hashes -r uv.txt" in installs[0]
    assert "--constraints constraints.txt" in installs[1] and "--only-binary :all:" in installs[1]
    assert "--no-deps" in installs[2] and "--build-constraints constraints.txt" in installs[2]
    assert not any(re.search(r"curl|wget|--index|trusted-host", rest) for rest in said(BUILD, "RUN"))


def test_the_installer_is_cut_whole_from_the_pins() -> None:
    script = re.search(r"sed -n '([^']+)'", said(BUILD, "RUN")[0])
    assert script and shutil.which("sed")
    cut = subprocess.run(
        ["sed", "-n", script[1], "constraints.txt"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert cut[0].startswith("uv==") and len(cut) > 1
    assert all(line.startswith("    --hash=sha256:") for line in cut[1:])
    assert cut[-1][-1] != "\\" and all(line[-1] == "\\" for line in cut[:-1])


def test_the_extras_are_ours() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (given,) = re.findall(r'EXTRAS="([^"]+)"', " ".join(said(BUILD, "ARG")))
    assert given.split()[::2] == ["--extra"] * (len(given.split()) // 2)
    assert {"events", "kubernetes"} <= set(given.split()[1::2]) <= set(extras) - {"dev", "bench"}


def test_the_builder_sees_what_is_copied_and_no_state_or_secret() -> None:
    """A denied-by-default context: what is not named never leaves the machine."""
    rules = [line for line in (HERE / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] != "#"]
    named = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {each for rest in said(BUILD, "COPY") for each in rest.split()[:-1]}
    assert rules[0] == "*" and named == copied
    assert {"cluster/terraform", "cluster/image"} <= set(rules[rules.index("!pyproject.toml") :])


@pytest.mark.parametrize("word", ["ENV", "ARG"])
def test_nothing_in_it_is_secret(word: str) -> None:
    text = " ".join(rest for stage in (HEAD, BASE, BUILD, FINAL) for rest in said(stage, word))
    assert not re.search(r"SECRET|TOKEN|PASSWORD|AWS_", text, re.IGNORECASE)
