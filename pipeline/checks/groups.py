"""All variables of an array file by one set of names: those of groups are `group/name`, as are their dimensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr


@dataclass(frozen=True)
class Contents:
    """What a file holds; no value is read before it is asked for."""

    variables: Mapping[str, xr.Variable]
    """Their own dimensions have the names that they have in their group."""
    sizes: Mapping[str, int]
    """Lengths of dimensions, by group: the same one is named once for each group that uses it."""
    attrs: Mapping[Any, Any]
    """Of the file."""

    def length(self, name: str) -> int | None:
        """Of a dimension; one that only groups below use, and all with one length, counts as theirs above as well."""
        if name in self.sizes:
            return self.sizes[name]
        group, last = group_of(name), name.rpartition("/")[2]
        below = {
            length for each, length in self.sizes.items() if each.startswith(group) and each.rpartition("/")[2] == last
        }
        return below.pop() if len(below) == 1 else None


def group_of(name: str) -> str:
    """What stands before a name in its group: nothing, or the group with a slash."""
    group, slash, _ = name.rpartition("/")
    return group + slash


@contextmanager
def open_contents(path: Path, engine: str) -> Iterator[Contents]:
    """The root group and all below it, while the file is open; values and times as they are stored."""
    with ExitStack() as opened:
        groups = xr.open_groups(path, engine=engine, decode_cf=False, cache=False, create_default_indexes=False)
        for dataset in groups.values():
            opened.callback(dataset.close)
        variables: dict[str, xr.Variable] = {}
        sizes: dict[str, int] = {}
        for place, dataset in groups.items():
            group = f"{place}/".lstrip("/")
            variables |= {f"{group}{name}": each for name, each in dataset.variables.items()}
            sizes |= {f"{group}{name}": length for name, length in dataset.sizes.items()}
        yield Contents(variables, sizes, groups["/"].attrs)
