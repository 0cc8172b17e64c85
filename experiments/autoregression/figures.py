"""The figures of the autoregression study: loss against tau, disturbed series, what a state holds,
feeding back, pixels.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from experiments.autoregression.pixels import images
from experiments.autoregression.records import ENDLESS, TITLES, Runs
from experiments.autoregression.symbols import COPY

BLUE, RED, GREEN, PINK, ORANGE, SKY, GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "0.35",
)
ORDERS = (BLUE, RED, GREEN, PINK)  # Okabe and Ito 2008
HOW = {"trimmed": "cut into pieces", "omitted": "symbols left out", "permuted": "out of order"}
ARMS = {  # name -> what it sees, colour
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


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label; what is not all there
    is left out.
    """
    del summary
    runs, figures = Runs(config, records), {}
    if all(runs.has(part, *runs.sources) for part in ("table", "window", "latent")):
        if runs.has("linear") and runs.has("real latent"):
            figures["figure"] = losses(runs)
        figures["disturbed"] = disturbances(config, runs)
    if runs.has("latent", COPY) and runs.has("echo"):
        figures["memory"] = memory(config, runs)
    if runs.has("linear") and runs.has("real latent"):
        figures["fed_back"] = fed_back(config, runs)
    if runs.arms() and runs.has("pixels", *config.pixels.arms):
        figures["pixels"] = pixels(config, runs)
    return figures


def losses(runs: Runs) -> Figure:
    """Loss against tau on every process, with its floors."""
    figure = Figure(figsize=(13, 4.2), layout="constrained")
    chains, copy, endless, real = figure.subplots(1, 4)
    for order, colour in zip(runs.orders, ORDERS, strict=False):
        name = f"order {order}"
        _curve(chains, runs.floors(name), runs.windows(name), runs.windows(name, "window"), colour)
        _recurrent(chains, runs.latent(name), len(runs.taus(name)), colour)
        chains.annotate(
            name,
            (order, runs.floors(name)[:, order].mean()),
            xytext=(5, 6),
            textcoords="offset points",
            color=colour,
            fontsize=10,
        )
        chains.plot(
            order,
            runs.floors(name)[:, order].mean(),
            "o",
            markersize=13,
            markerfacecolor="none",
            color=colour,
        )
    chains.set(title="chains of known order", ylabel="loss, nats per value")
    for ax, sources, title in (
        (copy, (COPY,), f"copy of the bit {runs.config.bits.lag} before"),
        (endless, ENDLESS, "chains of no finite order"),
    ):
        for source, colour in zip(sources, (BLUE, RED), strict=False):
            _curve(
                ax,
                runs.floors(source),
                runs.windows(source),
                runs.windows(source, "window"),
                colour,
            )
            _recurrent(ax, runs.latent(source), len(runs.taus(source)), colour)
            if source != COPY:
                tau = len(runs.taus(source)) // 2
                ax.annotate(
                    TITLES[source],
                    (tau, runs.floors(source)[:, tau].mean()),
                    xytext=(4, 8),
                    fontsize=10,
                    textcoords="offset points",
                    color=colour,
                )
        ax.set_title(title)
    floors = np.asarray(runs.record("linear")["floors"], float)
    _curve(real, floors[None], runs.get("linear", "", "loss"), None, BLUE)
    _recurrent(real, floors[runs.order] + runs.get("real latent", "", "excess"), len(floors), BLUE)
    real.plot(
        runs.order, floors[runs.order], "o", markersize=13, markerfacecolor="none", color=BLUE
    )
    real.set_title(f"Gaussian series of order {runs.order}")
    for ax in figure.axes:
        ax.set_xlabel("tau, values of the past that are kept")
        ax.xaxis.get_major_locator().set_params(integer=True)
        _tidy(ax)
    chains.plot([], [], color=GREY, linewidth=1, label="least possible, exact")
    chains.plot([], [], "o", color=GREY, markersize=5, label="AR(tau) by counting")
    chains.plot([], [], "x", color=GREY, markersize=6, label="AR(tau), net of the window")
    chains.plot([], [], color=GREY, linestyle="--", linewidth=1.5, label="recurrent net")
    handles, labels = chains.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    figure.set_label(
        f"Loss against tau, mean of {len(runs.seeds)} seeds, each with chains of its own. Lines:"
        " the least loss there is for a model of so many values, exact. Circles: tau is the order"
        " of the process; from there on the line is the entropy rate. On a delayed copy, no window"
        " shorter than the lag helps; a recurrent net needs no tau at all."
    )
    return figure


