"""The figures: depth and parameters, AlexNet's layers, shares and growth, filters."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from ml_collections import ConfigDict

from deepseq.data import pictures
from deepseq.lab.plots import BLUE, GREY, RED, Drawing, panels, tidy
from deepseq.lab.records import Record
from experiments.conv_arithmetic.claims_nets import YEARS
from experiments.conv_arithmetic.filters import FILTERS, filtered
from experiments.conv_arithmetic.records import Measured

PALE = "0.6"  # of the notes' numbers
SHARES = ("AlexNet", "VGG-16", "GoogLeNet", "ResNet-50", "DenseNet-201")
# points from each of the years' nets to its name, to the right and up
OFFSETS = ((0, -24), (13, 14), (-12, -16), (13, 12), (0, -28))


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; none of an unfinished log."""
    log = Measured(config, records)
    figures = {"figure": years, "alexnet": alexnet, "filters": filters, "shares": shares}
    return {name: figure(log) for name, figure in figures.items()} if log.finished else {}


def years(log: Measured) -> Drawing:
    """Parameters against depth, along the years; the area of a point is the net's multiply-adds."""
    figure, ax = panels(8.4, 4.9)
    rows = [log.net(name) for name in YEARS]
    depths, counts, work = (
        np.array([row[key] for row in rows]) / scale
        for key, scale in (("depth", 1), ("parameters", 1e6), ("multiply-adds", 1e9))
    )
    points = list(zip(depths, counts, strict=True))
    for start, end in zip(points[:-1], points[1:], strict=True):
        colour = RED if end[1] > start[1] else BLUE
        arrow = {"arrowstyle": "-|>", "color": colour, "linewidth": 2, "shrinkA": 6, "shrinkB": 9}
        ax.annotate("", end, start, arrowprops=arrow)
    ax.scatter(depths, counts, s=22 * work, color=PALE, alpha=0.45, linewidths=0)
    ax.scatter(depths, counts, s=14, color="0.2", zorder=3)
    for row, point, giga, offset in zip(rows, points, work, OFFSETS, strict=True):
        text = f"{row['net']}, {row['year']}\n{row['depth']} layers, {point[1]:.1f} M, {giga:.2g} G"
        side = "center" if offset[0] == 0 else "left" if offset[0] > 0 else "right"
        _beside(ax, text, point, offset, ha=side)
    _in_corner(ax, 0.975, "deeper, more parameters", RED)
    _in_corner(ax, 0.915, "deeper, fewer parameters", BLUE)
    ticks = (5, 10, 20, 50, 100, 200)
    ax.set(xscale="log", yscale="log", xlim=(3.6, 560), ylim=(3.5, 330))
    ax.set_xticks(depths, [f"{d:.0f}" for d in depths])
    ax.set_yticks(ticks, map(str, ticks))
    ax.minorticks_off()
    ax.set_xlabel("layers with weights, on the longest way through the net")
    ax.set_ylabel("parameters, million")
    tidy(ax)
    return Drawing(
        figure,
        "Deeper at every step, but with fewer parameters only at every other one. M: million"
        " parameters; G: 10⁹ multiply-adds for one image, to which the grey areas are proportional."
        " Counted on the nets themselves.",
    )


def alexnet(log: Measured) -> Drawing:
    """AlexNet's weights by layer: the net's and the notes'."""
    rows = log.table("alexnet")
    figure, ax = panels(8.4, 4.4)
    places = np.arange(len(rows))[::-1]
    for place, row in zip(places, rows, strict=True):
        wrong = row["notes"] != row["weights"]
        ax.barh(place + 0.19, row["weights"], 0.36, color=BLUE)
        ax.barh(place - 0.19, row["notes"], 0.36, color=RED if wrong else PALE)
        _beside(ax, _spaced(row["weights"]), (row["weights"], place + 0.19), color="0.15")
        if wrong:
            _beside(ax, _spaced(row["notes"]), (row["notes"], place - 0.19), color=RED)
    fc6, (side, _, channels) = rows[5], rows[4]["output"]
    pooled = round((fc6["kernel"][0] / channels) ** 0.5)
    slip = f"Row 6 multiplies by the {side} x {side} map before\nthe last pooling; fc6 reads the"
    _in_corner(ax, 0.93, f"{slip} {pooled} x {pooled} behind it.", RED)
    _in_corner(ax, 0.76, "the net", BLUE)
    _in_corner(ax, 0.70, "the notes", GREY)
    ax.set_xlim(0, 215e6)
    ax.set_yticks(places, [f"{i + 1}  {row['layer']}" for i, row in enumerate(rows)])
    ax.set_xticks(np.arange(0, 201e6, 50e6), ["0", "50", "100", "150", "200"])
    ax.set_xlabel("weights, million, without biases")
    tidy(ax, grid="x")
    ours, notes = (sum(row[key] for row in rows) / 1e6 for key in ("weights", "notes"))
    return Drawing(
        figure,
        "AlexNet of 2012, layer by layer. Seven of the notes' eight products are the net's weights;"
        f" with row 6 as it stands they add up to {notes:.1f} million in place of {ours:.1f}"
        " million.",
    )


