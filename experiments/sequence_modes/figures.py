"""The figure of the study on the four modes: how each is learned, and an example of it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from ml_collections import ConfigDict

from deepseq.data import transduction
from deepseq.lab.plots import BLUE, GREY, RED, Drawing, band, note, over, panels, tidy
from deepseq.lab.records import Record
from experiments.sequence_modes.records import Runs
from experiments.sequence_modes.summary import chances

RIGHT, WRONG = "#007A5A", RED  # a green dark enough for letters
MOST = 12  # symbols of an example that fit under a panel

PANELS = {  # group of the config: mode, what is to be done, what is counted, and of which net
    "image": (
        "vector → sequence",
        "write an image's word",
        "share of whole words right",
        {"image": "whole"},
    ),
    "parity": (
        "sequence → vector",
        "an odd number of ones in up to {longest} bits?",
        "share of parities right",
        {"parity": "answers"},
    ),
    "reversal": (
        "sequence → vector → sequence",
        "say up to {longest} symbols backwards",
        "share of whole sequences right",
        {"reversal": "whole"},
    ),
    "tagging": (
        "sequence → sequence",
        "each symbol + the one {ahead} later, modulo {symbols}",
        "share of tags right",
        {"bidirectional": "answers", "unidirectional": "answers"},
    ),
}


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figure by file name; seeds that are not finished are left out."""
    runs = Runs(config, records)
    if not runs.seeds:
        return {}
    figure, rows = panels(13, 5.2, 2, len(PANELS), height_ratios=(2.4, 1))
    chance, examples = chances(config), (_image, _parity, _reversal, _tagging)
    for (group, (mode, task, counted, nets)), example, above, below in zip(
        PANELS.items(), examples, *rows, strict=True
    ):
        for net, measure in nets.items():
            colour = RED if net == "unidirectional" else BLUE
            band(above, *runs.learning(net, measure), colour, spread="range", width=1.8)
        _levels(above, config[group].threshold, chance[group])
        above.set_title(f"{mode}\n", fontsize=11.5, fontweight="bold")
        style = {"transform": above.transAxes, "ha": "center", "fontsize": 10, "color": GREY}
        above.text(0.5, 1.02, task.format(**config[group]), **style)
        above.set_ylabel(counted)
        below.set_axis_off()
        example(below, runs)
    place = {"xycoords": ("axes fraction", "data"), "ha": "right", "va": "center", "size": 10}
    last = rows[0, -1]
    note(last, "read both ways", (0.97, 0.8), BLUE, (0, 0), **place)
    note(last, "read one way", (0.97, chance["tagging"] + 0.1), RED, (0, 0), **place)
    return {
        "figure": Drawing(
            figure,
            "Accuracy on held-out images and on new sequences while each mode is learned"
            f" ({over(runs.seeds, 'range')}). Dashed, the threshold of the claim; dotted, the"
            " best that is possible without what was read (for tags, without what is still to"
            " come). Below, examples of the test and what the nets of the first seed answered,"
            " right in green, wrong in orange and underlined.",
        )
    }


def _levels(ax: Axes, threshold: float, chance: float) -> None:
    place = {"xycoords": ("axes fraction", "data"), "ha": "right", "size": 8}
    for name, level, style, offset in (
        (f"threshold {threshold:g}", threshold, "--", -11),
        (f"chance {chance:.2g}", chance, ":", 3 if chance < 0.1 else -11),
    ):
        ax.axhline(level, color=GREY, linewidth=1, linestyle=style)
        note(ax, name, (0.99, level), GREY, (0, offset), **place)
    ax.set_ylim(-0.02, 1.05)
    ax.set_xlim(0, None)
    ax.set_xlabel("updates")
    tidy(ax)


