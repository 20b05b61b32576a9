"""What a sweep keeps in memory: counts, the first names, and eight bytes of each text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.events.sweep.missing import SHOWN, Cause, Names, Swept


@given(st.sets(st.text()), st.sets(st.text()))
def test_names_are_those_that_were_added(inside: set[str], outside: set[str]) -> None:
    names = Names()
    for name in inside:
        names.add(name)
    assert all(name in names for name in inside)
    assert not any(name in names for name in outside - inside)


def test_of_each_cause_the_first_are_named_and_all_are_counted() -> None:
    found = Swept()
    for number in range(SHOWN + 5):
        found.miss(Cause.EVENT, str(number), ["a"])
    found.miss(Cause.PLAN, "last", ["b"])
    assert found.counts == {Cause.EVENT: SHOWN + 5, Cause.PLAN: 1}
    assert [one.what for one in found.named] == [*map(str, range(SHOWN)), "last"]


def test_of_notes_the_first_are_kept_and_all_are_counted() -> None:
    """A bucket may hold any number of keys that are left alone."""
    found = Swept()
    for number in range(SHOWN + 5):
        found.note(str(number))
    assert found.noted == SHOWN + 5 and found.notes == [str(number) for number in range(SHOWN)]
