"""Every verb answers from the command line, and says by its exit code what it found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.verbs.making import files, groundswell

TILE = "33N-469-3906"
VERBS = {
    "plan": ((), "plan: 0 jobs to run, 2 skipped"),
    "explain": ((TILE,), f"sentinel2/{TILE}/2024-06: committed, nothing to do"),
    "status": ((), ": finished"),
    "verify": ((), "verify: 2 items, every byte: no faults"),
    "vacuum": (("--older-than", "0"), "removed: nothing"),
    "catalog": ((), "catalog: 2 items"),
    "reproduce": ((f"sentinel2_{TILE}_2024-07",), "all equal"),
}


def arguments(verb: str, config: Path, output: Path) -> list[str]:
    """A config for the verbs about one, with the copied output; the output alone for the others."""
    further = list(VERBS[verb][0])
    if verb in {"plan", "explain"}:
        return [verb, str(config), *further, "--output", str(output)]
    return [verb, str(output), *further]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_answers(verb: str, made: Path, output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And none changes an object of a sound output."""
    before = files(output)
    assert groundswell(*arguments(verb, made, output)) == 0, capsys.readouterr().err
    assert VERBS[verb][1] in capsys.readouterr().out
    assert files(output) == before


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"plan", "explain"}))
def test_an_output_can_be_named_by_its_config(verb: str, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert groundswell(verb, made, *VERBS[verb][0]) == 0, capsys.readouterr().err
    assert VERBS[verb][1] in capsys.readouterr().out


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {"plan", "explain"}))
def test_a_folder_that_is_no_output_is_refused(verb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is removed from somebody's folder that has a `data/` of its own."""
    own = tmp_path / "own" / "data" / "a" / "b" / "c" / "x_0123456789ab_0123456789ab.tif"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"mine")
    assert groundswell(verb, tmp_path / "own", *VERBS[verb][0]) == 3
    assert "found neither runs/ nor items/" in capsys.readouterr().err
    assert own.exists()


@pytest.mark.parametrize("age", ["x", "-1", "3 weeks", ""])
def test_an_age_that_is_none_is_bad_usage(output: Path, age: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        groundswell("vacuum", output, f"--older-than={age}")
    assert ended.value.code == 2
    assert "allowed: 0, 90s, 30min, 24h, 7d" in capsys.readouterr().err