def disturbances(config: ConfigDict, runs: Runs) -> Figure:
    """Loss per symbol on intact and disturbed test series of the chains."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for ax, model, title in zip(
        figure.subplots(1, 2, sharex=True, sharey=True),
        ("AR", "RNN"),
        ("AR of the chain's order, by counting", "recurrent net"),
        strict=True,
    ):
        for row, order in enumerate(runs.orders):
            found = runs.disturbances(order, model)
            for step, how in enumerate(("intact", *HOW)):
                place = row + 0.2 * (step - 1.5)
                colour = (GREY, SKY, ORANGE, RED)[step]
                ax.plot(
                    [found["intact"].mean(), found[how].mean()],
                    [place] * 2,
                    color=colour,
                    linewidth=2,
                    alpha=0.5,
                )
                ax.plot(
                    found[how],
                    np.full(len(found[how]), place),
                    "o",
                    markersize=4,
                    color=colour,
                    alpha=0.45,
                )
                ax.plot(
                    found[how].mean(), place, "|", markersize=12, markeredgewidth=2.5, color=colour
                )
                if row == 0:
                    ax.annotate(
                        HOW.get(how, "intact"),
                        (found[how].max(), place),
                        xytext=(8, -3),
                        fontsize=9,
                        textcoords="offset points",
                        color=colour,
                    )
        ax.set(
            title=title,
            xlabel="loss, nats per symbol",
            yticks=range(len(runs.orders)),
            yticklabels=[f"order {order}" for order in runs.orders],
        )
        ax.axvline(np.log(config.chain.symbols), color="0.6", linewidth=1, linestyle=":", zorder=0)
        _tidy(ax, "x")
    figure.axes[0].invert_yaxis()
    figure.set_label(
        "Order matters: what models fitted to a chain lose on its test series, intact, cut into"
        f" pieces of {config.measure.piece}, with {config.measure.omit:.0%} of the symbols left"
        f" out, and permuted. Bars: means; dots: {len(runs.seeds)} seeds, each with a chain of its"
        f" own. Dotted: ln {config.chain.symbols}, of guessing; out of order, they are wrong with"
        " confidence."
    )
    return figure


def memory(config: ConfigDict, runs: Runs) -> Figure:
    """What a linear map reads out of the state, and the delayed echo with and without a state."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    read, echo = figure.subplots(1, 2, width_ratios=(3, 2))
    lag = config.bits.lag
    for when, colour, text, over in (
        ("trained", BLUE, "trained", False),
        ("untrained", ORANGE, "before training", True),
    ):
        shares = runs.get("latent", COPY, "decoded", when)
        lags = np.arange(1, shares.shape[1] + 1)
        read.plot(lags, shares.mean(0), color=colour, marker="o", markersize=4)
        read.fill_between(lags, shares.min(0), shares.max(0), color=colour, alpha=0.2, linewidth=0)
        place = (lags[-1], 1.0) if over else (2 * lag, shares[:, 2 * lag - 1].mean())
        read.annotate(
            text,
            place,
            xytext=(0, 4) if over else (-6, -16),
            ha="right",
            textcoords="offset points",
            fontsize=10,
            color=colour,
        )
    copies = (lags - 1) // lag  # between x_(t-k) and the last bits that came
    read.step(
        lags,
        (1 + (1 - 2 * config.bits.flip) ** copies) / 2,
        where="mid",
        color=GREY,
        linewidth=1,
        linestyle=":",
    )
    read.annotate(
        f"what the last {lag} bits tell",
        (lags[-1], (1 + (1 - 2 * config.bits.flip) ** copies[-1]) / 2),
        xytext=(0, -14),
        ha="right",
        textcoords="offset points",
        fontsize=9,
        color=GREY,
    )
    read.axvline(lag, color="0.8", linewidth=1, zorder=0)
    read.annotate(
        "lag of the copy",
        (lag, 0.6),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=9,
        color=GREY,
    )
    read.set(
        xlabel="k, steps back",
        ylabel="share read rightly; chance is 0.5",
        ylim=(0.48, 1.06),
        title="x_(t−k) read linearly out of h_t",
    )
    record = runs.record("echo")
    for name, colour, text in (
        ("MLP", RED, "net of the current step"),
        ("RNN", BLUE, "recurrent net"),
    ):
        curves = np.asarray(record[f"{name} curve"], float)
        updates = config.measure.every * np.arange(1, curves.shape[1] + 1)
        echo.plot(updates, curves.mean(0), color=colour)
        echo.fill_between(
            updates, curves.min(0), curves.max(0), color=colour, alpha=0.2, linewidth=0
        )
        echo.annotate(
            text,
            (updates[-1], curves[:, -1].mean()),
            xytext=(0, -14 if name == "MLP" else 6),
            ha="right",
            textcoords="offset points",
            fontsize=9,
            color=colour,
        )
    echo.axhline(record["baseline"], color=GREY, linewidth=1, linestyle=":")
    echo.annotate(
        "ln 2, chance",
        (updates[-1], record["baseline"]),
        xytext=(0, 4),
        ha="right",
        textcoords="offset points",
        fontsize=9,
        color=GREY,
    )
    echo.set(
        xlabel="updates",
        ylabel="training loss, nats",
        ylim=(-0.02, 0.8),
        title=f"echo of the bit {record['lag']} before",
    )
    for ax in (read, echo):
        _tidy(ax)
    figure.set_label(
        "Left: how far back a linear map reads the past out of the state of a net of"
        f" {config.latent.hidden} units, on the delayed copy; dotted, exact: what would be known of"
        " it from the last bits alone. An orthogonal recurrence holds the past before any"
        " training, which gives up what lies beyond the lag. Right: a net of the current bit stays"
        f" at chance, a recurrent net echoes. Bands: from least to greatest of {len(runs.seeds)}"
        " seeds."
    )
    return figure


