"""The figures of the attention study: costs, scores of keys, and the order task."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab import plots
from deepseq.lab.plots import BLUE, GREEN, GREY, RED, Drawing
from deepseq.lab.records import Record
from experiments.what_attention_is.order import DISTURBED, GUESS
from experiments.what_attention_is.records import Runs

LAYERS = {"attention": BLUE, "RNN": RED, "feed-forward": GREEN}
NETS = {"without positions": RED, "with positions": BLUE}
MARKED = {"spread": "range", "marker": "o", "markersize": 4}
COSTS = {
    "depth": "operations in a row",
    "operations": "multiplications and additions",
    "bytes": "temporary bytes",
    "seconds": "seconds",
}


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; none before a seed has finished."""
    runs = Runs(config, records)
    drawings = {"figure": costs, "scores": scores, "order": order}
    return {name: make(config, runs) for name, make in drawings.items() if runs.seeds}


def costs(config: ConfigDict, runs: Runs) -> Drawing:
    """Depth, operations, temporary memory and time of three layers against the length."""
    figure, axes = plots.panels(11, 6.4, 2, 2)
    for ax, (measure, title) in zip(axes.flat, COSTS.items(), strict=True):
        ends = {}
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        for layer, colour in LAYERS.items():
            values = runs.cost(layer, measure)
            line = plots.band(ax, runs.lengths, values, colour, log=True, **MARKED)
            power = "" if measure == "seconds" else f": n^{runs.slopes(layer, measure).mean():.2f}"
            ends[layer + power] = (runs.lengths[-1], line[-1], colour)
        ax.set_xticks(runs.lengths, map(str, runs.lengths))
        ax.set(title=title, xlabel="n, steps of the sequence")
        plots.label_ends(ax, ends)
    plots.tidy(*axes.flat)
    return Drawing(
        figure,
        f"One layer of {config.cost.size} units on a sequence of n steps; the exponents are fitted"
        " to the upper half of the lengths. Operations in a row must wait for one another: no"
        " number of processors makes them fewer. Seconds: geometric mean and range over seeds, on"
        " the machine named below.",
    )


def scores(config: ConfigDict, runs: Runs) -> Drawing:
    """What becomes of scores and their softmax as d_k grows, divided by its root or not."""
    figure, axes = plots.panels(10, 3.6, columns=3)
    sizes = list(config.scores.key_sizes)
    titles = {
        "variance": "variance of the scores",
        "entropy": f"entropy of the softmax / log {config.scores.choices}",
        "derivative": "norm of the softmax's derivative",
    }
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        for name, text, colour, above in (
            ("divided", "divided by √d_k", BLUE, -14),
            ("plain", "not divided", RED, 9),
        ):
            values = runs.scores(f"{name} {column}")
            line = plots.band(ax, sizes, values, colour, **MARKED)
            if column == "entropy":
                plots.note(ax, text, (sizes[-1], line[-1]), colour, (0, above), ha="right")
        ax.set_xscale("log", base=2)
        ax.set_xticks(sizes, map(str, sizes))
        ax.set(title=title, xlabel="d_k, size of queries and keys")
    axes[0].set_yscale("log")
    for ax in axes[1:]:
        ax.set_ylim(0, None)
    plots.tidy(*axes)
    return Drawing(
        figure,
        f"Random queries and {config.scores.choices} random keys of unit variance. Divided by the"
        " square root of d_k the scores stay of variance 1; undivided their softmax takes one key"
        " alone and its derivative vanishes.",
    )


def order(config: ConfigDict, runs: Runs) -> Drawing:
    """The order task: training loss, and accuracy on intact and disturbed sequences."""
    figure, (left, right) = plots.panels(9.5, 3.8, columns=2, width_ratios=(1, 1.2))
    for (net, colour), shift in zip(NETS.items(), (-0.12, 0.12), strict=True):
        losses = runs.values("found", net, "loss", part="order")
        every = runs.end(part="order")["found"][net]["every"]
        updates = every * np.arange(1, losses.shape[1] + 1)
        line = plots.band(left, updates, losses, colour, spread="range")
        plots.note(left, net, (updates[-1], line[-1]), colour, (0, 8), ha="right")
        for place, name in enumerate(DISTURBED):
            plots.dots(right, place + shift, runs.accuracy(net, name), colour, upright=True)
    left.axhline(np.log(2), color="0.5", linewidth=1, linestyle=":")
    left.set(ylim=(0, 0.85), xlabel="updates", ylabel="training loss, nats")
    right.axhline(GUESS, color="0.5", linewidth=1, linestyle=":")
    edge = len(DISTURBED) - 0.5
    plots.note(right, "chance", (edge, GUESS), GREY, (-2, 4), size=8, ha="right")
    right.set_xticks(range(len(DISTURBED)), DISTURBED)
    right.set(xlim=(-0.5, edge), ylim=(0, 1.05))
    right.set(xlabel="sequences of the test", ylabel="accuracy on new sequences")
    plots.tidy(left, right)
    return Drawing(
        figure,
        f"Which of two symbols comes first, in {config.order.steps} steps? One layer of attention,"
        " its outputs averaged, with and without positions. Left: mean and range over seeds."
        " Right: one point per seed, the bar their mean; sequences permuted, cut after half, or"
        " with half of the steps left out.",
    )
