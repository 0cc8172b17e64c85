"""The figures of the attention study: cost against length, scores against key size, and the order
task.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from experiments.what_attention_is.cost import KINDS
from experiments.what_attention_is.order import GUESS
from experiments.what_attention_is.records import Found

COLOURS = {
    "attention": "#0072B2",
    "RNN": "#D55E00",
    "feed-forward": "#009E73",
}  # Okabe and Ito 2008
DIVIDED, PLAIN = "#0072B2", "#D55E00"


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label; seeds that are not
    finished are left out.
    """
    del summary
    found = Found(config, records)
    if not found.seeds:
        return {}
    return {
        "figure": costs(config, found),
        "scores": scores(config, found),
        "order": order(config, found),
    }


def costs(config: ConfigDict, found: Found) -> Figure:
    """Depth, operations, temporary memory and time of three layers against the length."""
    panels = {
        "depth": "operations in a row",
        "operations": "multiplications and additions",
        "bytes": "temporary bytes",
        "seconds": "seconds",
    }
    figure = Figure(figsize=(13, 3.9), layout="constrained")
    n = np.array(found.lengths, float)
    for ax, (measure, title) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        ends = {}
        for kind in KINDS:
            values = found.cost(kind, measure)
            middle = np.median(values, 0)
            ax.plot(n, middle, color=COLOURS[kind], marker="o", markersize=4)
            if measure == "seconds":
                ax.fill_between(
                    n, values.min(0), values.max(0), color=COLOURS[kind], alpha=0.2, linewidth=0
                )
                ends[kind] = (middle[-1], COLOURS[kind])
            else:
                ends[f"{kind}: n^{found.slopes(kind, measure).mean():.2f}"] = (
                    middle[-1],
                    COLOURS[kind],
                )
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        ax.set_xticks(n, [f"{int(v)}" for v in n])
        ax.set_xlabel("n, steps of the sequence")
        ax.set_title(title, fontsize=11)
        _name_ends(ax, ends)
        _tidy(ax)
    figure.set_label(
        f"One layer of {config.cost.size} units on a sequence of n steps; the exponents are fitted"
        " to the upper half of the lengths. Operations in a row must wait for one another: no"
        " number of processors makes them fewer. Seconds: median and range over seeds, on the"
        " machine named below."
    )
    return figure


def scores(config: ConfigDict, found: Found) -> Figure:
    """Variance of the scores, entropy of the softmax and norm of its derivative against d_k,
    divided by its root or not.
    """
    titles = {
        "variance": "variance of the scores",
        "entropy": f"entropy of the softmax / log {config.scores.choices}",
        "derivative": "norm of the softmax's derivative",
    }
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    sizes = list(config.scores.key_sizes)
    for ax, (column, title) in zip(figure.subplots(1, 3), titles.items(), strict=True):
        for name, text, colour in (
            ("divided", "divided by √d_k", DIVIDED),
            ("plain", "not divided", PLAIN),
        ):
            values = found.scores(f"{name} {column}")
            ax.plot(sizes, values.mean(0), color=colour, marker="o", markersize=4)
            ax.fill_between(
                sizes, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0
            )
            if column == "entropy":
                ax.annotate(
                    text,
                    (sizes[-1], values.mean(0)[-1]),
                    (0, -14 if name == "divided" else 9),
                    ha="right",
                    fontsize=9,
                    textcoords="offset points",
                    color=colour,
                )
        ax.set_xscale("log", base=2)
        if column == "variance":
            ax.set_yscale("log")
        else:
            ax.set_ylim(0, None)
        ax.set_xticks(sizes, map(str, sizes))
        ax.set_xlabel("d_k, size of queries and keys")
        ax.set_title(title, fontsize=11)
        _tidy(ax)
    figure.set_label(
        f"Random queries and {config.scores.choices} random keys of unit variance. Divided by the"
        " square root of d_k the scores stay of variance 1; undivided their softmax takes one key"
        " alone and its derivative vanishes."
    )
    return figure


def order(config: ConfigDict, found: Found) -> Figure:
    """The order task: training loss, and accuracy on intact and disturbed sequences."""
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.2))
    kinds = {"without positions": PLAIN, "with positions": DIVIDED}
    for kind, colour in kinds.items():
        runs = [run[kind] for run in found.part("order")]
        losses = np.array([run["loss"] for run in runs])
        updates = runs[0]["every"] * np.arange(1, losses.shape[1] + 1)
        left.plot(updates, losses.mean(0), color=colour)
        left.fill_between(
            updates, losses.min(0), losses.max(0), color=colour, alpha=0.2, linewidth=0
        )
        left.annotate(
            kind,
            (updates[-1], losses.mean(0)[-1]),
            (0, 8),
            textcoords="offset points",
            ha="right",
            color=colour,
            fontsize=9,
        )
    left.axhline(np.log(2), color="0.5", linewidth=1, linestyle=":")
    left.set_ylim(0, 0.85)
    left.set_xlabel("updates")
    left.set_ylabel("training loss, nats")
    names = ("intact", "permuted", "trimmed", "omitted")
    for shift, (kind, colour) in zip((-0.12, 0.12), kinds.items(), strict=True):
        for place, name in enumerate(names):
            values = found.accuracy(kind, name)
            right.plot(
                np.full(len(values), place + shift),
                values,
                "o",
                color=colour,
                markersize=4,
                alpha=0.7,
            )
            right.plot(
                place + shift, values.mean(), "_", color=colour, markersize=16, markeredgewidth=2
            )
    right.axhline(GUESS, color="0.5", linewidth=1, linestyle=":")
    right.annotate(
        "chance",
        (len(names) - 0.55, GUESS),
        (0, 4),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color="0.4",
    )
    right.set_xticks(range(len(names)), names)
    right.set_xlim(-0.5, len(names) - 0.5)
    right.set_ylim(0, 1.05)
    right.set_ylabel("accuracy on new sequences")
    right.set_xlabel("sequences of the test")
    for ax in (left, right):
        _tidy(ax)
    figure.set_label(
        f"Which of two symbols comes first, in {config.order.steps} steps? One layer of attention,"
        " its outputs averaged, with and without positions. Left: mean and range over seeds."
        " Right: one point per seed, the bar their mean; sequences permuted, cut after half, or"
        " with half of the steps left out."
    )
    return figure


def _name_ends(ax: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Names inside the axes' upper left, in the order of the lines' ends."""
    for row, (name, (_, colour)) in enumerate(sorted(ends.items(), key=lambda item: -item[1][0])):
        ax.annotate(
            name,
            (0.03, 0.97 - 0.08 * row),
            xycoords="axes fraction",
            color=colour,
            fontsize=9,
            va="top",
        )
    low, high = ax.get_ylim()
    ax.set_ylim(low, high * (high / low) ** 0.35)


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