def _image(ax: Axes, runs: Runs) -> None:
    """The images, and the words written below them."""
    shown = runs.shown("image")
    count = len(shown["source"])
    for n, (image, answer, right) in enumerate(
        zip(shown["source"], shown["answers"], shown["right"], strict=True)
    ):
        inset = ax.inset_axes([(n + 0.14) / count, 0.42, 0.72 / count, 0.58])
        inset.imshow(np.array(image), cmap="gray_r")
        inset.set_xticks([])
        inset.set_yticks([])
        word, truth = (
            transduction.decode(np.array(symbols), transduction.LETTERS)
            for symbols in (answer, right)
        )
        _symbol(ax, (n + 0.5) / count, 0.22, word, word == truth, 10)
        if word != truth:
            _aside(ax, (n + 0.5) / count, 0.02, f"({truth})")


def _parity(ax: Axes, runs: Runs) -> None:
    shown = runs.shown("parity")
    which = int(np.argmin(shown["lengths"]))  # the shortest of them is read at a glance
    bits = _content(shown, which)
    answer, right = shown["answers"][which][0], shown["right"][which][0]
    text = "".join(map(str, bits))
    text = text if len(text) <= 40 else text[:37] + "..."
    half = len(text) if len(text) <= 20 else -(-len(text) // 2)
    lines = [text[start : start + half] for start in range(0, len(text), half)]
    ax.text(0.5, 0.72, "\n".join(lines), ha="center", va="center", fontsize=10, family="monospace")
    _symbol(ax, 0.34, 0.22, ("even", "odd")[answer], answer == right, 11)
    _aside(ax, 0.64, 0.22, f"({sum(bits)} ones of {len(bits)})")


def _reversal(ax: Axes, runs: Runs) -> None:
    shown = runs.shown("reversal")
    which = int(np.argmax([length if length <= MOST else -length for length in shown["lengths"]]))
    source = _content(shown, which)
    length = len(source)
    _row(ax, 0.72, "in", [_letter(symbol) for symbol in source])
    answer, right = (_until_end(shown[name][which], length) for name in ("answers", "right"))
    _row(ax, 0.22, "out", answer, right)


def _tagging(ax: Axes, runs: Runs) -> None:
    shown = runs.shown("bidirectional")
    other = runs.shown("unidirectional")
    _row(ax, 0.8, "in", list(map(str, _content(shown, 0))))
    for y, name, net in ((0.46, "both ways", shown), (0.12, "one way", other)):
        _row(ax, y, name, *(list(map(str, net[row][0])) for row in ("answers", "right")))


def _row(
    ax: Axes, y: float, name: str, symbols: Sequence[str], right: Sequence[str] | None = None
) -> None:
    """Symbols side by side, those that are not the right ones marked."""
    ax.text(0.0, y, name, ha="left", va="center", fontsize=9, color=GREY)
    if len(symbols) > MOST:
        ax.text(1.0, y, "…", ha="left", va="center", color=GREY)
    for n, symbol in enumerate(symbols[:MOST]):
        place = 0.31 + n * 0.69 / MOST
        if right is None:
            ax.text(place, y, symbol, ha="center", va="center", fontsize=11, family="monospace")
        else:
            _symbol(ax, place, y, symbol, symbol == right[n], 11)


def _aside(ax: Axes, x: float, y: float, text: str) -> None:
    ax.text(x, y, text, ha="center", va="center", fontsize=9, color=GREY)


def _symbol(ax: Axes, x: float, y: float, text: str, right: bool, size: int) -> None:
    style = {"ha": "center", "va": "center", "fontsize": size, "family": "monospace"}
    ax.text(x, y, text, color=RIGHT if right else WRONG, **style)
    if not right:
        ax.text(x, y - 0.03, "_" * len(text), color=WRONG, **style)


def _content(shown: Mapping, which: int) -> list[int]:
    """What was read, its symbols counted from 0."""
    return [
        symbol - transduction.CONTENT
        for symbol in shown["source"][which][: shown["lengths"][which]]
    ]


def _letter(symbol: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[symbol] if symbol < 26 else str(symbol)


def _until_end(symbols: Sequence[int], length: int) -> list[str]:
    """The letters of what was written, as many as were asked for, a stroke where there is none."""
    letters = [
        _letter(symbol - transduction.CONTENT) if symbol >= transduction.CONTENT else "-"
        for symbol in symbols
    ]
    return letters[:length]
