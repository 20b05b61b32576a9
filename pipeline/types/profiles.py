"""One parsed Argo file: what it holds of each profile, as stored, before any rule is applied."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Codes = NDArray[np.bytes_]
"""Characters of one byte (`S1`): QC flags, modes, directions; blank where none is given."""


@dataclass(frozen=True)
class Measured:
    """One parameter of a file, each array of shape (profile, level) and as stored: fill values included.

    What the file does not have of it (`PRES` of a B-file has no QC) is None.
    """

    raw: Floats
    raw_qc: Codes | None = None
    adjusted: Floats | None = None
    adjusted_qc: Codes | None = None
    adjusted_error: Floats | None = None
    fill: float = 99999.0
    """What stands for no number in the three of them: 999999 in MTIME, NetCDF's own default in raw irradiances."""


@dataclass(frozen=True)
class ProfileFile:
    """The profiles of one Argo profile file; every array has a first axis of profiles."""

    path: str
    """As in the index: below `dac/`, such as `incois/2902269/profiles/D2902269_001.nc`."""
    kind: str
    """`core`, `bgc` or `synthetic`."""
    wmo: NDArray[np.int32]
    cycle: NDArray[np.int32]
    direction: Codes
    """`A` ascending, `D` descending."""
    index: NDArray[np.int32]
    """From 0, among the file's profiles of the same cycle and direction."""
    data_mode: Codes
    """`R`, `A` or `D`; of a file without DATA_MODE the best of its parameters' modes."""
    juld: NDArray[np.float64]
    """Days since 1950-01-01 UTC; 999999 is none."""
    juld_qc: Codes
    latitude: NDArray[np.float64]
    """Degrees north, as stored: fills and sentinels are not yet told from positions."""
    longitude: NDArray[np.float64]
    position_qc: Codes
    parameters: tuple[tuple[str, ...], ...]
    """STATION_PARAMETERS of each profile, blanks left out, in the file's order."""
    parameter_mode: Mapping[str, Codes]
    """Per parameter read, the mode of each profile; blank where a profile does not have the parameter."""
    profile_qc: Mapping[str, Codes]
    """PROFILE_<P>_QC as the file has it."""
    measured: Mapping[str, Measured]
    """The parameters that were asked for and that the file has."""
    unread: tuple[str, ...] = ()
    """Parameters of the file that were not asked for, sorted."""
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By variable (PLATFORM_TYPE, PI_NAME, VERTICAL_SAMPLING_SCHEME ...), one text a profile, stripped."""
    tests_performed: tuple[str, ...] = ()
    """The different texts of HISTORY_QCTEST of QCP$, by blanks: hexadecimal, empty where there is none."""
    tests_failed: tuple[str, ...] = ()
    """The same of QCF$."""
    format_version: str = ""
    date_update: str = ""
    """DATE_UPDATE of the file: YYYYMMDDHHMMSS, UTC."""
