"""What plans, outcomes and progress share where a notebook shows them: one style that fits any theme, and small parts.

Everything is in the HTML itself, nothing is loaded, no script runs: it stays when the notebook is saved or printed.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

TO_RUN, DONE, FAILED, BLOCKED, OTHER = "#2f6fc4", "#009e73", "#d1390f", "#e8a200", "#9aa7b2"
"""Colours of states, as in the run's report."""
STYLE = """<style>
.gsw { font: 13px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: inherit; max-width: 72rem; }
.gsw p { margin: .15rem 0; } .gsw .quiet { opacity: .68; } .gsw code { font-size: .92em; overflow-wrap: anywhere; }
.gsw .top { display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: baseline; margin-bottom: .5rem; }
.gsw .top b { font-size: 1.15em; } .gsw .chip i, .gsw .legend i { display: inline-block; width: .7em; height: .7em;
  border-radius: .2em; margin-right: .35em; vertical-align: baseline; box-sizing: border-box; }
.gsw .sides { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
.gsw .scroll { overflow: auto; max-height: 24rem; margin: 0; }
.gsw .side { flex: 0 1 auto; min-width: 0; max-width: 100%; }
.gsw table { border-collapse: collapse; margin: 0; font-size: 12px; } .gsw th { opacity: .68; font-weight: 600; }
.gsw table th, .gsw table td { padding: .16rem .7rem .16rem 0; text-align: left; background: none; white-space: nowrap;
  border: 0; border-bottom: 1px solid color-mix(in srgb, currentColor 16%, transparent); vertical-align: top; }
.gsw table td.n, .gsw table th.n { text-align: right; font-variant-numeric: tabular-nums; }
.gsw table td.wide { white-space: normal; overflow-wrap: anywhere; min-width: 14rem; }
.gsw svg { display: block; max-width: 100%; height: auto; } .gsw svg text { fill: currentColor; font-size: 10px; }
.gsw .legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; font-size: 12px; margin-top: .25rem; }
.gsw details { margin: .35rem 0 0; } .gsw summary { cursor: pointer; } .gsw details > * + * { margin-left: .9rem; }
.gsw .bar { display: inline-block; width: 12rem; height: .6rem; border-radius: .3rem; overflow: hidden; font-size: 0;
  background: color-mix(in srgb, currentColor 14%, transparent); vertical-align: middle; white-space: nowrap; }
.gsw .bar i { display: inline-block; height: 100%; vertical-align: top; }
</style>"""


def framed(*parts: str) -> str:
    """Parts as one piece of HTML with its style."""
    return f'{STYLE}<div class="gsw">{"".join(parts)}</div>'


def chip(colour: str, text: str) -> str:
    """A word or two with the colour that stands for it."""
    return f'<span class="chip"><i style="background:{colour}"></i>{escape(text)}</span>'


def folded(title: str, inside: str, *, opened: bool = False) -> str:
    """What is shown when its title is pressed."""
    return f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>{inside}</details>"


def listed(lines: Iterable[str], most: int = 20) -> str:
    """Lines of text, the first few of many."""
    every = list(lines)
    more = f'<p class="quiet">and {len(every) - most:,} more</p>' if len(every) > most else ""
    return "".join(f"<p>{escape(line)}</p>" for line in every[:most]) + more


def bar(parts: Iterable[tuple[int, str]], total: int) -> str:
    """Counts of a whole in their colours, one after the other."""
    pieces = (
        f'<i style="width:{100 * count / total:.2f}%;background:{colour}"></i>' for count, colour in parts if count
    )
    return f'<span class="bar">{"".join(pieces) if total else ""}</span>'


def link(address: str) -> str:
    """An address that can be followed, where it is one of the web or of this machine; else as text."""
    if address.startswith(("http://", "https://")):
        return f'<a href="{escape(address)}" target="_blank" rel="noopener">{escape(address)}</a>'
    return f"<code>{escape(address)}</code>"
