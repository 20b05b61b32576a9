"""What is committed, listed while everything else is worked out: when all is committed, nothing takes longer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TypeVar

from pipeline.execute.records.runs import removals
from pipeline.write.store import Store

T = TypeVar("T")
List = Callable[[Store, str], Mapping[str, str]]


class Listings(Mapping[str, Mapping[str, str]]):
    """By product, item key by fingerprint; whoever asks waits for its end, and gets the StoreError that it ended by."""

    def __init__(self, store: Store, how: Mapping[str, List]) -> None:
        """Begin to list; how: by product. Nobody waits for a listing that nobody asks for."""
        self._found: dict[str, Future[Mapping[str, str]]] = {name: Future() for name in how}
        self._since: Future[str | None] = Future()

        def work() -> None:
            _settle(self._since, lambda: removals(store) if how else None)
            for name, list_ in how.items():
                _settle(self._found[name], partial(list_, store, name))

        threading.Thread(target=work, name="groundswell-listing", daemon=True).start()

    @property
    def since(self) -> str | None:
        """Of `removals`, from before the first listing."""
        return self._since.result()

    def __getitem__(self, product: str) -> Mapping[str, str]:
        return self._found[product].result()

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def _settle(future: Future[T], call: Callable[[], T]) -> None:
    try:
        future.set_result(call())
    except Exception as error:  # noqa: BLE001 (raised again by whoever asks)
        future.set_exception(error)
