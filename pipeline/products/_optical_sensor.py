"""What an optical product says of its sensor; everything else is the same for all of them (`_optical_product.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from pipeline.errors import PermanentAssetError, TransientAssetError
from pipeline.ops.linear import Linear
from pipeline.products._base import asset_of
from pipeline.products._optical_config import OpticalConfig, plain_name
from pipeline.products._sources import Masking
from pipeline.read.access import Access
from pipeline.types import Band, Item, Json, Rights

C = TypeVar("C", bound=OpticalConfig)

HARMONISED_BY = ("platform", "constellation")
"""Item properties by which coefficients are found, before the name of the source."""


@dataclass(frozen=True)
class Reading:
    """What one scene's stored numbers mean."""

    linears: Mapping[str, Linear]
    """By band: what makes the product's stored numbers of them."""
    label: str
    """The item counts its scenes by it."""
    doubt: str | None = None
    """Why it may be wrong."""
    error: TransientAssetError | None = None
    """It could not be known now, but might be later: the scene's bands are lost with it."""


@dataclass(frozen=True)
class Sensor(Generic[C]):
    """One optical sensor, or a family of them with the same bands."""

    model: type[C]
    """Model of its entry in the config; `model.standard` names its bands in formulas."""
    version: int
    """Raise it when the same inputs and parameters give other pixels."""
    facts: tuple[str, ...]
    """Item properties that decide how a scene's numbers are read."""
    scale: float
    """Reflectance of one stored unit."""
    band: Callable[[str], Band]
    """Band → what readers need to know of its layer."""
    aliases: Callable[[C], Mapping[str, Sequence[str]]]
    """Bands and masks that an entry reads → asset keys or band names that mean them, best first."""
    accept: Callable[[Item, str], None]
    """(item, band) → raises PermanentAssetError where its numbers are not what they are taken for."""
    read: Callable[[C, Access, Item, bool], Reading]
    """(entry, access, item, whether it provides a pixel) → what its numbers mean; may look at pixels if it does."""
    masking: Callable[[C, Sequence[Item], int], Masking]
    """(entry with a mask, items, distance in pixels of the mask that is told apart) → how a scene is masked."""
    words: Mapping[int, str]
    """Mask code → its word."""
    clouds: frozenset[int]
    """Mask codes that mean cloud or its shadow."""
    labels: str
    """Item property that counts scenes by `Reading.label`."""
    describe: Callable[[Sequence[Item]], Mapping[str, Json]]
    """Items → properties of what is made of them, such as its instruments."""
    rights: Callable[[Sequence[Item]], Rights]
    scaled: bool = False
    """Its numbers are more than shifted, as they come in another scale than the product's."""


def check_declared(item: Item, band: str, usual: Mapping[str, Sequence[float]], whose: str) -> None:
    """Only numbers of these scales and offsets pass; undeclared ones are taken as such.

    usual: `scale` and `offset` → the values that are known. Raises PermanentAssetError naming what the catalogue
    declares.
    """
    asset = asset_of(item, band)
    for name, value in (("scale", asset.scale), ("offset", asset.offset)):
        # Relative, as a scale may be as small as the difference between two others.
        if value is not None and not any(abs(value - one) <= 1e-6 * max(abs(one), 1e-4) for one in usual[name]):
            expected = " or ".join(f"{one:g}" for one in usual[name])
            cause = f"the catalogue declares {name} {value:g}; {whose} has {expected}"
            raise PermanentAssetError(asset.href, cause, item=item.id, asset=asset.key)


def coefficients(config: OpticalConfig, item: Item) -> Mapping[str, tuple[float, float]]:
    """Band → (gain, offset) of a scene's platform, else of its constellation, else of its source."""
    asked = {plain_name(name): bands for name, bands in config.harmonise.items()}
    return next((asked[name] for name in _names(item) if name in asked), {})


def unused_coefficients(config: OpticalConfig, items: Sequence[Item]) -> tuple[str, ...]:
    """Names under `harmonise` that mean none of the items: mistyped, or of a platform that is not among them."""
    known = {name for item in items for name in _names(item)}
    return tuple(sorted(name for name in config.harmonise if plain_name(name) not in known))


def _names(item: Item) -> tuple[str, ...]:
    """What coefficients of a scene may stand under, the narrowest first."""
    names = (*map(item.properties.get, HARMONISED_BY), item.source)
    return tuple(plain_name(str(name)) for name in names if name is not None)
