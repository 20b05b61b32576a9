"""The bytes of the files that a partition is made of, from a folder or from the mirrors of the source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from pipeline.errors import AssetError, PermanentAssetError
from pipeline.mirror.read import read_files
from pipeline.mirror.transports import Gdac, folder_of
from pipeline.products._argo_gather import Read
from pipeline.products._argo_listing import Candidate
from pipeline.read.access import Access


def reader(access: Access) -> Read:
    """Reads candidates from their mirrors, many at a time, few of them held."""

    def read(wanted: Sequence[Candidate]) -> Iterator[tuple[Candidate, bytes | AssetError]]:
        together: dict[tuple[str, ...], dict[str, Candidate]] = defaultdict(dict)
        for one in wanted:
            together[one.roots][f"dac/{one.path}"] = one
        for roots, named in together.items():
            if not access.local and any(folder_of(root) is not None for root in roots):
                for one in named.values():
                    yield one, PermanentAssetError(one.path, "a catalogue read over the network names a local folder")
                continue
            for path, data in read_files(Gdac(roots, access), list(named)):
                yield named[path], data

    return read
