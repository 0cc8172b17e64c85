"""The figures of the gradient-flow study: the gradient by lag at initialisation, gates and single
units, training, singular values. What spans many decades is drawn as its log10, since the longest
products leave the range of floating-point numbers."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from ml_collections import ConfigDict

from deepseq.data import tasks
from experiments.gradient_flow.algebra import RELU_W, SCALAR_STEPS, SIGMOID_W
from experiments.gradient_flow.nets import GATED
from experiments.gradient_flow.plot import (
    Limits,
    bound,
    line,
    name_ends,
    radius_colours,
    radius_legend,
    tidy,
)
from experiments.gradient_flow.records import Runs
from experiments.gradient_flow.training import ARMS

BLUE, SKY, ORANGE, GREEN, PURPLE, BLACK = (
    "#0072B2",
    "#56B4E9",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
)
NETS = {"RNN": BLACK, "leaky RNN": GREEN, "GRU": BLUE, "LSTM": ORANGE}
NAMES = {"leaky": "leaky RNN", "gru": "GRU", "lstm": "LSTM"}
TITLES = {"SGD": "SGD", "SGD-C": "SGD-C: clipped", "SGD-CR": "SGD-CR: clipped and regularised"}
STAGES = {"before": SKY, "half way": "#E69F00", "after": BLACK}


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label; none before a seed has
    finished.
    """
    del summary
    runs = Runs(config, records)
    figures = {
        "figure": by_cell,
        "gates": gates,
        "training": training,
        "singular_values": singular_values,
    }
    return {name: make(config, runs) for name, make in figures.items()} if runs.seeds else {}


def by_cell(config: ConfigDict, runs: Runs) -> Figure:
    """Gradient against lag for six kinds of net, one line per spectral radius, and the theory's
    bound.
    """
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    panels = [
        ("tanh", "orthogonal", "tanh RNN"),
        ("sigmoid", "orthogonal", "sigmoid RNN"),
        ("relu", "orthogonal", "ReLU RNN"),
        ("relu", "identity", "ReLU RNN, W = radius × identity"),
        ("gru", "orthogonal", "GRU, gates half open"),
        ("lstm", "orthogonal", "LSTM, gates half open"),
    ]
    axes = figure.subplots(2, 3, sharex=True, sharey=True)
    for ax, (cell, recurrence, title) in zip(axes.flat, panels, strict=True):
        for radius, colour in radius_colours(config).items():
            tag = {"recurrence": recurrence, "radius": radius, "driven": True}
            line(ax, runs.lags, runs.flow(cell, "gradient", **tag), colour)
            if cell not in GATED:
                bound(ax, runs, cell, tag, colour)
        ax.set(title=title, xlim=(0, runs.lags[-1]), ylim=_limits(config, -40, 15))
        tidy(ax)
    for ax in axes[1]:
        ax.set_xlabel("lag T − t, steps")
    for ax in axes[:, 0]:
        ax.set_ylabel("gradient left,  ‖dL/dh$_t$‖ / ‖dL/dh$_T$‖")
    radius_legend(figure, config, {"bound (γ‖W‖)$^{T − t}$": "--"}, columns=6)
    figure.set_label(
        f"What is left of a gradient T − t steps back, at initialisation: {config.flow.hidden}"
        " units, biases 0, weak inputs that differ from step to step; W is orthogonal times the"
        " radius except where the title says otherwise, for GRU and LSTM each gate's W. The"
        " gradient of an LSTM is that of h and c together. Dashed: the theory's bound, with γ = 1"
        " for tanh and ReLU, 1/4 for sigmoid, and ‖W‖ the largest singular value, which is the"
        " radius here; gated cells have no such bound. Cross: beyond it, the gradient is exactly"
        f" 0, as every unit was off at some step. {_spread(runs)}"
    )
    return figure


