"""The figures of the language-model study: learning curves, and the nets beside models that count."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator, NullFormatter
from ml_collections import ConfigDict

from experiments.language_model.records import Runs
from experiments.language_model.summary import NAMES, ZAREMBA

COLOURS = {
    "lstm": "#0072B2",
    "gru": "#D55E00",
    "rnn": "#009E73",
    "small": "#0072B2",
    "medium": "#D55E00",
    "large": "#009E73",
}
COUNTING = "0.35"


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label; nets that are not
    finished are left out.
    """
    del summary
    runs = Runs(config, records)
    if not runs.nets:
        return {}
    return {"figure": learning(config, runs), "scores": scores(config, runs)}


def learning(config: ConfigDict, runs: Runs) -> Figure:
    """Validation score (bold) and training loss against passes over the text; the paper's and the
    n-gram's beside them.
    """
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    ax = figure.subplots()
    ends = {}
    for net in runs.nets:
        for measure, width in (("loss", 1.0), ("validation", 2.2)):
            passes, nats = runs.curve(net, measure)
            values = np.vectorize(runs.shown)(nats)
            ax.plot(
                passes,
                values.mean(0),
                color=COLOURS[net],
                linewidth=width,
                linestyle="--" if measure == "loss" else "-",
            )
            ax.fill_between(
                passes, values.min(0), values.max(0), color=COLOURS[net], alpha=0.2, linewidth=0
            )
            if measure == "validation":
                ends[_named(runs, f"{NAMES.get(net, net)}:", values.mean(0)[-1])] = (
                    values.mean(0)[-1],
                    COLOURS[net],
                )
    best = runs.best_ngram()
    if best:
        level = runs.shown(best["validation"])
        ax.axhline(level, color=COUNTING, linewidth=1, linestyle=":")
        ends[_named(runs, f"Kneser-Ney, order {best['ngram']}:", level)] = (level, COUNTING)
    paper = set(runs.nets) & set(ZAREMBA) if runs.words and config.corpus.text == "ptb" else set()
    for net in paper:
        ax.axhline(ZAREMBA[net][0], color=COLOURS[net], linewidth=1, linestyle="-.")
        ends[_named(runs, f"{net}, paper:", ZAREMBA[net][0])] = (ZAREMBA[net][0], COLOURS[net])
    _limits(ax, runs)
    name_ends(ax, ends)
    ax.set_xlabel("passes over the training text")
    ax.set_ylabel(runs.unit)
    ax.plot([], [], color="0.2", linewidth=2.2, label="validation")
    ax.plot(
        [],
        [],
        color="0.2",
        linewidth=1,
        linestyle="--",
        label="training, mean since the point before",
    )
    ax.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)
    _tidy(ax)
    seeds = (
        f"mean of {len(runs.seeds)} seeds, band from best to worst"
        if len(runs.seeds) > 1
        else "one seed"
    )
    figure.set_label(
        f"{runs.unit.capitalize()} of the validation text (bold) and of the training text (dashed)"
        f" while the nets learn; {seeds}. Dotted: the n-gram model whose order does best on the"
        " validation text." + (" Dash-dotted: the paper's validation perplexity." if paper else "")
    )
    return figure


def scores(config: ConfigDict, runs: Runs) -> Figure:
    """Score on the test text: n-grams against their order, and every net."""
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    orders, same = sorted(runs.ngrams), runs.words and config.corpus.text == "ptb"
    values = [runs.shown(runs.ngrams[n]["test"]) for n in orders]
    left.plot(orders, values, color=COUNTING, marker="o", markersize=4)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.set_xlabel("order of the n-gram model (Kneser-Ney)")
    left.set_ylabel(f"test, {runs.unit}")
    for n, net in enumerate(runs.nets):
        found = [runs.shown(nats) for nats in runs.score(net, "test")]
        jitter = np.linspace(-0.12, 0.12, len(found)) if len(found) > 1 else [0.0]
        right.plot(n + np.asarray(jitter), found, "o", color=COLOURS[net], markersize=5)
        right.annotate(
            _named(runs, "", np.mean(found)),
            (n, max(found)),
            (0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            color=COLOURS[net],
        )
        if same and net in ZAREMBA:
            right.plot(
                n + 0.25, ZAREMBA[net][1], "_", color="0.2", markersize=14, markeredgewidth=2
            )
            right.annotate(
                f"paper {ZAREMBA[net][1]}",
                (n + 0.25, ZAREMBA[net][1]),
                (0, -13),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color="0.2",
            )
    if orders:
        for ax in (left, right):
            ax.axhline(
                runs.shown(runs.best_ngram()["test"]), color=COUNTING, linewidth=1, linestyle=":"
            )
    low, high = left.get_ylim()
    left.set_ylim(low - 0.08 * (high - low), high)
    labels = [f"{NAMES.get(net, net)}\n{runs.parameters(net) / 1e6:.2f} M" for net in runs.nets]
    right.set_xticks(range(len(runs.nets)), labels)
    right.set_xlim(-0.6, len(runs.nets) - 0.4)
    right.set_xlabel("net, parameters")
    for ax in (left, right):
        _tidy(ax)
    figure.set_label(
        f"{runs.unit.capitalize()} of the test text, lower is better: n-gram models by their order"
        " (dotted: the order that the validation text chose), and the nets, one point per seed"
        " with the mean above."
    )
    return figure


def name_ends(ax: Axes, ends: Mapping[str, tuple[float, str]]) -> None:
    """Names beside the right end of lines, moved apart where they would overlap."""
    transform = ax.transData + ax.transAxes.inverted()
    low, high = ax.get_ylim()
    inside = {name: (min(max(y, low), high), colour) for name, (y, colour) in ends.items()}
    places = sorted(
        (transform.transform((ax.get_xlim()[1], y))[1], name, colour)
        for name, (y, colour) in inside.items()
    )
    last = -1.0
    for place, name, colour in places:
        last = max(place, last + 0.055)
        ax.annotate(
            name,
            (1.01, last),
            xycoords="axes fraction",
            color=colour,
            fontsize=9,
            va="center",
            annotation_clip=False,
        )


def _named(runs: Runs, name: str, value: float) -> str:
    return f"{name} {value:.1f}".strip() if runs.words else f"{name} {value:.3f}".strip()


def _limits(ax: Axes, runs: Runs) -> None:
    """From the best score to what the nets reach early; the first steps, near a uniform guess,
    would take all the room.
    """
    curves = [
        np.vectorize(runs.shown)(runs.curve(net, measure)[1])
        for net in runs.nets
        for measure in ("loss", "validation")
    ]
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


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.9", linewidth=0.8)
    ax.set_axisbelow(True)
