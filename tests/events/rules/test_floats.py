"""Keys of a GDAC's bucket name the float whose profiles they hold, or nothing that a run would read."""

from __future__ import annotations

import pytest

from pipeline.config.source import SourceConfig
from pipeline.events.rules.floats import float_of

GDAC = ("https://data-argo.ifremer.fr",)
CORE = SourceConfig(gdac=GDAC)


@pytest.mark.parametrize(
    "key",
    [
        "pub/dac/coriolis/6902746/profiles/R6902746_001.nc",
        "coriolis/6902746/profiles/D6902746_001D.nc",
        "a/dac/b/dac/coriolis/6902746/profiles/R6902746_1001.nc",
    ],
)
def test_a_profile_is_its_floats(key: str) -> None:
    assert float_of(key, CORE) == 6902746


@pytest.mark.parametrize(
    "key",
    [
        "dac/coriolis/6902746/6902746_prof.nc",
        "dac/coriolis/6902746/6902746_meta.nc",
        "dac/coriolis/6902746/6902746_Rtraj.nc",
        "dac/coriolis/6902746/profiles/BR6902746_001.nc",
        "dac/coriolis/6902746/profiles/MR6902746_001.nc",
        "dac/coriolis/6902747/profiles/R6902746_001.nc",
        "dac/coriolis/690274/profiles/R690274_001.nc",
        "dac/coriolis/6902746/profiles/R6902746_001.nc.tmp",
        "6902746/profiles/R6902746_001.nc",
        "ar_index_global_prof.txt",
        "",
    ],
)
def test_what_a_run_would_not_read_is_of_no_float(key: str) -> None:
    assert float_of(key, CORE) is None


def test_the_source_says_which_files_matter() -> None:
    profile = "dac/coriolis/6902746/profiles/%s6902746_001.nc"
    bgc, synthetic = SourceConfig(gdac=GDAC, kinds=("bgc",)), SourceConfig(gdac=GDAC, kinds=("synthetic",))
    assert [float_of(profile % kind, bgc) for kind in ("BD", "R", "SR")] == [6902746, None, None]
    assert [float_of(profile % kind, synthetic) for kind in ("BD", "R", "SR")] == [None, None, 6902746]
    multi = "dac/coriolis/6902746/6902746_prof.nc"
    assert float_of(multi, SourceConfig(gdac=GDAC, multi_profile="auto")) == 6902746
    assert float_of(profile % "R", SourceConfig(gdac=GDAC, dac=("incois",))) is None
    assert float_of(profile % "R", SourceConfig(gdac=GDAC, floats=(2902269,))) is None
    assert float_of(profile % "R", SourceConfig(gdac=GDAC, floats=(2902269, 6902746), dac=("coriolis",))) == 6902746
