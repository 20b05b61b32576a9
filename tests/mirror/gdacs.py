"""Small GDACs for the tests of this folder: sound NetCDF-3 files, and a way to ask for them."""

from __future__ import annotations

import asyncio
import io
import socket
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.io import netcdf_file

from pipeline.mirror.fetch import Fetched, Want, open_mirrors
from pipeline.mirror.transports import Gdac, Patience

QUICK = Patience(timeout_s=2, retries=2, delay_s=0.01, connections=4)


def profile_bytes(number: int = 0, *, updated: str = "20240102030405", levels: int = 40) -> bytes:
    """A NetCDF-3 file with DATE_UPDATE and some numbers, `number` among them."""
    buffer = io.BytesIO()
    file = netcdf_file(buffer, "w", mmap=False)
    for name, length in (("DATE_TIME", 14), ("N_LEVELS", levels)):
        file.createDimension(name, length)
    file.createVariable("DATE_UPDATE", "c", ("DATE_TIME",))[:] = np.frombuffer(updated.encode(), "S1")
    file.createVariable("PRES", "f4", ("N_LEVELS",))[:] = np.arange(levels) + number
    file.flush()
    data = buffer.getvalue()
    file.close()
    return data


def path_of(number: int) -> str:
    return f"dac/incois/2902269/profiles/R2902269_{number:03d}.nc"


def gdac_of(*mirrors: str, patience: Patience = QUICK, in_flight: int = 8) -> Gdac:
    """One patience for all kinds of mirrors."""
    quick = Gdac(mirrors, http=patience, ftp=patience, s3=patience, in_flight=in_flight)
    return replace(quick, folder=replace(patience, retries=0))


def fetch_all(gdac: Gdac, wants: Iterable[Want | str], root: Path) -> dict[str, Fetched]:
    """What came of each path."""

    async def run() -> dict[str, Fetched]:
        asked = [Want(each) if isinstance(each, str) else each for each in wants]
        async with open_mirrors(gdac) as mirrors, aclosing(mirrors.fetch(asked, root)) as results:
            return {got.path: got async for got in results}

    return asyncio.run(run())


def read_one(gdac: Gdac, path: str) -> bytes:
    async def run() -> bytes:
        async with open_mirrors(gdac) as mirrors:
            return await mirrors.read(path)

    return asyncio.run(run())


def files_below(root: Path) -> dict[str, bytes]:
    """Every file, our own hidden ones left out, by its name from the root."""
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".groundswell/")}


def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
