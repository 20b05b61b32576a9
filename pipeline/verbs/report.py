"""`groundswell report`: the report of a run, written anew from its records."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

from pipeline.errors import PreflightError
from pipeline.execute.account.account import read_account
from pipeline.report.replay import command_for
from pipeline.report.tables import document, text
from pipeline.report.write import PAGE, put_files, report_files
from pipeline.verbs._answer import Answer
from pipeline.verbs._output import open_output
from pipeline.write.store import Store, open_store

_ADDRESS = re.compile(r"(.+)/runs/(\d{8}T\d+Z-[0-9a-f]+)(?:/.*)?")
"""Of a run, and not of an output that happens to lie in a folder `runs`."""


def run(options: argparse.Namespace) -> Answer:
    """The newest run of an output, or `options.run`; an address that ends in `runs/<id>` names both.

    Raises PreflightError where there is no such run, and StoreError where its records or the place cannot be used.
    """
    given = options.run
    options.output, named = _run_of(options.output)
    store = open_output(options)
    account = read_account(store, _choose(store, given or named))
    if options.json:
        return Answer(json.dumps({**document(account), "replay": shlex.join(command_for(account, None))}, indent=2))
    target, prefix = store, f"runs/{account.run}/report/"
    if options.to is not None:
        target, prefix = open_store(options.to, endpoint=options.endpoint, profile=options.profile), ""
        account = replace(account, home=f"{target.uri}/")
    put_files(report_files(account, plots=options.plots), [(target, prefix)])
    return Answer(f"{text(account)}report: {account.home}{PAGE}")


def _run_of(uri: str) -> tuple[str, str | None]:
    """The output, and the run where the address names one: `out/runs/<id>`, a file below it, or the page."""
    found = _ADDRESS.fullmatch(uri)
    return (found[1], found[2]) if found and not Path(uri).is_file() else (uri, None)


def _choose(store: Store, wanted: str | None) -> str:
    runs = sorted({key.split("/")[1] for key, _ in store.list_objects("runs/") if key.count("/") > 1}, reverse=True)
    if wanted in runs or (wanted is None and runs):
        return wanted or runs[0]
    raise PreflightError(f"{store.uri}: found no run {wanted or ''}; its newest runs: {', '.join(runs[:5]) or 'none'}")