def gates(config: ConfigDict, runs: Runs) -> Figure:
    """What open gates do, and the single units whose gradient the notes reason about."""
    figure = Figure(figsize=(12, 7), layout="constrained")
    top, bottom = figure.subplots(2, 3)
    limits = _limits(config, -60, 12)
    for ax, keep in zip(top, (config.flow.keeps[0], config.flow.keeps[-1]), strict=False):
        nets = {"RNN": ("tanh", None), **{NAMES[cell]: (cell, keep) for cell in GATED}}
        values = {
            name: runs.flow(cell, "largest", recurrence="uniform", keep=bias)
            for name, (cell, bias) in nets.items()
        }
        name_ends(
            ax,
            {name: line(ax, runs.lags, left, NETS[name]) for name, left in values.items()},
            limits,
        )
        ax.set(
            title=f"gate biases {keep:g} (they keep {1 / (1 + np.exp(-keep)):.3g})",
            ylabel="gain,  ‖∂s$_T$/∂s$_t$‖",
        )
    ends = {}
    for keep, colour in zip(
        config.flow.keeps, (SKY, BLUE, ORANGE, PURPLE, GREEN, BLACK), strict=False
    ):
        ends[f"bias {keep:g}"] = line(
            top[2], runs.lags, runs.flow("lstm", "whole", keep=keep), colour
        )
        line(top[2], runs.lags, runs.flow("lstm", "direct", keep=keep), colour, style=":")
    name_ends(top[2], ends, limits)
    top[2].set(
        title="LSTM's c, by forget bias (dotted: Π f alone)", ylabel="gain,  ‖∂c$_T$/∂c$_t$‖"
    )
    for ax in top:
        ax.set(xlim=(0, runs.lags[-1]), ylim=limits, xlabel="lag T − t, steps")

    at_half, off_half = (runs.found("sigmoid_unit", name)[0] for name in ("at_half", "off_half"))
    sigmoid = {f"W = {w:g}": values for w, values in zip(SIGMOID_W, at_half, strict=True)}
    sigmoid[f"W = {SIGMOID_W[-1]:g} from 0.6"] = off_half
    relu = {
        f"W = {w:g}": values
        for w, values in zip(RELU_W, runs.found("relu_unit", "gradient")[0], strict=True)
    }
    _units(bottom[0], "one sigmoid unit, bias −W/2, from 1/2", sigmoid, (-12, 6))
    _units(bottom[1], "one ReLU unit", relu, (-4, 4))
    gain, det = runs.found("determinant", "along_axes")[0], runs.worst("determinant", "determinant")
    steps = np.arange(21)
    rates = {
        "1st direction": (gain[0] ** 0.05, ORANGE),
        "2nd direction": (gain[1] ** 0.05, BLUE),
        "determinant": (det, BLACK),
    }
    ends = {
        name: line(bottom[2], steps, steps[None] * np.log10(rate), colour)
        for name, (rate, colour) in rates.items()
    }
    name_ends(bottom[2], ends, (-24, 12))
    bottom[2].set(
        title="linear RNN, W = diag(2, 0.1)",
        xlim=(0, 20),
        ylim=(-24, 12),
        xlabel="lag, steps",
        ylabel="gain",
    )
    for ax in (*top, *bottom):
        ax.set_title(ax.get_title(), pad=11)
        tidy(ax)
    figure.set_label(
        "Top: torch's initialisation, in which only the bias of the gate that keeps the old state"
        " differs: an LSTM's f, a GRU's z, the constant of a leaky RNN; the RNN has none. A gate"
        " half open loses the gradient, if more slowly than the RNN; an open one keeps it. s is"
        " the whole state, (h, c) for the LSTM, whose c also acts on itself through h: solid all"
        " paths, dotted the product of the forget gates. Bottom: a sigmoid unit at rest at 1/2"
        " vanishes for W below 4 and explodes above, unless it leaves 1/2 and saturates; a ReLU"
        " unit gives W^t; and where one direction explodes while the other vanishes, the"
        f" determinant tells neither. {_spread(runs)}"
    )
    return figure


