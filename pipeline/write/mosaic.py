"""One store of all tiles of a product and CRS: derived from committed items at run end, as the catalogue pages are.

With Icechunk a period is one commit, in `mosaics/<product>/<crs>.icechunk`: readers of an older snapshot keep what
they see, and an update that fails leaves the last commit. Without it a plain Zarr v3 store is written once, under a
name that stands for its items, and never changed. Both can be deleted and made again.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import MemoryStore

from pipeline.errors import StoreError
from pipeline.types import DataObject, Json
from pipeline.write.canvas import LAYOUT, Canvas, Shown, fit, paint, plan_canvas, prepare
from pipeline.write.files import json_bytes
from pipeline.write.layout import select_crs
from pipeline.write.manifest import render_manifest
from pipeline.write.outputs import Output
from pipeline.write.patchwork import ReadWindow
from pipeline.write.store import Store
from pipeline.write.zarr import METADATA

if TYPE_CHECKING:
    import icechunk

BRANCH = "main"
ITEMS = "items"
"""Of a commit's metadata: period → tile → `Output.content`, all that it shows of the periods it touched."""
ANEW = "anew"
"""Of a commit's metadata: the arrays begin here; what was shown before counts no longer."""


@dataclass(frozen=True)
class Mosaic:
    """A mosaic as it is now."""

    product: str
    crs: str
    key: str
    """Of its folder in the output."""
    snapshot: str | None
    """Icechunk's id of its last commit; None: plain Zarr."""
    commits: int
    """Made by this call; a plain store counts as one."""


def by_crs(outputs: Sequence[Output]) -> Iterator[tuple[Output, ...]]:
    """The outputs of one product, CRS by CRS: each group is one mosaic."""
    for crs in sorted({output.grid.crs for output in outputs}):
        yield select_crs(outputs, crs)


def write_mosaic(store: Store, outputs: Sequence[Output], read: ReadWindow) -> Mosaic:
    """Bring the mosaic of these outputs, current items of one product and CRS, up to date; the same twice does nothing.

    Holds a few objects of at most 2048 x 2048 pixels in memory. Raises GridsDifferError where the tiles share no pixel
    grid, AssetError where a file cannot be read, StoreError where the store fails or another run commits at the same
    time; the last commit stays readable then, and the next call goes on from it.
    """
    if find_spec("icechunk") is None:
        return _write_plain(store, outputs, read)
    return _write_icechunk(store, outputs, read)


def _place(outputs: Sequence[Output]) -> str:
    crs = outputs[0].grid.crs
    code = crs.replace(":", "-") if len(crs) < 20 else f"wkt-{hashlib.sha256(crs.encode()).hexdigest()[:12]}"
    return f"mosaics/{outputs[0].product}/{code}"


def _write_icechunk(store: Store, outputs: Sequence[Output], read: ReadWindow) -> Mosaic:
    import icechunk  # noqa: PLC0415 (an extra)

    from pipeline.write.repository import open_repository  # noqa: PLC0415 (the same)

    key = f"{_place(outputs)}.icechunk"
    try:
        repo = open_repository(store, key, create=True)
        commits = _update(repo, outputs, read)
        snapshot = repo.lookup_branch(BRANCH)
    except icechunk.ConflictError as error:
        raise StoreError(f"{store.uri}, {key}: another run committed at the same time; the next run goes on") from error
    except icechunk.IcechunkError as error:
        raise StoreError(f"{store.uri}, {key}: Icechunk failed: {str(error).strip().splitlines()[0]}") from error
    return Mosaic(outputs[0].product, outputs[0].grid.crs, key, snapshot, commits)


