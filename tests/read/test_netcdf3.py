"""NetCDF-3 read by its header is what the NetCDF library reads, to the bit; what is damaged is an error, never more."""

from __future__ import annotations

import random
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from pipeline.read.netcdf3 import HeaderCutError, Netcdf3, Netcdf3Error, expected_bytes
from pipeline.read.netcdf3_header import BEGIN
from tests.argo_files import Container, argo_file, single

CONTAINERS: tuple[Container, ...] = ("NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA")
TYPES = {"NETCDF3_64BIT_DATA": ("i1", "S1", "i2", "i4", "f4", "f8", "u1", "u2", "u4", "i8", "u8")}


def check_same(data: bytes, path: Path) -> int:
    """How many variables were compared."""
    ours = Netcdf3(data)
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        file.set_auto_chartostring(False)
        assert ours.names == tuple(file.variables)
        for name, variable in file.variables.items():
            theirs, found = variable[...], ours.get(name)
            assert found is not None
            assert found.shape == theirs.shape, name
            assert found.dtype.newbyteorder("=") == theirs.dtype, name
            assert found.astype(theirs.dtype).tobytes() == theirs.tobytes(), name
            fill = variable.getncattr("_FillValue") if "_FillValue" in variable.ncattrs() else None
            assert ours.fill(name) == (fill.encode() if isinstance(fill, str) else fill), name
    return len(ours.names)


def test_every_variable_of_every_real_file(shared_data: Path) -> None:
    """Records (HISTORY, trajectories) and three axes (spectra) among them."""
    compared, trailing = 0, []
    for path in sorted((shared_data / "argo").rglob("*.nc")):
        data = path.read_bytes()
        if data.startswith(b"CDF"):
            compared += check_same(data, path)
            trailing.append(len(data) - expected_bytes(data))
    assert compared == 4710
    assert set(trailing) <= {0, 1, 2, 3}  # writers fill up the last four bytes


def written(path: Path, container: Container, records: tuple[tuple[str, str], ...], count: int) -> bytes:
    """A file of every type, scalars and empty texts, and the given record variables (name, type)."""
    rng = np.random.default_rng(1)
    with netCDF4.Dataset(path, "w", format=container) as file:
        file.set_fill_off()
        for name, size in (("time", None), ("three", 3), ("five", 5)):
            file.createDimension(name, size)
        file.setncattr("title", "odd length")
        for kind in TYPES.get(container, ("i1", "S1", "i2", "i4", "f4", "f8")):
            for axes in ((), ("five",), ("three", "five")):
                fill = {"S1": "x"}.get(kind, np.dtype(kind).type(7)) if axes else None
                variable = file.createVariable(f"{kind}_{len(axes)}", kind, axes, fill_value=fill)
                variable.setncatts({"units": "dbar", "valid": np.arange(3, dtype="i2")})
                variable[...] = np.frombuffer(rng.bytes(8 * 15), kind)[: variable.size].reshape(variable.shape)
        for name, kind in records:
            variable = file.createVariable(name, kind, ("time", "five"))
            variable[0:count] = np.frombuffer(rng.bytes(8 * 5 * count), kind)[: 5 * count].reshape(count, 5)
    return path.read_bytes()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("records", "count"),
    [
        ((), 0),
        ((("one", "f8"),), 4),
        ((("alone", "i1"),), 4),  # the only one: its records are not padded
        ((("alone", "i2"),), 3),
        ((("first", "i1"), ("second", "f8"), ("third", "i2")), 4),
        ((("first", "i1"), ("second", "f8")), 0),
    ],
)
def test_generated_files(
    container: Container, records: tuple[tuple[str, str], ...], count: int, tmp_path: Path
) -> None:
    data = written(tmp_path / "a.nc", container, records, count)
    assert check_same(data, tmp_path / "a.nc") == len(Netcdf3(data).names)
    assert 0 <= len(data) - expected_bytes(data) <= 3


def test_records_whose_number_is_not_stored_are_those_that_are_there(tmp_path: Path) -> None:
    data = written(tmp_path / "a.nc", "NETCDF3_CLASSIC", (("first", "i1"), ("second", "f8")), 4)
    streamed = data[:4] + b"\xff" * 4 + data[8:]
    assert Netcdf3(streamed).records == 4
    assert expected_bytes(streamed) == expected_bytes(data[:4] + bytes(4) + data[8:]) < expected_bytes(data)


def test_a_view_copies_nothing_and_cannot_be_written() -> None:
    data = argo_file(single(levels=500))
    view = Netcdf3(data).get("TEMP")
    assert view is not None
    assert np.shares_memory(view, np.frombuffer(data, "u1")) and not view.flags.writeable


