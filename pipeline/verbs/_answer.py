"""What a verb gives back to the command line."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import EXIT_DONE


@dataclass(frozen=True)
class Answer:
    """Text for the terminal, and the exit code."""

    text: str
    code: int = EXIT_DONE
