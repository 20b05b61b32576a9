"""Laws of what is carried from strip to strip: never beyond its budget, each block the property of one reader."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipeline.read.carry import Block, Carry


def block(size: int, number: int = 0) -> Block:
    return np.full(size, number, np.uint8)


def test_what_is_taken_is_gone() -> None:
    carry = Carry(100)
    kept = block(40)
    assert carry.keep("a", kept)
    assert carry.used_bytes == 40
    assert carry.take("a") is kept
    assert carry.take("a") is None
    assert carry.used_bytes == 0


def test_what_does_not_fit_is_refused_and_nothing_is_displaced() -> None:
    carry = Carry(100)
    assert carry.keep("a", block(60))
    assert not carry.keep("b", block(41))
    assert carry.keep("c", block(40))
    assert (carry.take("b"), carry.used_bytes) == (None, 100)
    assert carry.keep("a", block(10)), "a key has one block: the new one counts in place of the old one"
    assert carry.used_bytes == 50
    carry.clear()
    assert (carry.used_bytes, carry.take("a"), carry.take("c")) == (0, None, None)


def test_a_part_of_a_buffer_counts_as_the_buffer() -> None:
    carry = Carry(100)
    assert not carry.keep("a", block(101)[:10])
    assert carry.keep("a", block(100)[:10])
    assert carry.used_bytes == 100


def test_a_buffer_that_was_given_back_serves_again_within_the_budget() -> None:
    carry, whole = Carry(100), block(60)
    carry.keep("a", whole[:50])
    taken = carry.take("a")
    assert taken is not None
    carry.give_back(taken)
    assert carry.used_bytes == 0
    assert carry.buffer(50) is None
    assert carry.buffer(60) is whole
    assert carry.buffer(60) is None, "it has one owner"
    carry.give_back(whole)
    assert carry.keep("b", block(41)), "blocks come first"
    assert carry.buffer(60) is None, "blocks and buffers together stay within the budget"


def test_another_process_starts_with_nothing() -> None:
    carry = Carry(100)
    carry.keep("a", block(10))
    copy = pickle.loads(pickle.dumps(carry))
    assert (copy.budget_bytes, copy.used_bytes, copy.take("a")) == (100, 0, None)


@pytest.mark.parametrize("budget", [50, 1000])
def test_threads_never_share_a_block_and_never_pass_the_budget(budget: int) -> None:
    carry = Carry(budget)

    def work(seed: int) -> int:
        rng, used = np.random.default_rng(seed), 0
        for _ in range(500):
            key = int(rng.integers(20))
            found = carry.take(key)
            if found is not None:
                assert (found == key).all()
                found[:] = 255  # it is this thread's own now
            carry.keep(key, block(10, key))
            used = max(used, carry.used_bytes)
        return used

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(work, range(4))) <= budget
    assert sum(10 for key in range(20) if carry.take(key) is not None) <= budget
    assert carry.used_bytes == 0
