"""The scripts of `groundswell completion`, asked by the shells themselves."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.verbs.arguments.parser import VERBS

ASK = """
source {script}
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
$(complete -p groundswell | sed 's/.*-F \\([^ ]*\\).*/\\1/')
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
"""As readline does: the function that is registered for the program is called with the words so far."""
TYPE = """
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell 'groundswell() {{ print "asked: $* :end" }}'
zpty -w shell 'fpath=({folder} $fpath); autoload -Uz compinit; compinit -D -u'
zpty -w -n shell {keys}
while zpty -r shell line '*asked: [a-z]* :end*'; do print -r -- "$line"; break; done
"""
"""A terminal in which the words, a tab and return are typed."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a person stands: a config, a folder, and another file."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "demo.yaml").touch()
    (tmp_path / "demo-output").mkdir()
    (tmp_path / "demo.txt").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def script(shell: str, path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """The script that is printed, in a file."""
    assert cli.main(["completion", shell]) == 0
    path.write_text(capsys.readouterr().out)
    return path


def test_bash_completes_verbs_options_and_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = script("bash", folder / "script", capsys)

    def offered(*words: str) -> set[str]:
        text = ASK.format(script=made, words=" ".join(shlex.quote(word) for word in words))
        told = subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True, check=True)
        assert told.stderr == ""
        return set(told.stdout.split())

    assert offered("groundswell", "") >= VERBS.keys()
    assert offered("groundswell", "ver") == {"verify"}
    assert offered("groundswell", "verify", "demo-output", "--re") == {"--repair"}
    assert offered("groundswell", "run", "configs/demo.yaml", "--dry") == {"--dry-run"}
    assert offered("groundswell", "plan", "con") == {"configs"}
    assert offered("groundswell", "plan", "configs/d") == {"configs/demo.yaml"}
    assert offered("groundswell", "status", "de") == {"demo-output", "demo.txt"}
    assert offered("groundswell", "report", "demo-output", "--to", "de") == {"demo-output"}
    assert offered("groundswell", "cluster", "") >= {"list", "render", "gc"}
    assert offered("groundswell", "cluster", "gc", "my.yaml", "--sil") == {"--silent-for"}
    assert offered("groundswell", "completion", "") >= {"bash", "zsh", "tcsh"}


@pytest.mark.long
def test_zsh_completes_verbs_and_files(
    folder: Path, capsys: pytest.CaptureFixture[str], need_binary: Callable[[str], str]
) -> None:
    zsh = need_binary("zsh")
    script("zsh", folder / "_groundswell", capsys)
    for typed, asked in (("veri", "verify"), ("plan configs/d", "plan configs/demo.yaml")):
        text = TYPE.format(folder=folder, keys=f"$'groundswell {typed}\\t\\n'")
        told = subprocess.run([zsh, "-f", "-c", text], capture_output=True, text=True, timeout=30, check=True)
        assert f"asked: {asked} :end" in told.stdout


def test_tcsh_is_given_every_verb(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its script is one `complete` command; the shell itself is rarely there."""
    words = shlex.split(script("tcsh", folder / "script", capsys).read_text(), comments=True)
    assert words[:2] == ["complete", "groundswell"]
    (verbs,) = [word for word in words if word.startswith("p/1/")]
    assert verbs.removeprefix("p/1/(").removesuffix(")/").split() == list(VERBS)
