"""The figures of the autoregression study: loss against tau, disturbed series, what a state holds,
feeding back, pixels.
"""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab import plots
from deepseq.lab.plots import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, Drawing
from deepseq.lab.records import Record
from experiments.autoregression.pixels import images
from experiments.autoregression.records import Runs
from experiments.autoregression.sources import COPY, ENDLESS, TITLES

ORDERS = (BLUE, RED, GREEN, PINK)
KINDS = {
    "intact": ("intact", GREY),
    "trimmed": ("cut into pieces", SKY),
    "omitted": ("symbols left out", ORANGE),
    "permuted": ("out of order", RED),
}
ARMS = {  # what a model sees
    "place": ("its place alone", GREY),
    "left": ("left pixel", GREY),
    "above": ("pixel above", GREY),
    "both": ("left and above", GREY),
    "four": ("four neighbours", GREY),
    "raster rnn": ("RNN along the raster", RED),
    "raster lstm": ("LSTM along the raster", RED),
    "grid rnn": ("2-D RNN", BLUE),
    "grid rnn ahead": ("2-D RNN, shown above right", SKY),
    "grid lstm": ("2-D LSTM", BLUE),
}
SAMPLED = ("both", "raster rnn", "grid rnn", "grid rnn ahead")
LINES = {  # of the losses
    "least possible, exact": {"linewidth": 1},
    "AR(tau) by counting": {"marker": "o", "linestyle": "none", "markersize": 5, "alpha": 0.7},
    "AR(tau), net of the window": {"marker": "x", "linestyle": "none"},
    "recurrent net": {"linestyle": "--", "linewidth": 1.5, "zorder": 0},
}


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; what is not all there is left out."""
    runs, drawings = Runs(config, records), {}
    real = runs.ended("linear") and runs.ended("real latent")
    if all(runs.ended(part, *runs.sources) for part in ("table", "window", "latent")):
        if real:
            drawings["figure"] = losses(config, runs)
        drawings["disturbed"] = disturbances(config, runs)
    if runs.ended("latent", COPY) and runs.ended("echo"):
        drawings["memory"] = memory(config, runs)
    if real:
        drawings["fed_back"] = fed_back(config, runs)
    if config.pixels.arms and runs.ended("pixels", *config.pixels.arms):
        drawings["pixels"] = pixels(config, runs)
    return drawings


def losses(config: ConfigDict, runs: Runs) -> Drawing:
    """Loss against tau on every process, with its floors."""
    figure, (chains, copy, endless, real) = plots.panels(13, 4.2, columns=4)
    ring = {"marker": "o", "markersize": 13, "markerfacecolor": "none"}
    for (chain, order), colour in zip(runs.chains.items(), ORDERS, strict=False):
        floors = _source(chains, runs, chain, colour)
        chains.plot(order, floors[order], color=colour, **ring)
        plots.note(chains, chain, (order, floors[order]), colour, (5, 6), size=10)
    _source(copy, runs, COPY, BLUE)
    for source, colour in zip(ENDLESS, (BLUE, RED), strict=True):
        floors = _source(endless, runs, source, colour)
        tau = len(floors) // 2
        plots.note(endless, TITLES[source], (tau, floors[tau]), colour, (4, 8), size=10)
    floors, tables = runs.get("linear", "", "floors"), runs.get("linear", "", "loss")
    recurrent = floors[runs.order] + runs.get("real latent", "", "excess")
    _curves(real, BLUE, floors, tables.mean(0), None, recurrent.mean())
    real.plot(runs.order, floors[runs.order], color=BLUE, **ring)
    for ax, title in (
        (chains, "chains of known order"),
        (copy, f"copy of the bit {config.bits.lag} before"),
        (endless, "chains of no finite order"),
        (real, f"Gaussian series of order {runs.order}"),
    ):
        ax.set(title=title, xlabel="tau, values of the past that are kept")
        ax.xaxis.get_major_locator().set_params(integer=True)
    chains.set_ylabel("loss, nats per value")
    plots.tidy(chains, copy, endless, real)
    handles = [
        chains.plot([], [], color=GREY, label=name, **style)[0] for name, style in LINES.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return Drawing(
        figure,
        f"Loss against tau, mean of {len(config.seeds)} seeds, each with chains of its own. Lines:"
        " the least loss there is for a model of so many values, exact. Circles: tau is the order"
        " of the process; from there on the line is the entropy rate. On a delayed copy, no window"
        " shorter than the lag helps; a recurrent net needs no tau at all.",
    )


def disturbances(config: ConfigDict, runs: Runs) -> Drawing:
    """Loss per symbol on intact and disturbed test series of the chains."""
    figure, axes = plots.panels(9, 3.6, columns=2, sharex=True, sharey=True)
    titles = {"AR": "AR of the chain's order, by counting", "RNN": "recurrent net"}
    for ax, (model, title) in zip(axes, titles.items(), strict=True):
        for row, chain in enumerate(runs.chains):
            values = runs.disturbances(chain, model)
            for step, (kind, (text, colour)) in enumerate(KINDS.items()):
                place, ends = row + 0.2 * (step - 1.5), [values[k].mean() for k in ("intact", kind)]
                ax.plot(ends, [place] * 2, color=colour, linewidth=2, alpha=0.5)
                plots.dots(ax, place, values[kind], colour)
                if row == 0:
                    plots.note(ax, text, (values[kind].max(), place), colour, (8, -3))
        ax.set(title=title, xlabel="loss, nats per symbol")
        ax.set_yticks(range(len(runs.chains)), runs.chains)
        ax.axvline(np.log(config.chain.symbols), color="0.6", linewidth=1, linestyle=":", zorder=0)
    axes[0].invert_yaxis()
    plots.tidy(*axes, grid="x")
    return Drawing(
        figure,
        "Order matters: what models fitted to a chain lose on its test series, intact, cut into"
        f" pieces of {config.measure.piece}, with {config.measure.omit:.0%} of the symbols left"
        f" out, and permuted. Bars: means; dots: {len(config.seeds)} seeds, each with a chain of"
        f" its own. Dotted: ln {config.chain.symbols}, of guessing; out of order, they are wrong"
        " with confidence.",
    )


def memory(config: ConfigDict, runs: Runs) -> Drawing:
    """What a linear map reads out of the state, and the delayed echo with and without a state."""
    figure, (read, echo) = plots.panels(10, 3.8, columns=2, width_ratios=(3, 2))
    lag, right = config.bits.lag, {"ha": "right"}
    trained, untrained = (
        runs.get("latent", COPY, "decoded", when) for when in ("trained", "untrained")
    )
    lags = np.arange(1, trained.shape[1] + 1)
    for shares, colour in ((trained, BLUE), (untrained, ORANGE)):
        plots.band(read, lags, shares, colour, spread="range", marker="o", markersize=4)
    place = 2 * lag, trained[:, 2 * lag - 1].mean()
    plots.note(read, "trained", place, BLUE, (-6, -16), size=10, **right)
    plots.note(read, "before training", (lags[-1], 1), ORANGE, (0, 4), size=10, **right)
    # between x_(t-k) and the last bits that came, there are so many copies
    known = (1 + (1 - 2 * config.bits.flip) ** ((lags - 1) // lag)) / 2
    read.step(lags, known, where="mid", color=GREY, linewidth=1, linestyle=":")
    text = f"what the last {lag} bits tell"
    plots.note(read, text, (lags[-1], known[-1]), GREY, (0, -14), **right)
    read.axvline(lag, color="0.8", linewidth=1, zorder=0)
    plots.note(read, "lag of the copy", (lag, 0.6), GREY, (4, 0))
    read.set(title="x_(t−k) read linearly out of h_t", xlabel="k, steps back", ylim=(0.48, 1.06))
    read.set_ylabel("share read rightly; chance is 0.5")
    for net, colour, text, above in (
        ("MLP", RED, "net of the current step", -14),
        ("RNN", BLUE, "recurrent net", 6),
    ):
        curves = runs.get("echo", "", f"{net} curve")
        updates = config.measure.every * np.arange(1, curves.shape[1] + 1)
        line = plots.band(echo, updates, curves, colour, spread="range")
        plots.note(echo, text, (updates[-1], line[-1]), colour, (0, above), **right)
    record = runs.end(part="echo")
    echo.axhline(record["baseline"], color=GREY, linewidth=1, linestyle=":")
    plots.note(echo, "ln 2, chance", (updates[-1], record["baseline"]), GREY, (0, 4), **right)
    echo.set(title=f"echo of the bit {record['lag']} before", xlabel="updates", ylim=(-0.02, 0.8))
    echo.set_ylabel("training loss, nats")
    plots.tidy(read, echo)
    return Drawing(
        figure,
        "Left: how far back a linear map reads the past out of the state of a net of"
        f" {config.latent.hidden} units, on the delayed copy; dotted, exact: what would be known of"
        " it from the last bits alone. An orthogonal recurrence holds the past before any"
        " training, which gives up what lies beyond the lag. Right: a net of the current bit stays"
        f" at chance, a recurrent net echoes. Bands: from least to greatest of {len(config.seeds)}"
        " seeds.",
    )


def fed_back(config: ConfigDict, runs: Runs) -> Drawing:
    """Error against the horizon when predictions are fed back, beside the least error."""
    figure, ax = plots.panels(7.5, 4.2)
    floor = runs.get("linear", "", "error_floor")
    steps, order = np.arange(1, len(floor) + 1), runs.order
    for name, errors, colour, marker in (
        ("AR(1)", runs.get("linear", "", "errors", "1"), RED, "s"),
        (f"AR({order})", runs.get("linear", "", "errors", str(order)), BLUE, "o"),
        ("recurrent net", floor + runs.get("real latent", "", "error_excess"), GREEN, "x"),
    ):
        ax.plot(steps, errors.mean(0), marker, color=colour, label=f"{name}, fed back", zorder=3)
    ax.plot(steps, floor, color=GREY, linewidth=1.5, label="least possible, exact", zorder=1)
    ax.axhline(floor[0], color=GREY, linestyle="--", linewidth=1)
    text = "one step ahead, true values given"
    plots.note(ax, text, (steps[-1], floor[0]), GREY, (0, 4), ha="right")
    ax.set(xlabel="steps ahead", ylabel="mean squared error", ylim=(0, None))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 0.32))
    plots.tidy(ax)
    return Drawing(
        figure,
        f"Predictions fed back on a Gaussian AR({order}), mean of {len(config.seeds)} seeds. With"
        " the right order the error is the least there is at every horizon, and grows to the"
        " variance of the process; the Markov model stays above it.",
    )


def pixels(config: ConfigDict, runs: Runs) -> Drawing:
    """Bits per pixel of every model, and images drawn from some of them."""
    arms = list(config.pixels.arms)
    figure, (ax, drawn) = plots.panels(13, 0.9 + 0.36 * max(len(arms), 9), columns=2)
    for row, arm in enumerate(arms):
        bits, (_, colour) = runs.get("pixels", arm, "bits"), ARMS[arm]
        plots.dots(ax, row, bits, colour)
        plots.note(ax, f"{bits.mean():.2f}", (bits.max(), row), colour, (8, -4))
    ax.set_yticks(range(len(arms)), [ARMS[arm][0] for arm in arms])
    for label, arm in zip(ax.get_yticklabels(), arms, strict=True):
        label.set_color(ARMS[arm][1])
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel("bits per pixel, test images")
    plots.tidy(ax, grid="x")
    samples = {arm: runs.end(part="pixels", of=arm)["samples"] for arm in SAMPLED if arm in arms}
    rows = {"test images": np.moveaxis(images(config)[-1][..., : config.pixels.samples], -1, 0)}
    for arm, levels in samples.items():
        if levels is not None:
            name = ARMS[arm][0].replace(" along", "\nalong").replace(", ", ",\n")
            rows[name] = np.array(levels)
    strips = [np.pad(row, ((0, 0), (0, 1), (0, 1)), constant_values=2) for row in rows.values()]
    mosaic = np.concatenate([np.concatenate(strip, 1) for strip in strips])
    drawn.imshow(mosaic, cmap="gray_r", vmin=0, vmax=16, interpolation="nearest")
    drawn.set_yticks([9 * row + 4 for row in range(len(rows))], rows)
    drawn.tick_params(length=0)
    drawn.set_title("drawn pixel by pixel from the models", fontsize=10)
    drawn.set_xticks([])
    drawn.spines[:].set_visible(False)
    return Drawing(
        figure,
        "Models of 8x8 digits with 17 levels of grey, p(pixel | what came before in the raster),"
        f" each with at most {config.pixels.parameters} parameters and told the pixel's place."
        f" Bars: means; dots: {len(config.seeds)} seeds. Grey: windows. Red: a state along the"
        " raster. Blue: a state from the left and from above, which sees nothing of the side above"
        " and to the right.",
    )


def _source(ax, runs: Runs, source: str, colour: str) -> np.ndarray:
    """The curves of a source of symbols; returns its floors."""
    floors, tables, nets = (
        runs.get(form, source, key).mean(0)
        for form, key in (("table", "floors"), ("table", "loss"), ("window", "loss"))
    )
    _curves(ax, colour, floors, tables, nets, runs.latent(source).mean())
    return floors


def _curves(ax, colour, floors, tables, nets, recurrent) -> None:
    lines = floors, tables, nets, np.full(len(floors), recurrent)
    for line, style in zip(lines, LINES.values(), strict=True):
        if line is not None:
            ax.plot(np.arange(len(line)), line, color=colour, **style)
