"""What a job is made from that other jobs have committed: read back from their items, as inputs like any others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

from pipeline.errors import StoreError, TransientStoreError
from pipeline.products._rights import LICENSE_HREFS
from pipeline.types import Asset, Band, Item, Job, Upstream
from pipeline.write.outputs import Layer, parse_output
from pipeline.write.partition import TABLES
from pipeline.write.sound import get_item
from pipeline.write.stac import item_key
from pipeline.write.store import Store

_EVER = datetime(1950, 1, 1, tzinfo=UTC)
"""Of what has no time of its own: the day that Argo's times are counted from."""


@dataclass(frozen=True)
class CommittedItem(Item):
    """An item of this output; its assets are its COGs by key, `red`, or `red-20240601` of a series."""

    bands: Mapping[str, Band] = field(default_factory=dict)
    """What the numbers of each asset are, by the same keys; a series' bands have the name without the day."""
    days: Mapping[str, date] = field(default_factory=dict)
    """The solar day of each asset that is one of a series."""


def with_upstream(job: Job, store: Store) -> Job:
    """The job with the committed items of its upstream jobs as its own, in their order; others stay as they are.

    Raises StoreError naming what is not committed, and TransientStoreError where the store cannot be reached.
    """
    if any(one.afloat for one in job.upstream):
        return replace(job, items=(*job.items, *(_partition(one, store) for one in job.upstream)))
    return replace(job, items=tuple(_committed(one, store) for one in job.upstream)) if job.upstream else job


def inputs_of(job: Job, product: str) -> tuple[CommittedItem, ...]:
    """The committed items of one of the products that a job is made from, in order of time."""
    found = [item for item in job.items if isinstance(item, CommittedItem) and item.source == product]
    return tuple(sorted(found, key=lambda item: (item.time, item.id)))


def _partition(upstream: Upstream, store: Store) -> Item:
    """Where the tables of a bucket of floats lie: always at the same keys, so nothing is asked for."""
    folder = f"{store.uri.rstrip('/')}/data/{upstream.product}/{upstream.tile_id}/{upstream.period.id}"
    return Item(
        id=upstream.tile_id,
        collection=upstream.product,
        source=upstream.product,
        time=_EVER,
        solar_day=_EVER.date(),
        geometry=None,
        assets={name: Asset(name, f"{folder}/{name}.parquet") for name in TABLES},
        updated=upstream.fingerprint,
    )


def _committed(upstream: Upstream, store: Store) -> CommittedItem:
    key = item_key(upstream)
    try:
        document = get_item(store, key)
        base = f"{store.uri.rstrip('/')}/{key.rpartition('/')[0]}"
        output = parse_output(document, base)
        start = datetime.fromisoformat(document["properties"]["start_datetime"])
    except TransientStoreError:
        raise
    except StoreError as error:
        raise StoreError(
            f"{upstream.job_id}, which it is made from, cannot be had: {error}; run that job too, or the whole config"
        ) from error
    layers = {_key(layer): layer for layer in output.layers if "cog" in layer.sources}
    if not layers:
        raise StoreError(f"{upstream.job_id}: its item has no COG; write it with `cog: {{}}` and run again")
    assets = {
        name: Asset(
            name,
            layer.sources["cog"].href,
            layer.sources["cog"].band,
            grid=output.grid,
            nodata=layer.band.nodata,
            scale=layer.band.scale,
            offset=layer.band.offset,
        )
        for name, layer in layers.items()
    }
    return CommittedItem(
        id=document["id"],
        collection=upstream.product,
        source=upstream.product,
        time=start,
        solar_day=start.date(),
        geometry=document["geometry"],
        assets=assets,
        properties={**document["properties"], LICENSE_HREFS: _license_hrefs(document)},
        href=key,
        bands={name: layer.band for name, layer in layers.items()},
        days={name: layer.day for name, layer in layers.items() if layer.day is not None},
    )


def _license_hrefs(document: Mapping[str, Any]) -> list[str]:
    return [str(link["href"]) for link in document.get("links") or () if link.get("rel") == "license"]


def _key(layer: Layer) -> str:
    return layer.band.name if layer.day is None else f"{layer.band.name}-{layer.day:%Y%m%d}"
