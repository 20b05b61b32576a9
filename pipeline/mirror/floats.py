"""The search for Argo floats, joined: what `search/argo.py` asks for, by the transports of this package."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pipeline.config import SourceConfig, mask_credentials
from pipeline.errors import ConfigError
from pipeline.mirror.library import CopyLibrary, GdacLibrary, gdac_of
from pipeline.mirror.manifest import FOLDER
from pipeline.plan.argo_select import Selection
from pipeline.search.argo import FloatSearch, find_floats


def search_floats(name: str, source: SourceConfig, selection: Selection) -> FloatSearch:
    """The files that a selection asks for: in the source's local copy where there is one, else in its GDAC.

    Where a copy is to be made and nothing was copied yet, as at a first dry run, what would be copied is found.

    name: of the source. Raises CatalogError where an index cannot be had whole, and for a copy that is only read and is
    not there; ConfigError for an address with a password and no copy: workers read by what items say, which holds no
    secret.
    """
    if source.mirror is None and _secret(source):
        raise ConfigError(f"sources.{name}.gdac: found an address with a password; allowed: beside `mirror` only")
    found = find_floats(name, source, selection, library_of(source))
    if not _uncopied(source):
        return found
    return replace(found, notes=(f"{name}: nothing is copied yet; this is what the GDAC has", *found.notes))


def read_beside(source: SourceConfig, name: str) -> bytes | None:
    """A text beside the index, such as the greylist, or None. Raises CatalogError for what is no text."""
    return library_of(source).text(name)


def library_of(source: SourceConfig) -> GdacLibrary:
    """Where a source is searched. Raises CatalogError for a copy that is only read, and is not there."""
    if source.mirror is None or _uncopied(source):
        return GdacLibrary(gdac_of(source, copy=False))
    return CopyLibrary(Path(source.mirror))


def _uncopied(source: SourceConfig) -> bool:
    """Whether a sync is to make the copy, and none ever did."""
    wanted = source.mirror is not None and source.download and not _secret(source)
    return wanted and not (Path(str(source.mirror)) / FOLDER).exists()


def _secret(source: SourceConfig) -> bool:
    return any(mask_credentials(one) != one for one in source.gdac or ())
