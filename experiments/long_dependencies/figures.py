"""The figures of the long-dependencies study: cost against lag, curves, gates and clipping."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, ScalarFormatter
from ml_collections import ConfigDict

from deepseq.lab.plots import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY, Drawing, panels, tidy
from deepseq.lab.records import Record
from experiments.long_dependencies.records import SGD, Place, Runs
from experiments.long_dependencies.tasks import TASKS

STYLES = {  # arm -> name, colour, marker
    "rnn": ("tanh RNN", ORANGE, "o"),
    "irnn": ("IRNN", PINK, "v"),
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
LEVEL = {"color": "0.3", "linewidth": 0.9, "zorder": 0}  # a horizontal line to compare with
BASELINES = {"adding": "1/6", "copy": "10 ln 8 / (T + 20)", "order": "ln 4", "echo": "ln 2"}


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name."""
    runs = Runs(config, records)
    return {
        "figure": costs(config, runs),
        "curves": curves(config, runs),
        "gates": gates(config, runs),
        "clipping": clipping(config, runs),
    }


def costs(config: ConfigDict, runs: Runs) -> Drawing:
    """Last loss and steps until solved against the lag, a column per task, a line per cell."""
    tasks = [task for task in TASKS if any(name == task for name, _ in runs.places)]
    figure, axes = panels(11, 5.6, 2, max(1, len(tasks)), squeeze=False, sharey="row")
    for (loss, steps), task in zip(axes.T, tasks, strict=False):
        _costs_of_task(config, runs, task, loss, steps)
    axes[0, 0].set(ylabel="last loss over baseline", ylim=(-0.03, 1.12))
    axes[1, 0].set_ylabel("steps until solved")
    small = {"fontsize": 8, "color": "0.3"}
    left = axes[0, 0].get_xlim()[0] * 1.03
    axes[0, 0].text(left, 1.02, "no memory", va="bottom", **small)
    free = axes[0, min(1, max(0, len(tasks) - 1))]  # copying, where nothing is in the way
    level = config.measure.solved + 0.02
    free.text(free.get_xlim()[0] * 1.03, level, "solved", va="bottom", **small)
    if tasks:
        axes[1, 0].text(left, config.train.steps[tasks[0]] * 0.95, "last step", va="top", **small)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(MAIN), frameon=False)
    return Drawing(
        figure,
        f"What it costs to bridge a lag, {_seeds(runs)}. Top: mean loss of the last"
        f" {config.measure.every} steps over that of the best predictor without memory (1 where a"
        " run diverged or got worse than that); line: mean, small marks: seeds. Bottom: steps"
        f" until the loss is below {config.measure.solved:g} of the baseline, for the seeds that"
        " get there; none where no seed does.",
    )


def _costs_of_task(config: ConfigDict, runs: Runs, task: str, loss: Axes, steps: Axes) -> None:
    places = [place for place in runs.places if place[0] == task]
    arms = [arm for arm in MAIN if runs.trained(arm, places=places)]
    for n, arm in enumerate(arms):
        shift = 1.04 ** (n - (len(arms) - 1) / 2)  # side by side where they would hide one another
        _line(loss, places, arm, shift, [runs.shortfall(place, arm) for place in places])
        _line(steps, places, arm, shift, [_solved_steps(runs, place, arm) for place in places])
    loss.set_title(TASKS[task])
    loss.axhline(1, linestyle="--", **LEVEL)
    loss.axhline(config.measure.solved, linestyle=":", **LEVEL)
    steps.axhline(config.train.steps[task], linestyle="--", **LEVEL)
    steps.set(yscale="log", xlabel="lag, steps")
    _counts(steps.yaxis)
    if not any(runs.solved(place, arm).any() for place in places for arm in arms):
        middle = {"ha": "center", "color": "0.3", "transform": steps.transAxes}
        steps.text(0.5, 0.5, "solved by no run", **middle)
    for ax in (loss, steps):
        _lags(ax, [lag for _, lag in places])


def curves(config: ConfigDict, runs: Runs) -> Drawing:
    """Training loss against steps at the longest lag of each task, a line per run."""
    places = [place for place in map(runs.longest, TASKS) if place is not None]
    figure, axes = panels(11, 3.8, 1, max(1, len(places)), squeeze=False)
    for ax, place in zip(axes[0], places, strict=False):
        arms = [arm for arm in MAIN if runs.trained(arm, places=[place])]
        for arm in arms:
            name, colour, _ = STYLES[arm]
            _runs(config, runs, ax, place, arm)
            ax.plot([], [], color=colour, label=name)
        baseline = runs.training(place, arms[-1])["baseline"] if arms else np.nan
        if np.isfinite(baseline):
            ax.axhline(baseline, color=BLACK, linewidth=1.2, linestyle="--")
            ax.set_ylim(0, 1.6 * baseline)
        exact = f"no memory: {BASELINES[place[0]]} = {baseline:.3f}"
        ax.set_title(f"{TASKS[place[0]]}, lag {place[1]}\n{exact}", fontsize=10)
        ax.set(xlabel="steps", xlim=(0, config.train.steps[place[0]]))
    tidy(*axes[0])
    axes[0, 0].set_ylabel("training loss")
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(MAIN), frameon=False)
    return Drawing(
        figure,
        f"Training at the longest lag of each task: mean loss of every {config.measure.every} steps"
        f" (squared error for adding, nats elsewhere), one line per run, {_seeds(runs)}. Dashed:"
        " the exact loss of the best predictor without memory. A dot: solved, where the run ends."
        " Values above 1.6 times the baseline are cut off.",
    )


