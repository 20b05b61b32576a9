"""Checks on the Dask cluster that a file of rules names: slices of targets as tasks, each commits what it finds."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Iterator, Sequence

from distributed import as_completed

from pipeline.config.events import EventsConfig
from pipeline.errors import ConfigError, PreflightError
from pipeline.events.jobs.checking import Checked, Work, check_here, failed
from pipeline.opening import open_clusters
from pipeline.placement import lone_spec

_LOG = logging.getLogger(__name__)
_SLICE = 25
"""Targets of one task, at most: what is lost with a worker, and done again."""


def check_on_cluster(config: EventsConfig, work: Work, targets: Sequence[str]) -> Iterator[Checked]:
    """Each target's outcome as its task ends. Raises PreflightError where no cluster comes up."""
    if config.cluster is None:
        raise ConfigError("found no cluster; expected `cluster` in the file of rules")
    spec = lone_spec(f"{config.name}-checks", config.cluster)
    with open_clusters({spec.region: spec}, _LOG.info, threading.Event()) as clusters:
        opening = clusters.openings[spec.region][0]
        error = opening.exception()
        if error is not None:
            raise PreflightError(f"no cluster came up for the checks: {error}") from error
        client, slots = opening.result()
        size = max(1, min(_SLICE, math.ceil(len(targets) / slots)))
        slices = [list(targets[first : first + size]) for first in range(0, len(targets), size)]
        futures = {client.submit(check_slice, work, each, pure=False): each for each in slices}
        for future in as_completed(futures, loop=client.loop):
            lost = future.exception()
            if lost is None:
                yield from future.result()
            else:
                cause = f"its task on cluster {spec.name} was lost: {type(lost).__name__}: {lost}"
                yield from (failed(target, "", "", cause, passing=True) for target in futures[future])


def check_slice(work: Work, targets: Sequence[str]) -> list[Checked]:
    """The task: everything durable happens in it, so that a lost client loses nothing that was committed."""
    return list(check_here(work, targets, most=1))
