"""The clusters of a run as the driver sees them: by region, and of each region one or several that share its jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from distributed import Client

Opening = Future[tuple[Client, int]]
"""A cluster that comes up, or does not: its client, and how many groups may be in flight on it."""


class Fleet(Protocol):
    """Where the jobs of a run go."""

    @property
    def openings(self) -> Mapping[str, Sequence[Opening]]:
        """By region, its clusters as they are opened first."""

    def again(self, region: str, shard: int) -> Opening | None:
        """A new cluster in place of one that was lost; None where none is opened any more."""


@dataclass(frozen=True)
class _Standing:
    openings: Mapping[str, Sequence[Opening]]

    def again(self, region: str, shard: int) -> Opening | None:  # noqa: ARG002
        return None


def standing(openings: Mapping[str, Opening]) -> Fleet:
    """One cluster a region, never replaced by another."""
    return _Standing({region: (opening,) for region, opening in openings.items()})