def gates(config: ConfigDict, runs: Runs) -> Drawing:
    """Steps until solved and last loss of the gated cells, a row per task and lag."""
    gated = [arm for arm in runs.arms() if arm not in ("rnn", "irnn") and runs.trained(arm)]
    arms = sorted(gated, key=lambda arm: _family(arm, config.net.forget_bias))
    figure, (left, right) = panels(11, 1.4 + 0.42 * max(1, len(runs.places)), 1, 2, sharey=True)
    others = [arm for arm in arms if arm.startswith("lstm, ")]
    shades = dict(zip(others, (ORANGE, RED, "0.4", "0.7"), strict=False))
    styles = STYLES | {a: (a.replace("lstm", "LSTM"), colour, "s") for a, colour in shades.items()}
    styles["lstm"] = (f"LSTM, bias {config.net.forget_bias:g}", BLUE, "s")
    for n, arm in enumerate(arms):
        name, colour, marker = styles.get(arm, (arm, "0.5", "s"))
        mark = {"linestyle": "", "color": colour, "marker": marker, "markersize": 4, "alpha": 0.9}
        mark["markerfacecolor"] = "white" if arm == "gru-wide" else colour
        for row, place in enumerate(runs.places):
            at = np.full(len(runs.seeds), row + (n - (len(arms) - 1) / 2) * 0.12)
            label = {"label": name} if row == 0 else {}
            left.plot(_solved_steps(runs, place, arm), at, **mark, **label)
            right.plot(runs.shortfall(place, arm), at, **mark, **label)
    left.set(xscale="log", xlabel="steps until solved (no mark: not solved)")
    _counts(left.xaxis)
    right.set(xlabel="last loss over baseline", xlim=(-0.03, 1.05))
    left.set_yticks(range(len(runs.places)), [f"{TASKS[task]}, {lag}" for task, lag in runs.places])
    left.invert_yaxis()
    tidy(left, right, grid="x")
    for ax in (left, right):
        for row in range(len(runs.places) - 1):
            ax.axhline(row + 0.5, color="0.9", linewidth=0.8, zorder=0)
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
    return Drawing(
        figure,
        f"The gated cells, a mark per run, {_seeds(runs)}: the LSTM with several forget biases, the"
        " LSTM with tied gates (f = 1 - i, o = 1), the GRU of the same width and the GRU with as"
        " many parameters as the LSTM.",
    )


def clipping(config: ConfigDict, runs: Runs) -> Drawing:
    """Success and steps against length for each way of SGD, and the curves at the longest."""
    figure, (share, steps, curve) = panels(11, 3.8, 1, 3)
    places, lags = runs.clipping, [lag for _, lag in runs.clipping]
    arms = [arm for arm in SGD if runs.trained(arm, places=places)] if places else []
    for n, arm in enumerate(arms):
        name, colour, marker = STYLES[arm]
        shift = 1.03 ** (n - (len(arms) - 1) / 2)
        solved = [100 * runs.solved(place, arm).mean() for place in places]
        share.plot(shift * np.array(lags), solved, color=colour, marker=marker, label=name)
        _line(steps, places, arm, shift, [_solved_steps(runs, place, arm) for place in places])
        _runs(config, runs, curve, places[-1], arm)
    share.set(ylim=(-4, 104), ylabel="runs that solve it, %", xlabel="length of the sequence")
    steps.set(yscale="log", ylabel="steps until solved", xlabel="length of the sequence")
    _counts(steps.yaxis)
    steps.axhline(config.clipping.steps, linestyle="--", **LEVEL)
    for ax in (share, steps):
        _lags(ax, lags)
    if arms:
        baseline = runs.training(places[-1], arms[0])["baseline"]
        curve.axhline(baseline, color=BLACK, linewidth=1, linestyle="--")
        curve.set(ylim=(0, 1.6 * baseline), xlim=(0, config.clipping.steps))
        curve.set(xlabel="steps", ylabel="training loss, nats")
        curve.set_title(f"length {lags[-1]}; no memory: ln 4 = {baseline:.3f}", fontsize=10)
    tidy(curve)
    handles = share.get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(SGD), frameon=False)
    return Drawing(
        figure,
        f"Plain SGD with a tanh RNN on temporal order, {_seeds(runs)}: at a rate of"
        f" {config.clipping.rate:g} without clipping (SGD), with the gradient's norm clipped at"
        f" {config.clipping.threshold:g} (SGD-C), with clipping and the regulariser (SGD-CR), and"
        f" without either at a rate of {config.clipping.slow_rate:g}. After Pascanu et al. 2013,"
        " section 4.1.",
    )


def _solved_steps(runs: Runs, place: Place, arm: str) -> np.ndarray:
    """(S,) steps until solved; NaN for a run that never got there."""
    return np.where(runs.solved(place, arm) > 0, runs.cost(place, arm), np.nan)


def _runs(config: ConfigDict, runs: Runs, ax: Axes, place: Place, arm: str) -> None:
    """The loss of every run, which ends in a dot where it solved its task."""
    colour = STYLES[arm][1]
    for run in runs.runs(place, arm):
        steps = config.measure.every * np.arange(1, len(run["loss"]) + 1)
        ax.plot(steps, run["loss"], color=colour, linewidth=1, alpha=0.8)
        if run["end"] == "solved":
            ax.plot(steps[-1], run["loss"][-1], color=colour, marker="o", markersize=4)


def _line(
    ax: Axes, places: Sequence[Place], arm: str, shift: float, values: Sequence[np.ndarray]
) -> None:
    """A mark per seed and a line through the means of those that are there."""
    name, colour, marker = STYLES[arm]
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
    tidy(ax)


def _seeds(runs: Runs) -> str:
    return f"{len(runs.seeds)} seeds" if len(runs.seeds) > 1 else "one seed"
