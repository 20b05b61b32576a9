"""Laws of a source that is a GDAC: its keys, the options that stand for them, and what has no meaning elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.config import SourceConfig
from pipeline.config.options import Options
from pipeline.errors import ConfigError
from pipeline.run import parser
from tests.configs import SMALL, faults, load

HERE = "--set sources.s2"


def source(folder: Path, text: str) -> SourceConfig:
    return load(folder, SMALL, f"sources.s2={text}").sources["s2"]


def test_one_mirror_or_a_list_of_them(tmp_path: Path) -> None:
    """A folder counts from the config's own; addresses stay as they are."""
    one = source(tmp_path, "{gdac: gdac}")
    assert one.gdac == (str(tmp_path / "gdac"),)
    assert (one.kinds, one.multi_profile, one.unlisted, one.download) == (("core",), "never", "report", True)
    several = ["https://data-argo.ifremer.fr", "ftp://ftp.ifremer.fr/ifremer/argo", "s3://argo-gdac-sandbox/pub"]
    assert source(tmp_path, f"{{gdac: [{', '.join(several)}]}}").gdac == tuple(several)


def test_floats_are_numbers_however_they_are_written(tmp_path: Path) -> None:
    """A float of five digits too; one of six is none."""
    assert source(tmp_path, "{gdac: x, floats: [2902269, '13857']}").floats == (2902269, 13857)
    assert source(tmp_path, "{gdac: x, floats: 13857}").floats == (13857,)
    (fault,) = faults(tmp_path, SMALL, "sources.s2={gdac: x, floats: [290226]}")
    assert "allowed: the WMO number of a float, of 5 or 7 digits" in fault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{gdac: 'gopher://x'}", "allowed: a folder, or an https://, ftp:// or s3:// address"),
        ("{gdac: []}", "allowed: "),
        ("{gdac: x, kinds: []}", "kinds"),
        ("{gdac: x, kinds: [traj]}", "allowed: one of core, bgc, synthetic"),
        ("{gdac: x, dac: [INCOIS]}", 'dac.0: found "INCOIS"; allowed: a data centre\'s folder in small letters'),
        ("{gdac: x, parameters: [doxy]}", "allowed: Argo's name of a parameter in capitals, such as TEMP"),
        ("{gdac: x, limit: 0}", "limit"),
        ("{gdac: x, items: y}", "found items and gdac; allowed: exactly one of stac, items and gdac"),
        ("{items: x, floats: [2902269], mirror: y}", "found floats, mirror without gdac; allowed: beside gdac only"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(tmp_path: Path, text: str, fault: str) -> None:
    (found,) = faults(tmp_path, SMALL, f"sources.s2={text}")
    assert found.startswith(HERE) and fault in found


def test_options_stand_for_keys_of_every_gdac(tmp_path: Path) -> None:
    """And what is set by name has the last word."""
    path = tmp_path / "argo.yaml"
    path.write_text("sources: {a: {gdac: x}, s2: {items: y}, b: {gdac: [z]}}\n")
    words = ["--float-id", "2902269", "--float-id", "13857", "--limit", "5", "--skip-download", "--set", "a=b"]
    options = Options(**vars(parser().parse_args([str(path), *words])))
    each = ['floats=["2902269", "13857"]', "limit=5", "download=false"]
    assert options.all_sets == (*[f"sources.{name}.{one}" for name in "ab" for one in each], "a=b")
    assert Options(path).all_sets == ()


def test_they_are_refused_where_no_source_is_a_gdac(tmp_path: Path) -> None:
    path = tmp_path / "land.yaml"
    path.write_text(SMALL)
    with pytest.raises(ConfigError, match=r"land\.yaml: limit: found no source with `gdac`"):
        _ = Options(path, limit=3).all_sets
