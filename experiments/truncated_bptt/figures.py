"""The figures of the truncation study: the loss against k, the truncated gradient, and what it
costs.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from experiments.truncated_bptt.summary import Runs, guess
from experiments.truncated_bptt.training import KEPT, RESET

COLOURS = {KEPT: "#0072B2", RESET: "#D55E00"}  # Okabe and Ito 2008
_TEXT = ("text", 0)
TASKS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9")


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label; tasks that are not
    finished are left out.
    """
    del summary
    runs = Runs(config, records)
    tasks = [task for task in runs.tasks if runs.done(task)]
    if not tasks:
        return {}
    figures = {"figure": losses(runs, tasks), "gradient": gradients(runs, tasks)}
    return figures | ({"cost": costs(config, runs)} if _TEXT in tasks else {})


def losses(runs: Runs, tasks) -> Figure:
    """Final loss against k, one panel per task, the carry kept and set to zero."""
    figure = Figure(figsize=(3.6 * len(tasks), 3.9), layout="constrained")
    for ax, (task, lag) in zip(np.atleast_1d(figure.subplots(1, len(tasks))), tasks, strict=True):
        for carry in (RESET, KEPT):
            ends = np.array([runs.final((task, lag), k, carry) for k in runs.ks])
            ax.plot(runs.ks, ends.mean(1), color=COLOURS[carry], marker="o", markersize=4, zorder=3)
            ax.fill_between(
                runs.ks, ends.min(1), ends.max(1), color=COLOURS[carry], alpha=0.2, linewidth=0
            )
        if task == "echo":
            fine = np.geomspace(1, runs.steps, 200)
            ax.plot(fine, [guess(lag, k) for k in fine], color="0.3", linewidth=1, linestyle="--")
            ax.axvline(lag, color="0.8", linewidth=1, zorder=0)
            ax.set_ylim(-0.03, 0.85)
            ax.set_title(f"echo of lag {lag} (grey line)")
        else:
            ax.set_title("next character of text, held out")
        _steps_axis(ax, runs, "k, steps the gradient is followed back")
    axes = figure.axes
    axes[0].set_ylabel("final loss, nats per step")
    for carry, text in ((KEPT, "carry handed on"), (RESET, "carry set to zero every k steps")):
        axes[-1].plot([], [], color=COLOURS[carry], marker="o", markersize=4, label=text)
    axes[-1].plot(
        [], [], color="0.3", linewidth=1, linestyle="--", label="least possible at zero carry"
    )
    axes[-1].legend(frameon=False, fontsize=8, loc="upper right")
    figure.set_label(
        f"Final loss against k, mean of {len(runs.seeds)} seeds, band from best to worst. Up to the"
        " lag (grey line) no gradient reaches the bit to be echoed: at zero carry only guessing is"
        " left, and beyond it the share of steps whose bit came in an earlier chunk (dashed,"
        " exact)."
    )
    return figure


def gradients(runs: Runs, tasks) -> Figure:
    """Angle and bias of the truncated gradient, and how far back each k feels."""
    figure = Figure(figsize=(11, 3.9), layout="constrained")
    angle, bias, reach = figure.subplots(1, 3)
    for colour, task in zip(TASKS, tasks, strict=False):
        for when, style in (("start", "-"), ("end", ":")):
            found = runs.measured(task)[when]
            for ax, what in ((angle, "cosine"), (bias, "bias")):
                label = _name(task) if when == "start" else None
                mean = np.mean(found[what], axis=1)
                ax.plot(
                    runs.ks,
                    mean,
                    color=colour,
                    linestyle=style,
                    marker="o",
                    markersize=3,
                    label=label,
                )
    angle.set(title="direction", ylabel="cosine with the full gradient")
    bias.set(title="bias", ylabel="|truncated − full| / |full|")
    angle.legend(
        frameon=False, fontsize=8, title="line: before training\ndots: after", title_fontsize=8
    )
    for ax in (angle, bias):
        _steps_axis(ax, runs, "k, k1 = 1")
    found = runs.measured(_TEXT)["reach"] if _TEXT in tasks else {"lags": [], "norms": []}
    shades = np.linspace(0.15, 0.85, len(runs.ks))
    for k, norms, shade in zip(runs.ks, found["norms"], shades, strict=False):
        own = [(lag, norm) for lag, norm in zip(found["lags"], norms, strict=True) if norm > 0]
        colour = _shade(shade)
        reach.plot(
            *zip(*own, strict=True),
            color=colour,
            linewidth=2.5 if k != runs.steps else 1,
            zorder=-k,
        )
        reach.plot(*own[-1], color=colour, marker="|", markersize=12)
        reach.annotate(
            f"{k}", own[-1], xytext=(3, 5), textcoords="offset points", fontsize=8, color=colour
        )
    reach.set(yscale="log", xlabel="steps before the loss", ylabel="|dL/dh|")
    reach.set_title("reach on text, before training")
    _tidy(reach)
    figure.set_label(
        "Left and middle: the truncated gradient against the full one. Right: the gradient that"
        " reaches the state so many steps before the loss; each k follows the full curve and is"
        " exactly zero beyond its number."
    )
    return figure


def costs(config: ConfigDict, runs: Runs) -> Figure:
    """Memory and time of an update against k, and memory against the sequence's length."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    memory, seconds, length = figure.subplots(1, 3)
    found = runs.measured(_TEXT)["cost"]
    memory.plot(runs.ks, np.array(found["memory"]) / 1e6, color=TASKS[0], marker="o", markersize=4)
    memory.set(title="memory of an update, text", ylabel="temporary memory, MB", ylim=(0, None))
    seconds.plot(
        runs.ks, 1e3 * np.array(found["seconds"]), color=TASKS[0], marker="o", markersize=4
    )
    seconds.set(
        title="time of an update, text", ylabel=f"ms for {runs.steps} steps", ylim=(0, None)
    )
    for ax in (memory, seconds):
        _steps_axis(ax, runs, "k")
    labels = {
        "truncated": (f"k = {found['long_k']}", COLOURS[KEPT]),
        "full": ("full", COLOURS[RESET]),
    }
    for form, (label, colour) in labels.items():
        values = np.array(found["long"][form]) / 1e6
        length.plot(config.measure.lengths, values, color=colour, marker="o", markersize=4)
        length.annotate(
            label,
            (config.measure.lengths[-1], values[-1]),
            xytext=(-4, 6),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=colour,
        )
    length.set(
        xscale="log",
        yscale="log",
        title="memory against length",
        xlabel="T, steps",
        ylabel="temporary memory, MB",
    )
    _tidy(length)
    figure.set_label(
        "Temporary memory of the compiled gradient (without inputs and parameters) and its time on"
        " this machine. Truncated, the memory does not depend on the length of the sequence."
    )
    return figure


def _name(task: tuple[str, int]) -> str:
    return f"echo of lag {task[1]}" if task[0] == "echo" else "text"


def _shade(value: float) -> tuple[float, float, float]:
    from matplotlib import colormaps

    return colormaps["viridis"](value)[:3]


def _steps_axis(ax: Axes, runs: Runs, label: str) -> None:
    ax.set_xscale("log", base=2)
    ax.set_xticks(runs.ks, [str(k) for k in runs.ks])
    ax.set_xlabel(label)
    _tidy(ax)


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.minorticks_off()
