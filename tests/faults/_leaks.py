"""Where a secret could leak from a run: everything it printed, wrote, kept or sent, searched for given words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import yaml
from distributed.protocol import pickle

from pipeline.execute.worker.task import Assignment
from pipeline.types import Job

DEBUG_EVERYTHING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"full": {"format": "%(name)s %(levelname)s %(message)s"}},
    "handlers": {"all": {"class": "logging.StreamHandler", "formatter": "full", "stream": "ext://sys.stderr"}},
    "root": {"level": "DEBUG", "handlers": ["all"]},
}


def debug_logging(folder: Path) -> dict[str, str]:
    """Environment with which client and workers log everything on stderr: a user's own Dask configuration."""
    settings = folder / "dask"
    settings.mkdir()
    (settings / "logging.yaml").write_text(yaml.safe_dump({"logging": DEBUG_EVERYTHING}), encoding="utf-8")
    return {"DASK_CONFIG": str(settings)}


def leaks(words: Iterable[str], texts: Mapping[str, str | bytes], folders: Iterable[Path]) -> Iterator[str]:
    """`where: word` for every word found in the named texts and in any file (or its name) under the folders."""
    places = {name: text.encode() if isinstance(text, str) else text for name, text in texts.items()}
    for folder in folders:
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert files, f"nothing to search under {folder}"
        places |= {str(path): str(path).encode() + path.read_bytes() for path in files}
    for word in words:
        yield from (f"{name}: {word}" for name, data in places.items() if word.encode() in data)


def graph(jobs: Iterable[Job], assignment: Assignment) -> bytes:
    """What the scheduler and the workers are sent, as bytes."""
    return b"".join(pickle.dumps((job, assignment, 1)) for job in jobs)