def training(config: ConfigDict, runs: Runs) -> Figure:
    """Loss and gradient norm while a tanh RNN is trained, and the gradient by lag before, half way
    and after.
    """
    figure = Figure(figsize=(11, 8.6), layout="constrained")
    losses, norms, flows = figure.subplots(3, 3, sharey="row")
    lags = np.arange(config.train.lag)
    for arm, *column in zip(ARMS, losses, norms, flows, strict=True):
        for seed in runs.seeds:
            for ax, quantity, log in (
                (column[0], "loss", False),
                (column[1], "gradient_norm", True),
            ):
                points = [
                    (p["step"], p[quantity])
                    for p in runs.curve(arm, seed)
                    if 0 < p[quantity] < np.inf
                ]
                steps, values = np.array(points or [(0, np.nan)]).T
                values = np.log10(values) if log else values
                ax.plot(steps, values, color=BLUE, linewidth=0.8, alpha=0.7)
                if runs.diverged(arm, seed):
                    ax.plot(
                        steps[-1],
                        values[-1],
                        "x",
                        color=ORANGE,
                        markersize=8,
                        markeredgewidth=2,
                        zorder=3,
                    )
        for stage, colour in STAGES.items():
            looks = [
                _stage(runs.looks(arm, seed), stage, config.train.steps) for seed in runs.seeds
            ]
            line(column[2], lags, np.array([look["by_lag"] for look in looks]), colour, label=stage)
        lost = sum(runs.diverged(arm, seed) is not None for seed in runs.seeds)
        end = (
            f"{runs.error(arm).mean():.0f} % wrong at the end"
            + f", {lost} of {len(runs.seeds)} diverged" * bool(lost)
        )
        column[0].set_title(f"{TITLES[arm]}\n{end}")
        if arm != "SGD":
            column[1].axhline(np.log10(config.train.clip), color="0.3", linestyle="--", linewidth=1)
        for ax in column[:2]:
            ax.set(xlabel="iterations", xlim=(0, config.train.steps))
        column[2].set(xlabel="lag T − t, steps", xlim=(0, lags[-1]))
        for ax in column:
            tidy(ax)
        column[0].yaxis.set_major_locator(MaxNLocator(5))
        column[0].yaxis.set_major_formatter("{x:g}")
    losses[0].set(ylabel="training loss, nats", ylim=(0, 1.7 * math.log(tasks.ORDER_CLASSES)))
    norms[0].set_ylabel("largest gradient norm")
    flows[0].set_ylabel("gradient,  ‖dL/dh$_t$‖")
    figure.legend(
        *flows[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    figure.set_label(
        f"A tanh RNN of {config.train.hidden} units learns temporal order, T = {config.train.lag},"
        f" from the same weights (orthogonal, radius {config.train.radius:g}) and on the same"
        " batches; a guess has a loss of ln 4 = 1.39. Top: loss, one line per seed; cross: it is"
        f" no longer finite. Middle: the largest norm of {config.measure.every} batches' gradients"
        " before clipping; dashed: the threshold. Bottom: gradient with respect to the state, on"
        " held-out sequences, geometric mean; a flat line reaches the first step undiminished. Of"
        f" a run that diverged, the last look before it did. {_spread(runs)}"
    )
    return figure


def singular_values(config: ConfigDict, runs: Runs) -> Figure:
    """The largest and the median singular value of the Jacobian product, and the bound on the
    largest.
    """
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, sharey=True)
    for row, (cell, name) in zip(axes, {"tanh": "tanh", "relu": "ReLU"}.items(), strict=True):
        for ax, (recurrence, kind) in zip(
            row, {"orthogonal": "orthogonal", "gaussian": "Gaussian"}.items(), strict=True
        ):
            for radius, colour in radius_colours(config).items():
                tag = {"recurrence": recurrence, "radius": radius, "driven": True}
                line(ax, runs.lags, runs.flow(cell, "largest", **tag), colour)
                line(ax, runs.lags, runs.flow(cell, "median", **tag), colour, style=":")
                bound(ax, runs, cell, tag, colour)
            ax.set(
                title=f"{name} RNN, W {kind}",
                xlim=(0, runs.lags[-1]),
                ylim=_limits(config, -40, 15),
            )
            tidy(ax)
    for ax in axes[1]:
        ax.set_xlabel("lag T − t, steps")
    for ax in axes[:, 0]:
        ax.set_ylabel("singular values of  ∂h$_T$/∂h$_t$")
    radius_legend(figure, config, {"largest": "-", "median": ":", "bound": "--"}, columns=4)
    figure.set_label(
        "Singular values of the exact product of Jacobians in the nets of Figure 1: solid the"
        " largest, dotted the median, dashed the bound on the largest, (γ‖W‖)^(T − t). The norm of"
        " a Gaussian W is about twice its spectral radius, so that its bound is loose. Vanishing"
        " is a matter of direction: the median may shrink while the largest grows. A dotted line"
        " ends where rounding hides it, 13 orders of magnitude below the largest, or where it is"
        f" 0, as half the units of a ReLU net are off. {_spread(runs)}"
    )
    return figure


def _units(ax: Axes, title: str, curves: Mapping[str, np.ndarray], limits: Limits) -> None:
    """|dh_t/dh_0| of single units against t."""
    steps, colours = np.arange(1, SCALAR_STEPS + 1), (BLUE, BLACK, ORANGE, PURPLE)
    with np.errstate(divide="ignore"):
        ends = {
            name: line(ax, steps, np.log10(values)[None], colour)
            for (name, values), colour in zip(curves.items(), colours, strict=False)
        }
    name_ends(ax, ends, limits)
    ax.set(
        title=title,
        xlim=(0, SCALAR_STEPS),
        ylim=limits,
        xlabel="t, steps",
        ylabel="|dh$_t$/dh$_0$|",
    )


def _limits(config: ConfigDict, low: float, high: float) -> Limits:
    """Decades: as given for 200 steps and more, fewer for fewer steps."""
    share = min(1.0, config.flow.steps / 200)
    return low * share, high * share


def _stage(looks: list[tuple[int, Mapping]], stage: str, steps: int) -> Mapping:
    """The look before training, the last up to its half, or the last of all."""
    until = {"before": 0, "half way": steps / 2, "after": steps}[stage]
    return [look for step, look in looks if step <= until and not np.isnan(look["by_lag"]).any()][
        -1
    ]


def _spread(runs: Runs) -> str:
    several = f"Mean of {len(runs.seeds)} seeds on the log scale, band: one standard deviation."
    return several if len(runs.seeds) > 1 else "One seed."
