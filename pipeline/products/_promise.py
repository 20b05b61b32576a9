"""What a product promises of its files, told before anything is made: what another system's files are compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pipeline.config import ProductConfig
from pipeline.types import Band, Job, Rights


@dataclass(frozen=True)
class Promise:
    """The GeoTIFFs of a job, by asset key; of a series by the key without its day, as in `red-20240601`."""

    files: Mapping[str, tuple[Band, ...]]
    """Those without which it is another product: its bands in their order."""
    beside: Mapping[str, tuple[Band, ...]]
    """Those that say how it was made (`count`, `qa` ...): nobody else makes them."""
    rights: Callable[[Job], Rights] | None
    """Of what is made from a job's scenes; None: it is made from other products."""
    dated: frozenset[str] = frozenset()
    """Which of `files` are there once for each day, however many."""


@runtime_checkable
class Promising(Protocol):
    """A product whose files are told by its entry alone."""

    def promised(self, entry: ProductConfig, job: Job) -> Promise:
        """What a job's files will be; pure."""


def single(*bands: Band) -> dict[str, tuple[Band, ...]]:
    """A file for each band."""
    return {band.name: (band,) for band in bands}
