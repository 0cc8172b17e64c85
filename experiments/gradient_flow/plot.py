"""How the gradient-flow study draws: what spans hundreds of decades, as its log10."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from ml_collections import ConfigDict

from deepseq.lab import plots
from deepseq.lab.plots import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY
from experiments.gradient_flow.records import Runs

Limits = tuple[float, float]
Line = tuple[np.ndarray, np.ndarray, str]  # x, y and colour of what was drawn
COLD, WARM = (BLUE, SKY, GREEN), (ORANGE, RED, PINK)


def radius_colours(config: ConfigDict) -> dict[float, str]:
    """Cold below 1, black at 1, warm above."""
    radii = sorted(config.flow.radii)
    cold, warm = ([r for r in radii if side * r < side] for side in (1, -1))
    colours = dict.fromkeys(radii, BLACK)
    for few, palette in ((cold, COLD), (warm, WARM)):
        colours |= {radius: palette[n % 3] for n, radius in enumerate(few)}
    return colours


def radius_legend(figure: Figure, config: ConfigDict, styles: Mapping[str, str], columns: int):
    """Below the panels: the colours of the radii, and what the line styles mean."""
    ax = figure.axes[0]
    for radius, colour in radius_colours(config).items():
        ax.plot([], [], color=colour, linewidth=2, label=f"radius {radius:g}")
    for text, style in styles.items():
        ax.plot([], [], color="0.3", linestyle=style, label=text)
    handles = ax.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=columns, frameon=False)


def line(ax: Axes, x, values: np.ndarray, colour: str, style: str = "-", **more) -> Line:
    """``plots.band`` of values as log10, which ends with a cross where a seed has nothing left."""
    x, gone = np.asarray(x), ~np.isfinite(values).all(axis=0)
    values = np.where(gone, np.nan, values)
    middle = plots.band(ax, x, values, colour, linestyle=style, **more)
    if gone.any() and not gone.all() and style == "-":
        last = np.flatnonzero(~gone)[-1]
        ax.plot(x[last], middle[last], "x", color=colour, markersize=7, markeredgewidth=1.8)
    return x, middle, colour


def bound(ax: Axes, runs: Runs, cell: str, net: Mapping, colour: str) -> None:
    """The theory's bound against the lag, mean over seeds."""
    values = runs.flow(cell, "bound", **net).mean() * runs.lags
    ax.plot(runs.lags, values, color=colour, linewidth=1, linestyle="--", alpha=0.8)


def name_ends(ax: Axes, lines: Mapping[str, Line], limits: Limits) -> None:
    """Names lines at the right edge, apart from one another, or where they leave the panel."""
    below = -np.inf
    for text, (x, middle, colour) in sorted(lines.items(), key=lambda item: item[1][1][-1]):
        inside = np.flatnonzero(middle >= limits[0])
        at, leaves = (inside[-1] if len(inside) else 0), middle[-1] < limits[0]
        y = middle[at]
        if not leaves:
            y = below = max(min(y, limits[1]), below + 0.075 * (limits[1] - limits[0]))
        where = {"xytext": (5, 7 if leaves else 0), "textcoords": "offset points"}
        ax.annotate(text, (x[at], y), color=colour, va="center", annotation_clip=False, **where)


def tidy(*axes: Axes) -> None:
    """``plots.tidy``; a linear y axis shows log10, and is labelled as powers of ten."""
    plots.tidy(*axes)
    for ax in axes:
        ax.yaxis.set_major_locator(MaxNLocator(7, integer=True))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"10$^{{{value:.0f}}}$"))


def decades(config: ConfigDict, low: float, high: float) -> Limits:
    """As given for 200 steps and more, fewer for fewer steps."""
    share = min(1.0, config.flow.steps / 200)
    return low * share, high * share


def over_seeds(runs: Runs) -> str:
    """For a caption: what lines and bands are."""
    several = f"Mean of {len(runs.seeds)} seeds on the log scale, band: one standard deviation."
    return several if len(runs.seeds) > 1 else "One seed."
