"""How every study draws: its colours, quiet axes, bands over seeds, names at the ends of lines."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "BLACK",
    "BLUE",
    "COLOURS",
    "Drawing",
    "Ends",
    "GREEN",
    "GREY",
    "ORANGE",
    "PINK",
    "RED",
    "SKY",
    "band",
    "dots",
    "label_ends",
    "note",
    "over",
    "panels",
    "tidy",
]

# told apart by every kind of colour vision (Okabe and Ito 2008)
BLUE, RED, GREEN, ORANGE, SKY, PINK = COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#E69F00",
    "#56B4E9",
    "#CC79A7",
)
GREY, BLACK = "0.35", "#000000"  # of what is compared with: a baseline, a bound, a paper's number
Ends = Mapping[str, tuple[float, float, str]]  # name of a line -> its last x and y, and its colour


class Drawing(NamedTuple):
    """A figure of a study."""

    figure: Figure
    caption: str  # what is shown and how: axes, bands, lines


def panels(width: float, height: float, rows: int = 1, columns: int = 1, **more: Any):
    """A figure of so many inches, and its axes as ``Figure.subplots`` gives them."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, **more)


def tidy(*axes: Axes, grid: str = "y") -> None:
    """No frame above and on the right; a pale grid along "x", "y" or "both", or "" for none."""
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        if grid:
            ax.grid(axis=grid, color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)


def band(
    ax: Axes,
    x: Sequence[float] | np.ndarray,
    values: np.ndarray,
    colour: str,
    *,
    spread: str = "deviation",
    log: bool = False,
    width: float = 1.6,
    **line: Any,
) -> np.ndarray:
    """The mean over seeds (S, N) as a line, with a band around it; returns the line, (N,).

    Args:
      ax, x, colour: where and how.
      values: one row per seed; with one there is no band.
      spread: of the band, one standard "deviation" to either side or the "range" from the least to
        the largest.
      log: the mean and the deviation are those of the logarithm.
      width, line: of the line, as for ``ax.plot``.
    """
    values = np.asarray(values, float)
    if log:  # what underflowed to 0 is drawn at the foot of the figure
        values = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    mean = values.mean(axis=0)
    if spread == "range":
        low, high = values.min(axis=0), values.max(axis=0)
    else:
        deviation = values.std(axis=0, ddof=min(1, len(values) - 1))
        low, high = mean - deviation, mean + deviation
    if log:
        mean, low, high = np.exp(mean), np.exp(low), np.exp(high)
    ax.plot(x, mean, color=colour, linewidth=width, **line)
    if len(values) > 1:
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    return mean


def label_ends(ax: Axes, ends: Ends, *, apart: float = 0.055, size: float = 9) -> None:
    """Names each line at its right end, moved up where two would overlap; limits must be set.

    Args:
      ax, ends: the axes and the lines.
      apart: the least distance of two names, as a share of the axes' height.
      size: of the letters, points.
    """
    to_axes = ax.transData + ax.transAxes.inverted()
    places = []
    for name, (x, y, colour) in ends.items():
        x, y = to_axes.transform((x, y))
        places.append((min(max(y, 0.0), 1.0), min(x, 1.0), name, colour))
    last = -apart
    for y, x, name, colour in sorted(places):
        last = max(y, last + apart)
        ax.annotate(
            name,
            (x, last),
            xytext=(5, 0),
            textcoords="offset points",
            xycoords="axes fraction",
            color=colour,
            fontsize=size,
            va="center",
            annotation_clip=False,
        )


def note(
    ax: Axes,
    text: str,
    place: tuple[float, float],
    colour: str,
    offset: tuple[float, float] = (4, 4),
    size: float = 9,
    **more: Any,
) -> None:
    """Text beside a point of the data, so many points to the right and above; ``more`` as ha."""
    style = {"textcoords": "offset points", "color": colour, "fontsize": size, **more}
    ax.annotate(text, place, xytext=offset, **style)


def dots(ax: Axes, place: float, values: np.ndarray, colour: str, *, upright: bool = False) -> None:
    """One dot for each seed (S,) and a bar at their mean, in the row, or column, at ``place``."""
    for at, style in (
        (values, {"marker": "o", "markersize": 4, "alpha": 0.5}),
        ([values.mean()], {"marker": "_" if upright else "|", "markersize": 14, "mew": 2.5}),
    ):
        x, y = at, np.full(len(at), place)
        ax.plot(*((y, x) if upright else (x, y)), color=colour, linestyle="none", **style)


def over(seeds: Sequence[int], spread: str = "deviation") -> str:
    """For a caption: "mean of 5 seeds, band: one standard deviation", or "one seed"."""
    if len(seeds) == 1:
        return "one seed"
    what = "from the least to the largest" if spread == "range" else "one standard deviation"
    return f"mean of {len(seeds)} seeds, band: {what}"
