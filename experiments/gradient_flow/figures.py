"""The figures of the gradient-flow study: nets at initialisation, gates and units, training.

What spans many decades is drawn as its log10: the longest products leave the range of floats.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from ml_collections import ConfigDict

from deepseq.data import tasks
from deepseq.lab.plots import BLACK, BLUE, GREEN, ORANGE, PINK, RED, SKY, Drawing, panels
from deepseq.lab.records import Record
from experiments.gradient_flow.algebra import RELU_W, SCALAR_STEPS, SIGMOID_W
from experiments.gradient_flow.nets import GATED
from experiments.gradient_flow.plot import (
    Limits,
    bound,
    decades,
    line,
    name_ends,
    over_seeds,
    radius_colours,
    radius_legend,
    tidy,
)
from experiments.gradient_flow.records import Runs
from experiments.gradient_flow.training import ARMS

NETS = {"RNN": BLACK, "leaky RNN": GREEN, "GRU": BLUE, "LSTM": RED}
NAMES = {"leaky": "leaky RNN", "gru": "GRU", "lstm": "LSTM"}
TITLES = {"SGD": "SGD", "SGD-C": "SGD-C: clipped", "SGD-CR": "SGD-CR: clipped and regularised"}
STAGES = {"before": SKY, "half way": ORANGE, "after": BLACK}


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; none before a seed has finished."""
    runs = Runs(config, records)
    if not runs.seeds:
        return {}
    return {
        "figure": by_cell(config, runs),
        "gates": gates(config, runs),
        "training": training(config, runs),
        "singular_values": singular_values(config, runs),
    }


def by_cell(config: ConfigDict, runs: Runs) -> Drawing:
    """Gradient against lag for six kinds of net, a line per radius, and the theory's bound."""
    figure, axes = panels(11, 6.6, 2, 3, sharex=True, sharey=True)
    kinds = [
        ("tanh", "orthogonal", "tanh RNN"),
        ("sigmoid", "orthogonal", "sigmoid RNN"),
        ("relu", "orthogonal", "ReLU RNN"),
        ("relu", "identity", "ReLU RNN, W = radius × identity"),
        ("gru", "orthogonal", "GRU, gates half open"),
        ("lstm", "orthogonal", "LSTM, gates half open"),
    ]
    for ax, (cell, recurrence, title) in zip(axes.flat, kinds, strict=True):
        for radius, colour in radius_colours(config).items():
            net = {"recurrence": recurrence, "radius": radius, "driven": True}
            line(ax, runs.lags, runs.flow(cell, "gradient", **net), colour)
            if cell not in GATED:
                bound(ax, runs, cell, net, colour)
        ax.set(title=title, xlim=(0, runs.lags[-1]), ylim=decades(config, -40, 15))
    _label_grid(axes, "gradient left,  ‖dL/dh$_t$‖ / ‖dL/dh$_T$‖")
    radius_legend(figure, config, {"bound (γ‖W‖)$^{T − t}$": "--"}, columns=6)
    return Drawing(
        figure,
        f"What is left of a gradient T − t steps back, at initialisation: {config.flow.hidden}"
        " units, biases 0, weak inputs that differ from step to step; W is orthogonal times the"
        " radius except where the title says otherwise, for GRU and LSTM each gate's W. The"
        " gradient of an LSTM is that of h and c together. Dashed: the theory's bound, with γ = 1"
        " for tanh and ReLU, 1/4 for sigmoid, and ‖W‖ the largest singular value, which is the"
        " radius here; gated cells have no such bound. Cross: beyond it, the gradient is exactly"
        f" 0, as every unit was off at some step. {over_seeds(runs)}",
    )


def singular_values(config: ConfigDict, runs: Runs) -> Drawing:
    """The largest and the median singular value of the Jacobian product, and the bound."""
    figure, axes = panels(9, 7, 2, 2, sharex=True, sharey=True)
    kinds = [(cell, kind) for cell in ("tanh", "relu") for kind in ("orthogonal", "gaussian")]
    names = {"tanh": "tanh", "relu": "ReLU", "orthogonal": "orthogonal", "gaussian": "Gaussian"}
    for ax, (cell, recurrence) in zip(axes.flat, kinds, strict=True):
        for radius, colour in radius_colours(config).items():
            net = {"recurrence": recurrence, "radius": radius, "driven": True}
            line(ax, runs.lags, runs.flow(cell, "largest", **net), colour)
            line(ax, runs.lags, runs.flow(cell, "median", **net), colour, style=":")
            bound(ax, runs, cell, net, colour)
        title = f"{names[cell]} RNN, W {names[recurrence]}"
        ax.set(title=title, xlim=(0, runs.lags[-1]), ylim=decades(config, -40, 15))
    _label_grid(axes, "singular values of  ∂h$_T$/∂h$_t$")
    radius_legend(figure, config, {"largest": "-", "median": ":", "bound": "--"}, columns=4)
    return Drawing(
        figure,
        "Singular values of the exact product of Jacobians in the nets of Figure 1: solid the"
        " largest, dotted the median, dashed the bound on the largest, (γ‖W‖)^(T − t). The norm of"
        " a Gaussian W is about twice its spectral radius, so that its bound is loose. Vanishing"
        " is a matter of direction: the median may shrink while the largest grows. A dotted line"
        " ends where rounding hides it, 13 orders of magnitude below the largest, or where it is"
        f" 0, as half the units of a ReLU net are off. {over_seeds(runs)}",
    )


