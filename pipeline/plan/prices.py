"""What a worker, a request and a byte between regions cost: looked up in `prices.json`, which says from when and where.

Prices are those of AWS; of what stands elsewhere, or nobody knows where, none is known: `clusters.<region>.
usd_per_worker_hour` says it then, and has the last word anyway.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil

from pipeline.types import Json, Range

_GIB = 2**30
_GB = 10**9
_GIB_A_CORE = {"c": 2, "m": 4, "r": 8}
"""Of machines of a family."""
_SIZE = 4
"""Processors of a machine of size xlarge, which the table holds."""
_KINDS = ("c", "m", "r")
_CURRENT = "6i"
"""The generation that is taken where none is named."""
_INSTANCE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")


@dataclass(frozen=True)
class Worker:
    """What has to be priced: one worker, and what it stands on."""

    backend: str
    located: str | None
    threads: int
    memory_bytes: int
    spot: bool = False
    cores: float = 1.0
    """Processors that a pod asks for."""
    machines: tuple[str, ...] = ()
    """Types that are asked for by name."""
    scheduler_cores: float = 0.0
    scheduler_memory_bytes: int = 0
    """Of a scheduler's pod."""
    given_usd: float | None = None
    """What the config says that a worker costs an hour."""


@dataclass(frozen=True)
class Price:
    """What an hour costs."""

    usd: Range | None
    """Of one worker; None where no price is known."""
    scheduler_usd: float
    machine: str | None
    told: str
    """Where it is from, and of when; or why there is none."""


@cache
def table() -> Json:
    """The table of prices, as it is kept."""
    return json.loads(files("pipeline.plan").joinpath("prices.json").read_text(encoding="utf-8"))


def price(worker: Worker) -> Price:
    """What a worker costs an hour, and the scheduler of its cluster."""
    known = _looked_up(worker)
    if worker.given_usd is None:
        return known
    return Price(
        Range.exact(worker.given_usd), known.scheduler_usd, known.machine, "usd_per_worker_hour of its section"
    )


def _looked_up(worker: Worker) -> Price:
    if worker.backend == "local":
        return Price(Range.exact(0.0), 0.0, None, "this machine, which costs nothing more")
    if worker.backend == "existing":
        return Price(None, 0.0, None, "nobody knows what a cluster costs that is there already")
    factors = table()["regions"]["factors"]
    if worker.located not in factors:
        stands = f"in {worker.located}" if worker.located else "nobody knows where"
        return Price(None, 0.0, None, f"no price is known of what stands {stands}")
    return _coiled(worker) if worker.backend == "coiled" else _pod(worker)


def _coiled(worker: Worker) -> Price:
    """A machine of its own, Coiled's fee for each of its processors, and a machine for the scheduler."""
    prices = table()
    named = [one for one in map(_named, worker.machines) if one is not None]
    offers = named or [_smallest(kind, worker) for kind in _KINDS]
    family, cores = min(offers, key=lambda one: _machine_usd(one[0], one[1], worker.located))
    fee = prices["coiled"]["usd_per_cpu_hour"]
    paid = _discounted(_machine_usd(family, cores, worker.located), spot=worker.spot) + Range.exact(fee * cores)
    scheduler, its_cores = _named(prices["coiled"]["scheduler"]) or ("m6i", _SIZE)
    beside = _machine_usd(scheduler, its_cores, worker.located) + fee * its_cores
    # A machine that the table does not have costs about what such a worker's own would.
    other = "" if named or not worker.machines else f"{', '.join(worker.machines)} as {_type_of(family, cores)}: "
    told = f"{other}{_told(spot=worker.spot)}; Coiled: {fee} USD a processor ({prices['coiled']['date']})"
    return Price(paid, beside, _type_of(family, cores), told)


def _pod(worker: Worker) -> Price:
    """A pod's share of the machine that it stands on: of its processors or of its memory, whichever is more."""
    found = next((one for one in map(_named, worker.machines) if one is not None), None)
    family = found[0] if found else table()["pods"]["family"]
    paid = _discounted(_share_usd(family, worker.cores, worker.memory_bytes, worker.located), spot=worker.spot)
    scheduler = _share_usd(
        table()["pods"]["family"], worker.scheduler_cores, worker.scheduler_memory_bytes, worker.located
    )
    return Price(paid, scheduler, family, f"its share of a machine of {family}: {_told(spot=worker.spot)}")


def instance_types(node_selector: Mapping[str, str]) -> tuple[str, ...]:
    """The machine that a node selector names, if it does."""
    return tuple(value for label, value in node_selector.items() if label in _INSTANCE_LABELS)


def _told(*, spot: bool) -> str:
    prices = table()
    told = f"AWS on demand ({prices['instances']['date']})"
    return (
        f"AWS spot, likely {prices['spot']['factors'][1]:.0%} of on demand ({prices['instances']['date']})"
        if spot
        else told
    )


def _named(machine: str) -> tuple[str, int] | None:
    """(family, processors) of a type such as m6i.2xlarge; None where the table does not have it."""
    family, _, size = machine.partition(".")
    sizes = {"medium": 1, "large": 2, "xlarge": _SIZE}
    cores = sizes.get(size) or (
        _SIZE * int(size.removesuffix("xlarge")) if size.removesuffix("xlarge").isdigit() else 0
    )
    return (family, cores) if family in table()["instances"]["usd"] and cores else None


def _smallest(kind: str, worker: Worker) -> tuple[str, int]:
    """The smallest machine of a kind that a worker fits on: powers of two, 2 processors at least."""
    needed = max(2, worker.threads, ceil(worker.memory_bytes / _GIB / _GIB_A_CORE[kind]))
    return f"{kind}{_CURRENT}", 1 << (needed - 1).bit_length()


def _type_of(family: str, cores: int) -> str:
    sizes = {1: "medium", 2: "large", _SIZE: "xlarge"}
    return f"{family}.{sizes.get(cores) or f'{cores // _SIZE}xlarge'}"


def _machine_usd(family: str, cores: float, located: str | None) -> float:
    prices = table()
    factors = prices["regions"]["factors"][located]
    return float(prices["instances"]["usd"][family]) / _SIZE * cores * float(factors[_KINDS.index(family[0])])


def _share_usd(family: str, cores: float, memory_bytes: int, located: str | None) -> float:
    return _machine_usd(family, max(cores, memory_bytes / _GIB / _GIB_A_CORE[family[0]]), located)


def _discounted(usd: float, *, spot: bool) -> Range:
    return Range(*(usd * factor for factor in table()["spot"]["factors"])) if spot else Range.exact(usd)


def request_usd(gets: int, puts: int) -> float:
    """What requests to S3 cost their payer."""
    prices = table()["s3"]
    return (gets * float(prices["get"]) + puts * float(prices["put"])) / 1000


def egress_usd_a_gb(origin: str, place: str) -> float | None:
    """USD for 10**9 bytes from one region of AWS into another one; None where no price is known."""
    prices = table()["egress"]
    near = {frozenset({one, other}): usd for one, other, usd in prices["near"]}
    found = near.get(frozenset({origin, place}), prices["usd"].get(origin))
    return None if found is None else float(found)


def egress_date() -> str:
    """Of when the prices of bytes between regions are."""
    return str(table()["egress"]["date"])
