"""The plan of a run against what was made, and against what already waits to be made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipeline.config import RunConfig
from pipeline.config.events import RuleConfig
from pipeline.config.options import Options
from pipeline.events.event import Order, SceneEvent, State
from pipeline.events.inbox.inbox import Inbox
from pipeline.events.jobs.runs import FLOAT
from pipeline.events.messages.scenes import collections_of
from pipeline.events.rules.route import settled
from pipeline.events.sweep.missing import Cause, Swept
from pipeline.session import Session, open_session
from pipeline.types import Job


def sweep_run(run: Path, rules: Mapping[str, RuleConfig], inbox: Inbox, found: Swept, *, dry: bool) -> None:
    """Make the jobs that the plan of a run has, by which its rules are started, and that nobody waits to do.

    Committed ones are not in it; those that failed stay as they are. Raises what `open_session` raises, and as an
    inbox.
    """
    session = open_session(Options(run, yes=True))
    found.jobs += len(session.plan.skipped) + len(session.plan.jobs)
    for name, rule in rules.items():
        orders = _orders(name, rule, session)
        states = inbox.states([(name, target) for target in orders])
        missed = [order for order in orders.values() if states.get((name, order.target)) in (None, State.DONE)]
        for order in missed:
            found.miss(Cause.PLAN, order.target, [name])
        if missed and not dry:
            inbox.order(missed)


def _orders(name: str, rule: RuleConfig, session: Session) -> dict[str, Order]:
    """By target, what a rule may start of the jobs that are to be made."""
    now_s, products, orders = time.time(), _products(rule, session.config), dict[str, Order]()
    for job in session.plan.jobs:
        if job.product not in products:
            continue
        ends_s = None if job.period.end is None else job.period.end.timestamp()
        due_s, latest_s = settled(rule.settle, now_s, ends_s)
        for target in _targets(rule, job):
            orders[target] = Order(name, target, due_s, latest_s)
    return orders


def _products(rule: RuleConfig, config: RunConfig) -> frozenset[str]:
    """Names of the products that events of a rule can lead to: of its sources, and of scenes what is made of those."""
    if rule.match.bucket is not None:
        some = [entry for entry in config.products if entry.afloat]
        return frozenset(entry.name for entry in some if rule.source is None or rule.source in entry.sources)
    sources = _sources(rule, config)
    found = {entry.name for entry in config.products if not entry.afloat and not sources.isdisjoint(entry.sources)}
    while more := {entry.name for entry in config.products if not found.isdisjoint(entry.upstream)} - found:
        found |= more
    return frozenset(found)


def _sources(rule: RuleConfig, config: RunConfig) -> frozenset[str]:
    """Names of the sources that have the scenes of a rule."""
    if rule.source is not None:
        return frozenset({rule.source})
    names = frozenset().union(*(collections_of(SceneEvent(one, "")) for one in rule.match.collection or ()))
    catalogues = {name: source.collection for name, source in config.sources.items() if source.gdac is None}
    found = {name for name, collections in catalogues.items() if not names.isdisjoint(collections or ())}
    return frozenset(found or catalogues)


def _targets(rule: RuleConfig, job: Job) -> Iterator[str]:
    """What an order for a job is called: for files of floats it is each float that the job holds."""
    if rule.match.bucket is None:
        yield job.id
        return
    yield from (f"{FLOAT}{item.id}" for item in job.items)
