"""The figures of the translation study: learning curves, translations, and where the nets look
while they write.
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from ml_collections import ConfigDict

from deepseq.lab.plots import BLUE, GREY, RED, Drawing, band, note, over, panels, tidy
from deepseq.lab.records import Record
from experiments.translation.nets import NETS
from experiments.translation.records import Runs
from experiments.translation.summary import NAMES

COLOURS = {"rnn": RED, "transformer": BLUE}
ALIGNED = 2  # sentences whose alignments are drawn
WIDTH = 100  # characters of a line of the translations


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; seeds that are not finished are left out."""
    runs = Runs(config, records)
    if not runs.seeds:
        return {}
    return {
        "figure": learning(config, runs),
        "alignments": alignments(config, runs),
        "translations": translations(runs),
    }


def learning(config: ConfigDict, runs: Runs) -> Drawing:
    """Quality and loss on the validation part against updates, and the quality on the test."""
    figure, (quality, loss, test) = panels(10.5, 3.9, 1, 3, width_ratios=(3, 3, 1.6))
    dates = config.corpus == "dates"
    for net in NETS:
        band(quality, *runs.quality(net), COLOURS[net], spread="range", width=1.8)
        band(loss, *runs.validation_loss(net), COLOURS[net], spread="range", width=1.8)
    quality.set_ylabel(
        "held-out dates right in every character" if dates else "BLEU, validation, greedy"
    )
    quality.set_ylim(0, 1.03 if dates else None)
    loss.set_ylabel(f"nats per {'character' if dates else 'piece'}, validation")
    loss.set_yscale("log")
    loss.yaxis.set_major_formatter("{x:g}")
    low, high = loss.get_ylim()
    loss.yaxis.set_minor_formatter("{x:g}" if high < 10 * low else NullFormatter())
    for ax in (quality, loss):
        for net, x, side in zip(NETS, (0.0, 1.0), ("left", "right"), strict=True):
            style = {"color": COLOURS[net], "fontweight": "bold"}
            ax.text(x, 1.03, NAMES[net], transform=ax.transAxes, ha=side, **style)
        ax.set_xlabel("updates")
        ax.set_xlim(0, None)
        ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    _tests(config, runs, test)
    tidy(quality, loss, test)
    counts = " and ".join(
        f"{runs.end(net=net)['parameters']:,} parameters ({NAMES[net]})".replace(",", " ")
        for net in NETS
    )
    return Drawing(
        figure,
        f"{'Dates' if dates else 'Multi30k, German to English'}: what is not learned from, while"
        f" the nets learn ({over(runs.seeds, 'range')}), and the test after the last update."
        f" {counts}; the same batches in the same order.",
    )


def _tests(config: ConfigDict, runs: Runs, ax: Axes) -> None:
    """The quality on the test of every seed, by both decoders."""
    dates = config.corpus == "dates"
    for n, net in enumerate(NETS):
        for decoder, marker, shift, side in (
            ("greedy", "o", -0.12, "right"),
            ("beam", "D", 0.12, "left"),
        ):
            values = runs.test(net, decoder, runs.measure)
            places = np.full(len(values), n + shift)
            ax.plot(places, values, marker, color=COLOURS[net], markersize=6, alpha=0.8)
            text = f"{values.mean():.3f}" if dates else f"{values.mean():.1f}"
            note(ax, text, (n + shift / 2, values.max()), COLOURS[net], (0, 8), ha=side)
    ax.set_xticks(range(len(NETS)), ["RNN with\nattention", "Transformer"])
    for net, label in zip(NETS, ax.get_xticklabels(), strict=True):
        label.set_color(COLOURS[net])
    ax.set_xlim(-0.5, 1.5)
    ax.margins(y=0.25)
    ax.set_yticks([tick for tick in ax.get_yticks() if 0 <= tick <= (1 if dates else 100)])
    ax.set_ylabel("test, right in every character" if dates else "BLEU, test of 2016")
    ax.set_title(f"● greedy   ◆ beam of {config.measure.beam}", fontsize=9, color=GREY)


def alignments(config: ConfigDict, runs: Runs) -> Drawing:
    """Where each net looked while it wrote the first sentences of the test."""
    count = min(ALIGNED, len(runs.shown(NETS[0])))
    figure, rows = panels(11, 4.6 * count, count, len(NETS), squeeze=False)
    for row, axes in enumerate(rows):
        for net, ax in zip(NETS, axes, strict=True):
            one = runs.shown(net)[row]
            ax.imshow(np.array(one["weights"]), cmap="Greys", vmin=0, vmax=1, aspect="auto")
            ax.set_xticks(range(len(one["read"])), map(_visible, one["read"]), fontsize=8)
            ax.set_yticks(range(len(one["wrote"])), map(_visible, one["wrote"]), fontsize=8)
            if max(map(len, one["read"])) > 1:
                ax.tick_params(axis="x", rotation=90)
            ax.xaxis.tick_top()
            ax.tick_params(length=0)
            ax.set_title(NAMES[net], color=COLOURS[net], fontweight="bold")
            ax.set_ylabel("written")
            ax.set_xlabel("read")
    pieces = " A piece that continues a word begins with a dot."
    return Drawing(
        figure,
        "Where the nets look in the source (columns) while they write each token (rows), from"
        " white, nothing, to black, all of the attention, for the first of the test. Of the"
        " Transformer, the mean over the heads of the decoder's last level."
        + (pieces if config.corpus == "multi30k" else ""),
    )


def translations(runs: Runs) -> Drawing:
    """The first sentences of the test: what was read, what is right, and what each net wrote."""
    shown = {net: runs.shown(net) for net in NETS}
    lines: list[tuple[str, str, str, bool]] = []
    for n, first in enumerate(shown[NETS[0]]):
        rows = [("read", first["source"], GREY), ("right", first["reference"], "black")]
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
    return Drawing(
        figure,
        "The first of the test: what was read, what is right, and what each net wrote by beam"
        " search.",
    )


def _visible(text: str) -> str:
    """Without what no font can draw: control characters, and pieces that are half a letter."""
    if text == " ":
        return "␣"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
