"""Links lead somewhere, nothing that somebody may run is left out, and what is named in passing exists."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import re
import shlex
from functools import cache

import pytest

from pipeline import cli, run
from tests.docs.markdown import FOLDERS, ROOT, anchors, blocks, inline, links, pages, text_of

README_LINES = 350


@pytest.mark.parametrize("page", pages())
def test_links_lead_to_a_file_and_a_section_that_are_there(page: str) -> None:
    broken = []
    for target in links(page):
        path, _, section = target.partition("#")
        led = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        there = led.exists() and (not section or section in anchors(led.relative_to(ROOT).as_posix()))
        broken += [] if there else [target]
    assert broken == []


def test_every_config_and_notebook_is_linked_from_the_page_beside_it() -> None:
    for folder, kinds in (("configs", "*.yaml"), ("notebooks", "*.ipynb")):
        linked = set(links(f"{folder}/README.md"))
        left_out = [path.name for path in (ROOT / folder).glob(kinds) if path.name not in linked]
        assert left_out == [], f"{folder}/README.md"


def test_every_page_but_the_first_is_linked_from_another() -> None:
    led = {
        ((ROOT / page).parent / target.partition("#")[0]).resolve().relative_to(ROOT).as_posix()
        for page in pages()
        for target in links(page)
        if target.partition("#")[0]
    }
    assert set(pages()) - led <= {"README.md", "tests/schemas/README.md"}, "the latter is of the files beside it"


def test_the_first_page_is_read_in_ten_minutes() -> None:
    lines = text_of("README.md").count("\n")
    assert lines <= README_LINES, "move a chapter to the folder that it is about"


def test_figures_that_stand_twice_are_the_same() -> None:
    """Rows of the README's table of speed, on the page that says how each was measured."""
    table = text_of("README.md").partition("\n## Speed\n")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    there = text_of("tests/benchmarks/README.md").splitlines()
    assert len(rows) > 5 and [row for row in rows if row not in there] == []


def test_what_a_page_prints_says_its_language() -> None:
    """A block without a language holds commands; `registry.py` says how each is run."""
    known = {"", "bash", "sh", "text", "python", "yaml", "sql", "hcl", "http", "json"}
    assert [block.place for page in pages() for block in blocks(page) if block.language not in known] == []


@cache
def options() -> dict[tuple[str, ...], set[str]]:
    """Verb (and action) → the options that it has; those of a run are under no verb."""
    return {(): _options(run.parser()), **dict(_verbs(cli.parser(), ()))}


def _options(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings}


def _verbs(parser: argparse.ArgumentParser, above: tuple[str, ...]) -> list[tuple[tuple[str, ...], set[str]]]:
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                found += [((*above, name), _options(below)), *_verbs(below, (*above, name))]
    return found


def unknown(code: str) -> str:
    """What a command that is named in passing has and the program has not; empty where it is right."""
    words = re.sub(r"[\[\]…|]", " ", code.partition(" #")[0]).replace("'", " ").split()
    run_of = re.search(r"python -m pipeline\.run\b(.*)", code)
    if run_of:
        return ", ".join(sorted({word for word in words if word.startswith("--")} - options()[()]))
    verb = tuple(words[1:3]) if tuple(words[1:3]) in options() else tuple(words[1:2])
    if verb not in options():
        return f"no verb {' '.join(verb)}"
    return ", ".join(sorted({word.partition("=")[0] for word in words if word.startswith("--")} - options()[verb]))


def named(beginning: str) -> list[tuple[str, str]]:
    """(page, code) of what stands in passing and begins so; what changed lately is history, not advice."""
    return [
        (page, code.strip())
        for page in pages()
        if page != "CHANGELOG.md"
        for code in inline(page)
        if re.match(beginning, code.strip())
    ]


def test_verbs_and_options_that_are_named_exist() -> None:
    found = named(r"groundswell [a-zA-Z]|\S*python -m pipeline\.run [a-zA-Z-]")
    assert len(found) > 30
    wrong = {(page, code): unknown(code) for page, code in found if "VERB" not in code}
    assert {place: what for place, what in wrong.items() if what} == {}


def test_every_verb_is_in_the_table_of_the_readme() -> None:
    table = text_of("README.md").partition("\n## Verbs\n")[2].partition("\n## ")[0]
    first = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    verbs = {verb[0] for verb in options() if verb}
    assert {verb for verb in verbs if not re.search(rf"`{verb}\b", first)} == set()


def test_modules_that_are_named_can_be_run() -> None:
    wrong = []
    for page, code in named(r"\S*python -m (pipeline|tests|cluster)\."):
        module = shlex.split(code.replace("…", ""))[2]
        spec = importlib.util.find_spec(module)
        runs = spec is not None and (
            spec.submodule_search_locations is None or importlib.util.find_spec(f"{module}.__main__") is not None
        )
        wrong += [] if runs else [(page, module)]
    assert wrong == []


def test_names_in_the_code_are_there() -> None:
    """`pipeline.…` in passing: a module, or a name in one."""
    wrong = []
    for page, code in named(r"pipeline(\.\w+)+(\(|$)"):
        dotted = code.partition("(")[0]
        if page != "pipeline/DESIGN.md" and not dotted.endswith((".py", ".json", ".yaml")):
            wrong += [] if _resolves(dotted) else [(page, dotted)]
    assert wrong == []


def _resolves(dotted: str) -> bool:
    module, _, name = dotted.rpartition(".")
    return hasattr(importlib.import_module(module), name) or importlib.util.find_spec(dotted) is not None


def test_files_of_the_code_that_are_named_are_there() -> None:
    """By the end of their path, as `ops/mask.py`; the page of other systems names theirs."""
    files = [f"/{path.relative_to(ROOT).as_posix()}" for name in FOLDERS for path in (ROOT / name).rglob("*.py")]
    found = [(page, code) for page, code in named(r"[\w./]+\.py$") if page != "configs/ACROSS.md"]
    assert len(found) > 60
    missing = [place for place in found if not any(path.endswith(f"/{place[1]}") for path in files)]
    assert missing == [("CONTRIBUTING.md", "pipeline/products/water_range.py")], "the one that is to be written there"


def test_tests_that_are_named_are_there() -> None:
    """`python -m pytest …` beside a promise: files, and names behind `-k`, that pytest finds something by."""
    found = [code for _, code in named("python -m pytest ")]
    assert len(found) >= 10
    for code in found:
        words = shlex.split(code)
        files = [ROOT / word for word in words if word.startswith("tests/")]
        assert files and all(path.exists() for path in files), code
        if "-k" in words:
            name = words[words.index("-k") + 1]
            assert any(re.search(rf"def test_\w*{name}", path.read_text()) for path in files), code


def test_targets_that_are_named_are_there() -> None:
    makefiles = (ROOT / "Makefile").read_text() + (ROOT / "cluster" / "cloud.mk").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefiles, re.MULTILINE))
    wanted = {re.findall(r"(?<= )[a-z-]+(?= |$)", code)[0] for _, code in named(r"make [a-z]")}
    assert len(wanted) > 5 and wanted <= targets
