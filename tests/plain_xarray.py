"""A Zarr store as somebody with nothing but xarray sees it: in a process of its own, without this project."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_SCRIPT = """\
import hashlib, json, sys, xarray
with xarray.open_zarr(sys.argv[1], mask_and_scale=False) as found:
    arrays = {**found.data_vars, **found.coords}
    print(json.dumps({
        name: [str(array.dtype), hashlib.sha256(array.values.tobytes()).hexdigest()] for name, array in arrays.items()
    }))
"""
_TIMEOUT_S = 120


def read_zarr(address: str, environment: Mapping[str, str]) -> dict[str, list[str]]:
    """By variable and coordinate: what `fingerprint` gives of its stored numbers."""
    # Not in this process: s3fs leaves the connections open that it makes for Zarr, and a test after it pays for that.
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, address],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


def fingerprint(array: npt.NDArray[Any]) -> list[str]:
    """Data type and digest of the bits."""
    return [str(array.dtype), hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()]
