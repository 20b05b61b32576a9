"""What a product is to the rest of the pipeline, and the ledger of inputs it lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from pipeline.config import ProductConfig
from pipeline.errors import AssetError, MissingAssetsError, PermanentAssetError, TransientAssetError
from pipeline.plan.jobs import ProductPlan
from pipeline.products._rights import united_rights
from pipeline.read.access import Access
from pipeline.types import Asset, AssetLoss, Item, Job, Made, MemoryPlan, Rights
from pipeline.write.store import Store
from pipeline.write.tile import WriteOptions

if TYPE_CHECKING:
    import xarray as xr

T = TypeVar("T")


@dataclass(frozen=True)
class Context:
    """How and where a job works; the same for every job of a product in a run. Picklable, free of secrets."""

    access: Access
    write: WriteOptions
    skip_missing: bool
    """False: the first lost asset fails the job."""
    max_missing_fraction: float
    threads: int
    """Reads in flight and kernels in parallel within one job."""
    store: Store | None = None
    """The output, for what reads it: partitions that are merged with, or made from."""


class Product(Protocol):
    """One kind of product; a module offers it as `PRODUCT`."""

    @property
    def model(self) -> type[ProductConfig]:
        """Model of its entry in the config."""

    def plan(
        self, entry: ProductConfig, region: str, write: WriteOptions, upstream: Mapping[str, ProductPlan]
    ) -> ProductPlan:
        """What the planner needs to know of an entry; pure. upstream: the plans of the products it is made from."""

    def aliases(self, entry: ProductConfig) -> Mapping[str, Sequence[str]]:
        """Logical bands a job reads of its source → asset keys or band names that mean them, best first."""

    def notes(self, entry: ProductConfig, items: Sequence[Item]) -> Sequence[str]:
        """What a reader of the plan should know of an entry and the items of its source; pure."""

    def make(
        self, jobs: Sequence[Job], entry: ProductConfig, context: Context, folders: Sequence[Path], memory: MemoryPlan
    ) -> Sequence[Made]:
        """Some neighbouring tiles, from reading to validated files, each in a folder of its own; publishes nothing.

        Each becomes what it would be alone. Raises JobError as soon as one cannot be made, whichever it is.
        """

    def open(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        """The job's observations as a lazy Dataset (time, y, x): nothing is read before it is computed."""

    def composite(self, job: Job, entry: ProductConfig, access: Access) -> xr.Dataset:
        """The job's layers as `make` makes them: a lazy Dataset (y, x), or (time, y, x), with the committed pixels."""


def stated_rights(items: Sequence[Item], otherwise: Rights) -> Rights:
    """The licences and attributions that items state of themselves, each in one line; of others the product's own.

    Needed where a catalogue holds data of the same shape from somebody else (`license` is STAC common metadata).
    """
    stated = {tuple(_line(item.properties.get(name)) for name in ("license", "attribution")) for item in items}
    parts = [Rights(license=one[0], attribution=one[1]) for one in sorted(stated) if all(one)]
    if not parts or len(parts) < len(stated):
        parts.append(otherwise)
    return united_rights(parts) if len(parts) > 1 else parts[0]


def _line(text: object) -> str:
    """Words as any file's tags can hold them; of what is no text, none."""
    shown = "".join(each if each.isprintable() else " " for each in text) if isinstance(text, str) else ""
    return " ".join(shown.split())


def asset_of(item: Item, band: str) -> Asset:
    """The item's asset for a band. Raises PermanentAssetError where it has none."""
    asset = item.assets.get(band)
    if asset is None:
        raise PermanentAssetError("(none)", f"the item has no asset for {band}", item=item.id, asset=band)
    return asset


class Ledger:
    """Every input a job lost, and the policy that says how much loss is too much; safe from several threads."""

    def __init__(self, job: Job, context: Context, expected: int) -> None:
        """expected: assets the job would read if none were lost."""
        self._job, self._context, self._expected = job, context, expected
        self._weight = 0
        self._lock = threading.Lock()
        self._losses: dict[tuple[str, str], AssetLoss] = {}
        self._notes: dict[str, None] = {}

    def read(self, item: Item, band: str, use: Callable[[Asset], T], weight: int = 1) -> T | None:
        """`use(asset)`, or None with the loss recorded; a lost asset is not asked for again.

        weight: how many assets are lost with this one. Raises MissingAssetsError where the policy is to fail.
        """
        try:
            return None if self.lost(item, band) else use(asset_of(item, band))
        except AssetError as error:
            self.record(item, band, error, weight)
            return None

    def record(self, item: Item, band: str, error: AssetError, weight: int = 1) -> None:
        """Enter a loss, once. Raises MissingAssetsError where the policy is to fail."""
        with self._lock:
            # Two strips of a tile may ask for it at the same time: it is lost once.
            if (item.key, band) not in self._losses:
                self._weight += weight
                self._losses[item.key, band] = AssetLoss(
                    item.id, band, error.href, type(error).__name__, error.cause, error.attempts
                )
        if not self._context.skip_missing:
            message = f"{self._job.id}: {error}; missing_assets.policy is fail"
            raise MissingAssetsError(message, passing=isinstance(error, TransientAssetError)) from error

    def lost(self, item: Item, band: str) -> bool:
        """True where that asset is in the ledger."""
        return (item.key, band) in self._losses

    def note(self, text: str | None) -> None:
        """Keep a remark for the item and the report, once."""
        if text:
            with self._lock:
                self._notes[text] = None

    def check(self) -> None:
        """Raise MissingAssetsError, naming what was lost, once more than the allowed fraction of the assets is gone."""
        if self._weight > self._context.max_missing_fraction * self._expected:
            named = "; ".join(f"{loss.item}/{loss.asset} ({loss.href}): {loss.cause}" for loss in self.losses[:5])
            raise MissingAssetsError(
                f"{self._job.id}: {self._weight} of {self._expected} assets lost, missing_assets.max_fraction allows "
                f"{self._context.max_missing_fraction:.0%}: {named}",
                passing=any(loss.error == TransientAssetError.__name__ for loss in self.losses),
            )

    @property
    def fraction(self) -> float:
        """Which share of the assets is gone, those among them that are of no use without a lost one."""
        return min(1.0, self._weight / self._expected) if self._expected else 0.0

    @property
    def losses(self) -> tuple[AssetLoss, ...]:
        return tuple(self._losses[key] for key in sorted(self._losses))

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(sorted(self._notes))
