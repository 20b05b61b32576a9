"""Annotations: tables as their XML says, at the pixels of any window, and every fault by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.ops.calibration import Table
from pipeline.products._sentinel1_annotation import parse_calibration, parse_noise
from tests.products import s1_annotations as written


def rows(table: Table) -> NDArray[np.float64]:
    """A table at every row, by NumPy."""
    values, upper, share = table.values, table.upper, table.share
    lower = np.minimum(upper + 1, len(values) - 1)
    return np.asarray(values[upper] * (1 - share[:, None]) + values[lower] * share[:, None])


def test_a_window_has_the_same_numbers_as_the_whole(tmp_path: Path) -> None:
    """Bit for bit, wherever the window is cut; and they are NumPy's to the digits that the XML holds."""
    tables = parse_calibration(written.write_calibration(tmp_path / "c.xml").read_bytes())
    lines, samples = written.image()
    for name, table in tables.items():
        whole = rows(table.table(lines, samples))
        np.testing.assert_allclose(whole, written.expected_gain(name), rtol=1e-9)
        part = rows(table.table(lines[400:433], samples[77:1000]))
        np.testing.assert_array_equal(part, whole[400:433, 77:1000])


def test_lines_with_the_same_samples_share_them(tmp_path: Path) -> None:
    """Many annotations are kept at once, and half of each would be the same samples."""
    for table in parse_calibration(written.write_calibration(tmp_path / "c.xml").read_bytes()).values():
        assert len({id(samples) for samples in table.samples}) == 1 < len(table.samples)


def test_beyond_the_outermost_vectors_the_last_one_goes_on(tmp_path: Path) -> None:
    """Lines and samples outside of the table take its edge."""
    table = parse_calibration(written.write_calibration(tmp_path / "c.xml").read_bytes())["gamma0"]
    edge = rows(table.table(np.array([0.0, 18000]), np.array([0.0, 25610])))
    np.testing.assert_array_equal(rows(table.table(np.array([-3.0, 19000]), np.array([-0.5, 25611]))), edge)


def test_noise_is_range_times_azimuth(tmp_path: Path) -> None:
    """Each swath has its own factors, up to the sample at which the next one begins."""
    noise = parse_noise(written.write_noise(tmp_path / "n.xml").read_bytes())
    lines, samples = written.image()
    table, blocks = noise.tables(lines, samples)
    factor = np.ones((len(lines), len(samples)))
    for (first, last), along in zip(blocks.columns, blocks.factors.T, strict=True):
        factor[:, first:last] = along[:, None]
    np.testing.assert_allclose(rows(table) * factor, written.expected_noise(), rtol=1e-6)


def test_old_noise_is_along_range_only(tmp_path: Path) -> None:
    """Before IPF 2.9 there is one list, with other names."""
    noise = parse_noise(written.write_old_noise(tmp_path / "n.xml").read_bytes())
    new = parse_noise(written.write_noise(tmp_path / "m.xml").read_bytes())
    assert noise.along_azimuth == ()
    lines, samples = np.array([100.0, 7000]), np.array([0.0, 12000, 25000])
    np.testing.assert_array_equal(rows(noise.tables(lines, samples)[0]), rows(new.tables(lines, samples)[0]))


def test_a_block_ends_at_its_last_line(tmp_path: Path) -> None:
    """Rows outside of a block have none of its factors: those of another block, or 1, hold there."""
    path = written.write_noise(tmp_path / "n.xml")
    text = path.read_text().replace("<firstAzimuthLine>0<", "<firstAzimuthLine>5000<", 1)
    _, blocks = parse_noise(text.encode()).tables(np.array([4999.0, 5000, 9000]), np.array([0.0, 9000]))
    np.testing.assert_array_equal(np.isnan(blocks.factors), [[True, False, False], [False] * 3, [False] * 3])


