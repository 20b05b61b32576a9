"""Argo profile files of any container, made by the NetCDF library as data centres make them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import netCDF4
import numpy as np
from numpy.typing import NDArray

Container = Literal["NETCDF3_CLASSIC", "NETCDF3_64BIT_OFFSET", "NETCDF3_64BIT_DATA", "NETCDF4", "NETCDF4_CLASSIC"]
FILL = 99999.0
STRINGS = (2, 4, 8, 16, 32, 64, 256)
DATA_TYPES = {"core": "Argo profile", "bgc": "B-Argo profile", "synthetic": "Argo synthetic profile"}


@dataclass(frozen=True)
class Made:
    """What a file is made of; arrays are (profile, level)."""

    values: Mapping[str, NDArray[Any]]
    """By variable: `TEMP`, `TEMP_QC` (characters), `TEMP_ADJUSTED` …"""
    parameters: Sequence[Sequence[str]] = ()
    """STATION_PARAMETERS of each profile; without any, the variables that have no suffix."""
    kind: str = "core"
    wmo: str = "2902269"
    cycles: Sequence[int] = (1,)
    directions: str = "A"
    modes: str | None = "R"
    parameter_modes: Sequence[str] | None = None
    history: Sequence[tuple[str, int, str]] = ()
    """(action, profile, HISTORY_QCTEST), a record each."""
    texts: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """By variable: (STRING dimension, the text of every profile)."""
    fills: Mapping[str, float | None] = field(default_factory=dict)
    """By variable, where it is not `FILL`; None for a variable that names none."""
    container: Container = "NETCDF3_CLASSIC"
    without: Sequence[str] = ()
    """Variables to leave out."""


def argo_file(made: Made) -> bytes:
    """The file, whole."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "made.nc"
        with netCDF4.Dataset(path, "w", format=made.container) as file:
            file.set_auto_maskandscale(False)
            file.set_fill_off()
            file.set_auto_chartostring(False)
            _Writer(file, made).write()
        return path.read_bytes()


def single(levels: int = 20, *, seed: int = 0, parameters: Sequence[str] = ("PRES", "TEMP", "PSAL")) -> Made:
    """One ascending real-time profile with numbers in everything."""
    rng = np.random.default_rng(seed)
    values: dict[str, NDArray[Any]] = {}
    for name in parameters:
        for part in ("", "_ADJUSTED", "_ADJUSTED_ERROR"):
            values[name + part] = np.sort(rng.uniform(0, 2000, (1, levels)).astype("f4"))
        for part in ("_QC", "_ADJUSTED_QC"):
            values[name + part] = rng.choice(np.array([b"1", b"2", b"4"]), (1, levels))
    return Made(values)


@dataclass(frozen=True)
class _Writer:
    file: Any
    made: Made

    def write(self) -> None:
        made, count = self.made, len(self.made.cycles)
        names = [name for name in made.values if not name.endswith(("_QC", "_ADJUSTED", "_ADJUSTED_ERROR"))]
        slots = made.parameters or [names] * count
        most, levels = max(map(len, slots)), max((each.shape[1] for each in made.values.values()), default=1)
        for name, size in {"N_PROF": count, "N_PARAM": most, "N_LEVELS": levels, "DATE_TIME": 14}.items():
            self.file.createDimension(name, size)
        self.file.createDimension("N_HISTORY", None)
        for size in STRINGS:
            self.file.createDimension(f"STRING{size}", size)
        self.characters("DATA_TYPE", ("STRING32",), [DATA_TYPES.get(made.kind, made.kind)])
        self.characters("FORMAT_VERSION", ("STRING4",), ["3.1"])
        self.characters("DATE_UPDATE", ("DATE_TIME",), ["20240102030405"])
        self.characters("PLATFORM_NUMBER", ("N_PROF", "STRING8"), [made.wmo] * count)
        width = "STRING16" if made.kind == "core" else "STRING64"
        padded = [name for each in slots for name in (*each, *[""] * (most - len(each)))]
        self.characters("STATION_PARAMETERS", ("N_PROF", "N_PARAM", width), padded)
        self._profiles(names)
        for name, (size, text) in made.texts.items():
            self.characters(name, ("N_PROF", f"STRING{size}"), [text] * count)
        for name, values in made.values.items():
            fill = made.fills.get(name, FILL) if values.dtype.kind == "f" else None
            self.put(name, ("N_PROF", "N_LEVELS"), values, fill)
        self._history()

    def _profiles(self, names: Sequence[str]) -> None:
        made, count = self.made, len(self.made.cycles)
        self.put("CYCLE_NUMBER", ("N_PROF",), np.array(made.cycles, "i4"), 99999)
        self.characters("DIRECTION", ("N_PROF",), [made.directions.ljust(count, made.directions[-1])])
        if made.modes is not None:
            self.characters("DATA_MODE", ("N_PROF",), [made.modes.ljust(count, made.modes[-1])])
        if made.parameter_modes is not None:
            self.characters("PARAMETER_DATA_MODE", ("N_PROF", "N_PARAM"), made.parameter_modes)
        self.put("JULD", ("N_PROF",), 20000.0 + np.arange(count), 999999.0)
        self.put("LATITUDE", ("N_PROF",), np.linspace(-40, 40, count), FILL)
        self.put("LONGITUDE", ("N_PROF",), np.linspace(-170, 170, count), FILL)
        for name in ("JULD_QC", "POSITION_QC", *(f"PROFILE_{name}_QC" for name in names)):
            self.characters(name, ("N_PROF",), ["1" * count])

    def _history(self) -> None:
        for name, size in (("HISTORY_ACTION", 4), ("HISTORY_QCTEST", 16)):
            rows = np.full((len(self.made.history), len(self.made.cycles), size), b" ", "S1")
            for record, (action, profile, test) in enumerate(self.made.history):
                text = action if name == "HISTORY_ACTION" else test
                rows[record, profile, : len(text)] = list(text)
            self.put(name, ("N_HISTORY", "N_PROF", f"STRING{size}"), rows)

    def characters(self, name: str, axes: tuple[str, ...], texts: Sequence[str]) -> None:
        """One text for each place on all axes but the last."""
        shape = tuple(len(self.file.dimensions[axis]) for axis in axes)
        padded = b"".join(text.encode("latin-1").ljust(shape[-1]) for text in texts)
        self.put(name, axes, np.frombuffer(padded, "S1").reshape(shape))

    def put(self, name: str, axes: tuple[str, ...], values: NDArray[Any], fill: float | None = None) -> None:
        if name not in self.made.without:
            self.file.createVariable(name, values.dtype, axes, fill_value=fill)[:] = values
