"""A target for each step of a region's life, and what each of them says to Terraform."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "a" * 64
STEPS = {
    "tf-init": ("init", "-backend-config=bucket=states", "-backend-config=key=groundswell/example.tfstate"),
    "tf-plan": ("plan", "-var-file=regions/example.tfvars", "-out=.terraform/example/plan"),
    "tf-apply": ("apply .terraform/example/plan",),
    "tf-image": ("apply -var-file=regions/example.tfvars", f"-var=image_digest={DIGEST}", "example.image.tfvars"),
    "tf-outputs": ("output -raw clusters", "output -raw next_steps"),
    "tf-destroy": ("apply -destroy", "-var-file=regions/example.tfvars"),
}


def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What make would do: `--assume-old` leaves the project's own set-up out."""
    command = ["make", "--dry-run", "--assume-old=.venv/.ready", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_of_a_region_is_a_target(step: str) -> None:
    done = asked(step, "REGION=example", "STATE_BUCKET=states", f"DIGEST={DIGEST}")
    assert done.returncode == 0, done.stderr
    assert "TF_DATA_DIR=.terraform/example" in done.stdout, "each region has a state of its own"
    assert [words for words in STEPS[step] if words not in done.stdout] == []
    assert "-auto-approve" not in done.stdout, "a person says yes"


PROGRAM = """#!/bin/sh
echo "$GROUNDSWELL_PYTHON|$(basename "$0") $*" >> told-by-make
case "$*" in
  *" output "*) test -n "$OUTPUT" && echo "$OUTPUT" ;;
  *) exit "${FAILS:-0}" ;;
esac
"""


@dataclass(frozen=True)
class Steps:
    """The targets carried out in a folder with a space in its name; every program only writes down what it was told."""

    folder: Path
    programs: Path

    def made(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Without OUTPUT, Terraform says that there is nothing yet; with FAILS it ends by that code."""
        path = f"{self.programs}{os.pathsep}{os.environ['PATH']}"
        return subprocess.run(
            ["make", "--silent", "BUILDER=docker", *arguments],
            cwd=self.folder,
            env={"PATH": path, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    @property
    def told(self) -> str:
        path = self.folder / "told-by-make"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def steps(tmp_path: Path) -> Steps:
    found = Steps(tmp_path / "a project", tmp_path / "programs")
    (found.folder / "cluster" / "terraform" / "regions").mkdir(parents=True)
    (found.folder / "cluster" / "terraform" / "regions" / "us-west-2.tfvars").touch()
    shutil.copy(ROOT / "cluster" / "cloud.mk", found.folder / "cluster")
    (found.folder / "Makefile").write_text("READY :=\nRUN := .venv/bin\ninclude cluster/cloud.mk\n")
    found.programs.mkdir()
    for name in ("terraform", "aws", "docker"):
        (found.programs / name).write_text(PROGRAM)
        (found.programs / name).chmod(0o755)
    return found


@pytest.mark.parametrize(
    ("region", "said"),
    [
        ("", "make tf-plan REGION=us-west-2"),
        ("mars-1", "Write cluster/terraform/regions/mars-1.tfvars first"),
        ("us-west-2.image", "no region: us-west-2.image"),
        ("../x", "no region: ../x"),
    ],
)
def test_without_a_region_that_is_known_a_step_says_what_is_missing(steps: Steps, region: str, said: str) -> None:
    done = steps.made("tf-plan", f"REGION={region}")
    assert done.returncode != 0 and said in done.stderr and steps.told == ""


def test_an_image_is_that_of_its_region_from_the_first_time_on(steps: Steps) -> None:
    """Also where none was before; and one that could not be applied is not kept."""
    assert steps.made("tf-image", "REGION=us-west-2", f"DIGEST={DIGEST}", FAILS="1").returncode != 0
    kept = steps.folder / "cluster" / "terraform" / "regions" / "us-west-2.image.tfvars"
    assert f"-var=image_digest={DIGEST}" in steps.told and not kept.exists()
    assert steps.made("tf-image", "REGION=us-west-2", f"DIGEST={DIGEST}").returncode == 0
    assert kept.read_text() == f'image_digest = "{DIGEST}"\n'
    assert steps.made("tf-plan", "REGION=us-west-2").returncode == 0
    assert "-var-file=regions/us-west-2.image.tfvars" in steps.told.splitlines()[-1]


@pytest.mark.parametrize("digest", ["", "latest", "sha256:abc", f"{DIGEST}; true"])
def test_an_image_without_its_digest_is_refused(steps: Steps, digest: str) -> None:
    done = steps.made("tf-image", "REGION=us-west-2", f"DIGEST={digest}")
    assert done.returncode != 0 and "DIGEST=sha256:" in done.stderr and steps.told == ""


def test_the_regions_name_is_what_counts_and_not_what_a_copied_file_says(steps: Steps) -> None:
    """Terraform takes the last value that it is given."""
    for step in ("tf-plan", "tf-destroy"):
        assert steps.made(step, "REGION=us-west-2").returncode == 0
        assert re.search(r"-var-file=\S+ -var=region=us-west-2", steps.told.splitlines()[-1])


def test_a_registrys_password_goes_to_that_registry_or_nowhere(steps: Steps) -> None:
    """Before a registry is there, nobody logs in; least of all where a builder goes without a name."""
    assert steps.made("image-push", "REGION=us-west-2", "TAG=1").returncode != 0
    assert "login" not in steps.told
    host = "123456789012.dkr.ecr.us-west-2.example"
    assert steps.made("image-push", "REGION=us-west-2", "TAG=1", OUTPUT=f"{host}/groundswell").returncode == 0
    assert f"docker login --username AWS --password-stdin {host}\n" in steps.told
    assert f"docker push {host}/groundswell:1\n" in steps.told


def test_a_folder_with_a_space_in_its_name_is_a_folder(steps: Steps) -> None:
    assert steps.made("tf-apply", "REGION=us-west-2").returncode == 0
    assert steps.told.startswith(f"{steps.folder}/.venv/bin/python|terraform ")


@pytest.mark.parametrize(("processor", "platform"), [("x86-64-v3", "linux/amd64"), ("neoverse-n1", "linux/arm64")])
def test_an_image_is_built_for_the_processor_that_runs_it(steps: Steps, processor: str, platform: str) -> None:
    """Not for the one of a laptop."""
    assert steps.made("image", f"CPU={processor}", "TAG=1").returncode == 0
    assert f"--platform {platform} " in steps.told and f"--build-arg CPU={processor} " in steps.told


@pytest.mark.parametrize("builder", ["docker", "podman", "buildah"])
def test_an_image_is_built_from_what_the_ignore_file_lets_through(builder: str) -> None:
    """Docker finds the file by its name, the others must be told."""
    said = asked("image", f"BUILDER={builder}", "BASE=python@sha256:1").stdout
    assert "--file cluster/image/Dockerfile" in said and "--build-arg BASE=python@sha256:1" in said
    assert ("--ignorefile cluster/image/Dockerfile.dockerignore" in said) == (builder != "docker")


def test_the_check_is_of_a_fixed_version_in_a_place_of_its_own() -> None:
    said = asked("check-cloud").stdout
    assert "terraform fmt -check -recursive cluster/terraform" in said
    assert "--framework terraform --directory cluster/terraform" in said
    assert "--framework dockerfile --file cluster/image/Dockerfile" in said
    assert re.search(r"checkov==\d+\.\d+\.\d+", (ROOT / "cluster" / "cloud.mk").read_text())
