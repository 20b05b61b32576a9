"""Each command that a page shows is run by a test that is there, or stands with the reason why it is not."""

from __future__ import annotations

import re
import subprocess

from tests.docs.markdown import ROOT, of_language, shown
from tests.docs.registry import BLOCKS, CI, WAYS, Way
from tests.faults.test_matrix import marks

RUN_BLOCKS = ("python", "yaml", "sql", "http", "hcl")


def test_every_command_that_is_shown_is_run_or_says_why_not() -> None:
    unknown = {command: places for command, places in shown().items() if command not in WAYS}
    assert unknown == {}, "say in tests/docs/registry.py how each of these is run"


def test_nothing_is_registered_that_no_page_shows() -> None:
    assert sorted(set(WAYS) - set(shown())) == []


def test_every_block_that_is_no_command_is_run_too() -> None:
    shown_blocks = {(block.page, block.heading, block.language) for block in of_language(*RUN_BLOCKS)}
    assert shown_blocks == set(BLOCKS), "say in tests/docs/registry.py which test runs each of these"


def test_the_tests_are_there_and_not_left_to_test_full() -> None:
    """A row of `make test-full` alone would run nothing in CI."""
    wrong = []
    for shown_there, test in [*((command, way.test) for command, way in WAYS.items()), *BLOCKS.items()]:
        module, _, name = test.partition("::")
        known = marks(module) if (ROOT / "tests" / module).is_file() else {}
        wrong += [] if name in known and "full" not in known[name] else [(shown_there, test)]
    assert wrong == []


def commands_of(way: Way) -> list[str]:
    return [command for command, found in WAYS.items() if found == way]


def test_ci_makes_these_targets() -> None:
    """`.ci/run` calls each by its name: CI is where they run."""
    stepped = re.findall(r"^\s*step \d+ ([a-z-]+)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)
    assert {f"make {target}" for target in stepped} == set(commands_of(CI))


def test_targets_say_what_they_would_do() -> None:
    """Every target of every page: make knows it, and what it needs to be told; nothing is carried out."""
    given = [command.replace("sha256:…", f"sha256:{'a' * 64}") for command in shown() if command.startswith("make ")]
    for command in given:
        words = [word.replace("us-west-2", "example") for word in command.split()]
        dry = [words[0], "--dry-run", "--assume-old=.venv/.ready", *words[1:]]
        done = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0 and done.stdout.strip(), f"{command}: {done.stderr}"
