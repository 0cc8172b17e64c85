"""The figures of the study of convolutions: depth and parameters, AlexNet's layers, shares and
growth, filters.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from deepseq.data import pictures
from experiments.conv_arithmetic.claims_nets import YEARS
from experiments.conv_arithmetic.filters import FILTERS, filtered
from experiments.conv_arithmetic.records import Found

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.6"  # Okabe and Ito 2008
SHARES = ("AlexNet", "VGG-16", "GoogLeNet", "ResNet-50", "DenseNet-201")


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label; none of an unfinished
    log.
    """
    del summary
    found = Found(config, records)
    if not found.finished:
        return {}
    return {
        "figure": years(found),
        "alexnet": alexnet(found),
        "filters": filters(config),
        "shares": shares(found),
    }


def years(found: Found) -> Figure:
    """Parameters against depth, along the years; the area of a point is the net's multiply-adds."""
    figure = Figure(figsize=(8.4, 4.9), layout="constrained")
    ax = figure.subplots()
    rows = [found.net(name) for name in YEARS]
    depths, counts, work = (
        np.array([row[c] for row in rows], float) for c in ("depth", "parameters", "multiply-adds")
    )
    counts, work = counts / 1e6, work / 1e9
    for a in range(len(rows) - 1):
        grows = counts[a + 1] > counts[a]
        ax.annotate(
            "",
            (depths[a + 1], counts[a + 1]),
            (depths[a], counts[a]),
            arrowprops={
                "arrowstyle": "-|>",
                "color": ORANGE if grows else BLUE,
                "linewidth": 2,
                "shrinkA": 6,
                "shrinkB": 9,
            },
        )
    ax.scatter(depths, counts, s=22 * work, color=GREY, alpha=0.45, linewidths=0)
    ax.scatter(depths, counts, s=14, color="0.2", zorder=3)
    places = (
        (0, -24, "center"),
        (13, 14, "left"),
        (-12, -16, "right"),
        (13, 12, "left"),
        (0, -28, "center"),
    )
    for row, depth, count, giga, (right, up, side) in zip(
        rows, depths, counts, work, places, strict=True
    ):
        ax.annotate(
            f"{row['net']}, {row['year']}\n{row['depth']} layers, {count:.1f} M, {giga:.2g} G",
            (depth, count),
            (right, up),
            textcoords="offset points",
            ha=side,
            va="center",
            fontsize=9,
        )
    ax.text(
        0.985,
        0.975,
        "deeper, more parameters",
        color=ORANGE,
        ha="right",
        va="top",
        transform=ax.transAxes,
    )
    ax.text(
        0.985,
        0.915,
        "deeper, fewer parameters",
        color=BLUE,
        ha="right",
        va="top",
        transform=ax.transAxes,
    )
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(3.6, 560)
    ax.set_ylim(3.5, 330)
    ax.set_xticks(depths, [f"{d:.0f}" for d in depths])
    ax.set_yticks([5, 10, 20, 50, 100, 200], ["5", "10", "20", "50", "100", "200"])
    ax.minorticks_off()
    ax.set_xlabel("layers with weights, on the longest way through the net")
    ax.set_ylabel("parameters, million")
    _tidy(ax)
    figure.set_label(
        "Deeper at every step, but with fewer parameters only at every other one. M: million"
        " parameters; G: 10⁹ multiply-adds for one image, to which the grey areas are proportional."
        " Counted on the nets themselves."
    )
    return figure


