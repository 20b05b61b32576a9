"""What every section of the file is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from pipeline.config.document import mask_credentials
from pipeline.types import Json


class Section(BaseModel):
    """One mapping of the file: frozen, unknown keys refused, credentials of URLs masked where it is printed."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for key, value in super().__repr_args__():
            yield key, mask_credentials(value) if isinstance(value, str) else value


def may_be_left_out(*keys: str) -> Callable[[Json], None]:
    """For the schema of a model some of whose keys the loader fills in: editors take a file without them, or null."""

    def adapt(schema: Json) -> None:
        for key in keys:
            told = schema["properties"][key]
            about = {word: told.pop(word) for word in ("title", "description") if word in told}
            told.pop("default", None)
            schema["properties"][key] = {"anyOf": [told, {"type": "null"}], "default": None, **about}
        required = [key for key in schema.get("required", ()) if key not in keys]
        schema.pop("required", None)
        schema |= {"required": required} if required else {}

    return adapt
