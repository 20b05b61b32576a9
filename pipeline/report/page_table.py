"""Tables of plain cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

_SHORT = 26
"""Letters of a cell that is not broken into lines."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Iterable[int] = (), name: str = "") -> str:
    """A table of plain cells; columns of `numbers` are set to the right."""
    right = set(numbers)

    def cells(tag: str, row: Sequence[str]) -> str:
        scope = ' scope="col"' if tag == "th" else ""
        kinds = ("n" if place in right else "s" if len(str(cell)) <= _SHORT else "" for place, cell in enumerate(row))
        opened = (f'<{tag}{scope} class="{kind}">' if kind else f"<{tag}{scope}>" for kind in kinds)
        return "".join(f"{begin}{escape(str(cell))}</{tag}>" for begin, cell in zip(opened, row, strict=True))

    caption = f"<caption>{escape(name)}</caption>" if name else ""
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    top = f"<thead><tr>{cells('th', head)}</tr></thead>"
    return f'<div class="scroll"><table>{caption}{top}<tbody>{body}</tbody></table></div>'
