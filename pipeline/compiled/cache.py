"""Machine code on disk: written where a folder can be, read wherever it lies, and believed only when it is whole.

Numba's own cache ignores a filled folder that cannot be written, refuses to decorate where none can, knows nothing of
constants and loops of other modules, and numbers its files, so that two processes that start together may read each
other's. Here one file holds one loop for one signature and processor, under a digest of all that went into it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import sys
import uuid
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import numba
import numpy as np
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps
from numba.core.sigutils import normalize_signature

from pipeline.compiled import OPTIONS, Kernel

logger = logging.getLogger(__name__)
_DIGEST_BYTES = 32


class KernelCache(_Cache):
    """The files of one loop; numba asks it before it compiles and tells it what it has compiled."""

    def __init__(self, kernel: Kernel[..., Any]) -> None:
        self._kernel = kernel

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled loop for a signature, or None where no folder has it whole and made of this very code."""
        # What compiled code calls; the rest, that is all of the compiler, is needed by what is compiled here only.
        rtsys.initialize(target_context)
        name, digest = self._name(sig, target_context.codegen()), self._digest
        for folder in folders():
            try:
                found = (folder / name).read_bytes()
            except OSError:  # not there, or not for us: the next folder, or the compiler
                continue
            payload = found[_DIGEST_BYTES:]
            if found[:_DIGEST_BYTES] == hashlib.sha256(digest + payload).digest():
                return _rebuilt(target_context, payload)
            logger.debug("%s: %s is stale or damaged", self._kernel.name, folder / name)
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was just compiled; where no folder can be written, say so once and go on."""
        payload = dumps(data._reduce())  # type: ignore[no-untyped-call] # noqa: SLF001 (as numba's own cache does)
        kept = save(self._name(sig, data.codegen), self._seal(payload))
        logger.debug("%s: compiled for %s, kept in %s", self._kernel.name, _arguments(sig), kept)

    @property
    def cache_path(self) -> str | None:
        """The first folder that is looked at."""
        return str(folders()[0])

    def enable(self) -> None:
        """Always on."""

    def disable(self) -> None:
        """Always on."""

    def flush(self) -> None:
        """Nothing is held; a stale file is written over."""

    def _seal(self, payload: bytes) -> bytes:
        return hashlib.sha256(self._digest + payload).digest() + payload

    def _name(self, sig: Any, codegen: Any) -> str:
        """What a file holds: loop, argument types, processor, Python and numba."""
        versions = (sys.version_info[:2], numba.__version__, llvmlite.__version__)
        key = hashlib.sha256(repr((_arguments(sig), codegen.magic_tuple(), versions)).encode()).hexdigest()[:20]
        return f"{self._kernel.name}.{key}.kernel"

    @cached_property
    def _digest(self) -> bytes:
        return hashlib.sha256(repr(content(self._kernel)).encode()).digest()


def _rebuilt(target_context: Any, payload: bytes) -> Any:
    parts = pickle.loads(payload)  # noqa: S301 (from a folder that code is imported from)
    return CompileResult._rebuild(target_context, *parts)  # type: ignore[no-untyped-call] # noqa: SLF001 (as numba does)


def content(kernel: Kernel[..., Any]) -> tuple[object, ...]:
    """All that the machine code is made of: the function's code, the constants it takes from elsewhere, its callees."""
    code, closure = kernel.function.__code__, kernel.function.__closure__ or ()
    values = [kernel.function.__globals__.get(name) for name in code.co_names if name != kernel.function.__name__]
    values += [cell.cell_contents for cell in closure]
    names = code.co_names, code.co_varnames, code.co_freevars
    return code.co_code, repr(code.co_consts), names, OPTIONS, [_constant(value) for value in values]


def _constant(value: object) -> object:
    """What numba makes a constant of; its functions and modules change with its version only."""
    if isinstance(value, Kernel):
        return content(value)
    if isinstance(value, np.ndarray):
        return str(value.dtype), value.tolist()
    fixed = isinstance(value, ModuleType) or (callable(value) and not isinstance(value, type))
    return None if fixed else repr(value)


def folders() -> list[Path]:
    """Where machine code lies, looked at in this order; put into the first that can be written.

    The folder that NUMBA_CACHE_DIR names, alone; without one, beside this file and in the user's cache.
    """
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return [Path(given)]
    home = Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache"))  # noqa: PTH111 (never raises)
    return [Path(__file__).parent / "__pycache__", *([home / "groundswell" / "compiled"] if home.is_absolute() else [])]


def save(name: str, data: bytes) -> Path | None:
    """Put a file whole or not at all; the folder it is in, or None where none can be written."""
    for folder in folders():
        part = folder / f"{name}.{uuid.uuid4().hex}.part"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
            part.replace(folder / name)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            _note_unwritable(folder, str(error))
        else:
            return folder
    return None


@cache
def _note_unwritable(folder: Path, cause: str) -> None:
    """Once a folder and cause."""
    logger.debug("compiled loops cannot be kept in %s: %s", folder, cause)


def _arguments(sig: Any) -> str:
    arguments, _ = normalize_signature(sig)  # type: ignore[no-untyped-call]
    return str(arguments)
