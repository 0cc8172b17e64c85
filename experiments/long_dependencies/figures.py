"""The figures of the long-dependencies study: cost against lag, the curves at the longest lags, the
gates, and clipping.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, ScalarFormatter
from ml_collections import ConfigDict

from experiments.long_dependencies.records import SGD, Place, Runs
from experiments.long_dependencies.tasks import TASKS

# Okabe and Ito 2008: told apart by every kind of colour vision
ORANGE, SKY, GREEN, BLUE, RED, PURPLE = (
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
LOOKS = {  # arm -> name, colour, marker
    "rnn": ("tanh RNN", ORANGE, "o"),
    "irnn": ("IRNN", PURPLE, "v"),
    "lstm": ("LSTM", BLUE, "s"),
    "gru": ("GRU", GREEN, "^"),
    "gru-wide": ("GRU, as many parameters", GREEN, "D"),
    "tied": ("tied LSTM", SKY, "P"),
    "sgd": ("SGD", RED, "o"),
    "sgd-slow": ("SGD, slower", ORANGE, "v"),
    "sgd-c": ("SGD-C", SKY, "s"),
    "sgd-cr": ("SGD-CR", BLUE, "^"),
}
MAIN = ("rnn", "irnn", "lstm", "gru")


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label."""
    del summary
    runs = Runs(config, records)
    return {name: drawn(config, runs) for name, drawn in FIGURES.items()}


def costs(config: ConfigDict, runs: Runs) -> Figure:
    """Last loss and steps until solved against the lag, a column per task, a line per cell."""
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    tasks = [task for task in TASKS if any(name == task for name, _ in runs.places)]
    axes = figure.subplots(2, max(1, len(tasks)), squeeze=False, sharey="row")
    for column, task in enumerate(tasks):
        places = [place for place in runs.places if place[0] == task]
        arms = [arm for arm in MAIN if runs.has(arm, places=places)]
        for n, arm in enumerate(arms):
            shift = 1.04 ** (
                n - (len(arms) - 1) / 2
            )  # side by side where they would hide one another
            _line(
                axes[0, column],
                places,
                arm,
                shift,
                [runs.shortfall(place, arm) for place in places],
            )
            steps = [
                np.where(runs.solved(place, arm) > 0, runs.cost(place, arm), np.nan)
                for place in places
            ]
            _line(axes[1, column], places, arm, shift, steps)
        axes[0, column].set_title(TASKS[task])
        axes[0, column].axhline(1, color="0.3", linewidth=0.9, linestyle="--", zorder=0)
        axes[0, column].axhline(
            config.measure.solved, color="0.3", linewidth=0.9, linestyle=":", zorder=0
        )
        axes[1, column].axhline(
            config.train.steps[task], color="0.3", linewidth=0.9, linestyle="--", zorder=0
        )
        axes[1, column].set(yscale="log", xlabel="lag, steps")
        _counts(axes[1, column].yaxis)
        if not any(runs.solved(place, arm).any() for place in places for arm in arms):
            axes[1, column].text(
                0.5,
                0.5,
                "solved by no run",
                ha="center",
                color="0.3",
                transform=axes[1, column].transAxes,
            )
        for ax in axes[:, column]:
            _lags(ax, [lag for _, lag in places])
    axes[0, 0].set(ylabel="last loss over baseline", ylim=(-0.03, 1.12))
    axes[1, 0].set_ylabel("steps until solved")
    left = axes[0, 0].get_xlim()[0] * 1.03
    axes[0, 0].text(left, 1.02, "no memory", fontsize=8, color="0.3", va="bottom")
    free = axes[0, min(1, max(0, len(tasks) - 1))]  # copying, where nothing is in the way
    free.text(
        free.get_xlim()[0] * 1.03,
        config.measure.solved + 0.02,
        "solved",
        fontsize=8,
        color="0.3",
        va="bottom",
    )
    if tasks:
        axes[1, 0].text(
            left,
            config.train.steps[tasks[0]] * 0.95,
            "last step",
            fontsize=8,
            color="0.3",
            va="top",
        )
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(MAIN),
        frameon=False,
    )
    figure.set_label(
        f"What it costs to bridge a lag, {_seeds(runs)}. Top: mean loss of the last"
        f" {config.measure.every} steps over that of the best predictor without memory (1 where a"
        " run diverged or got worse than that); line: mean, small marks: seeds. Bottom: steps"
        f" until the loss is below {config.measure.solved:g} of the baseline, for the seeds that"
        " get there; none where no seed does."
    )
    return figure


