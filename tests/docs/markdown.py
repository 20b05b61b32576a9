"""What the project's pages hold: fenced blocks, commands, links and anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("cluster", "configs", "helm", "notebooks", "pipeline", "tests")
SHELL = ("", "bash", "sh")
"""Languages of blocks that hold commands and nothing else; what a command prints stands in a block of `text`."""


@dataclass(frozen=True)
class Block:
    """One fenced block. line: of its fence, from 1; heading: the last one before it."""

    page: str
    line: int
    heading: str
    language: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def pages() -> tuple[str, ...]:
    """Every page of the project, by its path from the root."""
    found = [*ROOT.glob("*.md"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*.md"))]
    return tuple(sorted(path.relative_to(ROOT).as_posix() for path in found))


@cache
def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


@cache
def blocks(page: str) -> tuple[Block, ...]:
    """The fenced blocks of a page, in order. Raises AssertionError for a fence that never ends."""
    return tuple(_blocks(page))


def _blocks(page: str) -> Iterator[Block]:
    fence, language, heading, begun, held = "", "", "", 0, list[str]()
    for number, line in enumerate(text_of(page).splitlines(), 1):
        mark = re.match(r"\s*(`{3,}|~{3,})\s*(\w*)", line)
        if not fence and mark:
            fence, language, begun, held = mark[1], mark[2], number, []
        elif fence and line.strip() == fence:
            yield Block(page, begun, heading, language, "\n".join(held) + "\n")
            fence = ""
        elif fence:
            held.append(line)
        elif line.startswith("#"):
            heading = line.lstrip("# ")
    assert not fence, f"{page}:{begun}: a fence that never ends"


def section(page: str, heading: str) -> list[Block]:
    """The blocks of a page below a heading, down to the next one."""
    return [block for block in blocks(page) if block.heading == heading]


def of_language(*languages: str) -> list[Block]:
    """The blocks of all pages that are written in one of these."""
    return [block for page in pages() for block in blocks(page) if block.language in languages]


def commands(block: Block) -> list[str]:
    """Of a block of the shell: one a line, lines that end in a backslash joined, without what is said of them."""
    joined = re.sub(r"\\\n\s*", "", block.text)
    bare = (re.sub(r"(^|\s)#\s.*$", "", line) for line in joined.splitlines())
    return [" ".join(line.split()) for line in bare if line.strip()]


def shown() -> dict[str, list[str]]:
    """Command → where it stands."""
    found: dict[str, list[str]] = {}
    for block in of_language(*SHELL):
        for command in commands(block):
            found.setdefault(command, []).append(block.place)
    return found


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    text = text_of(page)
    for block in blocks(page):
        text = text.replace(block.text, "\n")
    return text


def inline(page: str) -> list[str]:
    """What stands between single backticks, outside of blocks."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(page))


def links(page: str) -> list[str]:
    """Targets of links and images that lead to a file or a section here."""
    bare = re.sub(r"`[^`\n]*`", "", prose(page))
    targets = re.findall(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)", bare)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@cache
def anchors(page: str) -> set[str]:
    """What `#…` may be in a link to the page: its headings as GitHub names them."""
    names: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?)\s*#*$", prose(page), re.MULTILINE):
        bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
        name = re.sub(r"[^\w\- ]", "", bare.lower()).replace(" ", "-")
        count = 0
        while (unique := f"{name}-{count}" if count else name) in names:
            count += 1
        names.add(unique)
    return names
