"""The exact command that makes failed jobs again, and the file that it needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.types.account import BLOCKED, FAILED, Account
from pipeline.types.causes import Cause
from pipeline.types.replay import replay_line


def replay_name(cause: Cause | None) -> str:
    """Name of the file beside the report: of one cause, or of all."""
    return "replay.jsonl" if cause is None else f"replay-{cause.number + 1:02d}.jsonl"


def replay_lines(account: Account, cause: Cause | None) -> bytes:
    """The failed and blocked jobs of a cause, or of all, as `--replay` takes them."""
    jobs = account.jobs
    wanted = (jobs.state == FAILED) | (jobs.state == BLOCKED)
    if cause is not None:
        wanted &= jobs.cause == cause.number
    rows = map(int, np.flatnonzero(wanted))
    return b"".join(replay_line(jobs.id(row), jobs.fingerprints[row]) for row in rows)


def command_for(account: Account, cause: Cause | None) -> Sequence[str]:
    """As the run was started, with the replay file; CONFIG stands for what was not written down."""
    begun = account.command or ("python", "-m", "pipeline.run", "CONFIG")
    return (*begun, "--replay", f"{account.home}{replay_name(cause)}")
