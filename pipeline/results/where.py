"""Where results lie, and how they are reached: an output, or the config of the runs that made it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from pipeline.config import RunConfig, StorageConfig, load_config
from pipeline.config.advice import did_you_mean
from pipeline.errors import ConfigError
from pipeline.products import product_models
from pipeline.read.access import Access
from pipeline.write.store import Store, open_store

Where = str | Path | RunConfig
"""The `output` of runs, a folder or s3://; or a config, or the path of its file (.yaml)."""
_SHOWN = 20
"""Names in a message: there may be thousands of tiles."""


class Storage(TypedDict, total=False):
    """How an output on S3 is reached, as `storage:` of a config; what is left out is the environment's."""

    endpoint: str | None
    """Address of an S3 server; None: AWS."""
    profile: str | None
    """Of the AWS configuration files."""
    anonymous: bool
    """Send no credentials."""


@dataclass(frozen=True)
class Place:
    """An output, and how its files are opened."""

    store: Store
    access: Access
    config: RunConfig | None
    """Where a config said it."""

    def choose(self, product: str | None, kind: str) -> str:
        """The name of the product of a kind that is meant: of an output without a config, by default the kind.

        Raises ConfigError where a config has several, or none.
        """
        if product is not None or self.config is None:
            return product or kind
        names = [entry.name for entry in self.config.products if entry.product == kind]
        if len(names) != 1:
            raise ConfigError(f"found {len(names)} products of kind {kind} ({', '.join(names)}): choose with product=")
        return names[0]


def place_of(where: Where, storage: Storage) -> Place:
    """The output that is meant. storage: goes before what a config says. Raises ConfigError."""
    config = where if isinstance(where, RunConfig) else None
    if config is None and str(where).endswith((".yaml", ".yml")):
        config = load_config(Path(str(where)), product_models())
    own = config.storage if config is not None else StorageConfig()
    access = Access(
        endpoint=storage.get("endpoint", own.endpoint),
        profile=storage.get("profile", own.profile),
        anonymous=storage.get("anonymous", own.anonymous),
    )
    uri = str(where) if config is None else config.output
    store = open_store(uri, endpoint=access.endpoint, profile=access.profile, anonymous=access.anonymous)
    return Place(store, access, config)


def refuse_unknown(what: str, wanted: Iterable[str], there: Iterable[str]) -> None:
    """Raise ConfigError for the first name that is not there, with the ones that are."""
    known = dict.fromkeys(there)
    for name in wanted:
        if name not in known:
            more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
            some = ", ".join(list(known)[:_SHOWN])
            raise ConfigError(f"{what}: found {name!r}{did_you_mean(name, list(known))}; there are {some}{more}")


def refuse_unknown_keys(wanted: Mapping[str, object], known: type[object]) -> None:
    """Raise ConfigError for what cannot be asked. known: the TypedDict of what can."""
    for name in wanted:
        if name not in known.__annotations__:
            own = [key for key in known.__annotations__ if key not in Storage.__annotations__]
            keys = ", ".join([*own, *Storage.__annotations__])
            raise ConfigError(f"found {name}{did_you_mean(name, known.__annotations__)}; allowed: {keys}")
