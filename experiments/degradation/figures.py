"""The figures of the degradation study: the training curves, and what the nets look like inside."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from ml_collections import ConfigDict

from experiments.degradation.records import Runs

SHALLOW, DEEP = (
    "#E69F00",
    "#0072B2",
)  # told apart by every kind of colour vision (Okabe and Ito 2008)
KINDS = {"plain": "plain", "resnet": "residual"}
PLACES = {"digits": "scikit-learn's digits", "cifar10": "CIFAR-10"}


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's two figures by file name, each with its caption as its label."""
    del summary
    runs = Runs(config, records)
    return {"figure": curves(config, runs), "inside": inside(config, runs)}


def curves(config: ConfigDict, runs: Runs) -> Figure:
    """Training and test error against iterations, plain nets left, residual nets right (He et al.
    2015, Figure 6).
    """
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, kind in zip(axes, KINDS, strict=True):
        ends = {}
        for depth, colour in ((runs.shallow, SHALLOW), (runs.deep, DEEP)):
            points = [runs.curve(f"{kind}-{depth}", seed) for seed in runs.seeds]
            steps = [point["step"] for point in points[0]]
            train = np.array([[100 * point["error"] for point in curve] for curve in points])
            test = np.array([[100 * point["test"]["error"] for point in curve] for curve in points])
            _band(ax, steps, train, colour, width=1, centre=_arithmetic)
            _band(ax, steps, test, colour, width=2.5, centre=_arithmetic)
            ends[f"{depth} layers"] = (steps[-1], test.mean(axis=0)[-1], colour)
        _label_ends(ax, ends, span=100)
        ax.set(title=f"{KINDS[kind]} nets", xlabel="iterations", ylim=(0, 100))
        ax.set_xlim(0, steps[-1])
        for step in (fraction * config.train.steps for fraction in config.train.drops):
            ax.axvline(step, color="0.8", linewidth=0.8, zorder=0)
        _tidy(ax)
    axes[0].set_ylabel("error, %")
    for width, text in ((2.5, "test"), (1, "training")):
        axes[1].plot([], [], color="0.3", linewidth=width, label=text)
    axes[1].legend(frameon=False, loc="upper right")
    spread = (
        f", mean of {len(runs.seeds)} seeds, band: one standard deviation"
        if len(runs.seeds) > 1
        else ", one seed"
    )
    figure.set_label(
        "Training error (thin, of the batches since the last point) and test error (bold) on"
        f" {PLACES[config.data.name]}{spread}. Grey lines: the learning rate falls tenfold. After"
        " He et al. 2015, Figure 6."
    )
    return figure


def inside(config: ConfigDict, runs: Runs) -> Figure:
    """Gradient norms and responses by layer at the start, on the way and at the end (He et al.
    2015, section 4.1, Figure 7).
    """
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 3, sharey="row")
    moments = ((0, "before training"), (None, "half way"), (-1, "after training"))
    for column, (which, when) in enumerate(moments):
        for kind, style in (("plain", "-"), ("resnet", "--")):
            for depth, colour in ((runs.shallow, SHALLOW), (runs.deep, DEEP)):
                net = f"{kind}-{depth}"
                looks = [runs.looks(net, seed) for seed in runs.seeds]
                seen = [look[len(look) // 2 if which is None else which][1] for look in looks]
                for row, (quantity, centre) in enumerate(
                    (("gradient_norm", _geometric), ("response_std", _arithmetic))
                ):
                    values = np.array([look[quantity] for look in seen])
                    layers = np.arange(1, values.shape[1] + 1)
                    _band(
                        axes[row, column],
                        layers,
                        values,
                        colour,
                        style=style,
                        centre=centre,
                        label=net,
                    )
        if which == 0:
            for depth, colour in ((runs.shallow, SHALLOW), (runs.deep, DEEP)):
                values = np.array(
                    [runs.start(f"plain-{depth}", seed)["without_bn"] for seed in runs.seeds]
                )
                layers = np.arange(1, values.shape[1] + 1)
                _band(
                    axes[0, 0],
                    layers,
                    values,
                    colour,
                    style=":",
                    centre=_geometric,
                    label=f"plain-{depth} without BN",
                )
        axes[0, column].set_title(when)
        axes[1, column].set_xlabel("layer")
    for ax in axes[0]:
        ax.set_yscale("log")
    axes[1, 0].set_ylim(bottom=0)
    for ax in axes.flat:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        _tidy(ax)
    axes[0, 0].set_ylabel("gradient norm  ‖dL/dy‖")
    axes[1, 0].set_ylabel("standard deviation of the response y")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False
    )
    figure.set_label(
        "Inside the nets, by layer from input to output, on one fixed batch. Top: norm of the loss"
        " gradient with respect to the layer's response y (after BN, before ReLU or addition); a"
        " vanishing gradient would fall from right to left by orders of magnitude. Bottom: standard"
        " deviation of y, after He et al. 2015, Figure 7. Mean over seeds (geometric at the top),"
        " band: one standard deviation."
    )
    return figure


def _band(
    ax: Axes,
    x,
    values: np.ndarray,
    colour: str,
    *,
    centre: Callable,
    width: float = 1.5,
    style: str = "-",
    **line,
) -> None:
    """The mean over seeds (axis 0) as a line, with a band of one standard deviation."""
    low, middle, high = centre(values)
    ax.plot(x, middle, color=colour, linewidth=width, linestyle=style, **line)
    if len(values) > 1:
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)


def _arithmetic(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=min(1, len(values) - 1))
    return mean - spread, mean, mean + spread


def _geometric(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    tiny = np.finfo(
        np.float32
    ).tiny  # a gradient that underflowed to 0 is drawn at the foot of the figure
    low, middle, high = _arithmetic(np.log(np.maximum(values, tiny)))
    return np.exp(low), np.exp(middle), np.exp(high)


def _label_ends(ax: Axes, ends: Mapping[str, tuple[float, float, str]], span: float) -> None:
    """Names each curve at its right end, apart from one another where the ends meet."""
    apart, below = 0.055 * span, -np.inf
    for text, (x, y, colour) in sorted(ends.items(), key=lambda item: item[1][1]):
        below = max(y, below + apart, 0.02 * span)
        ax.annotate(
            text,
            (x, below),
            xytext=(6, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            annotation_clip=False,
        )


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
