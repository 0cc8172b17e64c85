"""The language-model study's figures: learning curves, and the nets beside models that count."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, NullFormatter
from ml_collections import ConfigDict

from deepseq.lab.plots import BLUE, GREEN, GREY, RED, Drawing, band, label_ends, panels, tidy
from deepseq.lab.records import Record
from experiments.language_model.records import Runs
from experiments.language_model.summary import NAMES, ZAREMBA

COLOURS = {"lstm": BLUE, "gru": RED, "rnn": GREEN, "small": BLUE, "medium": RED, "large": GREEN}


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; nets that are not finished are left out."""
    runs = Runs(config, records)
    if not runs.nets:
        return {}
    return {"figure": learning(config, runs), "scores": scores(config, runs)}


def learning(config: ConfigDict, runs: Runs) -> Drawing:
    """Validation score and training loss against passes over the text."""
    figure, ax = panels(7.2, 4.4)
    levels = {}  # name -> score and colour, of what stands at the right edge
    for net in runs.nets:
        colour, thin = COLOURS[net], {"width": 1.0, "linestyle": "--"}
        passes, values = runs.learning(net, "loss")
        band(ax, passes, values, colour, spread="range", **thin)
        passes, values = runs.learning(net, "validation")
        end = band(ax, passes, values, colour, spread="range", width=2.2)[-1]
        levels[_named(runs, f"{NAMES.get(net, net)}:", end)] = (end, colour)
    best = runs.best_ngram()
    if best:
        level = runs.shown(best["validation"])
        ax.axhline(level, color=GREY, linewidth=1, linestyle=":")
        levels[_named(runs, f"Kneser-Ney, order {best['ngram']}:", level)] = (level, GREY)
    paper = set(runs.nets) & set(ZAREMBA) if runs.words and config.corpus.text == "ptb" else set()
    for net in paper:
        printed = ZAREMBA[net][0]
        ax.axhline(printed, color=COLOURS[net], linewidth=1, linestyle="-.")
        levels[_named(runs, f"{net}, paper:", printed)] = (printed, COLOURS[net])
    _limits(ax, runs)
    right = ax.get_xlim()[1]
    label_ends(ax, {name: (right, level, colour) for name, (level, colour) in levels.items()})
    ax.set(xlabel="passes over the training text", ylabel=runs.unit)
    ax.plot([], [], color="0.2", linewidth=2.2, label="validation")
    training = "training, mean since the point before"
    ax.plot([], [], color="0.2", linewidth=1, linestyle="--", label=training)
    ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    tidy(ax)
    several = f"mean of {len(runs.seeds)} seeds, band from best to worst"
    return Drawing(
        figure,
        f"{runs.unit.capitalize()} of the validation text (bold) and of the training text (dashed)"
        f" while the nets learn; {several if len(runs.seeds) > 1 else 'one seed'}. Dotted: the"
        " n-gram model whose order does best on the validation text."
        + (" Dash-dotted: the paper's validation perplexity." if paper else ""),
    )


def scores(config: ConfigDict, runs: Runs) -> Drawing:
    """Score on the test text: n-grams against their order, and every net."""
    figure, (left, right) = panels(7.2, 3.6, 1, 2, sharey=True, width_ratios=(3, 2))
    orders, same = sorted(runs.ngrams), runs.words and config.corpus.text == "ptb"
    values = [runs.shown(runs.ngrams[n]["test"]) for n in orders]
    left.plot(orders, values, color=GREY, marker="o", markersize=4)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set(xlabel="order of the n-gram model (Kneser-Ney)", ylabel=f"test, {runs.unit}")
    for n, net in enumerate(runs.nets):
        _net_scores(runs, right, n, net, ZAREMBA[net][1] if same and net in ZAREMBA else None)
    if orders:
        best = runs.shown(runs.best_ngram()["test"])
        for ax in (left, right):
            ax.axhline(best, color=GREY, linewidth=1, linestyle=":")
    low, high = left.get_ylim()
    left.set_ylim(low - 0.08 * (high - low), high)
    sizes = {net: runs.end(net=net)["parameters"] / 1e6 for net in runs.nets}
    labels = [f"{NAMES.get(net, net)}\n{size:.2f} M" for net, size in sizes.items()]
    right.set_xticks(range(len(runs.nets)), labels)
    right.set(xlim=(-0.6, len(runs.nets) - 0.4), xlabel="net, parameters")
    tidy(left, right)
    return Drawing(
        figure,
        f"{runs.unit.capitalize()} of the test text, lower is better: n-gram models by their order"
        " (dotted: the order that the validation text chose), and the nets, one point per seed with"
        " the mean above.",
    )


def _net_scores(runs: Runs, ax: Axes, n: int, net: str, printed: float | None) -> None:
    """The points of one net, their mean in words, and what the paper prints."""
    values, words = runs.shown_scores(net, "test"), {"textcoords": "offset points", "ha": "center"}
    jitter = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
    ax.plot(n + jitter, values, "o", color=COLOURS[net], markersize=5)
    mean = _named(runs, "", values.mean())
    ax.annotate(mean, (n, values.max()), (0, 7), fontsize=9, color=COLOURS[net], **words)
    if printed is not None:
        ax.plot(n + 0.25, printed, "_", color="0.2", markersize=14, markeredgewidth=2)
        place = (n + 0.25, printed)
        ax.annotate(f"paper {printed}", place, (0, -13), fontsize=8, color="0.2", **words)


def _named(runs: Runs, name: str, value: float) -> str:
    return f"{name} {value:.1f}".strip() if runs.words else f"{name} {value:.3f}".strip()


def _limits(ax: Axes, runs: Runs) -> None:
    """From the best score to what the nets reach early; the first steps, near a uniform guess,
    would take all the room.
    """
    curves = [runs.learning(net, m)[1] for net in runs.nets for m in ("loss", "validation")]
    low = min(curve.min() for curve in curves)
    others = [runs.shown(runs.best_ngram()["validation"])] if runs.ngrams else []
    high = max([curve.mean(0)[min(1, curve.shape[1] - 1)] for curve in curves] + others)
    if runs.words:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.1, high * 1.15)
        ax.yaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        ax.yaxis.set_minor_formatter(NullFormatter())
    else:
        ax.set_ylim(low - 0.05, high + 0.1)
    ax.set_xlim(0, None)
