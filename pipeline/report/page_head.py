"""Head of the page: what a reader must know first."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from pipeline.report.words import count, dollars, duration, moment, size
from pipeline.types.account import BLOCKED, CANCELLED, CLAIMED, DONE, FAILED, OPEN, SKIPPED, STATES, Account
from pipeline.types.causes import Cause

ORDER = (DONE, SKIPPED, FAILED, BLOCKED, CANCELLED, CLAIMED, OPEN)
WORDS = {
    DONE: "done",
    SKIPPED: "skipped",
    FAILED: "failed",
    BLOCKED: "blocked",
    CANCELLED: "not started",
    CLAIMED: "left to another run",
    OPEN: "open",
}
MEANT = {
    DONE: "made and committed by this run",
    SKIPPED: "needed no work",
    FAILED: "every attempt failed",
    BLOCKED: "made from a job that failed",
    CANCELLED: "the run ended before their turn",
    CLAIMED: "another run is making them",
    OPEN: "nothing final is known",
}


def verdict(account: Account) -> str:
    """What a reader must know first, in a few sentences."""
    jobs, said = account.jobs, []
    needed = len(jobs) - jobs.count(SKIPPED)
    if not len(jobs):
        return "Nothing was planned, or the plan was not written down."
    if needed:
        said.append(f"{jobs.count(DONE):,} of {count(needed, 'job')} {'was' if needed == 1 else 'were'} done.")
    if jobs.count(SKIPPED):
        reasons = ", ".join(f"{number:,} {reason}" for reason, number in account.skipped)
        said.append(f"{jobs.count(SKIPPED):,} needed no work ({reasons}).")
    if jobs.count(FAILED) or jobs.count(BLOCKED):
        blocked = f", {jobs.count(BLOCKED):,} more could not begin because of them" if jobs.count(BLOCKED) else ""
        own = [one for one in account.causes if has_failed(account, one)]
        said.append(f"{jobs.count(FAILED):,} failed for {count(len(own), 'cause')}{blocked}.")
    said += [
        f"{jobs.count(state):,} {WORDS[state]}: {MEANT[state]}."
        for state in (CANCELLED, CLAIMED, OPEN)
        if jobs.count(state)
    ]
    lossy = int((jobs.losses > 0).sum())
    if lossy:
        said.append(f"{count(lossy, 'job')} {'was' if lossy == 1 else 'were'} done without some inputs.")
    for level, word in ((2, "warns"), (3, "fails")):
        marked = int((jobs.verdict == level).sum())
        if marked:
            said.append(f"{count(marked, 'tile')} {'breaks' if marked == 1 else 'break'} a quality limit that {word}.")
    return " ".join(said)


def has_failed(account: Account, cause: Cause) -> bool:
    """Whether jobs of a cause failed themselves; otherwise they were never begun."""
    jobs = account.jobs
    return bool(((jobs.cause == cause.number) & (jobs.state == FAILED)).any())


def head(account: Account) -> str:
    """Name, state, when, where; the verdict; the figures."""
    state = account.state if account.code in {None, 0} else f"{account.state}, exit {account.code}"
    good = account.state == "finished" and not account.code and not account.jobs.count(FAILED)
    when = f"{moment(account.begun_s)} · {duration(account.seconds)}" if account.begun_s else "no times written down"
    reason = f'<p class="reason">{escape(account.reason)}</p>' if account.reason else ""
    return f"""<header class="top">
<p class="eyebrow">Groundswell · report of a run</p>
<h1>{escape(account.name)}</h1>
<p class="sub"><span class="badge {"good" if good else "bad"}">{escape(state)}</span> <code>{escape(account.run)}</code>
<span class="when">{escape(when)}</span> <span class="uri">{escape(account.uri)}</span></p>
<p class="verdict">{escape(verdict(account))}</p>{reason}
<dl class="figures">{"".join(_figures(account))}</dl>
</header>"""


def _figures(account: Account) -> Iterator[str]:
    jobs = account.jobs
    done, repeats = jobs.count(DONE), sum(one.count for one in account.repeated)
    usd, expected = account.usd, (account.estimate or {}).get("usd") or {}
    span = f"estimated {dollars(expected['low'])} to {dollars(expected['high'])}" if expected.get("high") else ""
    note = span or ("nothing that has a price" if expected else "not written down")
    rate = f"{done / account.seconds * 3600:,.0f} jobs an hour" if account.seconds and done else ""
    again = f"{count(int(jobs.store_retries.sum()), 'request')} to the output sent again"
    for name, value, told in (
        ("Jobs planned", f"{len(jobs):,}", f"{count(len(jobs.tiles), 'tile')}, {count(len(jobs.products), 'product')}"),
        ("Wall time", duration(account.seconds), rate),
        ("Work", duration(float(jobs.seconds.sum())), "last attempts, one after the other"),
        ("Read", size(jobs.read_bytes.sum()), "as jobs counted it"),
        ("Written", size(jobs.written_bytes.sum()), "committed by this run"),
        ("Dollars", dollars(usd), note),
        ("Repeated attempts", f"{repeats:,}", again),
    ):
        yield f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(told)}</small></dd></div>"


def chips(account: Account) -> str:
    """Outcomes with their numbers; pressing one filters everything below."""
    made = []
    for state in ORDER:
        number = account.jobs.count(state)
        if number:
            made.append(
                f'<button type="button" class="chip" data-state="{state}" aria-pressed="false" '
                f'title="{escape(MEANT[state])}" disabled><i class="dot s-{STATES[state]}"></i>'
                f"{escape(WORDS[state])} <b>{number:,}</b></button>"
            )
    return "".join(made)
