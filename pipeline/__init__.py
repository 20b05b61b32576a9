"""Groundswell: one YAML file turns STAC items and Argo profiles into analysis-ready, committed files.

    import pipeline

    run = pipeline.open_config("configs/demo.yaml", output="out/demo")  # searched and planned; a table and a map
    tile = run.open("sentinel2/33N-051-0971/2024-06")                   # one tile as a lazy Dataset: nothing is read
    result = run.run()                                                  # what `python -m pipeline.run` does
    cube = run.results("sentinel2", decode=True)                        # all that is committed as one lazy Dataset

All public names are in `__all__`; each is imported when it is first used, so that `import pipeline` costs nothing.
The errors are in `pipeline.errors`, the tree of which is its docstring.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pipeline.version import __version__

if TYPE_CHECKING:
    from pipeline.campaign import Result
    from pipeline.config import RunConfig
    from pipeline.errors import ConfigError, GroundswellError
    from pipeline.results.grids import open_grids
    from pipeline.results.items import read_items
    from pipeline.results.matchups import read_matchups
    from pipeline.results.open import open_results
    from pipeline.results.profiles import open_profiles
    from pipeline.results.saved import save_netcdf, save_zarr
    from pipeline.session import Session, open_config
    from pipeline.types import Estimate, Item, Job, Outcome, Period, Plan, Status, Tile

__all__ = [
    "ConfigError",
    "Estimate",
    "GroundswellError",
    "Item",
    "Job",
    "Outcome",
    "Period",
    "Plan",
    "Result",
    "RunConfig",
    "Session",
    "Status",
    "Tile",
    "__version__",
    "open_config",
    "open_grids",
    "open_profiles",
    "open_results",
    "read_items",
    "read_matchups",
    "save_netcdf",
    "save_zarr",
]

_HOMES = {
    "campaign": ("Result",),
    "config": ("RunConfig",),
    "errors": ("ConfigError", "GroundswellError"),
    "results.grids": ("open_grids",),
    "results.items": ("read_items",),
    "results.matchups": ("read_matchups",),
    "results.open": ("open_results",),
    "results.profiles": ("open_profiles",),
    "results.saved": ("save_netcdf", "save_zarr"),
    "session": ("Session", "open_config"),
    "types": ("Estimate", "Item", "Job", "Outcome", "Period", "Plan", "Status", "Tile"),
}
"""Module below this package → its public names; a test compares all three lists."""
_HOME = {name: f"{__name__}.{module}" for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """A public name, imported when it is first asked for. Raises AttributeError for what is none."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    """The public names, for completion."""
    return list(__all__)
