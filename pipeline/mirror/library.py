"""Where a search reads index and files: a GDAC itself, or the local copy that a sync keeps of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.config import SourceConfig, mask_credentials
from pipeline.errors import AssetError, CatalogError, PermanentAssetError
from pipeline.mirror.check import date_update
from pipeline.mirror.fetch import Mirrors, open_mirrors
from pipeline.mirror.manifest import FOLDER, read_manifest
from pipeline.mirror.transports import Gdac, MissingFileError, folder_of
from pipeline.plan.argo_index import ArgoIndex, parse_index
from pipeline.plan.argo_names import parse_path
from pipeline.plan.argo_select import Selection
from pipeline.read.access import Access

DAC = "dac/"
S3_INDEX = "idx/"
"""Where the public bucket keeps its index files."""
T = TypeVar("T")


def gdac_of(source: SourceConfig, *, copy: bool = True) -> Gdac:
    """How the files of a source are had: from its local copy where it has one, else from its mirrors.

    copy False: from its mirrors, whether or not there is a copy.
    """
    storage = source.storage
    access = Access(
        sign=source.sign,
        endpoint=storage.endpoint if storage else None,
        profile=storage.profile if storage else None,
        anonymous=storage.anonymous if storage else False,
    )
    local = copy and source.mirror is not None
    return Gdac((str(source.mirror),) if local else tuple(source.gdac or ()), access)


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, also where an event loop is running already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


class GdacLibrary:
    """The mirrors of a GDAC, in turn."""

    def __init__(self, gdac: Gdac) -> None:
        """Connects to nothing yet."""
        self._gdac = gdac
        self.roots = gdac.mirrors

    def index(self, name: str) -> ArgoIndex:
        """As `pipeline.search.argo.Library.index`."""
        return run(self._ask(lambda mirrors: read_index(mirrors, self._gdac, name))).index

    def text(self, name: str) -> bytes | None:
        """A text beside the index; None where there is none. Raises CatalogError for what is no text."""
        found = run(self._ask(lambda mirrors: read_first(mirrors, self._gdac, (name,), check_text)))
        return None if found is None else found[1]

    async def _ask(self, what: Callable[[Mirrors], Awaitable[T]]) -> T:
        async with open_mirrors(self._gdac) as mirrors:
            return await what(mirrors)

    def copies(self) -> pa.Table | None:
        """A GDAC holds what its index lists."""
        return None

    def strays(self, listed: pa.Table, selection: Selection) -> pa.Table:
        """Of folders: a network cannot be walked."""
        folder = folder_of(self.roots[0])
        if folder is None:
            return _table([])
        known = set(listed["path"].to_pylist())
        paths = [path for path in _walk(folder / DAC, selection) if path not in known]
        return _table([(path, _version(folder / DAC / path)) for path in paths])


class CopyLibrary(GdacLibrary):
    """The local copy of a GDAC; what it holds is in its manifest."""

    def __init__(self, root: Path) -> None:
        """Raises CatalogError where no sync has ever been."""
        super().__init__(Gdac((str(root),)))
        self._root = root
        if not (root / FOLDER).is_dir():
            raise CatalogError(
                f"{root}: found no copy of a GDAC; run `groundswell sync` first, or leave `mirror` out; "
                "a folder that something else keeps up to date is a `gdac`"
            )

    @cached_property
    def _held(self) -> pa.Table:
        """Of millions of rows, and not needed for a text beside the index."""
        return held_files(read_manifest(self._root))

    def copies(self) -> pa.Table | None:
        """What the manifest says."""
        return self._held

    def strays(self, listed: pa.Table, selection: Selection) -> pa.Table:
        """Held profile files that the index does not list."""
        extra = self._held.filter(pc.invert(pc.is_in(self._held["path"], listed["path"].combine_chunks())))
        keep = [_asked(path, selection) for path in extra["path"].to_pylist()]
        return extra.filter(pa.array(keep, pa.bool_()))


@dataclass(frozen=True)
class Found:
    """One index, and the file it came in."""

    name: str
    data: bytes
    index: ArgoIndex


async def read_index(
    mirrors: Mirrors, gdac: Gdac, name: str, accept: Callable[[ArgoIndex], object] = lambda _: None
) -> Found:
    """An index, gzipped or not, from the first mirror that gives all of it.

    accept: raises CatalogError for one that shall not be taken. Raises CatalogError.
    """
    parsed: list[ArgoIndex] = []

    def check(data: bytes, place: str) -> None:
        index = parse_index(data, place)
        accept(index)
        parsed.append(index)

    found = await read_first(mirrors, gdac, (f"{name}.gz", name), check)
    if found is None:
        shown = ", ".join(mask_credentials(one) for one in gdac.mirrors)
        folders = [folder_of(one) for one in gdac.mirrors]
        if not any(folder is None or folder.is_dir() for folder in folders):
            raise CatalogError(f"{shown}: there is no such folder; addresses begin with https://, ftp:// or s3://")
        raise CatalogError(
            f"{shown}: found neither {name}.gz nor {name}; expected the root of a GDAC, which holds dac/"
        )
    return Found(*found, parsed[-1])


async def read_first(
    mirrors: Mirrors, gdac: Gdac, names: Sequence[str], check: Callable[[bytes, str], object]
) -> tuple[str, bytes] | None:
    """The first of the files that some mirror gives whole, with its name; None where no mirror has any of them.

    Raises CatalogError where one is there and cannot be had, with the causes of each mirror.
    """
    causes: list[str] = []
    shown = ", ".join(mask_credentials(one) for one in gdac.mirrors)
    at_s3 = any(one.startswith("s3://") for one in gdac.mirrors)
    for name in [f"{folder}{name}" for folder in ("", *((S3_INDEX,) if at_s3 else ())) for name in names]:

        def checked(data: bytes, place: str = f"{shown}: {name}") -> None:
            try:
                check(data, place)
            except CatalogError as error:
                raise PermanentAssetError(place, str(error)) from None

        try:
            return name.removeprefix(S3_INDEX), await mirrors.read(name, checked)
        except MissingFileError:
            continue
        except AssetError as error:
            causes.append(str(error))
    if causes:
        raise CatalogError(f"{'; '.join(causes)}: try again later, or name other mirrors under `gdac`")
    return None


def check_text(data: bytes, place: str) -> None:
    """Raise CatalogError for what is no whole text of lines, such as an error page."""
    if data.lstrip()[:1] == b"<" or b"\0" in data or not data.endswith(b"\n"):
        raise CatalogError(f"{place}: no whole text of lines: {len(data)} bytes that begin with {data[:60]!r}")


def held_files(manifest: pa.Table) -> pa.Table:
    """Path below `dac/` and version of the files in a manifest."""
    inside = manifest.filter(pc.starts_with(manifest["path"], DAC))
    path = pc.utf8_slice_codeunits(inside["path"], len(DAC))
    return pa.table({"path": path, "version": inside["version"]}).combine_chunks()


def _walk(folder: Path, selection: Selection) -> Iterator[str]:
    """Profile files in a folder, of the data centres, floats and kinds that are asked for; sorted."""
    for dac in sorted(_folders(folder)):
        if selection.dac and dac not in selection.dac:
            continue
        for wmo in sorted(_folders(folder / dac)):
            if selection.floats and wmo not in map(str, selection.floats):
                continue
            names = (folder / dac / wmo / "profiles").glob("*.nc")
            yield from (
                path for name in sorted(names) if _asked(path := f"{dac}/{wmo}/profiles/{name.name}", selection)
            )


def _folders(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir() if one.is_dir()] if folder.is_dir() else []


def _asked(path: str, selection: Selection) -> bool:
    found = parse_path(path)
    if found is None:
        return False
    dac, name = found
    return (
        name.kind in selection.listed_kinds
        and (not selection.dac or dac in selection.dac)
        and (not selection.floats or name.wmo in selection.floats)
    )


def _version(file: Path) -> str:
    """The file's own DATE_UPDATE, which is what an index says of it; all zeros where it cannot be read."""
    try:
        return date_update(str(file), file.read_bytes()) or "0" * 14
    except (OSError, AssetError):
        return "0" * 14


def _table(rows: Sequence[tuple[str, str]]) -> pa.Table:
    return pa.table(
        {
            "path": pa.array([row[0] for row in rows], pa.string()),
            "version": pa.array([row[1] for row in rows], pa.string()),
        }
    )
