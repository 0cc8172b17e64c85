"""The figures of the translation study: learning curves, translations, and where the nets look
while they write.
"""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from ml_collections import ConfigDict

from experiments.translation.nets import NETS
from experiments.translation.records import Found
from experiments.translation.summary import NAMES

COLOURS = {"rnn": "#D55E00", "transformer": "#0072B2"}  # Okabe and Ito 2008
FAINT = "0.4"
LOOKED = 2  # sentences whose alignments are drawn
WIDTH = 100  # characters of a line of the translations


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label; seeds that are not
    finished are left out.
    """
    del summary
    found = Found(config, records)
    if not found.seeds:
        return {}
    return {
        "figure": learning(config, found),
        "alignments": alignments(config, found),
        "translations": translations(found),
    }


def learning(config: ConfigDict, found: Found) -> Figure:
    """Quality and loss on the validation part against updates, and the quality on the test."""
    figure = Figure(figsize=(10.5, 3.9), layout="constrained")
    quality, loss, test = figure.subplots(1, 3, width_ratios=(3, 3, 1.6))
    dates = config.corpus == "dates"
    for net in NETS:
        _curve(quality, *found.curve(net, found.measure), COLOURS[net])
        _curve(loss, *found.curve(net, "loss"), COLOURS[net])
    quality.set_ylabel(
        "held-out dates right in every character" if dates else "BLEU, validation, greedy"
    )
    loss.set_ylabel(f"nats per {'character' if dates else 'piece'}, validation")
    loss.set_yscale("log")
    loss.yaxis.set_major_formatter("{x:g}")
    low, high = loss.get_ylim()
    loss.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else NullFormatter())
    for ax in (quality, loss):
        _name(ax)
        ax.set_xlabel("updates")
        ax.set_xlim(0, None)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    quality.set_ylim(0, 1.03 if dates else None)
    for n, net in enumerate(NETS):
        for way, marker, shift, side in (
            ("greedy", "o", -0.12, "right"),
            ("beam", "D", 0.12, "left"),
        ):
            values = found.test(net, way, found.measure)
            test.plot(
                np.full(len(values), n + shift),
                values,
                marker,
                color=COLOURS[net],
                markersize=6,
                alpha=0.8,
            )
            text = f"{values.mean():.3f}" if dates else f"{values.mean():.1f}"
            place = {
                "xytext": (0, 8),
                "textcoords": "offset points",
                "ha": side,
                "fontsize": 9,
                "color": COLOURS[net],
            }
            test.annotate(text, (n + shift / 2, values.max()), **place)
    test.set_xticks(range(len(NETS)), ["RNN with\nattention", "Transformer"])
    for net, label in zip(NETS, test.get_xticklabels(), strict=True):
        label.set_color(COLOURS[net])
    test.set_xlim(-0.5, 1.5)
    test.margins(y=0.25)
    test.set_yticks([tick for tick in test.get_yticks() if 0 <= tick <= (1 if dates else 100)])
    test.set_ylabel("test, right in every character" if dates else "BLEU, test of 2016")
    test.set_title(f"● greedy   ◆ beam of {config.measure.beam}", fontsize=9, color=FAINT)
    for ax in (quality, loss, test):
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="0.92", linewidth=0.8)
        ax.set_axisbelow(True)
    seeds = f"mean and range over {len(found.seeds)} seeds" if len(found.seeds) > 1 else "one seed"
    counts = " and ".join(
        f"{found.parameters(net):,} parameters ({NAMES[net]})".replace(",", " ") for net in NETS
    )
    figure.set_label(
        f"{'Dates' if dates else 'Multi30k, German to English'}: what is not learned from, while"
        f" the nets learn ({seeds}), and the test after the last update. {counts}; the same batches"
        " in the same order."
    )
    return figure


def alignments(config: ConfigDict, found: Found) -> Figure:
    """Where each net looked while it wrote the first sentences of the test."""
    count = min(LOOKED, len(found.shown(NETS[0])))
    figure = Figure(figsize=(11, 4.6 * count), layout="constrained")
    for row, axes in enumerate(np.atleast_2d(figure.subplots(count, len(NETS)))):
        for net, ax in zip(NETS, axes, strict=True):
            one = found.shown(net)[row]
            ax.imshow(np.array(one["weights"]), cmap="Greys", vmin=0, vmax=1, aspect="auto")
            ax.set_xticks(range(len(one["read"])), [_visible(t) for t in one["read"]], fontsize=8)
            ax.set_yticks(range(len(one["wrote"])), [_visible(t) for t in one["wrote"]], fontsize=8)
            if max(map(len, one["read"])) > 1:
                ax.tick_params(axis="x", rotation=90)
            ax.xaxis.tick_top()
            ax.tick_params(length=0)
            ax.set_title(NAMES[net], color=COLOURS[net], fontweight="bold")
            ax.set_ylabel("written")
            ax.set_xlabel("read")
    figure.set_label(
        "Where the nets look in the source (columns) while they write each token (rows), from"
        " white, nothing, to black, all of the attention, for the first of the test. Of the"
        " Transformer, the mean over the heads of the decoder's last level."
        + (
            " A piece that continues a word begins with a dot."
            if config.corpus == "multi30k"
            else ""
        )
    )
    return figure


def translations(found: Found) -> Figure:
    """The first sentences of the test: what was read, what is right, and what each net wrote."""
    shown = {net: found.shown(net) for net in NETS}
    lines: list[tuple[str, str, str, bool]] = []
    for n, first in enumerate(shown[NETS[0]]):
        rows = [("read", first["source"], FAINT), ("right", first["reference"], "black")]
        rows += [
            ({"rnn": "RNN"}.get(net, NAMES[net]), shown[net][n]["beam"], COLOURS[net])
            for net in NETS
        ]
        for name, text, colour in rows:
            for k, line in enumerate(textwrap.wrap(_visible(text), WIDTH) or ["(nothing)"]):
                lines.append((name if k == 0 else "", line, colour, name == "read" and k == 0))
    height = sum(1.7 if first else 1.0 for *_, first in lines) + 0.6
    width = 1.3 + 0.085 * max(len(line) for _, line, *_ in lines)
    figure = Figure(figsize=(width, 0.23 * height))
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(height, 0)
    y = 0.0
    for name, text, colour, first in lines:
        y += 1.7 if first else 1.0
        ax.text(1.05, y, name, ha="right", va="center", fontsize=9, color=colour)
        ax.text(1.2, y, text, va="center", fontsize=10, color=colour, parse_math=False)
    figure.set_label(
        "The first of the test: what was read, what is right, and what each net wrote by beam"
        " search."
    )
    return figure


def _curve(ax: Axes, updates: np.ndarray, values: np.ndarray, colour: str) -> None:
    ax.fill_between(updates, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0)
    ax.plot(updates, values.mean(0), color=colour, linewidth=1.8)


def _name(ax: Axes) -> None:
    """The nets' names above their curves, in their colours."""
    for net, x, side in zip(NETS, (0.0, 1.0), ("left", "right"), strict=True):
        ax.text(
            x,
            1.03,
            NAMES[net],
            transform=ax.transAxes,
            ha=side,
            color=COLOURS[net],
            fontweight="bold",
        )


def _visible(text: str) -> str:
    """Without what no font can draw: a piece may be some bytes of a letter, or a control character."""
    return (
        "␣"
        if text == " "
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    )