def curves(config: ConfigDict, runs: Runs) -> Figure:
    """Training loss against steps at the longest lag of each task, a line per run, with the exact
    baseline dashed.
    """
    places = [place for place in map(runs.longest, TASKS) if place is not None]
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    axes = figure.subplots(1, max(1, len(places)), squeeze=False)[0]
    for ax, place in zip(axes, places, strict=False):
        baseline = np.nan
        for arm in (arm for arm in MAIN if runs.has(arm, places=[place])):
            name, colour, _ = LOOKS[arm]
            baseline = runs.training(place, arm)["baseline"]
            for run in runs.runs(place, arm):
                steps = config.measure.every * np.arange(1, len(run["loss"]) + 1)
                ax.plot(steps, run["loss"], color=colour, linewidth=1, alpha=0.8)
                if run["end"] == "solved":
                    ax.plot(steps[-1], run["loss"][-1], color=colour, marker="o", markersize=4)
            ax.plot([], [], color=colour, label=name)
        if np.isfinite(baseline):
            ax.axhline(baseline, color="black", linewidth=1.2, linestyle="--")
            ax.set_ylim(0, 1.6 * baseline)
        title = (
            f"{TASKS[place[0]]}, lag {place[1]}\nno memory: {BASELINES[place[0]]} = {baseline:.3f}"
        )
        ax.set_title(title, fontsize=10)
        ax.set(xlabel="steps", xlim=(0, config.train.steps[place[0]]))
        _tidy(ax)
    axes[0].set_ylabel("training loss")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(MAIN),
        frameon=False,
    )
    figure.set_label(
        f"Training at the longest lag of each task: mean loss of every {config.measure.every} steps"
        f" (squared error for adding, nats elsewhere), one line per run, {_seeds(runs)}. Dashed:"
        " the exact loss of the best predictor without memory. A dot: solved, where the run ends."
        " Values above 1.6 times the baseline are cut off."
    )
    return figure


