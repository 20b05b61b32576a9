"""What the command lines of several verbs have in common; the standard library alone."""

from __future__ import annotations

import argparse
import re

_UNITS_S = {"": 1, "s": 1, "min": 60, "h": 3600, "d": 86_400}


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> argparse.ArgumentParser:
    """A further verb, with one sentence for its help."""
    return verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")


def duration_s(text: str) -> float:
    """Seconds of `90s`, `30min`, `24h` or `7d`; a bare number is seconds. Raises argparse's error for anything else."""
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,3})?)(s|min|h|d|)", text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: 0, 90s, 30min, 24h, 7d")
    return float(match[1]) * _UNITS_S[match[2]]
