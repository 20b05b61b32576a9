"""What a file leaves out and its surroundings say: the name of a run, its output, the only source, all times.

Done on the plain data, before anything is checked, so that the rest of the program never meets a key that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.config.document import Document, KeyPath, Variable
from pipeline.config.given import ConfigSource
from pipeline.config.model import ProductConfig
from pipeline.types import Json

ALL_TIMES: Mapping[str, Json] = {"start": "1900-01-01", "end": "2200-01-01", "every": "span"}
"""The period of a run none of whose products has periods; 64-bit nanoseconds, as tables have them, end in 2262."""


def name_from(path: ConfigSource) -> str:
    """A name for what a file describes: the file's own, without its ending and what a name may not hold.

    >>> from pathlib import Path
    >>> name_from(Path("configs/po-valley.yaml"))
    'po-valley'
    >>> name_from(Path("My first run (2).yml"))
    'My-first-run-2'
    """
    return re.sub(r"[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")[:64] or "run"


def fill_name(document: Document, path: ConfigSource) -> None:
    """Give what has no name that of its file."""
    if _is_open(document, ("name",)):
        document.data["name"] = name_from(path)


def fill_run(document: Document, path: ConfigSource, models: Mapping[str, type[ProductConfig]]) -> None:
    """Complete the data of a run; a value that is null counts as left out, one that could not be read does not."""
    fill_name(document, path)
    if _is_open(document, ("output",)):
        document.data["output"] = f"./out/{document.data['name']}"
        variable = document.variables.get(("name",))
        if variable is not None:  # records must not show what came from the environment
            document.variables[("output",)] = Variable(f"./out/{variable.written}", document.data["output"])
    products = document.get(("products",))
    for i, product in enumerate(products if isinstance(products, list) else ()):
        model = _model_of(product, models)
        if model is not None and "source" in model.model_fields and _is_open(document, ("products", i, "source")):
            _fill_source(document, i, afloat=model.afloat)
    if _is_open(document, ("period",)):
        document.data.pop("period", None)
        if isinstance(products, list) and all(_is_timeless(product, models) for product in products):
            document.data["period"] = dict(ALL_TIMES)


def _fill_source(document: Document, i: int, *, afloat: bool) -> None:
    """The only source that a product can be made from, or of several its namesake; else a fault that names them."""
    found = document.get(("sources",))
    sources = found if isinstance(found, dict) else {}
    fitting = [
        name
        for name, source in sources.items()
        if isinstance(source, dict) and (source.get("gdac") is not None) == afloat
    ]
    path: KeyPath = ("products", i, "source")
    product = document.get(path[:-1])
    namesake = [name for name in (product.get("name"), product["product"]) if name in fitting]
    if namesake or len(fitting) == 1:
        document.store(path, (namesake or fitting)[0])
    elif fitting:
        document.fail(path, f"missing; required: the name of its source, of {', '.join(fitting)}")
    elif sources and all(isinstance(source, dict) for source in sources.values()):
        kind = "gdac" if afloat else "stac or items"
        document.fail(path, f"missing; required: a source with {kind}, which none is of {', '.join(sources)}")
    else:
        document.store(path, "")  # something is wrong with the sources, and said of them


def _is_open(document: Document, path: KeyPath) -> bool:
    """Whether nothing is said; an empty variable and what is at fault are something."""
    said = document.get(path) is not None or path in document.variables
    return not said and all(fault.path != path for fault in document.faults)


def _model_of(product: Json, models: Mapping[str, type[ProductConfig]]) -> type[ProductConfig] | None:
    kind = product.get("product") if isinstance(product, dict) else None
    return models.get(kind) if isinstance(kind, str) else None


def _is_timeless(product: Json, models: Mapping[str, type[ProductConfig]]) -> bool:
    """Whether a product needs no period of the run."""
    model = _model_of(product, models)
    return model is not None and (model.timeless or product.get("period") is not None)
