"""The licence and attribution of everything that products are made from, and of what is made of several at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import quote

from pipeline.types import Item, Json, Rights, joined_attributions

LICENSE_HREFS = "groundswell:license_hrefs"
"""Property of a committed item that is an input: where its `license` links lead."""
_COPERNICUS = {
    "name": "European Union/ESA/Copernicus",
    "roles": ["producer", "licensor"],
    "url": "https://sentinels.copernicus.eu",
}
_UNNAMED = {"other", "proprietary", "various"}
_DEM_LICENSE = (
    "https://docs.sentinel-hub.com/api/latest/static/files/data/dem/resources/license/License-COPDEM-{metres}.pdf"
)


def copernicus_rights(years: Iterable[int]) -> Rights:
    """Of Copernicus Sentinel data that were changed; years: in which they were taken.

    Source: the Legal Notice on the use of Copernicus Sentinel Data and Service Information.
    """
    return Rights(
        license="other",
        license_href="https://sentinels.copernicus.eu/documents/247904/690755/Sentinel_Data_Legal_Notice",
        attribution=f"Contains modified Copernicus Sentinel data {_listed(years)}",
        providers=(_COPERNICUS,),
    )


def dem_rights(metres: int) -> Rights:
    """Of the Copernicus DEM, GLO-30 or GLO-90, that was changed: the notice and the disclaimer its licence demands.

    Source: Licence for Copernicus DEM instance COP-DEM-GLO-30-F Global 30m Full, Free and Open, and that of
    COP-DEM-GLO-90-F, article 6 (b) and (c).
    """
    return Rights(
        license="other",
        license_href=_DEM_LICENSE.format(metres=metres),
        attribution=f"Produced using Copernicus WorldDEM-{metres} © DLR e.V. 2010-2014 and © Airbus Defence and Space "
        "GmbH 2014-2018 provided under COPERNICUS by the European Union and ESA; all rights reserved. The "
        "organisations in charge of the Copernicus programme by law or by delegation do not incur any liability for "
        f"any use of the Copernicus WorldDEM-{metres}",
        providers=(
            {"name": "Airbus Defence and Space GmbH", "roles": ["producer"], "url": "https://www.airbus.com"},
            {"name": "DLR e.V.", "roles": ["producer"], "url": "https://www.dlr.de"},
            {**_COPERNICUS, "roles": ["licensor"]},
        ),
    )


def landsat_rights(years: Iterable[int]) -> Rights:
    """Of Landsat data that were changed: in the public domain, and USGS asks to be named; years: of the scenes.

    Source: https://www.usgs.gov/core-science-systems/hdds/data-policy.
    """
    return Rights(
        license="other",
        license_href="https://www.usgs.gov/core-science-systems/hdds/data-policy",
        attribution=f"Contains modified Landsat data {_listed(years)}, courtesy of the U.S. Geological Survey",
        providers=(
            {"name": "NASA", "roles": ["producer", "licensor"], "url": "https://landsat.gsfc.nasa.gov"},
            {
                "name": "USGS",
                "roles": ["producer", "processor", "licensor"],
                "url": "https://www.usgs.gov/landsat-missions/landsat-collection-2-level-2-science-products",
            },
        ),
    )


def joined_rights(items: Sequence[Item]) -> Rights:
    """The rights of what is made from committed items: whatever any of them demands (see `united_rights`).

    Raises ValueError where there is no item, or one says nothing of its rights.
    """
    if not items:
        raise ValueError("rights of nothing: found no input; expected items")
    return united_rights([_stated(item) for item in items])


def united_rights(parts: Sequence[Rights]) -> Rights:
    """Whatever any of some rights demands, at least one; in any order the same.

    Licences that differ become `other`, with the addresses of all; that of an identifier without one is SPDX's.
    Attributions and providers stand once each, sorted; a provider of several has all its roles.
    """
    licenses = {part.license for part in parts}
    one = len(licenses) == 1
    hrefs = sorted({href for part in parts for href in part.license_hrefs or (() if one else _spdx(part.license))})
    return Rights(
        license=licenses.pop() if one else "other",
        attribution=joined_attributions(part.attribution for part in parts),
        license_href=hrefs[0] if hrefs else None,
        providers=_united([provider for part in parts for provider in part.providers]),
        further_license_hrefs=tuple(hrefs[1:]),
    )


def _spdx(license_: str) -> tuple[str, ...]:
    """Where SPDX has the text of a licence; nowhere for STAC's words for what has no identifier."""
    return () if license_ in _UNNAMED else (f"https://spdx.org/licenses/{quote(license_)}.html",)


def _listed(years: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(set(years))))


def _stated(item: Item) -> Rights:
    said = item.properties
    if not (said.get("license") and said.get("attribution")):
        raise ValueError(f"{item.key}: found no license or no attribution; expected both of every committed item")
    hrefs = tuple(said.get(LICENSE_HREFS) or ())
    return Rights(said["license"], said["attribution"], None, tuple(said.get("providers") or ()), hrefs)


def _united(providers: Iterable[Mapping[str, Json]]) -> tuple[Mapping[str, Json], ...]:
    """One of each name, with the roles of all and the first's other fields."""
    found: dict[str, dict[str, Json]] = {}
    for provider in sorted(providers, key=lambda one: (one["name"], one.get("url") or "")):
        known = found.setdefault(provider["name"], {**provider})
        known["roles"] = sorted({*(known.get("roles") or ()), *(provider.get("roles") or ())})
    return tuple(found[name] for name in sorted(found))