def test_a_cut_file_is_refused_wherever_it_is_cut() -> None:
    data = argo_file(single())
    header = next(size for size in range(0, len(data), 4) if _header_fits(data[:size]))
    assert 1000 < header < len(data)
    for size in range(header):
        with pytest.raises(HeaderCutError):
            expected_bytes(data[:size])
    needed = expected_bytes(data)
    assert {expected_bytes(data[:size]) for size in range(header, len(data))} == {needed}
    Netcdf3(data[:needed])
    for size in (header, (header + needed) // 2, needed - 1):
        with pytest.raises(Netcdf3Error, match=f"cut: holds {size} bytes of {needed}"):
            Netcdf3(data[:size])


def _header_fits(data: bytes) -> bool:
    try:
        expected_bytes(data)
    except HeaderCutError:
        return False
    return True


def test_damaged_headers_are_refused_by_name() -> None:
    data = argo_file(single())
    dimension = data.index(b"N_PROF")
    for start, replaced, cause in (
        (8, b"\0\0\0\x0f", "unknown tag"),
        (data.index(b"CYCLE_NUMBER") + 12, struct.pack(">I", 9), "more than 6 dimensions"),
        (data.index(b"CYCLE_NUMBER") + 16, struct.pack(">I", 99), "a dimension that is not there"),
        (dimension - 4, struct.pack(">I", 1 << 31), "the header is cut"),
    ):
        damaged = data[:start] + replaced + data[start + 4 :]
        with pytest.raises(Netcdf3Error, match=cause):
            Netcdf3(damaged)
    with pytest.raises(Netcdf3Error, match=r"begins with b.CDF.x03"):
        Netcdf3(b"CDF\3" + data[4:])


def test_variables_that_overlap_are_refused() -> None:
    """As the library refuses them; a bit that flips in an offset is noticed instead of read."""
    data = argo_file(single())
    file = Netcdf3(data)
    begin = file._cells[file._rows["TEMP"] + BEGIN]
    at = data.index(struct.pack(">I", begin), data.index(b"\0\0\0\4TEMP"))
    damaged = data[:at] + struct.pack(">I", begin - 4) + data[at + 4 :]
    with pytest.raises(Netcdf3Error, match="overlap"):
        Netcdf3(damaged)


def damage(data: bytes, rng: random.Random) -> bytes:
    """One of many ways in which a file goes wrong; most of them in its header."""
    found = bytearray(data)
    header = min(len(found), 12_000)
    way = rng.randrange(5)
    at = rng.randrange(header)
    if way == 0:
        return bytes(found[: rng.randrange(len(found))])
    if way == 1:
        for _ in range(rng.randrange(1, 8)):
            found[rng.randrange(header)] ^= 1 << rng.randrange(8)
    elif way == 2:
        word = rng.choice((0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFF, 1 << 24))
        found[at // 4 * 4 : at // 4 * 4 + 4] = word.to_bytes(4, "big")
    elif way == 3:
        size = rng.randrange(1, 200)
        found[at : at + size] = rng.randbytes(size)
    else:
        del found[at : at + rng.randrange(1, 3000)]
    if len(found) > 3 and rng.random() < 0.2:
        found[3] = rng.choice((1, 2, 5))
    return bytes(found)


def read_all(data: bytes) -> int:
    """The bytes of all variables, or 0 where the file is refused; any other error is the test's."""
    try:
        file = Netcdf3(data)
    except Netcdf3Error:
        return 0
    arrays: list[Any] = [file.get(name) for name in file.names]
    for name in file.names:
        file.fill(name)
    return sum(array.astype(array.dtype).nbytes for array in arrays)


def test_no_damage_leads_out_of_the_file() -> None:
    """Whatever is read of a damaged file, it is no more than the file holds, and walking it takes no more memory."""
    rng = random.Random(7)  # noqa: S311 (chooses test cases)
    data = [argo_file(single(levels=50)), argo_file(single(levels=2, parameters=("PRES",)))]
    read_all(data[0])
    tracemalloc.start()
    try:
        for _ in range(1500):
            damaged = damage(rng.choice(data), rng)
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            assert read_all(damaged) <= len(damaged)
            assert tracemalloc.get_traced_memory()[1] - before < 20 * len(damaged) + 100_000
    finally:
        tracemalloc.stop()


def test_a_bit_among_the_numbers_is_not_noticed() -> None:
    """As `read/DAMAGE.md` says: the format has no checksum."""
    data = argo_file(single())
    begin = Netcdf3(data)._cells[Netcdf3(data)._rows["TEMP"] + BEGIN]
    flipped = data[: begin + 3] + bytes([data[begin + 3] ^ 1]) + data[begin + 4 :]
    before, after = Netcdf3(data).get("TEMP"), Netcdf3(flipped).get("TEMP")
    assert before is not None and after is not None
    assert np.flatnonzero(before != after).tolist() == [0]