def gates(config: ConfigDict, runs: Runs) -> Figure:
    """Steps until solved and last loss of the gated cells, a row per task and lag."""
    gated = [arm for arm in runs.arms() if arm not in ("rnn", "irnn") and runs.has(arm)]
    arms = sorted(gated, key=lambda arm: _family(arm, config.net.forget_bias))
    figure = Figure(figsize=(11, 1.4 + 0.42 * max(1, len(runs.places))), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    others = [arm for arm in arms if arm.startswith("lstm, ")]
    shades = dict(zip(others, (ORANGE, RED, "0.4", "0.7"), strict=False))
    looks = LOOKS | {
        arm: (arm.replace("lstm", "LSTM"), colour, "s") for arm, colour in shades.items()
    }
    looks["lstm"] = (f"LSTM, bias {config.net.forget_bias:g}", BLUE, "s")
    for n, arm in enumerate(arms):
        name, colour, marker = looks.get(arm, (arm, "0.5", "s"))
        shift = (n - (len(arms) - 1) / 2) * 0.12
        for row, place in enumerate(runs.places):
            open_mark = {"markerfacecolor": "white" if arm == "gru-wide" else colour}
            label = {"label": name} if row == 0 else {}
            steps, solved = runs.cost(place, arm), runs.solved(place, arm) > 0
            for ax, values in (
                (left, np.where(solved, steps, np.nan)),
                (right, runs.shortfall(place, arm)),
            ):
                at = np.full(len(values), row + shift)
                ax.plot(
                    values,
                    at,
                    linestyle="",
                    color=colour,
                    marker=marker,
                    markersize=4,
                    alpha=0.9,
                    **open_mark,
                    **label,
                )
    left.set(xscale="log", xlabel="steps until solved (no mark: not solved)")
    _counts(left.xaxis)
    right.set(xlabel="last loss over baseline", xlim=(-0.03, 1.05))
    left.set_yticks(range(len(runs.places)), [f"{TASKS[task]}, {lag}" for task, lag in runs.places])
    left.invert_yaxis()
    for ax in (left, right):
        _tidy(ax, axis="x")
        for row in range(len(runs.places) - 1):
            ax.axhline(row + 0.5, color="0.9", linewidth=0.8, zorder=0)
    figure.legend(
        *left.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    figure.set_label(
        f"The gated cells, a mark per run, {_seeds(runs)}: the LSTM with several forget biases, the"
        " LSTM with tied gates (f = 1 - i, o = 1), the GRU of the same width and the GRU with as"
        " many parameters as the LSTM."
    )
    return figure


def clipping(config: ConfigDict, runs: Runs) -> Figure:
    """Success and steps against length for SGD with and without clipping and regulariser, and the
    curves at the longest.
    """
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    share, steps, curve = figure.subplots(1, 3)
    arms = [arm for arm in SGD if runs.has(arm, places=runs.clipping)] if runs.clipping else []
    for n, arm in enumerate(arms):
        name, colour, marker = LOOKS[arm]
        lags = np.array([lag for _, lag in runs.clipping])
        shift = 1.03 ** (n - (len(arms) - 1) / 2)
        solved = [100 * runs.solved(place, arm).mean() for place in runs.clipping]
        share.plot(lags * shift, solved, color=colour, marker=marker, label=name)
        costs = [
            np.where(runs.solved(place, arm) > 0, runs.cost(place, arm), np.nan)
            for place in runs.clipping
        ]
        _line(steps, runs.clipping, arm, shift, costs)
        for run in runs.runs(runs.clipping[-1], arm):
            at = config.measure.every * np.arange(1, len(run["loss"]) + 1)
            curve.plot(at, run["loss"], color=colour, linewidth=0.9, alpha=0.8)
    share.set(ylim=(-4, 104), ylabel="runs that solve it, %", xlabel="length of the sequence")
    steps.set(yscale="log", ylabel="steps until solved", xlabel="length of the sequence")
    _counts(steps.yaxis)
    steps.axhline(config.clipping.steps, color="0.3", linewidth=0.9, linestyle="--", zorder=0)
    for ax in (share, steps):
        _lags(ax, [lag for _, lag in runs.clipping])
    if arms:
        place = runs.clipping[-1]
        baseline = runs.training(place, arms[0])["baseline"]
        curve.axhline(baseline, color="black", linewidth=1, linestyle="--")
        curve.set(
            ylim=(0, 1.6 * baseline),
            xlim=(0, config.clipping.steps),
            xlabel="steps",
            ylabel="training loss, nats",
        )
        curve.set_title(f"length {place[1]}; no memory: ln 4 = {baseline:.3f}", fontsize=10)
    _tidy(curve)
    figure.legend(
        *share.get_legend_handles_labels(),
        loc="outside lower center",
        ncols=len(SGD),
        frameon=False,
    )
    figure.set_label(
        f"Plain SGD with a tanh RNN on temporal order, {_seeds(runs)}: at a rate of"
        f" {config.clipping.rate:g} without clipping (SGD), with the gradient's norm clipped at"
        f" {config.clipping.threshold:g} (SGD-C), with clipping and the regulariser (SGD-CR), and"
        f" without either at a rate of {config.clipping.slow_rate:g}. After Pascanu et al. 2013,"
        " section 4.1."
    )
    return figure


FIGURES = {"figure": costs, "curves": curves, "gates": gates, "clipping": clipping}
BASELINES = {"adding": "1/6", "copy": "10 ln 8 / (T + 20)", "order": "ln 4", "echo": "ln 2"}


def _line(
    ax: Axes, places: Sequence[Place], arm: str, shift: float, values: Sequence[np.ndarray]
) -> None:
    """A mark per seed and a line through the means of those that are there."""
    name, colour, marker = LOOKS[arm]
    lags = shift * np.array([lag for _, lag in places], float)
    means = [np.nanmean(v) if np.isfinite(v).any() else np.nan for v in values]
    ax.plot(lags, means, color=colour, marker=marker, markersize=6, linewidth=1.6, label=name)
    for lag, seeds in zip(lags, values, strict=True):
        ax.plot(
            np.full(len(seeds), lag),
            seeds,
            linestyle="",
            marker=marker,
            markersize=3,
            color=colour,
            alpha=0.5,
        )


def _family(arm: str, forget_bias: float) -> tuple[int, float]:
    """LSTMs first, by their bias, then the tied one, then the GRUs."""
    if arm.startswith("lstm"):
        return 0, forget_bias if arm == "lstm" else float(arm.split()[-1])
    return ("tied", "gru", "gru-wide").index(arm) + 1, 0.0


def _counts(axis: Axis) -> None:
    """A log axis of steps whose ticks read 100, 200, 500."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ScalarFormatter())
    axis.set_minor_locator(NullLocator())


def _lags(ax: Axes, lags: Sequence[int]) -> None:
    ax.set_xscale("log")
    if lags:
        ax.set_xlim(min(lags) / 1.35, max(lags) * 1.35)
        ax.xaxis.set_major_locator(FixedLocator(lags))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_formatter(NullFormatter())
    _tidy(ax)


def _seeds(runs: Runs) -> str:
    return f"{len(runs.seeds)} seeds" if len(runs.seeds) > 1 else "one seed"


def _tidy(ax: Axes, axis: str = "y") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=axis, color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