def shares(log: Measured) -> Drawing:
    """The dense layers' share of parameters and work; the channels that a DenseNet's layers see."""
    figure, (left, right) = panels(11, 4.0, columns=2)
    places = range(len(SHARES))[::-1]
    for place, name in zip(places, SHARES, strict=True):
        row = log.net(name)
        for shift, what, colour in ((0.19, "parameters", BLUE), (-0.19, "multiply-adds", RED)):
            share = 100 * row[f"dense {what}"] / row[what]
            left.barh(place + shift, share, 0.36, color=colour)
            _beside(left, f"{share:.2g}", (share, place + shift))
    left.set_yticks(places, [f"{name}\n{log.net(name)['year']}" for name in SHARES])
    left.set(xlim=(0, 108), xlabel="share of the dense layers, %")
    _in_corner(left, 0.52, "of the parameters", BLUE)
    _in_corner(left, 0.45, "of the multiply-adds", RED)
    tidy(left, grid="x")
    _channels(right, log.table("growth")["DenseNet-121"])
    tidy(right)
    return Drawing(
        figure,
        "Left: dense layers hold most parameters of AlexNet and VGG, and little of any net's work;"
        " a mean of the pixels before the last layer ended that. Right: concatenation adds a fixed"
        " number of channels per layer, it does not double them.",
    )


def _channels(ax: Axes, net: dict) -> None:
    layer = 1
    for block, row in enumerate(net["inputs"]):
        channels = [*row, row[-1] + net["growth"]]
        layers = np.arange(layer, layer + len(channels))
        ax.plot(layers, channels, color=BLUE, marker="o", markersize=2.5)
        layer += len(channels)
        if block < len(net["transitions"]):
            after = net["transitions"][block][1]
            ax.plot([layer - 1, layer], [channels[-1], after], color=RED, linestyle="--")
            _beside(ax, f"{channels[-1]} to {after}", (layer, after), (5, -11), va="baseline")
    first = net["inputs"][0][0]
    ax.plot(range(1, 6), [first * 2**n for n in range(5)], color=PALE, linewidth=2)
    _beside(ax, "doubling\n(the notes)", (5, first * 16), (7, -8), va="baseline", color=GREY)
    _in_corner(ax, 0.18, f"dense layers add {net['growth']} each", BLUE)
    _in_corner(ax, 0.10, "transitions halve", RED)
    ax.set(xlim=(0, layer + 2), ylim=(0, 1250), ylabel="channels of its input")
    ax.set_xlabel("layer of DenseNet-121 (bottleneck pairs and transitions)")


def filters(log: Measured) -> Drawing:
    """The photograph through each filter."""
    picture = pictures.temple(log.config.picture.every)
    figure, axes = panels(13, 2.55, columns=len(FILTERS))
    for ax, (name, out) in zip(axes, filtered(picture.pixels).items(), strict=True):
        inside = out[1:-1, 1:-1]  # the rim responds to the zeros around the picture
        edges, blurs = FILTERS[name].sum() == 0, name == "box blur"
        high = np.abs(inside).max() / 2 if edges else 255
        low = -high if edges else 0
        ax.imshow(inside, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        kernel = FILTERS[name] * (9 if blurs else 1)
        rows = "\n".join("  ".join(f"{v:+.0f}" if v else "0" for v in row) for row in kernel)
        ax.set_title(name + (" (/ 9)" if blurs else ""), fontsize=11)
        ax.set_xlabel(rows, fontsize=8, family="monospace")
        ax.set(xticks=[], yticks=[])
    return Drawing(
        figure,
        "One convolution with five kernels, printed below. Where a kernel adds up to 0 (Sobel,"
        f" Laplacian), no response is grey. Picture: {picture.origin.split(' (')[0]}.",
    )


def _beside(ax: Axes, text: str, point: tuple, offset: tuple = (5, 0), **look) -> None:
    """A text so many points to the right of a point and above it."""
    look = {"va": "center", "fontsize": 9} | look
    ax.annotate(text, point, offset, textcoords="offset points", **look)


def _in_corner(ax: Axes, y: float, text: str, colour: str) -> None:
    """A text at the right edge, from ``y`` of the height down."""
    ax.text(0.985, y, text, color=colour, ha="right", va="top", transform=ax.transAxes)


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")
