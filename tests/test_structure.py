"""The shape of the project: sizes, dependencies, names. Exceptions stand here with a reason; the lists only shrink."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PACKAGES = ("cluster", "pipeline")
MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_ARGUMENTS = 6

LONG_FILES: dict[str, tuple[int, str]] = {}
"""Files allowed more lines: path → (lines, reason)."""

LONG_FUNCTIONS: dict[str, tuple[int, str]] = {
    "tests/config/test_load.py:test_all_faults_come_at_once_in_the_order_of_the_file": (
        66,
        "one file with every kind of fault, and what is said of each",
    ),
}
"""Functions allowed more lines: path:name → (lines, reason)."""

TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "cluster",
    "configs",
    "constraints.txt",
    "helm",
    "notebooks",
    "pipeline",
    "pyproject.toml",
    "tests",
}

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = [
    (canonicalize_name(match[1]), Version(match[2]))
    for match in re.finditer(r"^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
]
"""Name and version; a package has one pin, or one for each kind of machine."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*packages: str) -> list[Path]:
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(*packages: str) -> Iterator[tuple[str, Function]]:
    for path in sources(*packages):
        for node in ast.walk(parsed(path)):
            if isinstance(node, Function):
                yield f"{name_of(path)}:{node.name}", node


def argument_count(function: Function) -> int:
    """Arguments a caller sees: `self` and `cls` are none, `*args` and `**kwargs` are one each."""
    arguments = function.args
    plain = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    bound = bool(plain) and plain[0].arg in {"self", "cls"}
    return len(plain) - bound + bool(arguments.vararg) + bool(arguments.kwarg)


def dependencies() -> list[Requirement]:
    """Every direct dependency, of the project and of its extras; the project's own name is none."""
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    found = [Requirement(text) for text in [*PROJECT["dependencies"], *extras]]
    return [requirement for requirement in found if requirement.name != PROJECT["name"]]


def tracked() -> list[str]:
    """Files git knows, or would add; skips where there is no git checkout."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout")
    return [name for name in listing.split("\0") if name and (ROOT / name).is_file()]


def over(found: dict[str, int], limit: int, allowed: dict[str, tuple[int, str]]) -> list[str]:
    """What is over its limit, and every exception that is no longer needed."""
    faults = [
        f"{name}: {size}, limit {allowed.get(name, (limit, ''))[0]}"
        for name, size in found.items()
        if size > allowed.get(name, (limit, ""))[0]
    ]
    return faults + [
        f"{name}: {found.get(name, 0)}, so its entry must go, or shrink from {size}"
        for name, (size, _reason) in allowed.items()
        if found.get(name, 0) <= limit or found[name] < size
    ]


def refuse(faults: list[str]) -> None:
    """Fail with every fault on a line of its own."""
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)


def test_files_are_short_and_exceptions_only_shrink() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in sources(*PACKAGES, "tests")}
    refuse(over(lengths, MAX_FILE_LINES, LONG_FILES))


def test_functions_are_short_and_exceptions_only_shrink() -> None:
    """Those of tests as well: a law that needs more is two, or has a helper with a name."""
    lengths: dict[str, int] = {}
    for name, node in functions(*PACKAGES, "tests"):
        lengths[name] = max(lengths.get(name, 0), (node.end_lineno or node.lineno) - node.lineno + 1)
    refuse(over(lengths, MAX_FUNCTION_LINES, LONG_FUNCTIONS))


def test_functions_take_few_arguments() -> None:
    """Of the packages; what pytest gives a test, its fixtures and cases, is no argument that anybody writes."""
    counts: dict[str, int] = {}
    for name, node in functions(*PACKAGES):
        counts[name] = max(counts.get(name, 0), argument_count(node))
    refuse(over(counts, MAX_ARGUMENTS, {}))


def test_no_error_is_swallowed_unseen() -> None:
    """No bare `except:`, and no `except Exception` that does nothing."""
    swallowed = []
    for path in sources(*PACKAGES):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ExceptHandler):
                wide = isinstance(node.type, ast.Name) and node.type.id in {"Exception", "BaseException"}
                silent = all(isinstance(each, ast.Pass | ast.Continue) for each in node.body)
                if node.type is None or (wide and silent):
                    swallowed.append(f"{name_of(path)}:{node.lineno}")
    refuse(swallowed)


def test_every_module_says_what_it_is_for() -> None:
    refuse([name_of(path) for path in sources(*PACKAGES) if not ast.get_docstring(parsed(path))])


def test_every_dependency_has_a_floor_that_the_pins_meet() -> None:
    faults = []
    for requirement in dependencies():
        floors = [each for each in requirement.specifier if each.operator == ">="]
        pins = [version for name, version in PINS if name == canonicalize_name(requirement.name)]
        if not floors or not pins or not all(pin in requirement.specifier for pin in pins):
            faults.append(f"{requirement}: pinned to {[str(pin) for pin in pins]}")
    refuse(faults)


def test_every_pin_has_hashes_and_names_no_place() -> None:
    text = (ROOT / "constraints.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    refuse([line.split()[0] for line in lines if "--hash=sha256:" not in line])
    refuse([line for line in text.splitlines() if line.startswith("-") or "://" in line])


def test_what_the_code_imports_is_a_direct_dependency() -> None:
    """Whatever else installs it today: what another package brings along, it may drop tomorrow."""
    direct = {canonicalize_name(requirement.name) for requirement in dependencies()}
    providers = packages_distributions()
    faults = set()
    for path in sources(*PACKAGES):
        for node in ast.walk(parsed(path)):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            for top in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - set(PACKAGES):
                if not direct & {canonicalize_name(name) for name in providers.get(top, [top])}:
                    faults.add(f"{name_of(path)} imports {top}")
    refuse(sorted(faults))


def test_top_level_holds_only_what_the_design_names() -> None:
    refuse(sorted({name.partition("/")[0] for name in tracked()} - TOP_LEVEL))


def test_no_file_names_a_registry_or_somebodys_folder() -> None:
    place = re.compile(
        rb"(?<!emit-)index[-_]url|find[-]links|pypi\.org/simple|pythonhosted\.org|/(?:root|home/\w+|Users/\w+)/"
    )
    hits = {name: place.search((ROOT / name).read_bytes()) for name in tracked()}
    refuse([f"{name}: {hit[0].decode()}" for name, hit in hits.items() if hit])