def fed_back(config: ConfigDict, runs: Runs) -> Figure:
    """Error against the horizon when predictions are fed back, with the closed form of the least
    error.
    """
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    ax = figure.subplots()
    floor = np.asarray(runs.record("linear")["error_floor"], float)
    steps = np.arange(1, len(floor) + 1)
    curves = {
        "AR(1)": (runs.get("linear", "", "errors", "1"), RED, "s"),
        f"AR({runs.order})": (runs.get("linear", "", "errors", str(runs.order)), BLUE, "o"),
        "recurrent net": (floor + runs.get("real latent", "", "error_excess"), GREEN, "x"),
    }
    for name, (errors, colour, marker) in curves.items():
        ax.plot(
            steps,
            errors.mean(0),
            marker,
            color=colour,
            markersize=6,
            label=f"{name}, fed back",
            zorder=3,
        )
    ax.plot(steps, floor, color=GREY, linewidth=1.5, label="least possible, exact", zorder=1)
    ax.axhline(floor[0], color=GREY, linestyle="--", linewidth=1)
    ax.annotate(
        "one step ahead, true values given",
        (steps[-1], floor[0]),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        fontsize=9,
        color=GREY,
    )
    ax.set(xlabel="steps ahead", ylabel="mean squared error", ylim=(0, None))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False, fontsize=9, loc="lower right", bbox_to_anchor=(1, 0.32))
    _tidy(ax)
    figure.set_label(
        f"Predictions fed back on a Gaussian AR({runs.order}), mean of {len(runs.seeds)} seeds."
        " With the right order the error is the least there is at every horizon, and grows to the"
        " variance of the process; the Markov model stays above it."
    )
    return figure