def _label_grid(axes: np.ndarray, quantity: str) -> None:
    tidy(*axes.flat)
    for ax in axes[-1]:
        ax.set_xlabel("lag T − t, steps")
    for ax in axes[:, 0]:
        ax.set_ylabel(quantity)


def gates(config: ConfigDict, runs: Runs) -> Drawing:
    """What open gates do, and the single units whose gradient the claims reason about."""
    figure, (top, bottom) = panels(12, 7, 2, 3)
    _gains(config, runs, top)
    _single_units(runs, bottom)
    for ax in (*top, *bottom):
        ax.set_title(ax.get_title(), pad=11)
    tidy(*top, *bottom)
    return Drawing(
        figure,
        "Top: torch's initialisation, in which only the bias of the gate that keeps the old state"
        " differs: an LSTM's f, a GRU's z, the constant of a leaky RNN; the RNN has none. A gate"
        " half open loses the gradient, if more slowly than the RNN; an open one keeps it. s is"
        " the whole state, (h, c) for the LSTM, whose c also acts on itself through h: solid all"
        " paths, dotted the product of the forget gates. Bottom: a sigmoid unit at rest at 1/2"
        " vanishes for W below 4 and explodes above, unless it leaves 1/2 and saturates; a ReLU"
        " unit gives W^t; and where one direction explodes while the other vanishes, the"
        f" determinant tells neither. {over_seeds(runs)}",
    )


def _gains(config: ConfigDict, runs: Runs, axes: Sequence[Axes]) -> None:
    """Gates half open, gates open, and the LSTM's cell state by its forget bias."""
    keeps, limits = config.flow.keeps, decades(config, -60, 12)
    for ax, keep in zip(axes, (keeps[0], keeps[-1]), strict=False):
        nets = {"RNN": ("tanh", None), **{NAMES[cell]: (cell, keep) for cell in GATED}}
        ends = {}
        for name, (cell, bias) in nets.items():
            left = runs.flow(cell, "largest", recurrence="uniform", keep=bias)
            ends[name] = line(ax, runs.lags, left, NETS[name])
        name_ends(ax, ends, limits)
        kept = 1 / (1 + np.exp(-keep))
        ax.set_title(f"gate biases {keep:g} (they keep {kept:.3g})")
        ax.set_ylabel("gain,  ‖∂s$_T$/∂s$_t$‖")
    ax, ends = axes[2], {}
    for keep, colour in zip(keeps, (SKY, BLUE, RED, PINK, GREEN, BLACK), strict=False):
        whole, direct = (runs.flow("lstm", name, keep=keep) for name in ("whole", "direct"))
        ends[f"bias {keep:g}"] = line(ax, runs.lags, whole, colour)
        line(ax, runs.lags, direct, colour, style=":")
    name_ends(ax, ends, limits)
    ax.set_title("LSTM's c, by forget bias (dotted: Π f alone)")
    ax.set_ylabel("gain,  ‖∂c$_T$/∂c$_t$‖")
    for ax in axes:
        ax.set(xlim=(0, runs.lags[-1]), ylim=limits, xlabel="lag T − t, steps")


def _single_units(runs: Runs, axes: Sequence[Axes]) -> None:
    """A sigmoid unit, a ReLU unit, and two linear ones in one net."""
    at_half, off_half = (runs.identity("sigmoid_unit", name)[0] for name in ("at_half", "off_half"))
    sigmoid = {f"W = {w:g}": values for w, values in zip(SIGMOID_W, at_half, strict=True)}
    sigmoid[f"W = {SIGMOID_W[-1]:g} from 0.6"] = off_half
    gradients = runs.identity("relu_unit", "gradient")[0]
    relu = {f"W = {w:g}": values for w, values in zip(RELU_W, gradients, strict=True)}
    _units(axes[0], "one sigmoid unit, bias −W/2, from 1/2", sigmoid, (-12, 6))
    _units(axes[1], "one ReLU unit", relu, (-4, 4))
    gain = runs.identity("determinant", "along_axes")[0]
    steps, ends = np.arange(21), {}
    for name, rate, colour in (
        ("1st direction", gain[0] ** 0.05, RED),
        ("2nd direction", gain[1] ** 0.05, BLUE),
        ("determinant", runs.worst("determinant", "determinant"), BLACK),
    ):
        ends[name] = line(axes[2], steps, steps[None] * np.log10(rate), colour)
    name_ends(axes[2], ends, (-24, 12))
    axes[2].set(title="linear RNN, W = diag(2, 0.1)", xlabel="lag, steps", ylabel="gain")
    axes[2].set(xlim=(0, 20), ylim=(-24, 12))


