"""What jobs came to, by product and region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipeline.types.account import DONE, FAILED, Account


@dataclass(frozen=True)
class Sums:
    """Jobs of one product and region; durations are of the last attempts of those that are done, 0 where none is."""

    product: str
    region: str
    jobs: int
    done: int
    failed: int
    median_s: float
    p90_s: float
    longest_s: float
    seconds: float
    read_bytes: int
    written_bytes: int
    planned_bytes: int


def product_sums(account: Account) -> Iterator[Sums]:
    """A line for each product and region that occur together, sorted by name."""
    jobs = account.jobs
    pairs = jobs.product.astype(np.uint32) << 16 | jobs.region
    named = sorted(
        (jobs.products[int(pair) >> 16], jobs.regions[int(pair) & 0xFFFF], int(pair)) for pair in np.unique(pairs)
    )
    for product, region, pair in named:
        rows = np.flatnonzero(pairs == pair)
        done = rows[jobs.state[rows] == DONE]
        each = jobs.seconds[done].astype(np.float64) if len(done) else np.zeros(1)
        median, p90, longest = np.quantile(each, [0.5, 0.9, 1.0])
        yield Sums(
            product=product,
            region=region,
            jobs=len(rows),
            done=len(done),
            failed=int(np.count_nonzero(jobs.state[rows] == FAILED)),
            median_s=float(median),
            p90_s=float(p90),
            longest_s=float(longest),
            seconds=float(jobs.seconds[rows].sum(dtype=np.float64)),
            read_bytes=int(jobs.read_bytes[rows].sum()),
            written_bytes=int(jobs.written_bytes[rows].sum()),
            planned_bytes=int(jobs.planned_bytes[rows].sum()),
        )
