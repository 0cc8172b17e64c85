"""The figures of the alignment study: accuracy against length, and where the nets look."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from ml_collections import ConfigDict

from deepseq.data import transduction
from deepseq.lab import plots
from deepseq.lab.plots import Drawing
from deepseq.lab.records import Record
from experiments.alignment.nets import ATTENDING, ATTENTIVE, FIXED, REVERSED, TRANSFORMER, vectors
from experiments.alignment.records import AlignmentRecords
from experiments.alignment.tasks import TASKS

# name, colour, marker and line
LINES = {
    FIXED: ("one vector", plots.RED, "o-"),
    REVERSED: ("source reversed", plots.ORANGE, "v--"),
    ATTENTIVE: ("RNN + attention", plots.BLUE, "s-"),
    TRANSFORMER: ("Transformer", plots.GREEN, "^-"),
}
WIDTH_STYLES = "o-", "o--", "o:"  # from the widest on
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TITLE = {"fontsize": 11.5, "fontweight": "bold"}
Line = tuple[str, str, str]  # name, colour, style


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; none before a seed has finished."""
    runs = AlignmentRecords(config, records)
    if not runs.seeds:
        return {}
    return {"figure": accuracy(config, runs), "weights": weights(config, runs)}


def accuracy(config: ConfigDict, runs: AlignmentRecords) -> Drawing:
    """Accuracy against the length of the source: reversal, dates, and vectors of several widths."""
    figure, axes = plots.panels(13.5, 4.6, columns=3, sharey=True)
    nets = {task: _counted(runs, task) for task in TASKS}
    by_width = sorted(vectors(config).items(), reverse=True)
    widths = {
        net: (f"{width} units", plots.RED, WIDTH_STYLES[min(n, len(WIDTH_STYLES) - 1)])
        for n, (width, net) in enumerate(by_width)
    }
    shown = {
        "symbols, said backwards": ("reversal", nets["reversal"]),
        "dates, rewritten as 1987-05-03": ("dates", nets["dates"]),
        "symbols: one vector, by its width": ("reversal", widths),
    }
    for ax, (title, (task, lines)) in zip(axes, shown.items(), strict=True):
        _lines(ax, runs, task, lines)
        ax.set_title(title, **TITLE)
        if task == "reversal":
            chance, style = 1 / config.reversal.symbols, {"color": plots.GREY}
            ax.axhline(chance, linewidth=1, linestyle=":", **style)
            style |= {"transform": ax.get_yaxis_transform(), "va": "top", "fontsize": 8}
            ax.text(0.01, chance - 0.01, "a guess", **style)
    plots.tidy(*axes)
    axes[0].set_ylabel("share of tokens right")
    return Drawing(
        figure,
        "Accuracy on lengths (left, right) or days (middle) that were held out:"
        f" {plots.over(runs.seeds, 'range')}. Nets write greedily, and a token counts as right at"
        " its place alone. All were taught with the same batches; beside each name, its parameters"
        " in thousands. The source is reversed for one vector. The widest vector on the right is"
        " that on the left.",
    )


def _counted(runs: AlignmentRecords, task: str) -> dict[str, Line]:
    """The lines of the nets, their names with how many thousand parameters they have."""
    counts = {net: runs.end(task=task, net=net)["parameters"] / 1000 for net in LINES}
    return {net: (f"{name}, {counts[net]:.0f} k", *line) for net, (name, *line) in LINES.items()}


def _lines(ax: Axes, runs: AlignmentRecords, task: str, lines: Mapping[str, Line]) -> None:
    x, ends = runs.lengths(task), {}
    for net, (name, colour, style) in lines.items():
        line = {"marker": style[0], "linestyle": style[1:], "markersize": 4, "width": 1.8}
        mean = plots.band(ax, x, runs.accuracy(task, net), colour, spread="range", **line)
        ends[name] = (x[-1], mean[-1], colour)
    span = x[-1] - x[0]
    ax.set(xlim=(x[0] - 0.04 * span, x[-1] + 0.56 * span), ylim=(0, 1.12))
    ax.set_xticks(x if len(x) < 10 else x[1::2])
    ax.set_xlabel(f"{'characters' if task == 'dates' else 'symbols'} of the source")
    plots.label_ends(ax, ends)


def weights(config: ConfigDict, runs: AlignmentRecords) -> Drawing:
    """What both nets that attend look at, in one sequence that is said backwards and one date."""
    figure, rows = plots.panels(11.5, 8.4, 2, 2, height_ratios=(1.5, 1))
    for task, axes in zip(TASKS, rows, strict=True):
        for net, ax in zip(ATTENDING, axes, strict=True):
            shown = runs.end(task=task, net=net)["shown"]
            maps = np.array(shown["weights"])
            head = best_head(maps, np.array(shown["source"]), np.array(shown["answers"]))
            image = ax.imshow(maps[head], cmap="magma_r", vmin=0, vmax=1, aspect="auto")
            layer, number = divmod(head, config.transformer.heads)
            place = f", layer {layer + 1}, head {number + 1}" if net == TRANSFORMER else ""
            ax.set_title(f"{LINES[net][0]}{place}", **TITLE)
            _symbols(ax, shown, task)
    for ax in rows[:, 0]:
        ax.set_ylabel("written, from the top")
    for ax in rows[1]:
        ax.set_xlabel("read")
    figure.colorbar(image, ax=rows, shrink=0.5, label="weight")
    return Drawing(
        figure,
        "What the nets of the first seed look at when they write a symbol (its row): weights over"
        " the source (columns), for a sequence that is said backwards and for a date of a day that"
        " was held out. Each row sums to 1. Of the Transformer's heads, the one that looks most at"
        " symbols equal to the one written. ⏎ is the end.",
    )


def best_head(maps: np.ndarray, source: np.ndarray, answers: np.ndarray) -> int:
    """Of heads (N, T, S), the one with most weight on symbols of the source (S,) that are those
    written (T,).
    """
    return int((maps * (answers[:, None] == source)).sum((1, 2)).argmax())


def _symbols(ax: Axes, shown: Mapping, task: str) -> None:
    """The symbols read and written at the axes."""
    for axis, name in ((ax.xaxis, "source"), (ax.yaxis, "answers")):
        letters = [_letter(symbol, task) for symbol in shown[name]]
        axis.set_ticks(range(len(letters)), letters, family="monospace")
        axis.set_tick_params(length=0, labelsize=10)
    ax.xaxis.set_tick_params(pad=12)
    for label in ax.get_xticklabels():
        label.set_verticalalignment("baseline")
    ax.spines[:].set_color("0.7")


def _letter(symbol: int, task: str) -> str:
    if symbol == transduction.END:
        return "⏎"
    if task == "dates":
        return transduction.CHARACTERS[symbol].replace(" ", "␣")
    number = symbol - transduction.CONTENT
    return LETTERS[number] if number < len(LETTERS) else str(number)
