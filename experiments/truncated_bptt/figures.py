"""The figures of the truncation study: the loss against k, the truncated gradient, and what it
costs.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from ml_collections import ConfigDict

from deepseq.lab.plots import BLUE, GREEN, ORANGE, PINK, RED, SKY, Drawing, band, panels, tidy
from deepseq.lab.records import Record
from experiments.truncated_bptt.records import TEXT, Runs, Task, guess
from experiments.truncated_bptt.training import KEPT, RESET

COLOURS = {KEPT: BLUE, RESET: RED}
TASKS = (GREEN, PINK, ORANGE, SKY)


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; tasks that are not finished are left out."""
    runs = Runs(config, records)
    if not runs.finished:
        return {}
    figures = {"figure": losses(runs), "gradient": gradients(runs)}
    return figures | ({"cost": costs(config, runs)} if TEXT in runs.finished else {})


def losses(runs: Runs) -> Drawing:
    """Final loss against k, one panel per task, the carry kept and set to zero."""
    tasks = runs.finished
    figure, axes = panels(3.6 * len(tasks), 3.9, 1, len(tasks), squeeze=False)
    for ax, (task, lag) in zip(axes[0], tasks, strict=True):
        for carry in (RESET, KEPT):
            ends = np.array([runs.final((task, lag), k, carry) for k in runs.ks]).T
            line = {"marker": "o", "markersize": 4, "zorder": 3}
            band(ax, runs.ks, ends, COLOURS[carry], spread="range", **line)
        if task == "echo":
            fine = np.geomspace(1, runs.steps, 200)
            least = [guess(lag, k) for k in fine]
            ax.plot(fine, least, color="0.3", linewidth=1, linestyle="--")
            ax.axvline(lag, color="0.8", linewidth=1, zorder=0)
            ax.set_ylim(-0.03, 0.85)
            ax.set_title(f"echo of lag {lag} (grey line)")
        else:
            ax.set_title("next character of text, held out")
        _steps_axis(ax, runs, "k, steps the gradient is followed back")
    axes[0, 0].set_ylabel("final loss, nats per step")
    last = axes[0, -1]
    for carry, text in ((KEPT, "carry handed on"), (RESET, "carry set to zero every k steps")):
        last.plot([], [], color=COLOURS[carry], marker="o", markersize=4, label=text)
    least = "least possible at zero carry"
    last.plot([], [], color="0.3", linewidth=1, linestyle="--", label=least)
    last.legend(frameon=False, fontsize=8, loc="upper right")
    return Drawing(
        figure,
        f"Final loss against k, mean of {len(runs.seeds)} seeds, band from best to worst. Up to the"
        " lag (grey line) no gradient reaches the bit to be echoed: at zero carry only guessing is"
        " left, and beyond it the share of steps whose bit came in an earlier chunk (dashed,"
        " exact).",
    )


def gradients(runs: Runs) -> Drawing:
    """Angle and bias of the truncated gradient, and how far back each k feels."""
    figure, (angle, bias, reach) = panels(11, 3.9, 1, 3)
    for colour, task in zip(TASKS, runs.finished, strict=False):
        for when, style in (("start", "-"), ("end", ":")):
            measured = runs.measured(task)[when]
            label = _name(task) if when == "start" else None
            line = {"color": colour, "linestyle": style, "marker": "o", "markersize": 3}
            for ax, what in ((angle, "cosine"), (bias, "bias")):
                ax.plot(runs.ks, np.mean(measured[what], axis=1), label=label, **line)
    angle.set(title="direction", ylabel="cosine with the full gradient")
    bias.set(title="bias", ylabel="|truncated − full| / |full|")
    title = "line: before training\ndots: after"
    angle.legend(frameon=False, fontsize=8, title=title, title_fontsize=8)
    for ax in (angle, bias):
        _steps_axis(ax, runs, "k, k1 = 1")
    if TEXT in runs.finished:
        _reach(runs, reach)
    reach.set(yscale="log", xlabel="steps before the loss", ylabel="|dL/dh|")
    reach.set_title("reach on text, before training")
    tidy(reach, grid="")
    reach.minorticks_off()
    return Drawing(
        figure,
        "Left and middle: the truncated gradient against the full one. Right: the gradient that"
        " reaches the state so many steps before the loss; each k follows the full curve and is"
        " exactly zero beyond its number.",
    )


def _reach(runs: Runs, ax: Axes) -> None:
    """The gradient by its distance from the loss, a line for each k."""
    measured = runs.measured(TEXT)["reach"]
    shades = np.linspace(0.15, 0.85, len(runs.ks))
    for k, norms, shade in zip(runs.ks, measured["norms"], shades, strict=True):
        pairs = zip(measured["lags"], norms, strict=True)
        points = [(lag, norm) for lag, norm in pairs if norm > 0]
        colour = colormaps["viridis"](shade)[:3]
        width = 2.5 if k != runs.steps else 1
        ax.plot(*zip(*points, strict=True), color=colour, linewidth=width, zorder=-k)
        ax.plot(*points[-1], color=colour, marker="|", markersize=12)
        offset = {"xytext": (3, 5), "textcoords": "offset points"}
        ax.annotate(f"{k}", points[-1], fontsize=8, color=colour, **offset)


def costs(config: ConfigDict, runs: Runs) -> Drawing:
    """Memory and time of an update against k, and memory against the sequence's length."""
    figure, (memory, seconds, length) = panels(11, 3.6, 1, 3)
    cost, line = runs.measured(TEXT)["cost"], {"marker": "o", "markersize": 4}
    memory.plot(runs.ks, np.array(cost["memory"]) / 1e6, color=TASKS[0], **line)
    memory.set(title="memory of an update, text", ylabel="temporary memory, MB", ylim=(0, None))
    seconds.plot(runs.ks, 1e3 * np.array(cost["seconds"]), color=TASKS[0], **line)
    seconds.set(title="time of an update, text", ylim=(0, None))
    seconds.set_ylabel(f"ms for {runs.steps} steps")
    for ax in (memory, seconds):
        _steps_axis(ax, runs, "k")
    lengths = config.measure.lengths
    labels = {"truncated": (f"k = {cost['long_k']}", BLUE), "full": ("full", RED)}
    for form, (label, colour) in labels.items():
        values = np.array(cost["long"][form]) / 1e6
        length.plot(lengths, values, color=colour, **line)
        offset = {"xytext": (-4, 6), "textcoords": "offset points", "ha": "right"}
        length.annotate(label, (lengths[-1], values[-1]), fontsize=9, color=colour, **offset)
    length.set(xscale="log", yscale="log", title="memory against length")
    length.set(xlabel="T, steps", ylabel="temporary memory, MB")
    tidy(length, grid="")
    length.minorticks_off()
    return Drawing(
        figure,
        "Temporary memory of the compiled gradient (without inputs and parameters) and its time on"
        " this machine. Truncated, the memory does not depend on the length of the sequence.",
    )


def _name(task: Task) -> str:
    return f"echo of lag {task[1]}" if task[0] == "echo" else "text"


def _steps_axis(ax: Axes, runs: Runs, label: str) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks(runs.ks, [str(k) for k in runs.ks])
    ax.set_xlabel(label)
    tidy(ax, grid="")
    ax.minorticks_off()
