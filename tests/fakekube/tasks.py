"""Work for the clusters of the tests, in a module that pods can import."""

from __future__ import annotations

from distributed import Event


def held(number: int) -> int:
    """Ends when the event `go` is set, and no sooner."""
    Event("go").wait()
    return number