def alexnet(found: Found) -> Figure:
    """AlexNet's weights by layer: the net's and the notes'."""
    rows = found.table("alexnet")
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    ax = figure.subplots()
    places = np.arange(len(rows))[::-1]
    for shift, column, colour in ((0.19, "weights", BLUE), (-0.19, "notes", GREY)):
        for place, row in zip(places, rows, strict=True):
            wrong = column == "notes" and row["notes"] != row["weights"]
            ax.barh(place + shift, row[column], 0.36, color=ORANGE if wrong else colour)
            if column == "weights" or wrong:
                ax.annotate(
                    f"{row[column]:,}".replace(",", "\N{NARROW NO-BREAK SPACE}"),
                    (row[column], place + shift),
                    (5, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=9,
                    color=ORANGE if wrong else "0.15",
                )
    fc6, conv5 = rows[5], rows[4]
    pooled = int(round((fc6["kernel"][0] / conv5["output"][2]) ** 0.5))
    side = conv5["output"][0]
    ax.text(
        0.985,
        0.93,
        f"Row 6 multiplies by the {side} x {side} map before\nthe last pooling; fc6 reads the"
        f" {pooled} x {pooled} behind it.",
        color=ORANGE,
        ha="right",
        va="top",
        fontsize=10,
        transform=ax.transAxes,
    )
    ax.text(0.985, 0.76, "the net", color=BLUE, ha="right", va="top", transform=ax.transAxes)
    ax.text(0.985, 0.70, "the notes", color="0.45", ha="right", va="top", transform=ax.transAxes)
    ax.set_xlim(0, 215e6)
    ax.set_yticks(places, [f"{i + 1}  {row['layer']}" for i, row in enumerate(rows)])
    ax.set_xticks(np.arange(0, 201e6, 50e6), ["0", "50", "100", "150", "200"])
    ax.set_xlabel("weights, million, without biases")
    _tidy(ax, "x")
    totals = [sum(row[column] for row in rows) / 1e6 for column in ("weights", "notes")]
    figure.set_label(
        "AlexNet of 2012, layer by layer. Seven of the notes' eight products are the net's"
        f" weights; with row 6 as it stands they add up to {totals[1]:.1f} million in place of"
        f" {totals[0]:.1f} million."
    )
    return figure


def shares(found: Found) -> Figure:
    """The dense layers' share of parameters and work; the channels that a DenseNet's layers see."""
    figure = Figure(figsize=(11, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, name in zip(range(len(SHARES))[::-1], SHARES, strict=True):
        row = found.net(name)
        for shift, what, colour in ((0.19, "parameters", BLUE), (-0.19, "multiply-adds", ORANGE)):
            share = 100 * row[f"dense {what}"] / row[what]
            left.barh(place + shift, share, 0.36, color=colour)
            left.annotate(
                f"{share:.2g}",
                (share, place + shift),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
            )
    left.set_yticks(
        range(len(SHARES))[::-1], [f"{name}\n{found.net(name)['year']}" for name in SHARES]
    )
    left.set_xlim(0, 108)
    left.set_xlabel("share of the dense layers, %")
    for y, what, colour in (
        (0.52, "of the parameters", BLUE),
        (0.45, "of the multiply-adds", ORANGE),
    ):
        left.text(0.98, y, what, color=colour, ha="right", va="top", transform=left.transAxes)
    _tidy(left, "x")

    own = found.table("growth")["DenseNet-121"]
    layer = 1
    for block, row in enumerate(own["inputs"]):
        out = [*row, row[-1] + own["growth"]]
        right.plot(np.arange(layer, layer + len(out)), out, color=BLUE, marker="o", markersize=2.5)
        if block < len(own["transitions"]):
            end, after = layer + len(row), own["transitions"][block][1]
            right.plot([end, end + 1], [out[-1], after], color=ORANGE, linestyle="--")
            right.annotate(
                f"{out[-1]} to {after}",
                (end + 1, after),
                (5, -11),
                textcoords="offset points",
                fontsize=9,
            )
        layer += len(row) + 1
    first, layers = own["inputs"][0][0], np.arange(1, 6)
    right.plot(layers, first * 2.0 ** (layers - 1), color="0.6", linewidth=2)
    right.annotate(
        "doubling\n(the notes)",
        (5, first * 16),
        (7, -8),
        textcoords="offset points",
        color="0.45",
        fontsize=9,
    )
    right.text(
        0.98,
        0.14,
        f"dense layers add {own['growth']} each",
        color=BLUE,
        ha="right",
        transform=right.transAxes,
    )
    right.text(0.98, 0.06, "transitions halve", color=ORANGE, ha="right", transform=right.transAxes)
    right.set_ylim(0, 1250)
    right.set_xlim(0, layer + 2)
    right.set_xlabel("layer of DenseNet-121 (bottleneck pairs and transitions)")
    right.set_ylabel("channels of its input")
    _tidy(right)
    figure.set_label(
        "Left: dense layers hold most parameters of AlexNet and VGG, and little of any net's work;"
        " a mean of the pixels before the last layer ended that. Right: concatenation adds a fixed"
        " number of channels per layer, it does not double them."
    )
    return figure


def filters(config: ConfigDict) -> Figure:
    """The photograph through each filter."""
    picture = pictures.temple(config.picture.every)
    figure = Figure(figsize=(13, 2.55), layout="constrained")
    for ax, (name, out) in zip(
        figure.subplots(1, len(FILTERS)), filtered(picture.pixels).items(), strict=True
    ):
        edges = FILTERS[name].sum() == 0
        inside = out[1:-1, 1:-1]  # the rim responds to the zeros around the picture
        high = np.abs(inside).max() / 2 if edges else 255
        ax.imshow(
            inside, cmap="gray", vmin=-high if edges else 0, vmax=high, interpolation="nearest"
        )
        kernel = FILTERS[name] * (9 if name == "box blur" else 1)
        rows = "\n".join("  ".join(f"{v:+.0f}" if v else "0" for v in row) for row in kernel)
        ax.set_title(name + (" (/ 9)" if name == "box blur" else ""), fontsize=11)
        ax.set_xlabel(rows, fontsize=8, family="monospace")
        ax.set_xticks([])
        ax.set_yticks([])
    figure.set_label(
        "One convolution with five kernels, printed below. Where a kernel adds up to 0 (Sobel,"
        f" Laplacian), no response is grey. Picture: {picture.origin.split(' (')[0]}."
    )
    return figure


def _tidy(ax: Axes, axis: str = "y") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=axis, color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
