"""The figures of the study on zip codes: errors by pass and by reader, and what is still misread."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from ml_collections import ConfigDict

from experiments.zip_codes.summary import IMAGES, PRINTED, READERS, TITLES, Found
from experiments.zip_codes.training import SHOWN

TRAIN, TEST, PAPER = "#0072B2", "#D55E00", "0.35"  # Okabe and Ito 2008


def draw(config: ConfigDict, records: Sequence[Mapping], summary: Mapping) -> dict[str, Figure]:
    """The study's figures by file name, each with its caption as its label; what is not finished is
    left out.
    """
    del summary
    found = Found(config, records)
    return (
        {"figure": errors(config, found), "misread": misread(config, found)} if found.nets else {}
    )


def errors(config: ConfigDict, found: Found) -> Figure:
    """For each net the errors after every pass, and those of linear readers."""
    figure = Figure(figsize=(11, 3.7 * len(found.nets)), layout="constrained")
    grid = figure.subplots(len(found.nets), 2, width_ratios=(1.35, 1), squeeze=False)
    for (left, right), net in zip(grid, found.nets, strict=True):
        own = config[net]
        for part, colour in (("train", TRAIN), ("test", TEST)):
            values = np.maximum(
                found.curve(net, f"{part} error"), 1e-2
            )  # none at all is drawn at the lower edge
            passes = np.arange(values.shape[1])
            left.plot(passes, values.mean(0), color=colour, linewidth=2)
            left.fill_between(
                passes, values.min(0), values.max(0), color=colour, alpha=0.2, linewidth=0
            )
            final = found.last(net, f"{part} error").mean()
            left.annotate(
                f"{'training' if part == 'train' else 'test'}: {final:.2g} %",
                (passes[-1], max(final, 1e-2)),
                (5, 0),
                textcoords="offset points",
                color=colour,
                va="center",
                fontsize=9,
            )
        if net == "zip_codes" and own.data == "usps":
            for part, printed in PRINTED.items():
                left.axhline(printed, color=PAPER, linewidth=1, linestyle=":")
                below = part.startswith("test")  # where it does not meet its curve
                left.annotate(
                    f"printed, {part.split()[0]}: {printed:g} %",
                    (0.45 * own.passes, printed),
                    (0, -3 if below else 3),
                    textcoords="offset points",
                    va="top" if below else "bottom",
                    color=PAPER,
                    fontsize=8,
                )
        left.set_yscale("log")
        left.set_xlim(0, own.passes * 1.28)
        left.set_xticks([tick for tick in left.get_xticks() if tick <= own.passes])
        left.set_xlabel("passes over the training images")
        left.set_ylabel("errors, %")
        left.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        left.set_title(f"{TITLES[net]}, {IMAGES[own.data]}", fontsize=11, loc="left")
        rows = [
            *((reader, found.probe(net, reader)) for reader in READERS),
            ("the net itself", found.last(net, "test error")),
        ]
        for place, (name, values) in enumerate(rows):
            colour = TEST if name == "the net itself" else "#009E73"
            right.plot(
                values,
                np.full(len(values), place),
                "o",
                color=colour,
                markersize=5,
                alpha=0.6,
                markeredgewidth=0,
            )
            right.plot(values.mean(), place, "|", color=colour, markersize=18, markeredgewidth=2)
            right.annotate(
                f"{values.mean():.2g} %",
                (values.mean(), place),
                (0, 12),
                textcoords="offset points",
                ha="center",
                color=colour,
                fontsize=9,
            )
        names = [f"linear reader of\n{name}" if name in READERS else name for name, _ in rows]
        right.set_yticks(range(len(rows)), names)
        right.set_ylim(len(rows) - 0.5, -0.7)
        right.set_xlim(0, 1.1 * max(values.max() for _, values in rows))
        right.set_xlabel("test errors, %")
        for ax in (left, right):
            ax.spines[["top", "right"]].set_visible(False)
            ax.grid(axis="x" if ax is right else "y", color="0.9", linewidth=0.8)
            ax.set_axisbelow(True)
    seeds = max(len(runs) for runs in found.runs.values())
    figure.set_label(
        f"Left: errors before training and after every pass, mean and range over {seeds} seeds;"
        " dotted, what the paper printed. Right: test errors of linear readers, one point per"
        " seed, the bar their mean."
    )
    return figure


def misread(config: ConfigDict, found: Found) -> Figure:
    """The first test images that the first seed's nets take for another digit."""
    figure = Figure(figsize=(9, 1.75 * len(found.nets)), layout="constrained")
    grid = figure.subplots(len(found.nets), SHOWN, squeeze=False)
    for row, net in zip(grid, found.nets, strict=True):
        wrong = found.runs[net][0]["wrong"]
        for place, ax in enumerate(row):
            ax.set_xticks([])
            ax.set_yticks([])
            ax.spines[:].set_visible(False)
            if place == 0:
                ax.set_ylabel(TITLES[net], fontsize=9)
            if place < len(wrong["labels"]):
                ax.imshow(-np.array(wrong["images"][place]), cmap="gray", interpolation="nearest")
                ax.set_title(
                    f"{wrong['labels'][place]} read as {wrong['answers'][place]}", fontsize=9
                )
    figure.set_label(
        "Test images that the nets of the first seed misread, the first of them: the right digit"
        " and the answer."
    )
    return figure
