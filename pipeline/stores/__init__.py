"""Databases that show what is committed: PostgreSQL, Redis in front of it, and an HTTP API over both.

They are derived: a partition of Parquet is the truth, and whatever is in them can be made again from it. Nothing is
published from here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from pipeline.config import RunConfig
from pipeline.config.stores import StoresConfig
from pipeline.errors import ConfigError, PreflightError

PRODUCT = "argo"
"""Kind of product whose profiles are shown."""
_EXTRA = ("psycopg", "psycopg_pool", "redis", "fastapi", "uvicorn")


def stores_of(config: RunConfig) -> tuple[StoresConfig, str]:
    """The section `stores`, and the name of the product it shows. Raises ConfigError where that is not one."""
    names = [product.name for product in config.products if product.product == PRODUCT]
    if config.stores is None:
        raise ConfigError("found no section `stores`; expected stores: {postgres: {dsn: ${DATABASE_URL}}}")
    chosen = [config.stores.product] if config.stores.product else names
    if len(chosen) != 1 or chosen[0] not in names:
        raise ConfigError(
            f"stores.product: found {', '.join(chosen) or 'no product'}; expected one of {', '.join(names) or 'none'}, "
            f"the products of kind {PRODUCT}"
        )
    return config.stores, chosen[0]


def check_stores(config: RunConfig) -> None:
    """What can be known of the databases before a run: their packages are here, their addresses and product are some.

    Raises PreflightError and ConfigError; a config without them is fine.
    """
    if config.stores is None:
        return
    stores, _ = stores_of(config)
    for name in _EXTRA:
        if find_spec(name) is None:
            raise _missing(name)
    from pipeline.stores.postgres import check_dsn  # noqa: PLC0415 (an extra)
    from pipeline.stores.redis import open_redis  # noqa: PLC0415 (the same)

    check_dsn(stores.postgres.dsn.get_secret_value())
    if stores.redis is not None:
        open_redis(stores.redis).close()


@contextmanager
def needing_extra() -> Iterator[None]:
    """Around imports of this package's modules: what the extra brings is named where it is missing (PreflightError)."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        raise _missing(error.name) from error


def _missing(name: str | None) -> PreflightError:
    return PreflightError(f"found no package {name}; expected the extra `stores`: pip install 'groundswell[stores]'")
