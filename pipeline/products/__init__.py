"""One file a product: its parameters, its inputs, and how it makes a tile. Each module here is one product kind."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pipeline.config import ProductConfig
    from pipeline.products._base import Product


def product_kinds() -> tuple[str, ...]:
    """Every kind that can stand under `product:` in a config: the modules of this folder without a leading `_`."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def load_product(kind: str) -> Product:
    """The product of one kind: the `PRODUCT` of its module."""
    return cast("Product", importlib.import_module(f"{__name__}.{kind}").PRODUCT)


def product_models() -> dict[str, type[ProductConfig]]:
    """Kind → model of its config entry."""
    return {kind: load_product(kind).model for kind in product_kinds()}
