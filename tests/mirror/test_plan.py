"""The difference between index and copy: what is fetched, what goes, and what nobody may take away."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.mirror.plan import Held, Removal, SyncPlan, plan_sync, settled
from pipeline.plan.argo_index import parse_index
from pipeline.plan.argo_select import Selection, select
from tests.argo_indices import index_text, profile, row

OLD, NEW = "20210101000000", "20220101000000"
R1, D1, R2 = profile(2902269, 1), profile(2902269, 1, "D"), profile(2902269, 2)


def planned(
    listed: dict[str, str], held: dict[str, Held], selection: Selection | None = None, *, complete: bool = True
) -> SyncPlan:
    table = parse_index(index_text([row(path, version) for path, version in listed.items()]), "here").table
    return plan_sync(select(table, selection or Selection())[0], table, held, complete=complete)


def test_what_is_not_there_or_of_another_version_is_fetched_and_nothing_else() -> None:
    held = {R1: Held(OLD), R2: Held(OLD)}
    plan = planned({R1: OLD, R2: NEW, profile(2902269, 3): NEW}, held)
    assert plan == SyncPlan({R2: NEW, profile(2902269, 3): NEW}, keep=(R1,))


def test_a_version_that_goes_back_is_fetched_too_but_not_over_a_file_that_was_found() -> None:
    assert planned({R1: OLD}, {R1: Held(NEW)}).fetch == {R1: OLD}
    assert planned({R1: OLD}, {R1: Held(NEW, own=False)}).keep == (R1,)
    assert planned({R1: NEW}, {R1: Held(OLD, own=False)}).fetch == {R1: NEW}


def test_a_real_time_file_goes_when_its_delayed_one_is_there_and_not_before() -> None:
    plan = planned({D1: NEW}, {R1: Held(OLD)})
    assert (plan.fetch, plan.remove) == ({D1: NEW}, (Removal(R1, by=D1),))
    assert list(settled(plan, {R1})) == []
    assert list(settled(plan, {R1, D1})) == [Removal(R1, by=D1)]


def test_a_real_time_file_that_is_listed_beside_its_delayed_one_goes_too() -> None:
    plan = planned({R1: OLD, D1: NEW}, {R1: Held(OLD)})
    assert (plan.fetch, plan.remove) == ({D1: NEW}, (Removal(R1, by=D1),))


def test_a_file_that_no_index_lists_any_more_goes_if_a_sync_brought_it() -> None:
    held = {R1: Held(OLD), R2: Held(OLD), profile(2902269, 3): Held(OLD, own=False)}
    plan = planned({R1: OLD}, held)
    assert plan.remove == (Removal(R2, by=None),)
    assert plan.unlisted == (profile(2902269, 3),)


def test_a_real_time_file_that_somebody_else_put_there_is_told_and_left() -> None:
    plan = planned({D1: NEW}, {R1: Held(OLD, own=False), D1: Held(NEW)})
    assert (plan.remove, plan.unlisted) == ((), (R1,))


def test_what_is_asked_for_no_more_but_listed_stays() -> None:
    other = profile(4902252, 1, dac="jma")
    plan = planned({R1: OLD, other: OLD}, {R1: Held(OLD), other: Held(OLD)}, Selection(dac=("incois",)))
    assert plan == SyncPlan(keep=(R1,))


def test_kinds_whose_index_was_not_read_are_left_alone() -> None:
    assert planned({R1: OLD}, {R1: Held(OLD), profile(2902269, 1, "BR"): Held(OLD)}) == SyncPlan(keep=(R1,))


def test_the_index_of_a_week_removes_only_what_it_replaces() -> None:
    held = {R1: Held(OLD), R2: Held(OLD), profile(2902269, 3, "D"): Held(OLD)}
    plan = planned({D1: NEW, profile(2902269, 3): NEW}, held, complete=False)
    assert plan.remove == (Removal(R1, by=D1),)
    assert plan.unlisted == ()


def test_when_much_vanishes_at_once_the_index_is_doubted() -> None:
    held = {profile(2902269, cycle): Held(OLD) for cycle in range(100)}
    plan = planned({R1: OLD, D1: NEW}, held)
    assert plan.remove == (Removal(R1, by=D1),)
    assert len(plan.unlisted) == 99
    assert "99 of 100 files are no longer in the index" in plan.notes[0]


FILES = [profile(2902269, cycle, mode) for cycle in (1, 2, 3) for mode in ("R", "D")]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(FILES), st.sampled_from([OLD, NEW]), min_size=1),
    st.dictionaries(st.sampled_from(FILES), st.builds(Held, st.sampled_from([OLD, NEW]), st.booleans())),
)
def test_after_a_sync_there_is_nothing_left_to_do(listed: dict[str, str], held: dict[str, Held]) -> None:
    plan = planned(listed, held)
    after = held | {path: Held(version) for path, version in plan.fetch.items()}
    for one in settled(plan, after):
        after = {path: file for path, file in after.items() if path != one.path}
    again = planned(listed, after)
    assert (again.fetch, list(settled(again, after))) == ({}, [])
    assert all(path in after for path in plan.keep)
    assert {one.path for one in plan.remove} <= {path for path, file in held.items() if file.own}
