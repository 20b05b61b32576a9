"""What every section of the file is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.config.document import mask_credentials


class Section(BaseModel):
    """One mapping of the file: frozen, unknown keys refused, credentials of URLs masked where it is printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for key, value in super().__repr_args__():
            yield key, mask_credentials(value) if isinstance(value, str) else value
