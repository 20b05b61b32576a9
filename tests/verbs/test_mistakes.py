"""What a newcomer gets wrong is answered with what to do about it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline import cli
from pipeline.verbs._ending import _extra_of, end

CONFIG = Path(__file__).parents[2] / "configs" / "demo.yaml"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a person stands, with an output that is not called for by name."""
    (tmp_path / "mine" / "runs").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code", "advice"),
    [
        ("verify nowhere", 3, "found no such folder"),
        ("verify empty", 3, "expected the output of a run"),
        ("verify .", 3, "did you mean mine?"),
        ("status s3://bucket/x --profile nobody", 3, "add it to the AWS configuration"),
        ("status ftp://bucket/x", 2, "expected a folder, file:// or s3://"),
        ("plan nowhere.yaml", 2, "give the path of a YAML file"),
        ("plan empty", 2, "give the path of a YAML file"),
        (f"plan {CONFIG} --set composite", 2, "--set run.retries=5"),
        (f"plan {CONFIG} --set products.sentinel2.compsite=mean", 2, "did you mean composite?"),
        (f"plan {CONFIG} --set products.sentinel3.composite=mean", 2, "sentinel2, sentinel2-c1"),
        (f"run {CONFIG} --progress loud", 2, "auto, bars, lines, json, quiet"),
        (
            f"plan {CONFIG} --output out --snapshot nowhere.parquet",
            3,
            "found no such file; give runs/<id>/items.parquet",
        ),
        (f"plan {CONFIG} --output out --snapshot {CONFIG}", 3, "give runs/<id>/items.parquet"),
        (f"serve {CONFIG}", 2, "stores: {postgres: {dsn: ${DATABASE_URL}}}"),
        ("listen", 2, "GROUNDSWELL_EVENTS"),
        ("request --bbox 1 2 3 4", 2, "give --year"),
    ],
)
def test_the_answer_says_what_to_do(
    line: str, code: int, advice: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(line.split()) == code
    assert advice in capsys.readouterr().err


def test_a_config_that_never_ran_is_told_how_to_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = CONFIG.read_text().replace("output: ./demo-output", "output: ./not-yet")
    (folder / "mine.yaml").write_text(text)
    assert cli.main(["status", "mine.yaml"]) == 3
    assert "make it with `python -m pipeline.run mine.yaml`" in capsys.readouterr().err


def test_a_package_of_an_extra_is_told_with_its_extra(capsys: pytest.CaptureFixture[str]) -> None:
    def need(package: str) -> int:
        raise ModuleNotFoundError(name=package)

    if _extra_of("boto3") is None:
        pytest.skip("the project is not installed here")
    assert end(lambda: need("boto3")) == 3
    assert "pip install 'groundswell[events]'" in capsys.readouterr().err
    with pytest.raises(ModuleNotFoundError):
        end(lambda: need("pipeline.nothing"))
