"""Magic bytes decide who reads a file; what another program left in a file's place is refused by name."""

from __future__ import annotations

import gzip
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.read import netcdf_library
from pipeline.read.argo import read_profiles
from pipeline.read.levels import flatten
from pipeline.read.netcdf import container, expected_bytes, open_netcdf
from pipeline.read.netcdf3 import Netcdf3Error
from pipeline.read.netcdf_library import Library, NotNetcdfError
from tests.argo_files import Container, argo_file, single
from tests.read.test_netcdf3 import damage

HDF5 = b"\x89HDF\r\n\x1a\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"\n <!DOCTYPE html><title>Not found", "HTML"),
        (b"<html><body>502", "HTML"),
        (gzip.compress(b"CDF\1", mtime=0), "gzip"),
        (b"PK\3\4", "ZIP"),
        (b"CDF\3", "begins with b'CDF"),
        (b"550 no such file", "begins with b'550 no s'"),
    ],
)
def test_what_is_no_netcdf_is_refused_by_name(data: bytes, said: str) -> None:
    for look in (container, expected_bytes):
        with pytest.raises(NotNetcdfError, match=said):
            look(data)
    with pytest.raises(PermanentAssetError, match=f"there.nc: .*{said}") as caught:
        read_profiles(data, "there.nc", ["PRES"])
    assert caught.value.href == "there.nc"


@pytest.mark.parametrize("file_format", ["NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC"])
def test_the_length_is_known_from_the_head(file_format: Container) -> None:
    data = argo_file(replace(single(), container=file_format))
    assert container(data[:8]) == ("hdf5" if "4_" in file_format or file_format[-1] == "4" else "netcdf3")
    assert 0 <= len(data) - expected_bytes(data[: len(data) - 100]) <= 3
    with pytest.raises(Netcdf3Error, match="cut"):
        open_netcdf(data[: len(data) - 100], ["TEMP"])
    with pytest.raises(Netcdf3Error, match="cut"):
        expected_bytes(data[:10])


def test_real_files_of_the_other_container_have_the_length_they_say(shared_data: Path) -> None:
    found = [data for path in sorted((shared_data / "argo").rglob("*.nc")) if (data := path.read_bytes())[:8] == HDF5]
    assert [expected_bytes(data[:100]) - len(data) for data in found] == [0, 0, 0]


def test_netcdf4_is_read_as_the_library_reads_it(shared_data: Path) -> None:
    """Two of the three real ones, all that the reader looks at; the third is `3902131_Sprof.nc`, in the long test."""
    for path in sorted((shared_data / "argo/odd/argo_format_checker").glob("R6903724_001_[Pv]*.nc")):
        assert same_as_library(path) > 35


@pytest.mark.long
def test_a_large_netcdf4_is_read_as_the_library_reads_it(shared_data: Path) -> None:
    assert same_as_library(shared_data / "argo/gdac/dac/coriolis/3902131/3902131_Sprof.nc") > 50


def same_as_library(path: Path) -> int:
    """How many variables were compared."""
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        names = [name for name, variable in file.variables.items() if isinstance(variable.dtype, np.dtype)]
        ours = open_netcdf(path.read_bytes(), [*names, "NOT_THERE"])
        assert ours.get("NOT_THERE") is None and ours.fill("NOT_THERE") is None
        for name in names:
            theirs, found = file.variables[name][...], ours.get(name)
            assert found is not None
            assert (found.dtype, found.shape) == (theirs.dtype, theirs.shape)
            assert found.tobytes() == theirs.tobytes(), name
            if theirs.dtype.kind == "f":
                assert ours.fill(name) == getattr(file.variables[name], "_FillValue", None)
    return len(names)


