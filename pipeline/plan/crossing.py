"""What a run reads from other regions than those its clusters stand in: bytes, and what is charged for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.config import DEFAULT_REGION
from pipeline.errors import PlanRefusedError
from pipeline.plan.prices import egress_date, egress_usd_a_gb
from pipeline.types import Job

_GB = 10**9
_HOST = re.compile(r"https://(?:[^/]+\.)?s3[.-]([a-z]{2}(?:-[a-z]+)+-\d)\.amazonaws\.com/")
"""Such a host serves the buckets of its own region only."""


@dataclass(frozen=True)
class Crossing:
    """What the jobs of one product read from one region on a cluster in another."""

    product: str
    origin: str
    """Where the bytes lie."""
    place: str
    """Where they are read."""
    jobs: int
    read_bytes: int
    """Estimate, from declared grids."""
    own: bool
    """They are files of this run's output, not a source's."""

    @property
    def usd_a_gb(self) -> float | None:
        """None where no price is known."""
        return egress_usd_a_gb(self.origin, self.place)

    @property
    def usd(self) -> float | None:
        """What all of it costs; None where no price is known."""
        return None if self.usd_a_gb is None else self.read_bytes / _GB * self.usd_a_gb

    def __str__(self) -> str:
        what = "of this run's own files " if self.own else ""
        read = f"{self.product}: {self.jobs} jobs read {self.read_bytes / _GB:,.2f} GB {what}"
        read += f"that lie in {self.origin} on a cluster in {self.place}"
        if self.usd is None:
            return f"{read}; no price is known of bytes that leave {self.origin}"
        payer = "you pay that" if self.own else "the owner of the source pays that, with sign: requester-pays you do"
        return f"{read}: {self.usd:,.2f} USD at {self.usd_a_gb} a GB (AWS, {egress_date()}); {payer}"


def crossings(
    jobs: Iterable[Job], stands: Mapping[str, str | None], output_region: str | None = None
) -> tuple[Crossing, ...]:
    """Every product's reads between regions, sorted; pure.

    stands: region of jobs → region that its cluster stands in; None: nobody knows, such as of a laptop. Nothing is said
    then, nor of bytes that lie nobody knows where. output_region: where committed files lie; None: where they are made.
    """
    found: dict[tuple[str, str, str, bool], list[int]] = {}
    if not any(stands.values()):
        return ()
    for job in jobs:
        place, own = stands.get(job.region), bool(job.origins)
        made = [(output_region or stands.get(region), read_bytes) for region, read_bytes in job.origins]
        for origin, read_bytes in made or [(_lies_in(job), job.read_bytes)]:
            if origin is not None and place is not None and origin != place and read_bytes:
                count = found.setdefault((job.product, origin, place, own), [0, 0])
                count[0] += 1
                count[1] += read_bytes
    return tuple(
        Crossing(product, origin, place, jobs, read_bytes, own)
        for (product, origin, place, own), (jobs, read_bytes) in sorted(found.items())
    )


def _lies_in(job: Job) -> str | None:
    """Where a job's scenes lie: as an address says, else as the source does; None where neither does.

    The files of a source lie in one place.
    """
    href = next((asset.href for item in job.items[:1] for asset in item.assets.values()), "")
    said = _HOST.match(href)
    if said is not None:
        return said[1]
    return None if job.region == DEFAULT_REGION else job.region


def refuse_crossings(found: Sequence[Crossing]) -> None:
    """Raise PlanRefusedError where anything crosses; it names every crossing."""
    if found:
        raise PlanRefusedError(
            f"run.cross_region: refuse, and the plan reads between regions: {'; '.join(map(str, found))}. Give "
            "clusters.<region> a cluster in the region of the data, or allow it by run.cross_region: warn"
        )
