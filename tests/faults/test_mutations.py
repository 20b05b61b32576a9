"""Every guard that `python -m tests.faults.mutations` switches off stands where it looks, and its test is there."""

from __future__ import annotations

import pytest

from tests.faults.mutations import CHECKOUT, GUARDS, Guard


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_the_guard_and_its_test_are_there(guard: Guard) -> None:
    assert (CHECKOUT / guard.module).read_text(encoding="utf-8").count(guard.on) == 1
    module, name = guard.test.split("::")
    assert f"\ndef {name}(" in (CHECKOUT / "tests" / module).read_text(encoding="utf-8")