def of_child(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Another program in the place of the library."""
    child = folder / "child.py"
    child.write_text(f"import os, signal, sys, time\n{script}")
    monkeypatch.setattr(netcdf_library, "_CHILD", child)


NETCDF4 = argo_file(replace(single(), container="NETCDF4"))


def test_a_library_that_does_not_return_costs_one_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whether it reads what it is sent (more than a pipe holds) or not."""
    monkeypatch.setattr(netcdf_library, "LONGEST_S", 0.2)
    for script in ("time.sleep(200)", "sys.stdin.buffer.read(1); time.sleep(200)"):
        of_child(monkeypatch, tmp_path, script)
        with pytest.raises(PermanentAssetError, match=r"x.nc: the NetCDF library did not return from it in 0.2 s"):
            read_profiles(NETCDF4 + bytes(200_000), "x.nc", ["PRES"])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", f"ended with -{signal.SIGSEGV.value}"),
        ("sys.stdin.buffer.readline(); print('[[', end=''); sys.exit('full')", "ended with 1 on it: full"),
        ("""print('[["PRES", "<f4", [9], null]]\\nfour', end='')""", "ended with 0"),
        ("import nowhere", "ended with 1 on it: ModuleNotFoundError: No module named 'nowhere'"),
    ],
)
def test_a_library_that_crashes_costs_one_file(
    script: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    of_child(monkeypatch, tmp_path, script)
    with pytest.raises(PermanentAssetError, match=f"x.nc: the NetCDF library {said}"):
        read_profiles(NETCDF4, "x.nc", ["PRES"])


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_process_that_others_end_says_nothing_of_the_file(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The kernel that needs memory, a signal: the file would else be refused until it changes."""
    of_child(
        monkeypatch, tmp_path, f"signal.signal({number}, 0) if {number} != 9 else 0; os.kill(os.getpid(), {number})"
    )
    with pytest.raises(TransientAssetError, match=f"x.nc: .*ended from outside .-{number.value}"):
        read_profiles(NETCDF4, "x.nc", ["PRES"])


def test_a_process_that_cannot_be_started_says_nothing_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(TransientAssetError, match="cannot be started"):
        read_profiles(NETCDF4, "x.nc", ["PRES"])


def test_many_files_are_read_by_one_process_and_one_that_is_refused_ends_it() -> None:
    made = [single(seed=k, levels=5 + k) for k in (0, 1)]
    pids = []
    with Library() as library:
        for one in (*made, None, made[1]):
            if one is None:
                with pytest.raises(NotNetcdfError, match="cannot read it"):
                    library.read(HDF5 + bytes(2000), ["TEMP"])
                assert library._child is None
                continue
            found = library.read(argo_file(replace(one, container="NETCDF4")), ["TEMP"]).get("TEMP")
            assert found is not None and found.tolist() == one.values["TEMP"].tolist()
            assert library._child is not None
            pids.append(library._child.pid)
            assert os.getpgid(pids[-1]) == pids[-1], "what a terminal sends to the run does not end it"
        last = library._child
    assert pids[0] == pids[1] != pids[2] and last is not None and last.returncode == 0


def test_a_process_that_is_left_behind_ends() -> None:
    """With its parent, or, in a file that it never returns from, after the longest time."""
    asked = {"names": ["PRES"], "most_bytes": 1 << 20, "longest_s": -4, "bytes": 1}
    child = subprocess.Popen(
        [sys.executable, "-P", str(netcdf_library._CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(asked).encode() + b"\n")  # and never the byte
        child.stdin.flush()
        assert child.wait(60) == -signal.SIGALRM


def test_a_few_bytes_cannot_claim_all_memory(tmp_path: Path) -> None:
    """An array that was never written takes up nothing in the file, whatever its shape."""
    with netCDF4.Dataset(tmp_path / "a.nc", "w", format="NETCDF4") as file:
        file.createDimension("N_PROF", 1 << 20)
        file.createDimension("N_LEVELS", 1 << 20)
        file.createVariable("TEMP", "f4", ("N_PROF", "N_LEVELS"), chunksizes=(64, 64), zlib=True)
    data = (tmp_path / "a.nc").read_bytes()
    assert len(data) < 20_000
    with pytest.raises(NotNetcdfError, match="more than is allowed, at TEMP"):
        open_netcdf(data, ["TEMP"])


@pytest.mark.long
def test_damaged_netcdf4_is_read_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netcdf_library, "LONGEST_S", 5.0)
    rng = random.Random(3)  # noqa: S311 (chooses test cases)
    whole, seen = argo_file(replace(single(), container="NETCDF4")), Counter[str]()
    for _ in range(25):
        try:
            read_profiles(damage(whole, rng), "x.nc", ["PRES", "TEMP"])
            seen["read"] += 1
        except PermanentAssetError:
            seen["refused"] += 1
    assert min(seen["read"], seen["refused"]) > 0


FUZZ = """
import random, sys
from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.read.argo import read_profiles
from pipeline.read.levels import flatten
from tests.read.test_netcdf3 import damage
from tests.argo_files import argo_file, single

rng, counts = random.Random(int(sys.argv[1])), [0, 0]
data = [argo_file(single(levels=60)), argo_file(single(levels=3, parameters=("PRES", "DOXY")))]
for _ in range(int(sys.argv[2])):
    try:
        found = read_profiles(damage(rng.choice(data), rng), "x.nc", ["PRES", "TEMP", "DOXY"])
        flatten([found, found], ["PRES", "TEMP", "DOXY"])
        counts[0] += 1
    except PermanentAssetError:
        counts[1] += 1
print(*counts)
"""


@pytest.mark.long
def test_no_index_of_the_compiled_walk_leaves_its_array(tmp_path: Path) -> None:
    """With numba's own checks of every index, which production does without; tens of thousands of damaged files."""
    checked = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    child = subprocess.run(
        [sys.executable, "-c", FUZZ, "5", "20000"],
        env=checked,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert child.returncode == 0, child.stderr
    read, refused = map(int, child.stdout.split())
    assert read > 1000 and refused > 1000


def test_a_damaged_profile_file_is_read_or_refused() -> None:
    """Nothing but the one error, through to the flat columns, which are no longer than the file allows."""
    rng, seen = random.Random(11), Counter[str]()  # noqa: S311 (chooses test cases)
    whole = argo_file(single(levels=60))
    for _ in range(700):
        damaged = damage(whole, rng)
        try:
            found = read_profiles(damaged, "x.nc", ["PRES", "TEMP"])
        except PermanentAssetError:
            seen["refused"] += 1
        else:
            seen["read"] += 1
            assert 5 * len(flatten([found], ["PRES", "TEMP"]).level) <= len(damaged)
    assert min(seen["read"], seen["refused"]) > 50
