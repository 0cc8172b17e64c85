"""The figure of the study on the four modes: how each is learned, and an example of it."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from deepseq.data import transduction
from experiments.sequence_modes.records import Found
from experiments.sequence_modes.summary import chances

BLUE, ORANGE = "#0072B2", "#D55E00"  # Okabe and Ito 2008
RIGHT, WRONG, FAINT = "#007A5A", ORANGE, "0.4"
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


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figure by file name, its caption as its label; seeds that are not finished are
    left out.
    """
    del summary
    found = Found(config, records)
    if not found.seeds:
        return {}
    figure = Figure(figsize=(13, 5.2), layout="constrained")
    rows = figure.subplots(2, len(PANELS), height_ratios=(2.4, 1))
    chance, examples = chances(config), (_image, _parity, _reversal, _tagging)
    for (group, (mode, task, counted, nets)), example, above, below in zip(
        PANELS.items(), examples, *rows, strict=True
    ):
        for net, measure in nets.items():
            _curve(above, *found.curve(net, measure), ORANGE if net == "unidirectional" else BLUE)
        _levels(above, config[group].threshold, chance[group])
        above.set_title(f"{mode}\n", fontsize=11.5, fontweight="bold")
        above.text(
            0.5,
            1.02,
            task.format(**config[group]),
            transform=above.transAxes,
            ha="center",
            fontsize=10,
            color=FAINT,
        )
        above.set_ylabel(counted)
        below.set_axis_off()
        example(below, found)
    for text, y, colour in (
        ("read both ways", 0.8, BLUE),
        ("read one way", chance["tagging"] + 0.1, ORANGE),
    ):
        rows[0, -1].annotate(
            text,
            (0.97, y),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="center",
            color=colour,
        )
    figure.set_label(
        "Accuracy on held-out images and on new sequences while each mode is learned: mean and"
        f" range over {len(found.seeds)} seeds. Dashed, the threshold of the claim; dotted, the"
        " best that is possible without what was read (for tags, without what is still to come)."
        " Below, examples of the test and what the nets of the first seed answered, right in"
        " green, wrong in orange and underlined."
    )
    return {"figure": figure}


def _curve(ax: Axes, updates: np.ndarray, values: np.ndarray, colour: str) -> None:
    ax.fill_between(updates, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0)
    ax.plot(updates, values.mean(0), color=colour, linewidth=1.8)


def _levels(ax: Axes, threshold: float, chance: float) -> None:
    ax.axhline(threshold, color="0.3", linewidth=1, linestyle="--")
    ax.axhline(chance, color="0.3", linewidth=1, linestyle=":")
    place = {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "ha": "right",
        "fontsize": 8,
        "color": "0.3",
    }
    ax.annotate(f"threshold {threshold:g}", (0.99, threshold), xytext=(0, -11), **place)
    ax.annotate(
        f"chance {chance:.2g}", (0.99, chance), xytext=(0, 3 if chance < 0.1 else -11), **place
    )
    ax.set_ylim(-0.02, 1.05)
    ax.set_xlim(0, None)
    ax.set_xlabel("updates")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color="0.92", linewidth=0.8)
    ax.set_axisbelow(True)


def _image(ax: Axes, found: Found) -> None:
    """The images, and the words written below them."""
    shown = found.net("image")[0]["shown"]
    count = len(shown["source"])
    for n, (image, said, right) in enumerate(
        zip(shown["source"], shown["answers"], shown["right"], strict=True)
    ):
        inset = ax.inset_axes([(n + 0.14) / count, 0.42, 0.72 / count, 0.58])
        inset.imshow(np.array(image), cmap="gray_r")
        inset.set_xticks([])
        inset.set_yticks([])
        word, truth = (
            transduction.decode(np.array(symbols), transduction.LETTERS)
            for symbols in (said, right)
        )
        _symbol(ax, (n + 0.5) / count, 0.22, word, word == truth, 10)
        if word != truth:
            ax.text(
                (n + 0.5) / count,
                0.02,
                f"({truth})",
                ha="center",
                va="center",
                fontsize=9,
                color=FAINT,
            )


def _parity(ax: Axes, found: Found) -> None:
    shown = found.net("parity")[0]["shown"]
    which = int(np.argmin(shown["lengths"]))  # the shortest of them is read at a glance
    bits = _content(shown, which)
    said, right = shown["answers"][which][0], shown["right"][which][0]
    text = "".join(map(str, bits))
    text = text if len(text) <= 40 else text[:37] + "..."
    half = len(text) if len(text) <= 20 else -(-len(text) // 2)
    lines = [text[start : start + half] for start in range(0, len(text), half)]
    ax.text(0.5, 0.72, "\n".join(lines), ha="center", va="center", fontsize=10, family="monospace")
    _symbol(ax, 0.34, 0.22, ("even", "odd")[said], said == right, 11)
    ax.text(
        0.64,
        0.22,
        f"({sum(bits)} ones of {len(bits)})",
        ha="center",
        va="center",
        fontsize=9,
        color=FAINT,
    )


def _reversal(ax: Axes, found: Found) -> None:
    shown = found.net("reversal")[0]["shown"]
    which = int(np.argmax([length if length <= MOST else -length for length in shown["lengths"]]))
    source = _content(shown, which)
    length = len(source)
    _row(ax, 0.72, "in", [_letter(symbol) for symbol in source])
    said, right = (_until_end(shown[name][which], length) for name in ("answers", "right"))
    _row(ax, 0.22, "out", said, right)


def _tagging(ax: Axes, found: Found) -> None:
    shown = found.net("bidirectional")[0]["shown"]
    other = found.net("unidirectional")[0]["shown"]
    _row(ax, 0.8, "in", list(map(str, _content(shown, 0))))
    for y, name, own in ((0.46, "both ways", shown), (0.12, "one way", other)):
        _row(ax, y, name, *(list(map(str, own[row][0])) for row in ("answers", "right")))


def _row(
    ax: Axes, y: float, name: str, symbols: Sequence[str], right: Sequence[str] | None = None
) -> None:
    """Symbols side by side, those that are not the right ones marked."""
    ax.text(0.0, y, name, ha="left", va="center", fontsize=9, color=FAINT)
    if len(symbols) > MOST:
        ax.text(1.0, y, "…", ha="left", va="center", color=FAINT)
    for n, symbol in enumerate(symbols[:MOST]):
        place = 0.31 + n * 0.69 / MOST
        if right is None:
            ax.text(place, y, symbol, ha="center", va="center", fontsize=11, family="monospace")
        else:
            _symbol(ax, place, y, symbol, symbol == right[n], 11)


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
    """The letters of what was written, a stroke where there is none, as many as were to be written."""
    letters = [
        _letter(symbol - transduction.CONTENT) if symbol >= transduction.CONTENT else "-"
        for symbol in symbols
    ]
    return letters[:length]
