"""Pictures of one float's profiles: sections of pressure and time, and temperature against salinity.

Drawn by matplotlib without a display or any state of its own: density contours, colour scales and a hundred thousand
cells are what it is for.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.ops.seawater import seawater, sigma0
from pipeline.ops.standard_levels import Gap, interpolate, locate, order_casts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Numbers = NDArray[np.floating[Any]]
ROWS = 200
"""Of a section."""
_DPI = 110
_GAP = Gap(100.0, 0.25)


@dataclass(frozen=True)
class Float:
    """The profiles of one float, in order of time; levels (profile, level), NaN where there is none."""

    name: str
    time: NDArray[np.datetime64]
    latitude: Numbers
    longitude: Numbers
    pressure: Numbers
    temperature: Numbers
    salinity: Numbers
    attribution: str


def draw_section(profiles: Float) -> bytes:
    """A PNG of temperature and salinity by time and pressure, colours from the 1st to the 99th percentile.

    Interpolated to even pressures as grids are, so that gaps stay empty. Profiles without a time are left out.
    """
    figure, axes = _figure(2, (9.0, 7.5))
    kept = ~np.isnat(profiles.time)
    deepest = float(np.nanmax(np.where(np.isfinite(profiles.pressure), profiles.pressure, 0.0), initial=10.0))
    pressures = np.linspace(0.0, deepest, ROWS)
    for axis, values, label, colours in (
        (axes[0], profiles.temperature, "temperature, °C", "inferno"),
        (axes[1], profiles.salinity, "practical salinity", "viridis"),
    ):
        levels = _even(profiles.pressure[kept], values[kept], pressures)
        if kept.any() and np.isfinite(levels).any():
            edges, columns = _columns(profiles.time[kept], levels)
            low, high = np.nanpercentile(levels, [1, 99])
            mesh = axis.pcolormesh(edges, _middles(pressures), columns.T, cmap=colours, vmin=low, vmax=high)
            figure.colorbar(mesh, ax=axis, label=label, pad=0.01)
        else:
            _say_empty(axis)
        axis.set_ylim(deepest, 0.0)
        axis.set_ylabel("pressure, dbar")
    _few_dates(axes[-1])
    axes[0].set_title(_title(profiles, int(kept.sum())))
    return _png(figure, profiles.attribution)


def draw_ts(profiles: Float) -> bytes:
    """A PNG of Conservative Temperature against Absolute Salinity (TEOS-10), by pressure, with lines of equal density.

    Profiles without a position are left out, as Absolute Salinity depends on it.
    """
    figure, (axis,) = _figure(1, (7.0, 6.5))
    place = (each[:, None] for each in (profiles.longitude, profiles.latitude))
    water = seawater(profiles.pressure, profiles.temperature, profiles.salinity, *place)
    salt, warmth = water.absolute_salinity, water.conservative_temperature
    kept = np.isfinite(salt) & np.isfinite(warmth)
    if kept.any():
        order = np.argsort(-profiles.pressure[kept])
        x, y, p = (each[kept][order] for each in (salt, warmth, profiles.pressure))
        spots = axis.scatter(x, y, c=p, s=3, cmap="viridis_r", linewidths=0, rasterized=True)
        figure.colorbar(spots, ax=axis, label="pressure, dbar", pad=0.01).ax.invert_yaxis()
        _draw_density(axis, x, y)
    else:
        _say_empty(axis)
    axis.set_xlabel("Absolute Salinity, g/kg")
    axis.set_ylabel("Conservative Temperature, °C")
    axis.set_title(_title(profiles, int(kept.any(axis=1).sum())))
    return _png(figure, profiles.attribution)


def _figure(rows: int, size: tuple[float, float]) -> tuple[Figure, Any]:
    """A figure of its own, which pyplot does not know: nothing to close, and safe in any thread."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 (slow to import, and only for pictures)
    from matplotlib.figure import Figure  # noqa: PLC0415 (the same)

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]


def _title(profiles: Float, count: int) -> str:
    return f"Float {profiles.name}: {count} profile{'' if count == 1 else 's'}"


def _few_dates(axis: Any) -> None:
    """So that none lies over its neighbour."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter  # noqa: PLC0415 (as above)

    ticks = AutoDateLocator(maxticks=9)  # type: ignore[no-untyped-call]
    axis.xaxis.set_major_locator(ticks)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(ticks))  # type: ignore[no-untyped-call]


def _png(figure: Figure, attribution: str) -> bytes:
    """Deterministic: no date and no version in it."""
    figure.supxlabel(attribution, fontsize=6, color="0.4", wrap=True)
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=_DPI, metadata={"Software": None})
    return sink.getvalue()


def _say_empty(axis: Any) -> None:
    axis.text(0.5, 0.5, "no values", ha="center", va="center", transform=axis.transAxes, color="0.4")


def _draw_density(axis: Any, salt: Numbers, warmth: Numbers) -> None:
    s = np.linspace(salt.min() - 0.1, salt.max() + 0.1, 60)
    t = np.linspace(warmth.min() - 0.5, warmth.max() + 0.5, 60)
    lines = axis.contour(s, t, sigma0(s[None, :], t[:, None]), levels=10, colors="0.6", linewidths=0.6)
    axis.clabel(lines, fontsize=7, fmt="%.1f")


def _even(pressure: Numbers, values: Numbers, wanted: Numbers) -> NDArray[np.float64]:
    """(profile, wanted): values at even pressures."""
    count, levels = pressure.shape
    casts = order_casts(pressure.ravel(), values.ravel(), np.arange(count + 1, dtype=np.int64) * levels)
    return interpolate(casts, locate(casts, wanted, _GAP))


def _middles(values: Numbers) -> NDArray[np.float64]:
    """Edges of cells around even values."""
    step = values[1] - values[0]
    return np.asarray(np.append(values - step / 2, values[-1] + step / 2), np.float64)


def _columns(time: NDArray[np.datetime64], levels: Numbers) -> tuple[NDArray[np.datetime64], NDArray[np.float64]]:
    """Edges and values of a section's columns, those between profiles without a value.

    Each profile reaches half-way to its neighbours, and not further than the usual interval (ten days where it is
    alone): where a float was silent for long, nothing is shown.
    """
    seconds = time.astype("datetime64[s]").astype(np.int64).astype(np.float64)
    steps = np.diff(seconds)
    usual = float(np.median(steps)) if len(steps) else 864_000.0
    reach = np.minimum(steps / 2, usual)
    before, after = np.append(usual / 2, reach), np.append(reach, usual / 2)
    edges = np.stack([seconds - before, seconds + after], axis=1).ravel()
    columns = np.full((max(1, len(edges) - 1), levels.shape[1]), np.nan)
    columns[::2] = levels
    return edges.astype("datetime64[s]"), columns
