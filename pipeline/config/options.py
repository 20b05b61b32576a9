"""The command line of a run as a value, for notebooks too."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.aliases import gdac_sets, run_sets
from pipeline.config.document import mask_credentials
from pipeline.config.given import ConfigSource, Given

_SECRETS = {"dsn", "url", "secret", "webhook"}
"""Last parts of the keys whose values are not shown, wherever they come from."""
_HOLDS = re.compile(rf"""\b(?:{"|".join(sorted(_SECRETS))})\b["']?\s*:""")
"""A value that holds such a key."""


@dataclass(frozen=True)
class Options:
    """The command line of a run; every field but the config may be left out."""

    config: ConfigSource
    dry_run: bool = False
    yes: bool = False
    overwrite: bool = False
    sets: Sequence[str] = ()
    output: str | None = None
    snapshot: Path | None = None
    floats: Sequence[str] | None = None
    dac: Sequence[str] | None = None
    limit: int | None = None
    download: bool | None = None
    replay: str | None = None
    """File or address of a replay file: only the jobs that it names."""
    mem: str | None = None
    retries: int | None = None
    report_dir: str | None = None
    plot: bool | None = None
    progress: str | None = None

    @property
    def narrowed(self) -> bool:
        """Whether it chooses among the floats that the config asks for."""
        return (self.floats, self.dac, self.limit) != (None, None, None)

    @property
    def command(self) -> tuple[str, ...]:
        """The words that start such a run again, without secrets; what is asked of one time only is left out.

        None for a config that is no file.
        """
        if isinstance(self.config, Given):
            return ()
        words = ["python", "-m", "pipeline.run", str(self.config)]
        for one in self.all_sets:
            key, _, value = one.partition("=")
            hidden = key.rpartition(".")[2] in _SECRETS or _HOLDS.search(value) is not None
            words += ["--set", f"{key}={'***' if hidden else mask_credentials(value)}"]
        if self.output is not None:
            words += ["--output", mask_credentials(self.output)]
        return (*words, "--snapshot", str(self.snapshot)) if self.snapshot is not None else tuple(words)

    @property
    def all_sets(self) -> Sequence[str]:
        """With the options that stand for a key; what was set by name comes last, and so counts."""
        argo = {"floats": self.floats, "dac": self.dac, "limit": self.limit, "download": self.download}
        run = {
            "run.retries": self.retries,
            "run.report_dir": self.report_dir,
            "run.plot": self.plot,
            "run.progress": self.progress,
        }
        return (*gdac_sets(self.config, argo), *run_sets(self.config, self.mem, run), *self.sets)
