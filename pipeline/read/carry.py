"""Blocks that one strip has unpacked and the next will need again, within a budget of memory."""

from __future__ import annotations

from collections.abc import Hashable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

Block = NDArray[np.uint8]
"""One block as its codec gives it, before its predictor is undone: a strip undoes only its own rows."""


class Carry:
    """Unpacked blocks by key, at most `budget_bytes` of them; safe from several threads.

    Whatever is refused is unpacked once more later: a budget changes the work, never a pixel. Nothing is displaced:
    strips follow each other over all rasters in turn, so whatever lay longest is needed next.
    """

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self._blocks: dict[Hashable, Block] = {}
        self._used_bytes = 0
        self._spare: list[Block] = []
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Empty in another process: what it holds is only work done."""
        return Carry, (self.budget_bytes,)

    @property
    def used_bytes(self) -> int:
        """Bytes of all blocks that are held; buffers that wait for another use lie within the rest of the budget."""
        return self._used_bytes

    def take(self, key: Hashable) -> Block | None:
        """The block of this key, which is then the caller's; None where there is none."""
        with self._lock:
            block = self._blocks.pop(key, None)
            if block is not None:
                self._used_bytes -= _held(block)
            return block

    def keep(self, key: Hashable, block: Block) -> bool:
        """Hold a block, which must not be changed any more; False where it does not fit the budget."""
        with self._lock:
            before = self._blocks.get(key)
            used = self._used_bytes + _held(block) - (0 if before is None else _held(before))
            if used > self.budget_bytes:
                return False
            self._blocks[key], self._used_bytes = block, used
            self._trim()
            return True

    def give_back(self, block: Block) -> None:
        """A block that was taken and is needed no more: its buffer may serve another one.

        Memory that the system has never handed out is dear: it is cleared page by page as it is first written.
        """
        with self._lock:
            self._spare.append(block if block.base is None else block.base)
            self._trim()

    def buffer(self, size_bytes: int) -> Block | None:
        """A buffer of just this size that was given back."""
        with self._lock:
            for number, spare in enumerate(self._spare):
                if spare.nbytes == size_bytes:
                    return self._spare.pop(number)
            return None

    def _trim(self) -> None:
        while self._spare and self._used_bytes + sum(each.nbytes for each in self._spare) > self.budget_bytes:
            self._spare.pop(0)

    def clear(self) -> None:
        """Forget everything: after the last strip."""
        with self._lock:
            self._blocks.clear()
            self._spare.clear()
            self._used_bytes = 0


def _held(block: Block) -> int:
    """Bytes that stay in memory with a block: those of the whole buffer that it is a view of."""
    return block.nbytes if block.base is None else int(getattr(block.base, "nbytes", block.nbytes))