def _update(repo: icechunk.Repository, outputs: Sequence[Output], read: ReadWindow) -> int:
    """Commit what changed, period by period; arrays made anew in place of others in one commit. Returns how many."""
    layout, shown = _state(repo)
    plain = plan_canvas(outputs)
    fitted = None if layout is None or _lost(shown, plain) else fit(plain, layout)
    canvas, length = (plain, 0) if fitted is None or layout is None else (fitted, len(layout["steps"]))
    changed = _changed(canvas.shown, {} if fitted is None else shown)
    together = fitted is None and layout is not None
    batches = [changed] if together else [{period: tiles} for period, tiles in changed.items()]
    for number, batch in enumerate(batch for batch in batches if batch):
        anew = fitted is None and number == 0
        length = max(
            length, *(position[0] + 1 for period in batch for position in canvas.positions(period) if position), 0
        )
        session = repo.writable_session(BRANCH)
        group = zarr.open_group(session.store, mode="w" if anew else "r+", zarr_format=3)
        prepare(group, canvas, length)
        paint(group, canvas, batch, read)
        items = {period: dict(canvas.shown[period]) for period in batch}
        session.commit(f"{outputs[0].product}: {', '.join(batch)}", metadata={ITEMS: items, ANEW: anew})
    return len(batches) if changed else 0


def _state(repo: icechunk.Repository) -> tuple[Json, Shown]:
    """Layout of the arrays (None: there are none) and the items they show, by what the commits say."""
    shown: dict[str, Mapping[str, str]] = {}
    for commit in repo.ancestry(branch=BRANCH):
        for period, items in commit.metadata.get(ITEMS, {}).items():
            shown.setdefault(period, items)
        if commit.metadata.get(ANEW):
            break
    if not shown:
        return None, {}
    group = zarr.open_group(repo.readonly_session(BRANCH).store, mode="r")
    return group.attrs[LAYOUT], shown


def _lost(shown: Shown, canvas: Canvas) -> bool:
    """True where a tile is shown that has no item any more: nobody knows where it was."""
    return any(tile not in canvas.board.plane.corners for tiles in shown.values() for tile in tiles)


def _changed(now: Shown, before: Shown) -> dict[str, list[str]]:
    """Period → tiles whose item is another, in the order of `now`."""
    changed = {}
    for period, items in now.items():
        old = before.get(period, {})
        tiles = [tile for tile in sorted({*items, *old}) if items.get(tile) != old.get(tile)]
        if tiles:
            changed[period] = tiles
    return changed


def _write_plain(store: Store, outputs: Sequence[Output], read: ReadWindow) -> Mosaic:
    """A Zarr v3 store object by object; its root, and after it the list of its objects, come last."""
    canvas, product, crs = plan_canvas(outputs), outputs[0].product, outputs[0].grid.crs
    content = json_bytes([canvas.shown, canvas.layout(len(canvas.board.steps))])
    name = f"{_place(outputs)}-{hashlib.sha256(content).hexdigest()[:12]}"
    key, manifest_key = f"{name}.zarr", f"{name}-manifest.json"
    if store.exists(manifest_key):
        return Mosaic(product, crs, key, None, 0)
    held: dict[str, Any] = {}
    objects: list[DataObject] = []

    def put(wanted: Callable[[str], bool]) -> None:
        for each in [each for each in list(held) if wanted(each)]:
            buffer = held.pop(each, None)  # another thread may have taken it
            if buffer is not None:
                data = buffer.to_bytes()
                store.put_bytes(data, f"{key}/{each}")
                objects.append(DataObject(each, len(data), hashlib.sha256(data).hexdigest()))

    memory = MemoryStore(held)
    group = zarr.create_group(memory, zarr_format=3)
    prepare(group, canvas, len(canvas.board.steps))
    paint(group, canvas, canvas.shown, read, lambda: put(lambda each: not each.endswith(METADATA)))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Consolidated metadata is currently not part", UserWarning)
        zarr.consolidate_metadata(memory)
    put(lambda each: each != METADATA)
    put(lambda each: each == METADATA)
    store.put_bytes(json_bytes(render_manifest(objects)), manifest_key)
    return Mosaic(product, crs, key, None, 1)
