"""The lines of a file of jobs that are to be made again, as `--replay` takes them."""

from __future__ import annotations

import json

REPLAY_FORMAT = 1


def replay_line(job_id: str, fingerprint: str) -> bytes:
    """A job by its id; why it is to be made again, the run's journal and report tell."""
    return json.dumps({"format": REPLAY_FORMAT, "job": job_id, "fingerprint": fingerprint}).encode() + b"\n"
