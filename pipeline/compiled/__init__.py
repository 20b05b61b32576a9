"""Loops over pixels, compiled by numba: they release the GIL, are kept on disk and cost nothing before they are called.

This is the only place that knows numba. It is imported with the first call of a loop: a process that touches no pixel
pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, update_wrapper
from threading import RLock
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
OPTIONS: Mapping[str, Any] = {"nogil": True, "boundscheck": False, "error_model": "numpy"}
"""Of every loop. NumPy's divisions: by zero gives what it gives and raises nothing, so that loops vectorise."""
_KERNELS: list[Kernel[..., Any]] = []
_LOCK = RLock()


class Kernel(Generic[P, R]):
    """One compiled loop; called like the function it was made of, by Python or by another compiled loop."""

    __name__: str

    def __init__(self, function: Callable[P, R], signatures: tuple[str, ...]) -> None:
        self.function = function
        self.name = f"{function.__module__}.{function.__qualname__}"
        self.signatures = signatures
        """The argument types that production calls it with."""
        update_wrapper(self, function)
        _KERNELS.append(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = self.dispatcher(*args, **kwargs)
        return result

    def __reduce__(self) -> str:
        """By name: every process compiles for the processor it runs on."""
        return self.function.__qualname__

    @cached_property
    def dispatcher(self) -> Any:
        """Numba's own object; it compiles when it is first called with types that are not kept on disk."""
        with _LOCK:  # two threads that call it first must not get two
            if "dispatcher" not in self.__dict__:
                import numba  # noqa: PLC0415 (see the head of this module)

                from pipeline.compiled.cache import KernelCache  # noqa: PLC0415 (imports numba)

                made: Any = numba.njit(**OPTIONS)(self.function)
                made._cache = KernelCache(self)  # noqa: SLF001 (as `cache=True` does, with another class)
                self.__dict__["dispatcher"] = made
            return self.__dict__["dispatcher"]

    @property
    def _numba_type_(self) -> Any:
        """What another compiled loop takes it for (numba asks every value for this name)."""
        return self.dispatcher._numba_type_


def compiled(*signatures: str) -> Callable[[Callable[P, R]], Kernel[P, R]]:
    """Make a function of arrays and numbers a compiled loop. Nothing is compiled, and numba not imported, until a call.

    signatures: types of the arguments in numba's words, one string a way in which production calls it, such as
    `"u2[:,:,::1], i8"`; what `python -m pipeline.compiled` compiles beforehand. None for a loop that only others call.
    Other types work as well and are compiled when they come. Annotations are for readers and mypy only.

    The function sees numba's subset of Python; global numbers are constants. Integers wrap, nothing is bounds-checked.
    """

    def wrap(function: Callable[P, R]) -> Kernel[P, R]:
        return Kernel(function, signatures)

    return wrap


def kernels() -> Iterator[Kernel[..., Any]]:
    """Every loop of the modules that are imported by now."""
    return iter(tuple(_KERNELS))
