"""Settings of the programs that run for long, by file, environment or both, as containers have them."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.errors import ConfigError, PreflightError

CONFIG = "GROUNDSWELL_EVENTS"
"""Variable that holds the path of the file, or its text."""
_SET = CONFIG + "__"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def settings(
    path: Path | None, sets: Sequence[str], environ: Mapping[str, str] = os.environ
) -> tuple[Path, tuple[str, ...]]:
    """The file of a config and what replaces parts of it, from the command line and the environment.

    Without a path GROUNDSWELL_EVENTS holds it, or else the YAML text itself: text with a line break, or that begins
    with a brace; paths in it are best absolute, since its folder is a temporary one. The variable
    GROUNDSWELL_EVENTS__LISTEN__PORT=80 is `--set listen.port=80`; the command line comes last. Raises ConfigError where
    there is neither file nor text.
    """
    told = environ.get(CONFIG, "")
    if path is None and not told.strip():
        raise ConfigError(f"found no CONFIG and no {CONFIG}; expected the path of a file of rules for events")
    if path is None:
        is_text = "\n" in told.strip() or told.lstrip().startswith("{")
        path = _kept(told) if is_text else Path(told.strip())
    named = sorted((name.removeprefix(_SET), value) for name, value in environ.items() if name.startswith(_SET))
    return path, (*(f"{name.lower().replace('__', '.')}={value}" for name, value in named), *sets)


def _kept(text: str) -> Path:
    """A file with this text, since other processes read it too; the same one for the same text."""
    folder = Path(tempfile.gettempdir()) / f"groundswell-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise ConfigError(f"{folder}: others may write there, or own it; set TMPDIR to a folder of your own")
    path = folder / f"events-{hashlib.sha256(text.encode()).hexdigest()[:16]}.yaml"
    descriptor, draft = tempfile.mkstemp(dir=folder)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(draft).replace(path)
    return path


def start_log(environ: Mapping[str, str] = os.environ) -> None:
    """Log to standard error: of this project what LOG_LEVEL says, of others warnings alone.

    Other libraries log bodies of requests, with tokens in them. Raises PreflightError for a level that is none.
    """
    level = environ.get("LOG_LEVEL", "").strip().upper() or "INFO"
    if level not in _LEVELS:
        raise PreflightError(f"LOG_LEVEL: found {level!r}; expected one of {', '.join(_LEVELS)}")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("pipeline").setLevel(level)
