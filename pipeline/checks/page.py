"""The result of a check as one page for people, which needs nothing else: no script, no font, no address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from pipeline.checks.result import Finding, Result
from pipeline.types import Json

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ground: #f4f6f8; --ink: #16212b; --quiet: #586673; --line: #d9e0e6;
  --pass: #0a7a58; --warn: #8a5a00; --fail: #b3400a; }
@media (prefers-color-scheme: dark) { :root { --paper: #161d24; --ground: #0e1419; --ink: #e3e9ee; --quiet: #9aa8b4;
  --line: #2c3843; --pass: #45c79b; --warn: #f2b632; --fail: #ff8a5c; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.6rem clamp(.8rem, 3vw, 2rem) 3rem; max-width: 66rem; background: var(--ground);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .2rem 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .7rem; } p { margin: .3rem 0; } .quiet { color: var(--quiet); }
code { font-family: ui-monospace, "SF Mono", Menlo, Consolas, monospace; font-size: .88em; overflow-wrap: anywhere; }
.badge { display: inline-block; border-radius: 1rem; padding: .05rem .8rem; font-weight: 600; color: var(--paper); }
.pass { background: var(--pass); } .warn { background: var(--warn); } .fail { background: var(--fail); }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem 1.2rem;
  margin: 1.1rem 0 0; overflow-x: auto; }
.finding { border-top: 1px solid var(--line); padding: .7rem 0; } .finding:first-of-type { border-top: 0; }
.finding dl { display: grid; grid-template-columns: 6rem 1fr; gap: .1rem .8rem; margin: .4rem 0 0; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .9rem; width: 100%; margin-top: .5rem; }
caption { text-align: left; color: var(--quiet); padding-bottom: .2rem; }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  overflow-wrap: anywhere; } th { color: var(--quiet); font-weight: 600; white-space: nowrap; }
"""
_WORDS = {
    "pass": "The data is as the rule demands.",
    "warn": "The data can be used, and is not in all as it should be.",
    "fail": "The data is not as the rule demands.",
}


def render_page(result: Result) -> bytes:
    """The whole page; the same result gives the same bytes."""
    subject = result.subject
    title = f"{result.verdict}: {subject.key}"
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>",
        *_head(result),
        *_findings(result.findings),
        *_facts(result.facts),
        f'<p class="quiet">Check <code>{_text(result.fingerprint)}</code></p></body></html>\n',
    ]
    return "".join(parts).encode("utf-8", "backslashreplace")


def _text(value: object) -> str:
    return escape(str(value))


def _head(result: Result) -> Iterator[str]:
    subject = result.subject
    yield f'<header><p class="quiet">Data quality, rule <b>{_text(subject.rule)}</b></p>'
    yield f"<h1>{_text(subject.key)}</h1>"
    badge = f'<span class="badge {result.verdict}">{result.verdict}</span>'
    yield f"<p>{badge} {_WORDS[result.verdict]} {_counts(result)}</p>"
    known = [f"{subject.size_bytes:,} bytes"]
    known += [_text(result.type)] if result.type else []
    known += [f"ETag <code>{_text(subject.etag)}</code>"] if subject.etag else []
    known += [f"version <code>{_text(subject.version)}</code>"] if subject.version else []
    yield f'<p class="quiet"><code>s3://{_text(subject.bucket)}/{_text(subject.key)}</code><br>{", ".join(known)}</p>'
    yield "</header>"


def _counts(result: Result) -> str:
    told = [(result.counted("fail"), "failure"), (result.counted("warn"), "warning")]
    words = [f"{count} {word}{'s' if count > 1 else ''}" for count, word in told if count]
    return f"{', '.join(words)}." if words else ""


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    yield "<section><h2>Findings</h2>"
    if not findings:
        yield '<p class="quiet">None.</p>'
    for finding in sorted(findings, key=lambda each: each.severity != "fail"):
        where = f" of <code>{_text(finding.where)}</code>" if finding.where else ""
        yield f'<div class="finding"><p><span class="badge {finding.severity}">{finding.severity}</span> '
        yield f"<b>{_text(finding.check)}</b>{where}</p><dl><dt>Found</dt><dd>{_text(finding.found)}</dd>"
        yield f"<dt>Expected</dt><dd>{_text(finding.expected)}</dd>"
        if finding.examples:
            more = finding.count > len(finding.examples)
            rows = (f"{_text(each.at)}: <code>{_text(each.value)}</code>" for each in finding.examples)
            yield f"<dt>{f'The first {len(finding.examples)}' if more else 'Where'}</dt><dd>{'<br>'.join(rows)}</dd>"
        yield "</dl></div>"
    yield "</section>"


def _facts(facts: Mapping[str, Json]) -> Iterator[str]:
    if not facts:
        return
    yield "<section><h2>What it holds</h2>"
    plain = [(name.replace("_", " "), _plain(value)) for name, value in facts.items() if not _is_table(value)]
    yield from _table(("Fact", "Value"), plain, "")
    for name, value in facts.items():
        if _is_table(value):
            names = list(dict.fromkeys(key for row in value for key in row))
            rows = [tuple(_plain(row.get(key)) for key in names) for row in value]
            yield from _table(names, rows, name.replace("_", " "))
    yield "</section>"


def _is_table(value: Json) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _plain(value: Json) -> str:
    match value:
        case None:
            told = ""
        case bool():
            told = "yes" if value else "no"
        case int():
            told = f"{value:,}"
        case float():
            told = f"{value:.7g}"
        case list():
            told = ", ".join(map(_plain, value))
        case dict():
            told = ", ".join(f"{key}: {_plain(each)}" for key, each in value.items())
        case _:
            told = str(value)
    return told


def _table(names: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> Iterator[str]:
    if not rows:
        return
    yield f"<table>{f'<caption>{_text(caption)}</caption>' if caption else ''}<tr>"
    yield from (f"<th>{_text(name)}</th>" for name in names)
    yield "</tr>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>"
    yield "</table>"
