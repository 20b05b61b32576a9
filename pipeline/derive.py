"""What is derived from committed items when a run ends, and can be made anew at any time: pages, table and mosaics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from tempfile import gettempdir

from pipeline.config import RunConfig
from pipeline.errors import GroundswellError, StoreError
from pipeline.execute.records.runs import current_by_product
from pipeline.prepare import output_access
from pipeline.results.find import find_outputs
from pipeline.results.window import WindowReader
from pipeline.stores import needing_extra
from pipeline.write.catalog import catalog_is_current, write_catalog
from pipeline.write.mosaic import by_crs, write_mosaic
from pipeline.write.store import Store

_ATTEMPTS = 5


def refresh_catalog(
    store: Store,
    name: str,
    say: Callable[[str], None],
    *,
    made_any: bool,
    known: Mapping[str, Mapping[str, str]] | None = None,
) -> None:
    """Pages and table for what is current now; every job is committed by then, so a failure is a warning and no more.

    Another run may end meanwhile and know less: whoever writes last looks again.
    known: what a run that made nothing has listed of its products; where the pages are of that, nothing is listed anew.
    """
    try:
        if known is not None and not made_any and catalog_is_current(store, current_by_product(store, known)):
            return
        for _ in range(_ATTEMPTS):
            current = current_by_product(store)
            if not made_any and catalog_is_current(store, current):
                break
            write_catalog(store, name, current)
            made_any = False
    except StoreError as error:
        say(f"warning: the catalogue pages were not rebuilt, the next run will try again: {error}")
    except OSError as error:  # of this machine: full, most likely
        where = f"scratch folder {gettempdir()}: {error}"
        say(f"warning: the catalogue pages were not rebuilt, the next run will try again: {where}")


def refresh_profiles(store: Store, config: RunConfig, plots: Mapping[str, str], say: Callable[[str], None]) -> bool:
    """What is derived of the partitions of floats: index tables, plots, and what the databases hold.

    plots: by product, the run whose records take them; of products of which nothing new was made, none.

    All of it can be made from the partitions at any time, so a failure is a warning; False where the databases, which
    others read from, are behind.
    """
    afloat = [entry for entry in config.products if entry.afloat]
    if not afloat:
        return True
    from pipeline.results.argo_report import write_argo_plots  # noqa: PLC0415 (only for runs with floats)
    from pipeline.results.float_years import refresh_float_years  # noqa: PLC0415 (the same)

    for entry in afloat:
        try:
            refresh_float_years(store, entry.name, output_access(config))
            if entry.name in plots:
                write_argo_plots(store, entry.name, plots[entry.name], output_access(config))
        except GroundswellError as error:
            say(f"warning: tables and plots of {entry.name} are not up to date, the next run makes them: {error}")
    return config.stores is None or _load(store, config, say)


def _load(store: Store, config: RunConfig, say: Callable[[str], None]) -> bool:
    try:
        with needing_extra():
            from pipeline.stores.load import load_stores  # noqa: PLC0415 (databases, only where there are any)
        loaded = load_stores(store, config, say)
    except GroundswellError as error:
        say(f"error: the databases are not up to date: {error}; `groundswell load` goes on from there")
        return False
    say(loaded.render())
    return not loaded.notes


def refresh_mosaics(store: Store, config: RunConfig, say: Callable[[str], None]) -> None:
    """The mosaics of the products that ask for one; a failure is a warning, and the next run goes on from there."""
    read = WindowReader(output_access(config))
    for entry in config.products:
        if config.write_of(entry).mosaic is None:
            continue
        try:
            for outputs in by_crs(find_outputs(store, entry.name)):
                made = write_mosaic(store, outputs, read)
                say(f"mosaic: {made.key}" + (f", snapshot {made.snapshot}" if made.snapshot else ""))
        except GroundswellError as error:
            say(f"warning: the mosaic of {entry.name} is not up to date, the next run goes on: {error}")
