"""What the columns of an Argo partition mean: a long name each, units and CF standard names where there are any.

Every Parquet and Arrow file of a partition carries them, as metadata of its fields: `long_name`, `units`,
`standard_name`; and the ledger's `rule` what each rule says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import pyarrow as pa

from pipeline.plan.argo_rules import RULES

UNITS = {
    "PRES": ("decibar", "sea_water_pressure"),
    "TEMP": ("degree_Celsius", "sea_water_temperature"),
    "PSAL": ("1", "sea_water_practical_salinity"),
    "DOXY": ("micromole/kg", "moles_of_oxygen_per_unit_mass_in_sea_water"),
    "CHLA": ("mg/m3", "mass_concentration_of_chlorophyll_a_in_sea_water"),
    "NITRATE": ("micromole/kg", "moles_of_nitrate_per_unit_mass_in_sea_water"),
}
"""Unit and CF standard name of the parameters that most people ask for."""
_PARTS = {
    "": "best value of {}",
    "qc": "quality flag of the best value of {} (Argo reference table 2)",
    "error": "error of the best value of {}",
    "mode": "data mode of {}: R real time, A real time adjusted, D delayed mode",
    "raw": "{} as it is in the file",
    "raw_qc": "{}_QC of the file",
    "adjusted": "{}_ADJUSTED of the file",
    "adjusted_qc": "{}_ADJUSTED_QC of the file",
    "adjusted_error": "{}_ADJUSTED_ERROR of the file",
    "count": "number of best values of {} in the profile",
    "min": "least best value of {} in the profile",
    "max": "greatest best value of {} in the profile",
    "mean": "mean of the best values of {} in the profile",
    "profile_qc": "PROFILE_{}_QC of the file: A all levels good ... F none (Argo reference table 2a)",
    "profile_qc_computed": "PROFILE_{}_QC as the flags of its levels make it",
}
"""By the suffix of a parameter's column."""
_NO_NUMBER = ("qc", "mode", "count", "raw_qc", "adjusted_qc", "profile_qc", "profile_qc_computed")
_NAMED = {"", "raw", "adjusted", "min", "max", "mean"}
_MEANINGS: dict[str, tuple[str, ...]] = {
    "wmo": ("WMO number of the float",),
    "cycle": ("number of the cycle",),
    "direction": ("A ascending, D descending",),
    "kind": ("kind of file: core, bgc or synthetic",),
    "profile_index": ("place among the profiles of the cycle, direction and kind, from 0; 0 is the primary one",),
    "level": ("place of the level in the profile, from 0; null: the profile has no level",),
    "time": ("time of the profile, UTC (JULD)", "", "time"),
    "time_qc": ("quality flag of the time (JULD_QC)",),
    "latitude": ("latitude of the profile", "degree_north", "latitude"),
    "longitude": ("longitude of the profile, from -180 to 180", "degree_east", "longitude"),
    "position_qc": ("quality flag of the position",),
    "data_mode": ("data mode of the profile: R real time, A real time adjusted, D delayed mode",),
    "depth": ("depth, positive down, of the best pressure and the latitude (TEOS-10)", "m", "depth"),
    "file": ("file that it comes from, below dac/",),
    "version": ("date_update of the file in the index, 14 digits",),
    "quality_status": ("REAL_TIME or DELAYED, by the data mode",),
    "adjusted": ("whether the data mode is A or D",),
    "levels": ("number of levels",),
    "padding": ("number of trailing levels that are fill throughout, and left out",),
    "max_depth": ("greatest depth", "m"),
    "parameters": ("parameters that the profile has (STATION_PARAMETERS)",),
    "unread": ("parameters that are not one number a level, and were not read",),
    "tests_performed": ("real-time tests performed (HISTORY_QCTEST, Argo reference table 11)",),
    "tests_failed": ("real-time tests failed (HISTORY_QCTEST, Argo reference table 11)",),
    "format_version": ("version of the Argo format",),
    "date_update": ("DATE_UPDATE of the file",),
    "parameter": ("parameter that it is about; null: the profile or file",),
    "rule": ("rule that was applied",),
    "action": ("left_out of the tables, null (the best value), changed, or noted",),
    "note": ("what was found",),
}
"""Long name, unit and standard name of the columns that no parameter has."""


def described(
    schema: pa.Schema, parameters: Sequence[str], further: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> pa.Schema:
    """A table's schema with the meaning of each column in its field's metadata; types and order stay.

    parameters: of the partition, in upper case. further: long name, unit and standard name of columns beside them. A
    column that is nobody's is a text of the file under its own name.
    """
    known = {name: tuple(said) for name, said in _MEANINGS.items()}
    for parameter in parameters:
        unit, standard = UNITS.get(parameter, ("", ""))
        for part, words in _PARTS.items():
            name = f"{parameter.lower()}_{part}" if part else parameter.lower()
            said = ("", "") if part in _NO_NUMBER else (unit, standard if part in _NAMED else "")
            known[name] = (words.format(parameter), *said)
    return pa.schema([_with_meaning(each, {**known, **further}) for each in schema], schema.metadata)


def _with_meaning(column: pa.Field, known: dict[str, tuple[str, ...]]) -> pa.Field:
    said = known.get(column.name, (f"{column.name.upper()} of the file",))
    named = zip(("long_name", "units", "standard_name"), said, strict=False)
    rules = {rule.name: rule.text for rule in RULES.values()} if column.name == "rule" else {}
    return column.with_metadata({key: value for key, value in named if value} | rules)
