"""The figures of the alignment study: accuracy against length, and what is looked at."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from experiments.alignment.figures_weights import weights
from experiments.alignment.nets import ATTENTIVE, FIXED, NETS, REVERSED, TRANSFORMER, width_name
from experiments.alignment.records import Found

# Okabe and Ito 2008
COLOURS = {FIXED: "#D55E00", REVERSED: "#B07A00", ATTENTIVE: "#0072B2", TRANSFORMER: "#007A5A"}
STYLES = {FIXED: "o-", REVERSED: "v--", ATTENTIVE: "s-", TRANSFORMER: "^-"}
TITLES = {
    FIXED: "one vector",
    REVERSED: "one vector,\nsource reversed",
    ATTENTIVE: "RNN + attention",
    TRANSFORMER: "Transformer",
}
WIDTHS = (
    ("#B98252", "o:"),
    ("#C76A22", "o--"),
    (COLOURS[FIXED], "o-"),
)  # of one hue, the widest as beside
GREY, ROOM, APART, TOP = "0.35", 0.56, 0.065, 1.02


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, captions as their labels; seeds that are not finished are
    left out.
    """
    del summary
    found = Found(config, records)
    if not found.seeds:
        return {}
    return {"figure": accuracy(config, found), "weights": weights(config, found)}


def accuracy(config: ConfigDict, found: Found) -> Figure:
    """Accuracy against the length of the source: reversal, dates, and vectors of several widths."""
    figure = Figure(figsize=(13.5, 4.6), layout="constrained")
    left, middle, right = axes = figure.subplots(1, 3, sharey=True)
    for ax, task in ((left, "reversal"), (middle, "dates")):
        lines = {net: f"{TITLES[net]}, {found.parameters(task, net) / 1000:.0f} k" for net in NETS}
        _panel(
            ax, found, task, [(net, name, COLOURS[net], STYLES[net]) for net, name in lines.items()]
        )
    widths = sorted(config.fixed.widths)
    nets = [*((width_name(width), width) for width in widths), (FIXED, config.fixed.hidden)]
    styles = [WIDTHS[max(n, 0)] for n in range(len(WIDTHS) - len(nets), len(WIDTHS))]
    lines = [
        (net, f"{width} units", *style) for (net, width), style in zip(nets, styles, strict=True)
    ]
    _panel(right, found, "reversal", lines)
    titles = (
        "symbols, said backwards",
        "dates, rewritten as 1987-05-03",
        "symbols: one vector, by its width",
    )
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, fontsize=11.5, fontweight="bold")
        ax.set_xlabel("characters of the source" if ax is middle else "symbols of the source")
        ax.set_ylim(0, 1.06)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)
    left.set_ylabel("share of tokens right")
    for ax in (left, right):
        _guessing(ax, 1 / config.reversal.symbols)
    figure.set_label(
        "Accuracy on lengths (left, right) or days (middle) that were held out: mean and range"
        f" over {len(found.seeds)} seeds. Nets write greedily, and a token counts as right at its"
        " place alone. All were taught with the same batches; beside each name, its parameters in"
        " thousands. The widest vector on the right is that on the left."
    )
    return figure


def _panel(ax: Axes, found: Found, task: str, lines: Sequence[tuple[str, str, str, str]]) -> None:
    """A line, with its range, for each (net, name, colour, style), and its name at its end."""
    x, ends = found.lengths(task), []
    for net, name, colour, style in lines:
        values = found.accuracy(task, net)
        ax.fill_between(x, values.min(0), values.max(0), color=colour, alpha=0.18, linewidth=0)
        ax.plot(x, values.mean(0), style, color=colour, linewidth=1.8, markersize=4)
        ends.append((float(values[:, -1].mean()), name, colour))
    span = x[-1] - x[0]
    ax.set_xlim(x[0] - 0.04 * span, x[-1] + ROOM * span)
    ax.set_xticks(x if len(x) < 10 else x[1::2])
    for y, name, colour in spread(ends):
        ax.annotate(
            name, (x[-1] + 0.04 * span, y), color=colour, fontsize=9, va="center", linespacing=1.0
        )


def spread(ends: Sequence[tuple[float, str, str]]) -> list[tuple[float, str, str]]:
    """(height, name, colour) in order of height, moved apart as far as their lines of text need,
    none above the top.
    """
    ends = sorted(ends)
    need = [APART * (1 + 0.75 * name.count("\n")) for _, name, _ in ends]
    heights = [y for y, *_ in ends]
    for n in range(1, len(ends)):
        heights[n] = max(heights[n], heights[n - 1] + (need[n - 1] + need[n]) / 2)
    heights[-1] = min(heights[-1], TOP)
    for n in reversed(range(len(ends) - 1)):
        heights[n] = min(heights[n], heights[n + 1] - (need[n] + need[n + 1]) / 2)
    return [(y, *rest) for y, (_, *rest) in zip(heights, ends, strict=True)]


def _guessing(ax: Axes, chance: float) -> None:
    ax.axhline(chance, color=GREY, linewidth=1, linestyle=":")
    place = {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "fontsize": 8,
        "color": GREY,
    }
    ax.annotate("a guess", (0.01, chance), xytext=(0, -10), **place)
