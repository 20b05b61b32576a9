"""Profiles as JSON documents: one a line, each whole in itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pipeline.products._argo_tables import Tables
from pipeline.types.argo import ProfileData


def write_documents(tables: Tables, parameters: tuple[str, ...], path: Path) -> None:
    """Every profile, in the order of the tables; few are held at once. For many profiles the tables are the way."""
    ends = np.cumsum(np.maximum(tables.profiles["levels"].to_numpy(), 1)).tolist()
    begin = 0
    with path.open("w", encoding="utf-8") as file:
        for number, end in enumerate(ends):
            profile = tables.profiles.slice(number, 1).to_pylist()[0]
            levels = tables.levels.slice(begin, end - begin).to_pydict()
            file.write(ProfileData.of_rows(profile, levels, parameters).model_dump_json() + "\n")
            begin = end
