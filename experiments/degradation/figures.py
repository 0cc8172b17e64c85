"""The figures of the degradation study: the training curves, and what the nets look like inside."""

from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator
from ml_collections import ConfigDict

from deepseq.lab.plots import BLUE, ORANGE, Drawing, band, label_ends, over, panels, tidy
from deepseq.lab.records import Record
from experiments.degradation.records import Runs

SHALLOW, DEEP = ORANGE, BLUE
KINDS = {"plain": "plain", "resnet": "residual"}
PLACES = {"digits": "scikit-learn's digits", "cifar10": "CIFAR-10"}
LOOKS = {"before training": 0, "half way": None, "after training": -1}  # which of a run's looks


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's two figures by file name; none before a seed has finished."""
    runs = Runs(config, records)
    return {"figure": curves(config, runs), "inside": inside(runs)} if runs.seeds else {}


def curves(config: ConfigDict, runs: Runs) -> Drawing:
    """Errors against iterations, plain nets left, residual right (He et al. 2015, Figure 6)."""
    figure, axes = panels(9, 4.2, columns=2, sharey=True)
    for ax, (kind, title) in zip(axes, KINDS.items(), strict=True):
        ends = {}
        for depth, colour in ((runs.shallow, SHALLOW), (runs.deep, DEEP)):
            steps, train = runs.curve("error", net=f"{kind}-{depth}")
            _, test = runs.curve("test", "error", net=f"{kind}-{depth}")
            band(ax, steps, 100 * train, colour, width=1)
            last = band(ax, steps, 100 * test, colour, width=2.5)[-1]
            ends[f"{depth} layers"] = (steps[-1], last, colour)
        ax.set(title=f"{title} nets", xlabel="iterations", xlim=(0, steps[-1]), ylim=(0, 100))
        label_ends(ax, ends)
        for fraction in config.train.drops:
            ax.axvline(fraction * config.train.steps, color="0.8", linewidth=0.8, zorder=0)
    tidy(*axes)
    axes[0].set_ylabel("error, %")
    for width, text in ((2.5, "test"), (1, "training")):
        axes[1].plot([], [], color="0.3", linewidth=width, label=text)
    axes[1].legend(frameon=False, loc="upper right")
    return Drawing(
        figure,
        "Training error (thin, of the batches since the last point) and test error (bold) on"
        f" {PLACES[config.data.name]}, {over(runs.seeds)}. Grey lines: the learning rate falls"
        " tenfold. After He et al. 2015, Figure 6.",
    )


def inside(runs: Runs) -> Drawing:
    """Gradient norms and responses by layer (He et al. 2015, section 4.1 and Figure 7)."""
    figure, axes = panels(11, 6.4, 2, 3, sharey="row")
    nets = [
        (f"{kind}-{depth}", colour, style)
        for kind, style in (("plain", "-"), ("resnet", "--"))
        for depth, colour in ((runs.shallow, SHALLOW), (runs.deep, DEEP))
    ]
    for (top, bottom), (title, n) in zip(axes.T, LOOKS.items(), strict=True):
        for net, colour, style in nets:
            looks = [runs.looks(net, seed) for seed in runs.seeds]
            chosen = [look[len(look) // 2 if n is None else n] for look in looks]
            line = {"label": net, "linestyle": style, "width": 1.5}
            _by_layer(top, [look["gradient_norm"] for look in chosen], colour, log=True, **line)
            _by_layer(bottom, [look["response_std"] for look in chosen], colour, **line)
        top.set(title=title, yscale="log")
        bottom.set_xlabel("layer")
    for net, colour, _ in nets[:2]:
        norms = [runs.points(seed, net=net)[0]["without_bn"] for seed in runs.seeds]
        line = {"label": f"{net} without BN", "linestyle": ":", "width": 1.5}
        _by_layer(axes[0, 0], norms, colour, log=True, **line)
    axes[0, 0].set_ylabel("gradient norm  ‖dL/dy‖")
    axes[1, 0].set_ylabel("standard deviation of the response y")
    axes[1, 0].set_ylim(bottom=0)
    tidy(*axes.flat)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=6, frameon=False)
    return Drawing(
        figure,
        "Inside the nets, by layer from input to output, on one fixed batch. Top: norm of the loss"
        " gradient with respect to the layer's response y (after BN, before ReLU or addition); a"
        " vanishing gradient would fall from right to left by orders of magnitude. Bottom: standard"
        f" deviation of y, after He et al. 2015, Figure 7. {over(runs.seeds).capitalize()} (at the"
        " top of the logarithm).",
    )


def _by_layer(ax, values: Sequence, colour: str, **line) -> None:
    values = np.array(values)
    band(ax, np.arange(1, values.shape[1] + 1), values, colour, **line)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
