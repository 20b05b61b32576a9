"""Laws of the demo world's NetCDF-3 writer: what it writes is what netCDF4 reads, and a wrong shape is refused."""

from __future__ import annotations

import netCDF4
import numpy as np
import pytest

from pipeline.demo.netcdf3 import Variable, netcdf3

DIMENSIONS = {"three": 3, "REC": None}


def _variables(records: int) -> list[Variable]:
    """Sizes that are no multiple of four, fixed variables between growing ones."""
    return [
        Variable(
            "flags", ("REC", "three"), np.frombuffer(b"abc" * records, "S1").reshape(records, 3), {"_FillValue": " "}
        ),
        Variable("whole", ("three",), np.array([1, -2, 3], np.int32), {"_FillValue": np.int32(99999)}),
        Variable("letters", ("three",), np.array([b"x", b" ", b"\0"], "S1")),
        Variable(
            "number", ("REC",), np.arange(records, dtype=np.float64) / 3, {"units": "1", "limit": np.float64(1e300)}
        ),
        Variable("single", ("three",), np.array([1.5, np.nan, np.inf], np.float32)),
        Variable("scalar", (), np.array(7, np.int32)),
    ]


@pytest.mark.parametrize("records", [0, 1, 5])
def test_netcdf4_reads_back_what_was_written(records: int) -> None:
    variables = _variables(records)
    content = netcdf3(DIMENSIONS, variables, {"title": "a title", "comment": "été"})
    with netCDF4.Dataset("memory", memory=content) as file:
        file.set_auto_maskandscale(False)
        assert file.data_model == "NETCDF3_CLASSIC" and file.title == "a title"
        assert list(file.variables) == [one.name for one in variables]
        assert file.dimensions["REC"].isunlimited() and len(file.dimensions["REC"]) == records
        for one in variables:
            read = file[one.name]
            assert read.dimensions == one.dimensions and {*read.ncattrs()} == {*one.attributes}
            np.testing.assert_array_equal(np.asarray(read[...]), one.values, err_msg=one.name)
        assert file["number"].limit == 1e300


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="short has 2 along three; expected 3"):
        netcdf3(DIMENSIONS, [Variable("short", ("three",), np.zeros(2, np.int32))], {})
    uneven = [Variable(name, ("REC",), np.zeros(count, np.int32)) for name, count in (("one", 1), ("two", 2))]
    with pytest.raises(ValueError, match=r"\[1, 2\] records"):
        netcdf3(DIMENSIONS, uneven, {})
    with pytest.raises(ValueError, match="of two variables or more"):
        netcdf3(DIMENSIONS, uneven[:1], {})
