"""What a source may say that is a mirror of the Argo data: which files of it are asked for, and where they are kept."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from pipeline.config.section import Section
from pipeline.config.values import ArgoName, LocalFile, beside_config

_ADDRESS = {
    "type": "string",
    "pattern": r"^((https?|ftp|s3)://[^/\s]+.*|/.*|[^:]+)$",
    "patternErrorMessage": "a folder, or an https://, ftp:// or s3:// address",
}
_DAC: dict[str, Any] = {"patternErrorMessage": "a data centre's folder in small letters, such as incois"}
GDAC_KEYS = (
    "dac",
    "floats",
    "kinds",
    "parameters",
    "mirror",
    "download",
    "unlisted",
    "multi_profile",
    "index",
    "limit",
)
"""Keys that have a meaning beside `gdac` only."""


def _one_or_more(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,) if isinstance(value, str | int) else value


def _wmo(value: object) -> int:
    """WMO numbers have five or seven digits; a `2902269` of an option or of the environment is text."""
    text = str(value)
    if not re.fullmatch(r"\d{5}(\d\d)?", text):
        raise ValueError("allowed: the WMO number of a float, of 5 or 7 digits")
    return int(text)


def _text(value: object) -> object:
    if isinstance(value, str) and not re.match(_ADDRESS["pattern"], value):
        raise ValueError(f"allowed: {_ADDRESS['patternErrorMessage']}")
    return value


Mirrors = Annotated[
    tuple[Annotated[str, BeforeValidator(_text), AfterValidator(beside_config)], ...],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [_ADDRESS, {"type": "array", "items": _ADDRESS, "minItems": 1}]}),
]
"""One address or a list of them; a relative folder counts from the config file's folder."""

_WMO = {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": r"^\d{5}(\d\d)?$"}]}
Wmos = Annotated[
    tuple[Annotated[int, BeforeValidator(_wmo)], ...],
    BeforeValidator(_one_or_more),
    WithJsonSchema({"anyOf": [*_WMO["anyOf"], {"type": "array", "items": _WMO}]}),
]
Kind = Literal["core", "bgc", "synthetic"]


class GdacKeys(Section):
    """Keys of a source that is a Global Data Assembly Centre (GDAC) of Argo, or a mirror of one."""

    gdac: Mirrors | None = Field(
        default=None,
        min_length=1,
        description="In place of stac: addresses of Argo data centres (GDACs) with the same data, tried in turn: "
        "https://, ftp://, s3:// or a folder.",
    )
    dac: tuple[Annotated[str, Field(pattern=r"^[a-z]+$", json_schema_extra=_DAC)], ...] = Field(
        default=(), description="With gdac: only floats of these national data centres, such as [incois]; nothing: all."
    )
    floats: Wmos = Field(default=(), description="With gdac: only these floats, by WMO number; nothing: all.")
    kinds: tuple[Kind, ...] = Field(
        default=("core",),
        min_length=1,
        description="With gdac: kinds of files: core (pressure, temperature, salinity), bgc (biogeochemical "
        "B-files), synthetic (all parameters of a float on one axis).",
    )
    parameters: tuple[ArgoName, ...] = Field(
        default=(),
        description="With gdac: of bgc and synthetic files, only those with one of these parameters, such as "
        "DOXY; nothing: all.",
    )
    mirror: LocalFile | None = Field(
        default=None,
        description="With gdac: folder that the files are copied to before they are read, only what is new; "
        "nothing: workers read the GDAC itself.",
    )
    download: bool = Field(
        default=True, description="With mirror: whether a run brings the copy up to date before it plans."
    )
    unlisted: Literal["report", "read"] = Field(
        default="report",
        description="With gdac: profile files in a folder that its index does not list: named (report), or read "
        "too (read).",
    )
    multi_profile: Literal["never", "auto", "always"] = Field(
        default="never",
        description="With gdac: read a float's core profiles as its one _prof.nc, which holds primary profiles "
        "only: never, auto (where it saves many files) or always.",
    )
    limit: int | None = Field(
        default=None, ge=1, description="With gdac: at most this many cycles, for trying out; nothing: all."
    )
    index: Literal["global", "week"] = Field(
        default="global",
        description="With gdac: index that is read: global (everything), or week (what changed within about a week).",
    )