def _units(ax: Axes, title: str, curves: Mapping[str, np.ndarray], limits: Limits) -> None:
    """|dh_t/dh_0| of single units against t."""
    steps, ends = np.arange(1, SCALAR_STEPS + 1), {}
    with np.errstate(divide="ignore"):
        for (name, values), colour in zip(curves.items(), (BLUE, BLACK, RED, PINK), strict=False):
            ends[name] = line(ax, steps, np.log10(values)[None], colour)
    name_ends(ax, ends, limits)
    ax.set(title=title, xlim=(0, SCALAR_STEPS), ylim=limits)
    ax.set(xlabel="t, steps", ylabel="|dh$_t$/dh$_0$|")


def training(config: ConfigDict, runs: Runs) -> Drawing:
    """Loss and gradient norm while a tanh RNN is trained, and the gradient by lag on the way."""
    figure, axes = panels(11, 8.6, 3, 3, sharey="row")
    lags, train = np.arange(config.train.lag), config.train
    for arm, (loss, norm, by_lag) in zip(ARMS, axes.T, strict=True):
        _curves(runs, arm, loss, "loss", lambda values: values)
        _curves(runs, arm, norm, "gradient_norm", np.log10)
        for stage, colour in STAGES.items():
            looks = [_stage(runs.looks(arm, seed), stage, train.steps) for seed in runs.seeds]
            line(by_lag, lags, np.array([look["by_lag"] for look in looks]), colour, label=stage)
        lost = sum(at is not None for at in runs.diverged(arm))
        end = f"{runs.error(arm).mean():.0f} % wrong at the end"
        end += f", {lost} of {len(runs.seeds)} diverged" * bool(lost)
        loss.set_title(f"{TITLES[arm]}\n{end}")
        if arm != "SGD":
            norm.axhline(np.log10(train.clip), color="0.3", linestyle="--", linewidth=1)
        for ax in (loss, norm):
            ax.set(xlabel="iterations", xlim=(0, train.steps))
        by_lag.set(xlabel="lag T − t, steps", xlim=(0, lags[-1]))
        tidy(loss, norm, by_lag)
        loss.yaxis.set_major_locator(MaxNLocator(5))
        loss.yaxis.set_major_formatter("{x:g}")
    top = 1.7 * math.log(tasks.ORDER_CLASSES)
    axes[0, 0].set(ylabel="training loss, nats", ylim=(0, top))
    axes[1, 0].set_ylabel("largest gradient norm")
    axes[2, 0].set_ylabel("gradient,  ‖dL/dh$_t$‖")
    handles = axes[2, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=3, frameon=False)
    return Drawing(
        figure,
        f"A tanh RNN of {train.hidden} units learns temporal order, T = {train.lag}, from the same"
        f" weights (orthogonal, radius {train.radius:g}) and on the same batches; a guess has a"
        " loss of ln 4 = 1.39. Top: loss, one line per seed; cross: it is no longer finite. Middle:"
        f" the largest norm of {config.measure.every} batches' gradients before clipping; dashed:"
        " the threshold. Bottom: gradient with respect to the state, on held-out sequences,"
        " geometric mean; a flat line reaches the first step undiminished. Of a run that diverged,"
        f" the last look before it did. {over_seeds(runs)}",
    )


def _curves(runs: Runs, arm: str, ax: Axes, quantity: str, scale) -> None:
    """One line for each seed; a cross where its loss was no longer finite."""
    for seed, diverged in zip(runs.seeds, runs.diverged(arm), strict=True):
        points = [(p["step"], p[quantity]) for p in runs.training(arm, seed)]
        kept = [(step, value) for step, value in points if 0 < value < np.inf] or [(0, np.nan)]
        steps, values = np.array(kept).T
        ax.plot(steps, scale(values), color=BLUE, linewidth=0.8, alpha=0.7)
        if diverged:
            cross = {"color": RED, "markersize": 8, "markeredgewidth": 2, "zorder": 3}
            ax.plot(steps[-1], scale(values[-1]), "x", **cross)


def _stage(looks: list[tuple[int, Mapping]], stage: str, steps: int) -> Mapping:
    """The look before training, the last up to its half, or the last of all."""
    until = {"before": 0, "half way": steps / 2, "after": steps}[stage]
    whole = [look for step, look in looks if step <= until and not np.isnan(look["by_lag"]).any()]
    return whole[-1]
