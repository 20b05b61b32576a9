"""Laws of the decorator: a compiled loop is its function, found by name, and costs nothing before its first call."""

from __future__ import annotations

import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.compiled import Kernel, compiled, kernels
from tests.compiled.kernels import quotient, scaled, total


def test_a_compiled_loop_is_its_function() -> None:
    """Called by Python and by another loop, for declared types and for others."""
    for dtype in (np.int64, np.uint8, np.float64):
        values: NDArray[Any] = np.arange(9).astype(dtype)
        assert total(values) == 3 * values.sum() + 30
    assert total(np.arange(9)[::2]) == 3 * 20 + 30
    assert total.function(np.arange(9)) == 138
    assert total.__doc__ and total.__name__ == "total"


def test_a_division_by_zero_raises_nothing() -> None:
    assert quotient(7, 2) == 3 and quotient(-7, 2) == -4
    quotient(7, 0)


def test_every_loop_is_known_with_its_types() -> None:
    assert total in kernels() and total.signatures == ("i8[::1]", "i8[:]")
    assert scaled in kernels() and scaled.signatures == ()


def test_a_loop_travels_by_name() -> None:
    """Machine code of one processor must not reach another."""
    assert pickle.loads(pickle.dumps(total)) is total
    assert len(pickle.dumps(total)) < 100


def test_threads_that_call_it_first_share_one_loop() -> None:
    @compiled()
    def one(value: int) -> int:
        return value + 1

    with ThreadPoolExecutor(8) as pool:
        assert len({id(made) for made in pool.map(lambda _: one.dispatcher, range(64))}) == 1
        assert list(pool.map(one, range(64))) == list(range(1, 65))


def test_nothing_is_compiled_or_imported_before_a_call() -> None:
    """Importing every loop of the project loads no compiler: what only plans and reports pays nothing."""
    code = (
        "import sys, pipeline.ops.composite, pipeline.ops.geomedian, pipeline.ops.mask, pipeline.ops.choice\n"
        "assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules\n"
        "import numpy as np\n"
        "print(pipeline.ops.choice.tally(np.zeros((2, 3), np.uint8))[0], 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["6", "True"]


def test_a_helper_is_compiled_for_whom_it_helps() -> None:
    assert isinstance(scaled, Kernel)
    total(np.arange(3))
    assert scaled(5) == 15
