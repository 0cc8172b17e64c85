"""The heat maps of the alignment study: which symbol of the source is looked at when each of the
output is written.
"""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from deepseq.data import transduction
from experiments.alignment.nets import ATTENTIVE, TRANSFORMER
from experiments.alignment.records import Found

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def weights(config: ConfigDict, found: Found) -> Figure:
    """What both nets that attend look at, in one sequence that is said backwards and one date."""
    figure = Figure(figsize=(11.5, 8.4), layout="constrained")
    rows = figure.subplots(2, 2, height_ratios=(1.5, 1))
    titles = {ATTENTIVE: "RNN + attention", TRANSFORMER: "Transformer"}
    for task, axes in zip(("reversal", "dates"), rows, strict=True):
        for (net, title), ax in zip(titles.items(), axes, strict=True):
            shown = found.net(task, net)[0]["shown"]
            maps, seen = np.array(shown["weights"]), np.array(shown["source"])
            head = best_head(maps, seen, np.array(shown["answers"]))
            image = ax.imshow(maps[head], cmap="magma_r", vmin=0, vmax=1, aspect="auto")
            heads = config.transformer.heads
            which = (
                f", layer {head // heads + 1}, head {head % heads + 1}"
                if net == TRANSFORMER
                else ""
            )
            ax.set_title(f"{title}{which}", fontsize=11.5, fontweight="bold")
            _symbols(ax, shown, task)
    for ax in rows[:, 0]:
        ax.set_ylabel("written, from the top")
    for ax in rows[1]:
        ax.set_xlabel("read")
    figure.colorbar(image, ax=rows, shrink=0.5, label="weight")
    figure.set_label(
        "What the nets of the first seed look at when they write a symbol (its row): weights over"
        " the source (columns), for a sequence that is said backwards and for a date of a day that"
        " was held out. Each row sums to 1. Of the Transformer's heads, the one that looks most at"
        " symbols equal to the one written. ⏎ is the end."
    )
    return figure


def best_head(maps: np.ndarray, seen: np.ndarray, answers: np.ndarray) -> int:
    """Of heads (N, T, S), the one with most weight on symbols of the source (S,) that are those
    written (T,).
    """
    return int((maps * (answers[:, None] == seen)).sum((1, 2)).argmax())


def _symbols(ax: Axes, shown: Mapping, task: str) -> None:
    """The symbols read and written at the axes."""
    for axis, name in ((ax.xaxis, "source"), (ax.yaxis, "answers")):
        axis.set_ticks(
            range(len(shown[name])),
            [_letter(symbol, task) for symbol in shown[name]],
            family="monospace",
        )
        axis.set_tick_params(length=0, labelsize=10)
    ax.xaxis.set_tick_params(pad=12)
    for label in ax.get_xticklabels():
        label.set_verticalalignment("baseline")
    for side in ax.spines.values():
        side.set_color("0.7")


def _letter(symbol: int, task: str) -> str:
    if symbol == transduction.END:
        return "⏎"
    if task == "dates":
        return transduction.CHARACTERS[symbol].replace(" ", "␣")
    number = symbol - transduction.CONTENT
    return LETTERS[number] if number < len(LETTERS) else str(number)
