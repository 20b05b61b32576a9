"""`--help` teaches: every verb and option says what it is for, and every example can be typed as it stands."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline import __version__, cli, run
from pipeline.verbs.arguments.parser import GROUPS, VERBS, parser
from pipeline.verbs.completion import actions_of

ROOT = Path(__file__).parents[1]


def leaves(made: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every command line below one, those of actions too."""
    for action in made._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield verb
                yield from leaves(verb)


PROGRAM, RUN = parser(), run.parser()
COMMANDS = {made.prog: made for made in [*leaves(PROGRAM), RUN]}


def examples(help_text: str) -> list[str]:
    """The lines below `examples:`, without remarks."""
    block = help_text.partition("examples:\n")[2].partition("\n\n")[0]
    return [line.partition("  #")[0].strip() for line in block.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does_how_and_how_it_ends(command: str) -> None:
    text = COMMANDS[command].format_help()
    said = str(COMMANDS[command].description)
    assert len(re.findall(r"[.:](\s|$)", said)) >= 2, "two sentences"
    assert examples(text) and all(each.startswith(command) for each in examples(text))
    assert re.search(r"exit codes:\n {4}0 .*\n(.*\n)* {4}2 ", text)
    assert max(map(len, text.splitlines())) <= 130


def test_every_argument_says_what_it_is() -> None:
    silent = [
        f"{made.prog} {'/'.join(action.option_strings) or action.dest}"
        for made in COMMANDS.values()
        for action in actions_of(made)
        if not action.help
    ]
    assert silent == []


def test_one_placeholder_means_one_thing() -> None:
    """Values are shown by an upper-case word; the same option has the same one, and the same help, everywhere."""
    shown: dict[str, set[object]] = {}
    for made in COMMANDS.values():
        for action in made._actions:
            if action.nargs == 0 or isinstance(action, argparse._SubParsersAction | argparse._HelpAction):
                continue
            words = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,)
            assert action.choices or all(re.fullmatch(r"[A-Z]+([=:][A-Z]+)?", str(word)) for word in words), made.prog
            shown.setdefault((action.option_strings or [f"<{action.dest}>"])[0], set()).add(action.metavar)
    ambiguous = {name: words for name, words in shown.items() if len(words) > 1}
    assert ambiguous == {"<config>": {"CONFIG", "RULES"}}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_is_understood(command: str) -> None:
    for example in examples(COMMANDS[command].format_help()):
        words = shlex.split(example.partition(" > ")[0])
        program = RUN if words[0] == "python" else PROGRAM
        program.parse_args(words[3:] if words[0] == "python" else words[1:])
        assert [word for word in words if word.startswith("configs/") and not (ROOT / word).is_file()] == []


def test_every_verb_has_its_module() -> None:
    """Named so that nobody has to look for it; a run is a module of its own."""
    folder = ROOT / "pipeline" / "verbs"
    for name in VERBS.keys() - {"run"}:
        tree = ast.parse((folder / f"{name}.py").read_text(encoding="utf-8"))
        assert "run" in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
    modules = {path.stem for path in folder.glob("[a-z]*.py")}
    assert modules == VERBS.keys() - {"run"}


def test_the_overview_names_each_verb_once_and_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    told = capsys.readouterr().out
    assert re.findall(r"^  (\w+) {2,}\w", told, re.MULTILINE) == [each.name for one in GROUPS for each in one.verbs]
    assert max(map(len, told.splitlines())) <= 100


def test_the_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert (ended.value.code, capsys.readouterr().out) == (0, f"groundswell {__version__}\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("verfy out", "closest: verify"),
        ("stats out", "closest: status"),
        ("frobnicate", "`groundswell --help`"),
        ("my.yaml", "groundswell run my.yaml"),
        ("verify out --quik", "found --quik, which it does not take; closest: --quick"),
        ("run my.yaml --dryrun", "closest: --dry-run"),
        ("cluster gc my.yaml --dry", "found --dry, which it does not take; closest: --dry-run"),
        ("plan", "CONFIG"),
        ("completion fishy", "bash"),
        ("vacuum out --older-than soon", "allowed: 0, 90s, 30min, 24h, 7d"),
        ("request --year 21", "a year such as 2021"),
    ],
)
def test_what_is_mistyped_is_answered_with_what_was_meant(
    line: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(line.split())
    told = capsys.readouterr()
    assert ended.value.code == 2
    assert expected in told.err
    assert (told.out, len(told.err.splitlines())) == ("", 2)


def test_a_run_is_the_same_by_both_names(capsys: pytest.CaptureFixture[str]) -> None:
    verb, own = COMMANDS["groundswell run"], COMMANDS["python -m pipeline.run"]
    assert verb.format_help().replace(verb.prog, own.prog).split() == own.format_help().split()
    codes = [cli.main(["run", "no-such.yaml"]), run.main(["no-such.yaml"])]
    told = capsys.readouterr().err.splitlines()
    assert codes == [2, 2] and told[: len(told) // 2] == told[len(told) // 2 :]
