"""What a sync has to do: the index against what is held. Pure: nothing is asked, fetched or removed here."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.plan.argo_names import Identity, ProfileName, parse_path
from pipeline.plan.argo_select import Mask, current_of

MOST_REMOVED, MOST_REMOVED_PART = 20, 0.1
"""More files than these, and more than this part of all, do not vanish from one index to the next: it is doubted."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file of the local copy."""

    version: str
    own: bool = True
    """Fetched by a sync; False for one that was found on the disk: it is never removed."""


@dataclass(frozen=True)
class Removal:
    """A file of the local copy that counts no more."""

    path: str
    by: str | None
    """The file that counts in its place and has to be there first; None: no file of that profile is listed any more."""


@dataclass(frozen=True)
class SyncPlan:
    """Paths are below `dac/`."""

    fetch: Mapping[str, str] = field(default_factory=dict)
    """Path → version, in the order of floats."""
    remove: tuple[Removal, ...] = ()
    keep: tuple[str, ...] = ()
    """Asked for, and there as listed."""
    unlisted: tuple[str, ...] = ()
    """Profile files that are there and in no index."""
    notes: tuple[str, ...] = ()


def plan_sync(
    wanted: pa.Table, listed: pa.Table, held: Mapping[str, Held], *, complete: bool = True, anew: bool = False
) -> SyncPlan:
    """Fetch what is asked for and not held in its version; remove what is no longer listed or what another replaces.

    wanted: of `select`; listed: all rows of its kinds, as the index has them. complete: what is not listed is not there
    (not so of a week's index). anew: fetch also what is held. What is held and no longer asked for, but still listed,
    stays. A file that was found on the disk counts when it is at least as new as the index says.
    """
    current = wanted.filter(wanted["current"])
    fits = np.zeros(len(current), bool) if anew else _fit(current, held)
    lacking = current.filter(pa.array(~fits))
    fetch = dict(zip(lacking["path"].to_pylist(), lacking["version"].to_pylist(), strict=True))
    remove, unlisted, notes = _gone(listed, held, complete=complete)
    return SyncPlan(fetch, remove, tuple(current.filter(pa.array(fits))["path"].to_pylist()), unlisted, notes)


def settled(plan: SyncPlan, there: Collection[str]) -> Iterator[Removal]:
    """The removals that may be made, given the files that are there by now."""
    return (one for one in plan.remove if one.by is None or one.by in there)


def _fit(rows: pa.Table, held: Mapping[str, Held]) -> Mask:
    """Which files are held as listed; one that was found on the disk may be newer. By columns: a GDAC has millions."""
    place = pc.index_in(rows["path"], pa.array(held, pa.string()))
    version = pc.take(pa.array([one.version for one in held.values()], pa.string()), place)
    own = pc.take(pa.array([one.own for one in held.values()], pa.bool_()), place)
    newer = pc.and_(pc.invert(own), pc.greater(version, rows["version"]))
    same = pc.or_(pc.equal(version, rows["version"]), newer)
    return np.asarray(pc.fill_null(same, fill_value=False), bool)


def _gone(
    listed: pa.Table, held: Mapping[str, Held], *, complete: bool
) -> tuple[tuple[Removal, ...], tuple[str, ...], tuple[str, ...]]:
    """Removals, unlisted files and notes."""
    kinds = set(pc.unique(listed["kind"]).to_pylist())
    # Nearly everything that is held counts; only of the rest is it asked what it is and what counts in its place.
    best = listed.filter(pa.array(current_of(listed)))["path"].combine_chunks()
    paths = pa.array(held, pa.string())
    rest = paths.filter(pc.invert(pc.is_in(paths, best))).to_pylist()
    others = {path: found[1] for path in rest if (found := parse_path(path))}
    winners, known = _winners(listed, others.values())
    replaced, vanished, unlisted = list[Removal](), list[str](), list[str]()
    for path, name in others.items():
        winner = winners.get(name.identity)
        better = complete or not name.delayed
        if winner is not None and held[path].own and better:
            replaced.append(Removal(path, winner))
        elif name.kind in kinds and path not in known and complete:
            (vanished if held[path].own else unlisted).append(path)
    notes = []
    if len(vanished) > max(MOST_REMOVED, MOST_REMOVED_PART * len(held)):
        notes.append(
            f"{len(vanished)} of {len(held)} files are no longer in the index: so many do not vanish at once, and none "
            "is removed; compare the index, and remove them by hand if it is right"
        )
        unlisted, vanished = [*unlisted, *vanished], []
    removals = (*replaced, *(Removal(path, None) for path in vanished))
    return removals, tuple(sorted(unlisted)), tuple(notes)


def _winners(listed: pa.Table, names: Collection[ProfileName]) -> tuple[dict[Identity, str], set[str]]:
    """Of the floats of these names: by identity the file that counts; and all that are listed."""
    near = listed.filter(pc.is_in(listed["wmo"], pa.array(sorted({one.wmo for one in names}), pa.int32())))
    columns = [near[name].to_pylist() for name in ("wmo", "cycle", "direction", "kind", "path")]
    rows = zip(*columns, current_of(near), strict=True)
    return {(wmo, cycle, down, kind): path for wmo, cycle, down, kind, path, best in rows if best}, set(columns[-1])
