"""A SAFE folder of a Sentinel-1 GRD product of invented ground; its geometry follows here from an orbit alone."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

Floats = NDArray[np.float64]
Place = tuple[float, float, float]
"""Longitude, latitude, metres above the ellipsoid."""

START = datetime(2024, 6, 1, 17, 0, tzinfo=UTC)
LIGHT = 299_792_458.0
SIDE = 600
PIXEL_M = 10.0
BETA_GAIN = 200.0
NAME = "S1A_IW_GRDH_1SDV_20240601T170000_20240601T170001_054000_069000_AAAA"
_RADIUS_M, _SPEED, _SATELLITE_LON, _MIDDLE_LAT = 7.07e6, 7500 / 7.07e6, 6.0, np.radians(45.0)
_LINE_S = PIXEL_M / 6750.0
CENTRE: Place = (10.4, 45.0, 100.0)


def satellite(seconds: Floats | float) -> Floats:
    """(…, 3) metres from the earth's centre: a circle along a meridian, northward; it looks east."""
    angle = np.asarray(_MIDDLE_LAT + _SPEED * np.asarray(seconds))
    lon = np.radians(_SATELLITE_LON)
    flat = _RADIUS_M * np.cos(angle)
    return np.stack([flat * np.cos(lon), flat * np.sin(lon), _RADIUS_M * np.sin(angle)], -1)


def velocity(seconds: Floats | float) -> Floats:
    return (satellite(np.asarray(seconds) + 1e-3) - satellite(np.asarray(seconds) - 1e-3)) / 2e-3


def ground(place: Place) -> Floats:
    return np.array(Transformer.from_crs("EPSG:4979", "EPSG:4978", always_xy=True).transform(*place))


def seen(place: Place) -> tuple[float, float]:
    """Seconds of zero Doppler, by halving, and slant range in metres."""
    at, low, high = ground(place), -60.0, 60.0
    for _ in range(80):
        middle = (low + high) / 2
        ahead = float(np.dot(velocity(middle), at - satellite(middle))) > 0
        low, high = (middle, high) if ahead else (low, middle)
    return low, float(np.linalg.norm(at - satellite(low)))


def incidence(place: Place) -> float:
    """Radians between the vertical and the direction to the satellite."""
    seconds, distance = seen(place)
    lon, lat = np.radians(place[:2])
    up = np.array([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])
    return float(np.arccos(np.dot(up, satellite(seconds) - ground(place)) / distance))


def pixel(place: Place) -> tuple[float, float]:
    """(line, sample) of a place in the image, 0 the middle of the first."""
    (middle, far), (seconds, distance) = seen(CENTRE), seen(place)
    line = (seconds - middle) / _LINE_S + SIDE / 2
    return line, (distance - far) / np.sin(incidence(CENTRE)) / PIXEL_M + SIDE / 2


