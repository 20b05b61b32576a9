"""A small GDAC, a copy of it, and what a sync says: for the tests of syncs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.config import SourceConfig
from pipeline.mirror.report import SyncReport
from pipeline.mirror.sync import SyncOptions, sync
from pipeline.search.argo import selection_of
from tests.argo_indices import GdacFolder, profile
from tests.mirror.gdacs import files_below

OLD, NEW = "20210101000000", "20220101000000"


def small_gdac(folder: Path) -> GdacFolder:
    """Three cycles of one float and one of another."""
    made = GdacFolder(folder)
    for cycle in (1, 2, 3):
        made.add(profile(2902269, cycle), OLD)
    made.add(profile(4902252, 1, "D", dac="jma"), OLD, place=(40, -140))
    made.publish()
    return made


def source_of(folder: GdacFolder, copy: Path, **keys: Any) -> SourceConfig:
    return SourceConfig(**{"gdac": (str(folder.root),), "mirror": str(copy), **keys})


def synced(source: SourceConfig, options: SyncOptions | None = None) -> SyncReport:
    return sync("argo", source, selection_of(source), options)


def counts(report: SyncReport) -> tuple[int, int, int]:
    """Downloaded, skipped, failed."""
    document = report.document()
    return document["files_downloaded"], document["files_skipped"], len(document["errors"])


def profiles(copy: Path) -> set[str]:
    return {path.removeprefix("dac/") for path in files_below(copy) if path.startswith("dac/")}
