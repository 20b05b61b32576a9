"""The structure of an array file by a schema of pandera: variables, dimensions, types, attributes; no value is read."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandera.xarray as px
import xarray as xr
from pandera.errors import SchemaError, SchemaErrorReason, SchemaErrors

from pipeline.checks.check import UnreadableError
from pipeline.checks.groups import Contents, group_of
from pipeline.checks.result import listed, shown
from pipeline.checks.tally import Rule, Tally
from pipeline.config.checks import ArrayConfig, VariableConfig
from pipeline.config.grades import Severity

_ANYTHING = "any value"
_MARK = "="
"""Before the names of variables: one of the name of its dimension would be a coordinate, which has fewer rules."""
_FAMILIES = {"integer": "iu", "number": "iuf", "text": "SUOT", "time": "iufM"}
_NAMED = {"integer": "int64", "number": "float64", "text": "str", "time": "datetime64[ns]"}


def attributes_of(held: xr.Variable | Contents) -> dict[str, Any]:
    """Attributes as numbers and texts of Python; 0.1 of 32 bits is 0.1."""
    return {str(name): _plain(value) for name, value in held.attrs.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.reshape(-1)[0]
    if isinstance(value, np.floating):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def judge_structure(contents: Contents, config: ArrayConfig, tally: Tally) -> None:
    """Note where a file has not the structure that its rule demands."""
    for name, length in config.dims.items():
        found = contents.length(name)
        if found is None:
            none = f"none (there are {listed(sorted(contents.sizes))})"
            tally.note(Rule("dims", name, config.severity, "a dimension of this name"), none)
        elif length not in {None, found}:
            tally.note(Rule("dims", name, config.severity, f"length {length}"), f"length {found}")
    try:
        _schema(contents, config).validate(_skeleton(contents), lazy=True)
    except SchemaErrors as errors:
        for error in errors.schema_errors:
            _note(error, contents, config, tally)


def _skeleton(contents: Contents) -> xr.Dataset:
    """The same structure without a single value, every variable marked."""
    try:
        return xr.Dataset(
            {
                f"{_MARK}{name}": xr.Variable(
                    _dims(name, each.dims),
                    np.broadcast_to(np.zeros((), each.dtype.newbyteorder("=")), each.shape),
                    attributes_of(each),
                )
                for name, each in contents.variables.items()
            },
            attrs=attributes_of(contents),
        )
    except (ValueError, OverflowError) as error:
        raise UnreadableError(f"absurd dimensions: {dict(contents.sizes)} ({error})") from error


def _dims(name: str, own: Iterable[Hashable]) -> tuple[str, ...]:
    """The dimensions of a variable, by group."""
    return tuple(f"{group_of(name)}{dim}" for dim in own)


def _schema(contents: Contents, config: ArrayConfig) -> px.DatasetSchema:
    wanted: dict[str, px.DataVar | px.DataArraySchema | None] = {
        f"{_MARK}{name}": _variable(contents, name, each) for name, each in config.variables.items()
    }
    if config.others != "pass":
        dims = [name for name in contents.variables if name in contents.sizes and name not in config.variables]
        wanted |= {f"{_MARK}{name}": px.DataVar(nullable=True) for name in dims}  # coordinates of dimensions
    return px.DatasetSchema(
        data_vars=wanted,
        attrs=_wanted(config.attributes, attributes_of(contents)),
        strict=config.others != "pass",
    )


def _variable(contents: Contents, name: str, config: VariableConfig) -> px.DataVar:
    found = contents.variables.get(name)
    attributes = {} if found is None else attributes_of(found)
    units = {} if config.units is None else {"units": config.units}
    return px.DataVar(
        required=config.required,
        nullable=True,
        dtype=None if found is None else _wanted_type(found, config),
        dims=None if config.dims is None else _dims(name, config.dims),
        attrs=_wanted({**config.attributes, **units}, attributes),
    )


def _wanted(demanded: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are demanded; the one that is there where that is as good."""
    told = {name: _ANYTHING if value is None else value for name, value in demanded.items()}
    return {name: found[name] if _is_met(demanded[name], found.get(name)) else value for name, value in told.items()}


def _is_met(demanded: Any, found: Any) -> bool:
    """Whether any value is taken, or both are one number of 32 bits: Zarr writes 0.1 of those in 64."""
    if isinstance(demanded, float) and isinstance(found, float):
        return bool(np.float32(demanded) == np.float32(found))
    return demanded is None and found is not None


def _wanted_type(found: xr.Variable, config: VariableConfig) -> Any:
    kind = config.type
    if kind is None:
        return None
    if kind not in _FAMILIES:
        return np.dtype(kind)
    counted = kind != "time" or found.dtype.kind == "M" or " since " in str(found.attrs.get("units", ""))
    fits = found.dtype.kind in _FAMILIES[kind] and counted
    return found.dtype.newbyteorder("=") if fits else np.dtype(_NAMED[kind])


def _note(error: SchemaError, contents: Contents, config: ArrayConfig, tally: Tally) -> None:
    """What pandera found, in the words of the rule."""
    reason, check, text = error.reason_code, str(error.check), str(error)
    name = str(error.schema.name or "").removeprefix(_MARK)
    own = config.variables.get(name)
    severity: Severity = config.severity if own is None else own.severity
    if check == "strict_data_vars" and config.others != "pass":
        for strange in _unnamed(contents, config):
            tally.note(Rule("others", strange, config.others, "only variables that are named"), "this variable")
    elif check == "data_var_presence":
        _note_missing(contents, config, tally)
    elif check == "dims" and own is not None:
        tally.note(
            Rule("dims", name, severity, f"({listed(own.dims or ())})"), f"({listed(contents.variables[name].dims)})"
        )
    elif reason is SchemaErrorReason.WRONG_DATATYPE and own is not None:
        tally.note(Rule("type", name, severity, str(own.type)), _type_words(contents.variables[name], own))
    elif check == "attrs":
        _note_attribute(text, attributes_of(contents.variables[name] if own else contents), (name, severity), tally)
    else:
        raise error


def _note_missing(contents: Contents, config: ArrayConfig, tally: Tally) -> None:
    for name, wanted in config.variables.items():
        if wanted.required and name not in contents.variables:
            found = f"none (there are {listed(sorted(contents.variables))})"
            tally.note(Rule("variable", name, wanted.severity, "a variable of this name"), found)


def _note_attribute(text: str, found: Mapping[str, Any], where: tuple[str, Severity], tally: Tally) -> None:
    """An attribute; pandera's words are `missing attribute 'units': expected 'K'` and the like."""
    match = re.search(r"attribute (?:mismatch )?'(.*?)': expected (.*?)(?:, got .*)?$", text, re.DOTALL)
    name, expected = (match[1], match[2]) if match else ("attributes", text)
    rule = Rule("attributes", where[0], where[1], f"{shown(name)}: {shown(expected)}")
    tally.note(rule, f"{shown(name)}: {found[name]!r}" if name in found else f"no attribute {shown(name)}")


def _unnamed(contents: Contents, config: ArrayConfig) -> list[str]:
    """Variables that the rule does not name, coordinates of dimensions apart."""
    strange = (name for name in contents.variables if name not in config.variables and name not in contents.sizes)
    return sorted(strange)


def _type_words(found: xr.Variable, config: VariableConfig) -> str:
    return f"{found.dtype} without units of time" if config.type == "time" else str(found.dtype)