def write_safe(folder: Path, bright: Sequence[Place] = (), amplitude: int = 100) -> Path:
    """A product whose image is of one amplitude, with bright spots at places."""
    safe = folder / f"{NAME}.SAFE"
    (safe / "annotation/calibration").mkdir(parents=True)
    (safe / "measurement").mkdir()
    stem = "s1a-iw-grd-vv-20240601t170000-20240601t170001-054000-069000-001"
    image = np.full((SIDE, SIDE), float(amplitude))
    rows, cols = np.mgrid[:SIDE, :SIDE]
    for place in bright:
        line, sample = pixel(place)
        image += 8000 * np.exp(-((rows - line) ** 2 + (cols - sample) ** 2) / (2 * 2.0**2))
    form = {"driver": "GTiff", "height": SIDE, "width": SIDE, "count": 1, "dtype": "uint16"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(safe / f"measurement/{stem}.tiff", "w", **form) as dataset:
            dataset.write(np.round(image).astype(np.uint16), 1)
    (safe / f"annotation/{stem}.xml").write_text(_annotation())
    (safe / f"annotation/calibration/calibration-{stem}.xml").write_text(_calibration())
    (safe / "manifest.safe").write_text(_manifest(stem))
    return safe


def _time(seconds: float) -> str:
    return (START + timedelta(seconds=float(seconds))).strftime("%Y-%m-%dT%H:%M:%S.%f")


def _lines() -> tuple[float, float]:
    """Seconds of the first and last line."""
    first = seen(CENTRE)[0] - SIDE / 2 * _LINE_S
    return first, first + (SIDE - 1) * _LINE_S


def _annotation() -> str:
    first, last = _lines()
    far, sine = seen(CENTRE)[1], np.sin(incidence(CENTRE))
    near = far - SIDE / 2 * PIXEL_M * sine
    orbits = "".join(_orbit(seconds) for seconds in np.arange(-60.0, 61.0, 10))
    conversions = "".join(
        f"<coordinateConversion><azimuthTime>{_time(at)}</azimuthTime><slantRangeTime>{2 * near / LIGHT:.15e}"
        f"</slantRangeTime><sr0>{near:.9e}</sr0><srgrCoefficients count='2'>0 {1 / sine:.12e}</srgrCoefficients>"
        f"<gr0>0</gr0><grsrCoefficients count='2'>{near:.12e} {sine:.12e}</grsrCoefficients></coordinateConversion>"
        for at in (first - 5, last + 5)
    )
    points = "".join(
        _point(line, sample, first + line * _LINE_S, near + sample * PIXEL_M * sine)
        for line in (0, SIDE - 1)
        for sample in (0, SIDE - 1)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?><product><generalAnnotation><productInformation>
<pass>Ascending</pass><timelinessCategory>Fast-24h</timelinessCategory><platformHeading>0</platformHeading>
<projection>Ground Range</projection><rangeSamplingRate>6.434523812571428e+07</rangeSamplingRate>
<radarFrequency>5.405000454334350e+09</radarFrequency><azimuthSteeringRate>1.590368784000000e+00</azimuthSteeringRate>
</productInformation><orbitList count="13">{orbits}</orbitList></generalAnnotation>
<imageAnnotation><imageInformation><productFirstLineUtcTime>{_time(first)}</productFirstLineUtcTime>
<productLastLineUtcTime>{_time(last)}</productLastLineUtcTime><ascendingNodeTime>{_time(-700)}</ascendingNodeTime>
<slantRangeTime>{2 * near / LIGHT:.15e}</slantRangeTime><rangePixelSpacing>{PIXEL_M:.6e}</rangePixelSpacing>
<azimuthPixelSpacing>{PIXEL_M:.6e}</azimuthPixelSpacing><azimuthTimeInterval>{_LINE_S:.15e}</azimuthTimeInterval>
<numberOfSamples>{SIDE}</numberOfSamples><numberOfLines>{SIDE}</numberOfLines>
<incidenceAngleMidSwath>{np.degrees(incidence(CENTRE)):.9e}</incidenceAngleMidSwath></imageInformation></imageAnnotation>
<swathTiming><linesPerBurst>0</linesPerBurst><samplesPerBurst>0</samplesPerBurst>
<burstList count="0"/></swathTiming>
<geolocationGrid><geolocationGridPointList count="4">{points}</geolocationGridPointList></geolocationGrid>
<coordinateConversion><coordinateConversionList count="2">{conversions}</coordinateConversionList>
</coordinateConversion>
</product>"""


def _orbit(seconds: float) -> str:
    axes = "xyz"
    place, speed = satellite(seconds), velocity(seconds)
    position = "".join(f"<{axis}>{value:.6f}</{axis}>" for axis, value in zip(axes, place, strict=True))
    moving = "".join(f"<{axis}>{value:.6f}</{axis}>" for axis, value in zip(axes, speed, strict=True))
    return (
        f"<orbit><time>{_time(seconds)}</time><frame>Earth Fixed</frame><position>{position}</position>"
        f"<velocity>{moving}</velocity></orbit>"
    )


def _point(line: int, sample: int, seconds: float, distance: float) -> str:
    """Where a corner is, roughly: straight from the middle."""
    lon = CENTRE[0] + (sample - SIDE / 2) * PIXEL_M / 78_800
    lat = CENTRE[1] + (line - SIDE / 2) * PIXEL_M / 111_100
    return (
        f"<geolocationGridPoint><azimuthTime>{_time(seconds)}</azimuthTime><slantRangeTime>{2 * distance / LIGHT:.15e}"
        f"</slantRangeTime><line>{line}</line><pixel>{sample}</pixel><latitude>{lat:.9e}</latitude><longitude>{lon:.9e}"
        f"</longitude><height>1.0e+02</height><incidenceAngle>3.0e+01</incidenceAngle>"
        f"<elevationAngle>2.7e+01</elevationAngle></geolocationGridPoint>"
    )


def _calibration() -> str:
    samples = np.append(np.arange(0, SIDE - 1, 40), SIDE - 1)
    pixels = " ".join(map(str, samples))
    table = " ".join([f"{BETA_GAIN:.6e}"] * len(samples))
    count = f'count="{len(samples)}"'
    tables = "".join(f"<{name} {count}>{table}</{name}>" for name in ("sigmaNought", "betaNought", "gamma", "dn"))
    vectors = "".join(
        f"<calibrationVector><azimuthTime>{_time(_lines()[0] + line * _LINE_S)}</azimuthTime><line>{line}</line>"
        f"<pixel {count}>{pixels}</pixel>{tables}</calibrationVector>"
        for line in (0, SIDE // 2, SIDE + 10)
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><calibration><calibrationInformation><absoluteCalibrationConstant>'
        "1.000000e+00</absoluteCalibrationConstant></calibrationInformation>"
        f'<calibrationVectorList count="3">{vectors}</calibrationVectorList></calibration>'
    )


def _manifest(stem: str) -> str:
    first, last = _lines()
    files = {
        "s1Level1ProductSchema": f"./annotation/{stem}.xml",
        "s1Level1CalibrationSchema": f"./annotation/calibration/calibration-{stem}.xml",
        "s1Level1MeasurementSchema": f"./measurement/{stem}.tiff",
    }
    objects = "".join(
        f'<dataObject ID="{kind}" repID="{kind}"><byteStream><fileLocation locatorType="URL" href="{href}"/>'
        "</byteStream></dataObject>"
        for kind, href in files.items()
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel-1.0"
 xmlns:s1="http://www.esa.int/safe/sentinel-1.0/sentinel-1"
 xmlns:s1sarl1="http://www.esa.int/safe/sentinel-1.0/sentinel-1/sar/level-1"><metadataSection>
<safe:platform><safe:familyName>SENTINEL-1</safe:familyName><safe:number>A</safe:number><safe:instrument>
<s1sarl1:instrumentMode><s1sarl1:mode>IW</s1sarl1:mode><s1sarl1:swath>IW</s1sarl1:swath></s1sarl1:instrumentMode>
</safe:instrument></safe:platform><safe:orbitReference><safe:orbitNumber type="start">54000</safe:orbitNumber>
<safe:orbitNumber type="stop">54000</safe:orbitNumber>
<safe:relativeOrbitNumber type="start">117</safe:relativeOrbitNumber>
<safe:relativeOrbitNumber type="stop">117</safe:relativeOrbitNumber><s1:pass>ASCENDING</s1:pass>
<s1:ascendingNodeTime>{_time(-700)}</s1:ascendingNodeTime></safe:orbitReference>
<s1sarl1:missionDataTakeID>430080</s1sarl1:missionDataTakeID>
<s1sarl1:transmitterReceiverPolarisation>VV</s1sarl1:transmitterReceiverPolarisation>
<s1sarl1:productType>GRD</s1sarl1:productType><safe:acquisitionPeriod><safe:startTime>{_time(first)}</safe:startTime>
<safe:stopTime>{_time(last)}</safe:stopTime></safe:acquisitionPeriod></metadataSection>
<dataObjectSection>{objects}</dataObjectSection></xfdu:XFDU>"""


def write_dem(path: Path, height: Callable[[Floats, Floats], Floats]) -> Path:
    """Heights above the ellipsoid, 25 m pixels of EPSG:32632; height: of metres east and north of the middle."""
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32632", always_xy=True).transform(*CENTRE[:2])
    side, step = 240, 25.0
    at = (np.arange(side) - side / 2 + 0.5) * step
    form = {"driver": "GTiff", "height": side, "width": side, "count": 1, "dtype": "float32", "crs": "EPSG:32632"}
    transform = Affine(step, 0, x - side / 2 * step, 0, -step, y + side / 2 * step)
    with rasterio.open(path, "w", transform=transform, **form) as dataset:
        dataset.write(height(*np.meshgrid(at, -at)).astype(np.float32), 1)
    return path
