"""The command line of a run as a value, for notebooks too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.aliases import gdac_sets


@dataclass(frozen=True)
class Options:
    """The command line of a run; every field but the config may be left out."""

    config: Path
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

    @property
    def narrowed(self) -> bool:
        """Whether it chooses among the floats that the config asks for."""
        return (self.floats, self.dac, self.limit) != (None, None, None)

    @property
    def all_sets(self) -> Sequence[str]:
        """With the options that stand for a key; what was set by name comes last, and so counts."""
        argo = {"floats": self.floats, "dac": self.dac, "limit": self.limit, "download": self.download}
        return (*gdac_sets(self.config, argo), *self.sets)
