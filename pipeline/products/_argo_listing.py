"""Which files a partition is made of: what the job lists, what the partition has, and which of two files counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.plan.argo_names import parse_path
from pipeline.plan.argo_schema import Footer, Input
from pipeline.types import Item, Job

INDEX, COMPLETE, BESIDE, ROOTS, PROJECT, GREYLIST = (
    f"argo:{name}" for name in ("index", "complete", "beside", "roots", "project", "greylist")
)
"""Properties of a float's item."""
VERSION = 1
"""Of the product: raise it when the same files and parameters give other tables."""


@dataclass(frozen=True)
class Candidate:
    """One version of one file."""

    path: str
    version: str
    roots: tuple[str, ...] = ()
    """Mirrors that it is read from, in turn; none: it can only be taken over from the partition."""
    wmo: int | None = None
    """Float that lists it."""

    @property
    def group(self) -> object:
        """Files of one group are versions of the same profiles: the best that can be read stands for all of them."""
        found = parse_path(self.path)
        return self.path if found is None else found[1].identity

    @property
    def rank(self) -> tuple[bool, str, str]:
        """Greater is better: D before R by name, then the newer version, then the path."""
        found = parse_path(self.path)
        return found is not None and found[1].delayed, self.version, self.path


@dataclass(frozen=True)
class Listing:
    """What the tables are to be made of."""

    candidates: tuple[Candidate, ...]
    """What counts as listed, sorted by path; each path once."""
    index_date: str
    newer_date: str = ""
    """Of the index that the partition was made from, where that is newer."""
    greylist: tuple[str, ...] = ()
    """Lines about the floats, sorted."""


def listing_of(job: Job, footer: Footer | None) -> Listing:
    """What the job lists, seen together with what its partition has.

    A newer index wins whole: what it does not list any more is dropped; what it lists and nobody asks for now stays as
    it is. An older one has nothing to say. One that does not list everything only adds, and replaces.
    """
    listed = {one.path: one for item in job.items for one in _listed(item)}
    date = max((str(item.properties.get(INDEX) or "") for item in job.items), default="")
    greylist = {line for item in job.items for line in item.properties.get(GREYLIST) or ()}
    newer = ""
    if footer is not None:
        whole, roots = complete(job), min((one.roots for one in listed.values()), default=())
        texts = (str(item.properties.get(BESIDE) or "") for item in job.items)
        # By profile, not by path: the index may list the delayed file by now, and nobody reads that one either.
        beside = {Candidate(path, "").group for text in texts for path in text.splitlines()}
        beside -= {one.group for one in listed.values()}
        for known in footer.inputs:
            ours = listed.get(known.path)
            old = Candidate(known.path, known.version, roots)
            stays = old.group in beside if whole else ours is None or ours.version < known.version
            if known.state != "stale" and stays:
                listed[known.path] = old
        if beside or not whole:
            mine = {item.id for item in job.items}
            greylist |= {line for line in footer.greylist if line.partition(",")[0].strip() not in mine}
        newer = footer.index_date if whole and date < footer.index_date else ""
        date = date if whole else max(date, footer.index_date)
    return Listing(tuple(listed[path] for path in sorted(listed)), date, newer, tuple(sorted(greylist)))


def complete(job: Job) -> bool:
    """Whether what the job does not list is not there."""
    return all(item.properties.get(COMPLETE, True) for item in job.items)


def groups_of(listing: Listing, footer: Footer | None) -> list[list[Candidate]]:
    """For each group of files those that may stand for it, best first.

    Behind what is listed comes what the partition holds of the group: it stays when nothing of what replaces it can be
    read, since a damaged file must not take a profile away.
    """
    groups: dict[object, list[Candidate]] = {}
    for one in sorted(listing.candidates, key=lambda one: one.rank, reverse=True):
        groups.setdefault(one.group, []).append(one)
    now = {(one.path, one.version) for one in listing.candidates}
    for known in footer.inputs if footer else ():
        old = Candidate(known.path, known.version)
        if known.state in {"used", "partly", "stale"} and (old.path, old.version) not in now and old.group in groups:
            groups[old.group].append(old)
    return list(groups.values())


def reusable(footer: Footer | None) -> Mapping[str, str]:
    """Path → version of files whose profiles are all in the partition."""
    return {one.path: one.version for one in footer.inputs if one.state in {"used", "stale"}} if footer else {}


def _listed(item: Item) -> Sequence[Candidate]:
    """Without a word of its mirrors, a file is read from where it lies itself."""
    roots = tuple(item.properties.get(ROOTS) or ())
    return [
        Candidate(
            asset.key, asset.checksum or "", roots or (asset.href.removesuffix(f"dac/{asset.key}"),), int(item.id)
        )
        for asset in item.assets.values()
    ]


def settled(listing: Listing, states: Mapping[tuple[str, str], str]) -> tuple[Input, ...]:
    """The inputs as the footer has them: those listed, and what of the partition stays in spite of that."""
    listed = {(one.path, one.version) for one in listing.candidates}
    every = sorted(listed | {key for key, state in states.items() if state == "stale"})
    return tuple(Input(*key, states.get(key, "superseded")) for key in every)
