"""Small index files of Argo, and small GDACs in a folder, for the tests of all that begins with an index."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.mirror.gdacs import profile_bytes

CORE, BIO = "ar_index_global_prof.txt", "argo_bio-profile_index.txt"
COLUMNS = "file,date,latitude,longitude,ocean,profiler_type,institution"


def row(
    path: str,
    version: str = "20210101000000",
    *,
    date: str = "20200101000000",
    place: tuple[object, object] = (10.0, 70.0),
    parameters: str = "",
) -> str:
    """One line; place: latitude and longitude as they shall stand there. parameters: blank for a core file."""
    bio = f"{parameters},{'R' * len(parameters.split())}," if parameters else ""
    return f"{path},{date},{place[0]},{place[1]},I,846,IN,{bio}{version}"


def index_text(rows: Iterable[str], *, updated: str = "20230101000000", bio: bool = False) -> bytes:
    """A whole index as GDACs write it."""
    columns = f"{COLUMNS},{'parameters,parameter_data_mode,' if bio else ''}date_update"
    head = f"# Title : Profile directory file\n# Project : ARGO\n# Date of update : {updated}\n{columns}\n"
    return (head + "".join(f"{one}\n" for one in rows)).encode()


def profile(wmo: int, cycle: int, mode: str = "R", *, dac: str = "incois", down: str = "") -> str:
    """Path of a profile file below `dac/`; mode: `R`, `D`, `BR`, `BD`."""
    return f"{dac}/{wmo}/profiles/{mode}{wmo}_{cycle:03d}{down}.nc"


@dataclass
class GdacFolder:
    """A GDAC in a folder: what its index lists, and what lies there, may be told apart."""

    root: Path
    updated: str = "20230101000000"
    rows: dict[str, str] = field(default_factory=dict)
    """Path below `dac/` → line of the index."""

    def add(self, path: str, version: str = "20210101000000", *, listed: bool = True, **said: object) -> str:
        """A file, and its line where it is listed; `said` as for `row`."""
        file = self.root / "dac" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(profile_bytes(len(path), updated=version))
        if listed:
            self.rows[path] = row(path, version, **said)  # type: ignore[arg-type] # as the test gives it
        return path

    def drop(self, path: str) -> None:
        """Take away a file and its line."""
        (self.root / "dac" / path).unlink(missing_ok=True)
        self.rows.pop(path, None)

    def publish(self, updated: str | None = None, *, packed: bool = True) -> Path:
        """Write the indices of what there is by now; packed: as gz, else as text."""
        self.updated = updated or self.updated
        self.root.mkdir(parents=True, exist_ok=True)
        for name, letter in ((CORE, ""), (BIO, "B")):
            lines = [
                line
                for path, line in sorted(self.rows.items())
                if path.split("/")[3].strip("RD0123456789_.nc") == letter
            ]
            data = index_text(lines, updated=self.updated, bio=bool(letter))
            for file in (self.root / name, self.root / f"{name}.gz"):
                file.unlink(missing_ok=True)
            (self.root / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(data, 1) if packed else data)
        return self.root
