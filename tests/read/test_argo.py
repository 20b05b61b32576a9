"""A profile file gives what it holds, as stored: each trap of real files, each fault by the name of its variable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from pipeline.errors import PermanentAssetError
from pipeline.plan.argo_schema import TEXTS
from pipeline.read.argo import read_profiles
from pipeline.types.profiles import ProfileFile
from tests.argo_files import Made, argo_file, single

PARAMETERS = ("PRES", "TEMP", "PSAL", "DOXY", "CHLA", "MTIME", "RAW_DOWNWELLING_PAR", "UV_INTENSITY_NITRATE")
PARTS = {"raw": "", "raw_qc": "_QC", "adjusted": "_ADJUSTED", "adjusted_qc": "_ADJUSTED_QC"}
PARTS |= {"adjusted_error": "_ADJUSTED_ERROR"}
Read = Callable[[str], ProfileFile]


def of_made(made: Made, *parameters: str, path: str = "made.nc") -> ProfileFile:
    return read_profiles(argo_file(made), path, parameters or ("PRES", "TEMP", "PSAL"))


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Read:
    """A real file by its name."""
    paths = {path.name: path for path in (shared_data / "argo").rglob("*.nc")}
    return lambda name: read_profiles(paths[name].read_bytes(), name, PARAMETERS)


def library(path: Path) -> Iterator[tuple[str, Any]]:
    """Every variable as the NetCDF library gives it, masks and scales off."""
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        for name, variable in file.variables.items():
            yield name, variable[...]


def texts_of(array: Any) -> list[str]:
    return [row.tobytes().decode("latin-1").strip(" \0\n\r\t") for row in array]


def test_every_real_profile_file(shared_data: Path) -> None:
    """All that is read, against the library: identity, modes, texts and five arrays of each parameter, to the bit."""
    seen = 0
    for path in sorted((shared_data / "argo").rglob("*.nc")):
        if path.name.endswith(("_meta.nc", "_tech.nc", "traj.nc", "_Sprof.nc")):
            continue
        theirs, ours = dict(library(path)), read_profiles(path.read_bytes(), path.name, PARAMETERS)
        check_profiles(ours, theirs)
        for name in PARAMETERS:
            if name in theirs and theirs[name].ndim == 2:
                for part, suffix in PARTS.items():
                    same(getattr(ours.measured[name], part), theirs.get(name + suffix))
            else:
                assert name not in ours.measured
        seen += 1
    assert seen == 68


def same(ours: Any, theirs: Any) -> None:
    if theirs is None:
        assert ours is None
    else:
        assert ours.shape == theirs.shape and ours.astype(theirs.dtype).tobytes() == theirs.tobytes()


def check_profiles(ours: ProfileFile, theirs: dict[str, Any]) -> None:
    for found, name in (
        (ours.cycle, "CYCLE_NUMBER"),
        (ours.direction, "DIRECTION"),
        (ours.juld, "JULD"),
        (ours.juld_qc, "JULD_QC"),
        (ours.latitude, "LATITUDE"),
        (ours.longitude, "LONGITUDE"),
        (ours.position_qc, "POSITION_QC"),
    ):
        same(found, theirs[name])
    if "DATA_MODE" in theirs:
        same(ours.data_mode, theirs["DATA_MODE"])
    assert ours.wmo.tolist() == [int(text) for text in texts_of(theirs["PLATFORM_NUMBER"])]
    assert [list(names) for names in ours.parameters] == [
        list(filter(None, texts_of(row))) for row in theirs["STATION_PARAMETERS"]
    ]
    assert {name: list(found) for name, found in ours.texts.items()} == {
        name: texts_of(theirs[name]) for name in TEXTS if name in theirs
    }
    for name, marks in ours.profile_qc.items():
        same(marks, theirs.get(f"PROFILE_{name}_QC", np.full(len(ours.wmo), b" ")))
    for name, modes in ours.parameter_mode.items():
        for profile, mode in enumerate(modes):
            names = texts_of(theirs["STATION_PARAMETERS"][profile])
            own = theirs["PARAMETER_DATA_MODE"][profile] if "PARAMETER_DATA_MODE" in theirs else None
            expected = (
                b" " if name not in names else theirs["DATA_MODE"][profile] if own is None else own[names.index(name)]
            )
            assert mode == expected


def test_a_synthetic_profile_has_the_best_mode_of_its_parameters(real: Read) -> None:
    """S files have no DATA_MODE of their own."""
    found = real("SR6903247_100.nc")
    assert (found.kind, found.data_mode.tolist()) == ("synthetic", [b"A"])
    assert found.parameter_mode["TEMP"].tolist() == [b"R"] and found.parameter_mode["DOXY"].tolist() == [b"A"]


def test_slots_that_are_not_used_and_profiles_without_the_parameter(real: Read) -> None:
    """6903247 has six profiles a cycle, each with parameters of its own."""
    found = real("BR6903247_100.nc")
    assert found.kind == "bgc" and found.index.tolist() == list(range(6))
    assert all("" not in names for names in found.parameters) and len({len(names) for names in found.parameters}) > 2
    has = ["DOXY" in names for names in found.parameters]
    assert [mode != b" " for mode in found.parameter_mode["DOXY"].tolist()] == has and 0 < sum(has) < 6


def test_spectra_are_named_and_not_read(real: Read) -> None:
    found = real("BR6903247_100.nc")
    assert "UV_INTENSITY_NITRATE" in found.unread and "UV_INTENSITY_NITRATE" not in found.measured


def test_pressure_of_a_b_file_has_neither_flags_nor_adjusted_values(real: Read) -> None:
    pressure = real("BD3902131_001.nc").measured["PRES"]
    assert (pressure.raw_qc, pressure.adjusted, pressure.adjusted_qc, pressure.adjusted_error) == (None,) * 4


def test_each_variable_has_the_fill_it_names(real: Read) -> None:
    raw, time = real("BR6903247_100.nc").measured["RAW_DOWNWELLING_PAR"], real("R2903996_001.nc").measured["MTIME"]
    assert (raw.fill, time.fill) == (9.969209968386869e36, 999999.0)
    assert (raw.raw.dtype.itemsize, time.raw.dtype.itemsize) == (8, 8)


def test_an_old_format_lacks_what_it_lacks(real: Read) -> None:
    found = real("R2901746_001.nc")
    assert found.format_version == "2.2" and "VERTICAL_SAMPLING_SCHEME" not in found.texts
    assert found.juld_qc.tolist() == [b"4"]
    assert real("R6901125_202_v2.2_ADJUSTED_ERROR.nc").kind == "core"  # DATA_TYPE is `ARGO profile`


def test_positions_that_are_none_are_as_stored(real: Read) -> None:
    """Sentinels of JMA, fills of AOML: a rule's business, not the reader's."""
    sentinel, fill = real("D4902252_104.nc"), real("R5906072_121.nc")
    assert (sentinel.latitude[0], sentinel.longitude[0], sentinel.position_qc[0]) == (-99.999, -999.999, b"9")
    assert (fill.latitude[0], fill.longitude[0]) == (99999.0, 99999.0)


def test_not_a_number_and_infinity_are_as_stored(real: Read) -> None:
    assert np.isnan(real("R6903724_001_bodc_NaN.nc").measured["TEMP"].raw).any()
    assert np.isinf(real("R2901301_144_incois-PSAL-Inf.nc").measured["PSAL"].adjusted).all()  # type: ignore[arg-type]


def test_profiles_of_one_cycle_are_numbered_by_direction(real: Read) -> None:
    """A `_prof` file holds the descending profile of a cycle before the ascending one: both are the first."""
    found = real("2901623_prof.nc")
    assert found.cycle[:2].tolist() == [0, 0] and found.direction[:2].tolist() == [b"D", b"A"]
    assert not found.index.any()
    made = replace(single(), cycles=(1, 2, 1, 1), values={}, directions="AADA", parameters=[("PRES",)] * 4)
    assert of_made(made).index.tolist() == [0, 0, 0, 1]


def test_modes_of_the_profiles_of_one_file_differ(real: Read) -> None:
    found = real("D6901929_075.nc")
    assert found.data_mode.tolist() == [b"D", b"R"]
    assert found.parameter_mode["TEMP"].tolist() == [b"D", b"R"]


def test_a_wmo_number_of_five_digits_and_no_salinity(real: Read) -> None:
    found = real("R13857_004.nc")
    assert found.wmo.tolist() == [13857] and set(found.measured) == {"PRES", "TEMP"}


def test_tests_of_all_history_records_count(real: Read) -> None:
    """JMA writes a record a step, others one a parameter."""
    assert real("D4902252_104.nc").tests_performed == ("C 80000 FB40 10000",)
    history = [("QCP$", 1, "FF"), ("QCF$", 0, "A"), ("QCP$", 1, "80"), ("CV  ", 0, "1"), ("QCP$", 1, "FF")]
    made = replace(single(), cycles=(1, 1), values={}, parameters=[("PRES",)] * 2, history=history)
    found = of_made(made)
    assert (found.tests_performed, found.tests_failed) == (("", "FF 80"), ("A", ""))


def test_files_that_hold_no_profiles_say_what_they_are(real: Read) -> None:
    for name, said in (("_meta", "meta-data"), ("_tech", "technical"), ("_Rtraj", "trajectory")):
        number = {"_Rtraj": "2902696"}.get(name, "13857")
        with pytest.raises(PermanentAssetError, match=f"{number}{name}.nc: DATA_TYPE is 'Argo {said}"):
            real(f"{number}{name}.nc")


def test_texts_lose_their_padding_and_keep_their_bytes() -> None:
    """Blanks and NUL on both ends, latin-1 within; what stands behind a NUL is the remains of another text."""
    texts = {"PI_NAME": (64, "\0 J\xe9r\xf4me \n\0"), "PROJECT_NAME": (64, "Argo\0INDIA"), "FIRMWARE_VERSION": (32, "")}
    found = of_made(replace(single(), texts=texts))
    assert found.texts == {"PI_NAME": ("Jérôme",), "PROJECT_NAME": ("Argo",), "FIRMWARE_VERSION": ("",)}


def test_a_direction_that_is_not_given_is_the_names() -> None:
    made = replace(single(), directions=" ")
    assert of_made(made, path="x/D2902269_001D.nc").direction.tolist() == [b"D"]
    assert of_made(made, path="x/D2902269_001.nc").direction.tolist() == [b"A"]


def test_a_mode_that_a_parameter_does_not_have_is_the_profiles() -> None:
    """B files of old formats have no PARAMETER_DATA_MODE; some leave a slot blank."""
    assert of_made(replace(single(), modes="D")).parameter_mode["TEMP"].tolist() == [b"D"]
    found = of_made(replace(single(), modes="D", parameter_modes=("A R",)))
    assert [found.parameter_mode[name].tolist() for name in ("PRES", "TEMP", "PSAL")] == [[b"A"], [b"D"], [b"R"]]


def test_one_fill_for_a_parameter_and_what_stands_beside_it() -> None:
    values = {"PRES": np.array([[1, 99999, -1]], "f4"), "PRES_ADJUSTED": np.array([[99999, -1, 1]], "f4")}
    found = of_made(Made(values, fills={"PRES_ADJUSTED": -1.0})).measured["PRES"]
    assert found.fill == 99999.0 and found.raw.tolist() == [[1, 99999, -1]]
    assert found.adjusted is not None and found.adjusted.tolist() == [[99999, 99999, 1]]
    assert of_made(Made(values, fills={"PRES": None})).measured["PRES"].fill == 99999.0
    assert of_made(Made(values, fills={"PRES": float("nan")})).measured["PRES"].fill == 99999.0


def test_what_was_not_asked_for_is_named() -> None:
    found = of_made(single(parameters=("PRES", "TEMP", "DOXY")), "TEMP", "CHLA")
    assert found.unread == ("DOXY", "PRES") and list(found.measured) == ["TEMP"]


def test_memory_of_any_kind_is_read_alike() -> None:
    data = argo_file(single())
    for given in (memoryview(data), memoryview(bytearray(data)), np.frombuffer(data, "u1").data):
        found = read_profiles(given, "x.nc", ["TEMP"])
        assert (
            found.measured["TEMP"].raw.tobytes() == read_profiles(data, "x.nc", ["TEMP"]).measured["TEMP"].raw.tobytes()
        )


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (replace(single(), without=("CYCLE_NUMBER",)), "CYCLE_NUMBER is missing"),
        (replace(single(), without=("STATION_PARAMETERS",)), "STATION_PARAMETERS is missing"),
        (replace(single(), without=("JULD",)), "JULD is missing"),
        (replace(single(), modes=None), "both DATA_MODE and PARAMETER_DATA_MODE are missing"),
        (replace(single(), wmo="29O2269"), "PLATFORM_NUMBER is '29O2269', expected a WMO number"),
        (replace(single(), wmo=""), "PLATFORM_NUMBER is '', expected a WMO number"),
        (replace(single(), directions="X"), "DIRECTION is 'X', expected A or D"),
        (replace(single(), kind="Argo merged profile"), "DATA_TYPE is 'Argo merged profile', expected a profile file"),
        (replace(single(), kind=""), "DATA_TYPE is ''"),
        (Made({"TEMP": np.ones((1, 3), "i4")}), "TEMP is >i4 of shape .1, 3., expected floating point"),
        (Made({"TEMP": np.ones((1, 3), "f4"), "TEMP_QC": np.ones((1, 3), "f4")}), "TEMP_QC is >f4"),
    ],
)
def test_faults_are_named(made: Made, said: str) -> None:
    with pytest.raises(PermanentAssetError, match=f"x.nc: {said}"):
        of_made(made, path="x.nc")