def pixels(config: ConfigDict, runs: Runs) -> Figure:
    """Bits per pixel of every model, and images drawn from some of them."""
    shown = [
        arm for arm in ("both", "raster rnn", "grid rnn", "grid rnn ahead") if arm in runs.arms()
    ]
    shown = [arm for arm in shown if runs.record("pixels", arm)["samples"] is not None]
    figure = Figure(figsize=(13, 0.9 + 0.36 * max(len(runs.arms()), 9)), layout="constrained")
    ax, drawn = figure.subplots(1, 2, width_ratios=(1, 1))
    for row, arm in enumerate(runs.arms()):
        text, colour = ARMS[arm]
        bits = runs.bits(arm)
        ax.plot(bits, np.full(len(bits), row), "o", color=colour, markersize=4, alpha=0.5)
        ax.plot(bits.mean(), row, "|", color=colour, markersize=14, markeredgewidth=2.5)
        ax.annotate(
            f"{bits.mean():.2f}",
            (bits.max(), row),
            xytext=(8, -4),
            textcoords="offset points",
            fontsize=9,
            color=colour,
        )
    ax.set(yticks=range(len(runs.arms())), yticklabels=[ARMS[arm][0] for arm in runs.arms()])
    for label, arm in zip(ax.get_yticklabels(), runs.arms(), strict=True):
        label.set_color(ARMS[arm][1])
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel("bits per pixel, test images")
    _tidy(ax, "x")
    rows = [_strip(np.moveaxis(images(config)[-1][..., : config.pixels.samples], -1, 0))]
    rows += [_strip(np.asarray(runs.record("pixels", arm)["samples"])) for arm in shown]
    drawn.imshow(np.concatenate(rows), cmap="gray_r", vmin=0, vmax=16, interpolation="nearest")
    names = [
        "test images",
        *(ARMS[arm][0].replace(" along", "\nalong").replace(", ", ",\n") for arm in shown),
    ]
    drawn.set_yticks([9 * row + 4 for row in range(len(rows))], names)
    drawn.tick_params(length=0)
    drawn.set_title("drawn pixel by pixel from the models", fontsize=10)
    drawn.set_xticks([])
    drawn.spines[:].set_visible(False)
    most = config.pixels.parameters
    figure.set_label(
        "Models of 8x8 digits with 17 levels of grey, p(pixel | what came before in the raster),"
        f" each with at most {most} parameters and told the pixel's place. Bars: means; dots:"
        f" {len(runs.seeds)} seeds. Grey: windows. Red: a state along the raster. Blue: a state"
        " from the left and from above, which sees nothing of the side above and to the right."
    )
    return figure


def _strip(shown: np.ndarray) -> np.ndarray:
    """Images (N, 8, 8) side by side with a margin: (9, 9 N)."""
    return np.concatenate(
        [np.pad(image, ((0, 1), (0, 1)), constant_values=2) for image in shown], 1
    )


def _curve(
    ax: Axes, floors: np.ndarray, tables: np.ndarray, nets: np.ndarray | None, colour: str
) -> None:
    taus = np.arange(floors.shape[1])
    ax.plot(taus, floors.mean(0), color=colour, linewidth=1)
    ax.plot(taus, tables.mean(0), "o", color=colour, markersize=5, alpha=0.7)
    if nets is not None:
        ax.plot(taus, nets.mean(0), "x", color=colour, markersize=6)


def _recurrent(ax: Axes, losses: np.ndarray, count: int, colour: str) -> None:
    ax.plot(
        [0, count - 1], [losses.mean()] * 2, color=colour, linestyle="--", linewidth=1.5, zorder=0
    )


def _tidy(ax: Axes, axis: str = "y") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis=axis, color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)
