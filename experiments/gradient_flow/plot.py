"""How the gradient-flow study draws: lines over seeds as log10, one colour per spectral radius,
names at the lines' ends.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from ml_collections import ConfigDict

from experiments.gradient_flow.records import Runs

Limits = tuple[float, float]
# told apart by every kind of colour vision (Okabe and Ito 2008)
COLD, ONE, WARM = ("#0072B2", "#56B4E9", "#009E73"), "#000000", ("#E69F00", "#D55E00", "#CC79A7")


def radius_colours(config: ConfigDict) -> dict[float, str]:
    """Cold below 1, black at 1, warm above."""
    radii = sorted(config.flow.radii)
    cold, warm = ([radius for radius in radii if side * radius < side] for side in (1, -1))
    colours = {radius: COLD[n % 3] for n, radius in enumerate(cold)} | {
        radius: WARM[n % 3] for n, radius in enumerate(warm)
    }
    return {radius: colours.get(radius, ONE) for radius in radii}


def radius_legend(
    figure: Figure, config: ConfigDict, styles: Mapping[str, str], columns: int
) -> None:
    """Below the panels: the colours of the radii, and what the line styles mean."""
    ax = figure.axes[0]
    for radius, colour in radius_colours(config).items():
        ax.plot([], [], color=colour, linewidth=2, label=f"radius {radius:g}")
    for text, style in styles.items():
        ax.plot([], [], color="0.3", linestyle=style, label=text)
    figure.legend(
        *ax.get_legend_handles_labels(), loc="outside lower center", ncols=columns, frameon=False
    )


def line(
    ax: Axes, x, values: np.ndarray, colour: str, style: str = "-", **more
) -> tuple[np.ndarray, np.ndarray, str]:
    """The mean over seeds (axis 0) as a line, with a band of one standard deviation; returns what
    ``name_ends`` takes.

    The line ends with a cross where a seed has nothing left (-inf).
    """
    x, gone = np.asarray(x), ~np.isfinite(values).all(axis=0)
    values = np.where(gone, np.nan, values)
    middle, spread = values.mean(axis=0), values.std(axis=0, ddof=min(1, len(values) - 1))
    ax.plot(x, middle, color=colour, linewidth=1.6, linestyle=style, **more)
    if len(values) > 1:
        ax.fill_between(x, middle - spread, middle + spread, color=colour, alpha=0.2, linewidth=0)
    if gone.any() and not gone.all() and style == "-":
        last = np.flatnonzero(~gone)[-1]
        ax.plot(x[last], middle[last], "x", color=colour, markersize=7, markeredgewidth=1.8)
    return x, middle, colour


def bound(ax: Axes, runs: Runs, cell: str, tag: Mapping, colour: str) -> None:
    """The theory's bound against the lag, mean over seeds."""
    ax.plot(
        runs.lags,
        runs.flow(cell, "bound", **tag).mean() * runs.lags,
        color=colour,
        linewidth=1,
        linestyle="--",
        alpha=0.8,
    )


def name_ends(
    ax: Axes, lines: Mapping[str, tuple[np.ndarray, np.ndarray, str]], limits: Limits
) -> None:
    """Names each line at the right edge, apart from one another, or where it leaves the panel
    before that.
    """
    below = -np.inf
    lowest_first = sorted(lines.items(), key=lambda item: item[1][1][-1])
    for text, (x, middle, colour) in lowest_first:
        inside = np.flatnonzero(middle >= limits[0])
        at, leaves = (inside[-1] if len(inside) else 0), middle[-1] < limits[0]
        y = middle[at]
        if not leaves:
            y = below = max(min(y, limits[1]), below + 0.075 * (limits[1] - limits[0]))
        where = {
            "xytext": (5, 7 if leaves else 0),
            "textcoords": "offset points",
            "annotation_clip": False,
        }
        ax.annotate(text, (x[at], y), color=colour, va="center", **where)


def tidy(ax: Axes) -> None:
    """The house's axes; a linear y axis shows log10, and is labelled as powers of ten."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.yaxis.set_major_locator(MaxNLocator(7, integer=True))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"10$^{{{value:.0f}}}$"))