def test_vectors_may_have_samples_of_their_own() -> None:
    """Real noise has: swaths meet at other samples from line to line."""
    one = "<noiseRangeVector><line>{}</line><pixel>{}</pixel><noiseRangeLut>{}</noiseRangeLut></noiseRangeVector>"
    text = one.format(0, "0 10 20", "100 200 300") + one.format(10, "0 5 20", "100 100 400")
    noise = parse_noise(f"<noise><noiseRangeVectorList>{text}</noiseRangeVectorList></noise>".encode())
    table, _ = noise.tables(np.array([5.0]), np.array([10.0]))
    assert rows(table)[0, 0] == pytest.approx((200 + 200) / 2)


CALIBRATION = (
    "<calibration><calibrationVectorList><calibrationVector>{}</calibrationVector></calibrationVectorList>"
    "</calibration>"
)
TABLES = "<gamma>{0}</gamma><sigmaNought>{0}</sigmaNought><betaNought>{0}</betaNought>"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<calibration>", "no XML"),
        ("<html></html>", "its root is <html>, expected <calibration>"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><calibration/>', "a document type"),
        ("<calibration/>", "gamma of the calibration: none in it"),
        (CALIBRATION.format("<line>0</line><pixel>0 1</pixel>"), "<calibrationVector> without gamma"),
        (CALIBRATION.format("<line>0</line><pixel>0 1 2</pixel>" + TABLES.format("1 2")), "3 samples and 2 numbers"),
        (CALIBRATION.format("<line>0</line><pixel>0 0</pixel>" + TABLES.format("1 2")), "2 samples and 2 numbers"),
        (
            CALIBRATION.format("<line>0</line><pixel>0 1</pixel>" + TABLES.format("1 0")),
            "gamma of the calibration: 0 at",
        ),
        (CALIBRATION.format("<line>0</line><pixel>0 1</pixel>" + TABLES.format("1 nan")), "not finite"),
        (CALIBRATION.format("<line>0</line><pixel>0 x</pixel>" + TABLES.format("1 2")), "pixel holds '0 x'"),
    ],
)
def test_faults_of_a_calibration_are_named(text: str, message: str) -> None:
    """Nothing is divided by a table that is not whole."""
    with pytest.raises(ValueError, match=message):
        parse_calibration(text.encode())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]><noise/>'.encode("utf-16"),
            "document type",
        ),
        (b'<?xml version="1.0" encoding="nobodys"?><noise/>', "no XML: unknown encoding: nobodys"),
    ],
)
def test_no_encoding_hides_a_fault(data: bytes, message: str) -> None:
    """Entities are refused in UTF-16 too, and an encoding that is not known is a fault of the file like any other."""
    with pytest.raises(ValueError, match=message):
        parse_noise(data)


def test_more_blocks_than_any_swath_has_are_refused() -> None:
    """Every row of a window would ask each of them."""
    block = "<noiseAzimuthVector><line>0</line><noiseAzimuthLut>1</noiseAzimuthLut></noiseAzimuthVector>"
    vector = "<noiseRangeVector><line>0</line><pixel>0 1</pixel><noiseRangeLut>9 9</noiseRangeLut></noiseRangeVector>"
    text = (
        "<noise><noiseRangeVectorList>{}</noiseRangeVectorList>"
        "<noiseAzimuthVectorList>{}</noiseAzimuthVectorList></noise>"
    )
    with pytest.raises(ValueError, match="1001 blocks of noise along azimuth, at most 1000"):
        parse_noise(text.format(vector, 1001 * block).encode())
    assert len(parse_noise(text.format(vector, 1000 * block).encode()).along_azimuth) == 1000


def test_noise_on_another_scale_is_refused(tmp_path: Path) -> None:
    """Before IPF 2.5 noise was not in squared amplitudes: to subtract it would change nothing, in silence."""
    with pytest.raises(ValueError, match=r"before IPF 2\.5; set remove_noise: false"):
        parse_noise(written.write_noise(tmp_path / "n.xml", scale=1e-6).read_bytes())
