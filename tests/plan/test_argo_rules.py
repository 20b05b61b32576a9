"""Levels of quality and words of the ledger are what the manual and the README say."""

from __future__ import annotations

import pytest

from pipeline.plan.argo_rules import LEVEL_RULES, RULES, QualityLevel, quality_rule


def test_presets() -> None:
    assert quality_rule("expert").flags is None
    assert quality_rule("standard").flags == (1, 2, 5, 8) and not quality_rule("standard").delayed_only
    assert quality_rule("research").flags == (1, 5, 8) and quality_rule("research").delayed_only
    assert quality_rule("standard", (3, 1, 3)).flags == (1, 3)
    assert quality_rule("research", (1, 2)).flags == (1, 2) and quality_rule("research", (1, 2)).delayed_only


@pytest.mark.parametrize(
    ("level", "flags", "message"),
    [
        ("expert", (1,), "every flag"),
        ("standard", (), "one or more"),
        ("standard", (1, 10), "0 to 9"),
        ("research", (-1,), "0 to 9"),
        ("best", None, "expected expert, standard or research"),
    ],
)
def test_what_is_no_level_is_refused(level: QualityLevel, flags: tuple[int, ...] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quality_rule(level, flags)


def test_rules_of_levels_fit_the_bits_that_say_which() -> None:
    assert len(LEVEL_RULES) <= 16
    assert all(RULES[name].scope == "level" for name in LEVEL_RULES)
    assert all(RULES[name].name == name and RULES[name].text for name in RULES)
