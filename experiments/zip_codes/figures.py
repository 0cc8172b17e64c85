"""The figures of the study on zip codes: errors by pass and by reader, and what is misread."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from ml_collections import ConfigDict

from deepseq.lab.plots import BLUE, GREEN, GREY, RED, Drawing, band, label_ends, over, panels, tidy
from deepseq.lab.records import Record, Records
from experiments.zip_codes.readers import READERS
from experiments.zip_codes.summary import NAMES, PRINTED, TITLES, last, trained
from experiments.zip_codes.training import SHOWN

TRAIN, TEST = BLUE, RED
LEAST = 1e-2  # %; no errors at all are drawn at the lower edge


def draw(config: ConfigDict, records: Sequence[Record]) -> dict[str, Drawing]:
    """The study's figures by file name; nets of which nothing is finished are left out."""
    logs = trained(config, records)
    return {"figure": errors(config, logs), "misread": misread(logs)} if logs else {}


def errors(config: ConfigDict, logs: dict[str, Records]) -> Drawing:
    """For each net the errors after every pass, and those of linear readers."""
    size = {"width_ratios": (1.35, 1), "squeeze": False}
    figure, grid = panels(11, 3.7 * len(logs), len(logs), 2, **size)
    for (left, right), (net, log) in zip(grid, logs.items(), strict=True):
        printed = PRINTED if net == "zip_codes" and config[net].data == "usps" else {}
        by_pass(left, log, config[net].passes, printed)
        left.set_title(f"{TITLES[net]}, {NAMES[config[net].data]}", fontsize=11, loc="left")
        by_reader(right, log)
    tidy(*grid[:, 0])
    tidy(*grid[:, 1], grid="x")
    seeds = max((log.seeds for log in logs.values()), key=len)
    return Drawing(
        figure,
        f"Left: errors before training and after every pass, {over(seeds, 'range')}; dotted, what"
        " the paper printed. Right: test errors of linear readers, one point per seed, the bar"
        " their mean.",
    )


def by_pass(ax: Axes, log: Records, passes: int, printed: dict[str, float]) -> None:
    """Training and test errors after every pass, and what the paper printed of them."""
    ends = {}
    for part, colour, name in (("train", TRAIN, "training"), ("test", TEST, "test")):
        values = np.maximum(log.values("curve", f"{part} error"), LEAST)
        band(ax, range(values.shape[1]), values, colour, spread="range", width=2)
        mean = last(log, f"{part} error").mean()
        ends[f"{name}: {mean:.2g} %"] = (values.shape[1] - 1, max(mean, LEAST), colour)
    for name, percent in printed.items():
        # on the side where it does not meet its curve
        side, shift = ("top", 0.9) if name.startswith("test") else ("bottom", 1.1)
        ax.hlines(percent, 0, passes, color=GREY, linewidth=1, linestyle=":")
        text = f"printed, {name.split()[0]}: {percent:g} %"
        ax.text(0.45 * passes, percent * shift, text, color=GREY, fontsize=8, va=side)
    ax.set(xlabel="passes over the training images", ylabel="errors, %", yscale="log")
    ax.set_xlim(0, passes * 1.28)
    ax.set_xticks([tick for tick in ax.get_xticks() if tick <= passes])
    ax.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
    ax.set_ylim(ax.get_ylim())
    label_ends(ax, ends)


def by_reader(ax: Axes, log: Records) -> None:
    """Test errors of the linear readers and of the net, a point for each seed."""
    rows = {f"linear reader of\n{reader}": log.values("probe", reader) for reader in READERS}
    rows["the net itself"] = last(log, "test error")
    for place, (name, values) in enumerate(rows.items()):
        colour, mean = TEST if name == "the net itself" else GREEN, values.mean()
        places, dots = np.full(len(values), place), {"alpha": 0.6, "markeredgewidth": 0}
        ax.plot(values, places, "o", color=colour, markersize=5, **dots)
        ax.plot(mean, place, "|", color=colour, markersize=18, markeredgewidth=2)
        ax.text(mean, place - 0.24, f"{mean:.2g} %", ha="center", color=colour, fontsize=9)
    ax.set_yticks(range(len(rows)), rows)
    largest = max(values.max() for values in rows.values())
    ax.set(xlim=(0, 1.1 * largest), ylim=(len(rows) - 0.5, -0.7), xlabel="test errors, %")


def misread(logs: dict[str, Records]) -> Drawing:
    """The first test images that the first seed's nets take for another digit."""
    figure, grid = panels(9, 1.75 * len(logs), len(logs), SHOWN, squeeze=False)
    for row, (net, log) in zip(grid, logs.items(), strict=True):
        wrong = log.end()["wrong"]
        row[0].set_ylabel(TITLES[net], fontsize=9)
        for ax in row:
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
        for ax, image, label, answer in zip(row, *wrong.values(), strict=False):
            ax.imshow(-np.array(image), cmap="gray", interpolation="nearest")
            ax.set_title(f"{label} read as {answer}", fontsize=9)
    return Drawing(
        figure,
        "Test images that the nets of the first seed misread, the first of them: the right digit"
        " and the answer.",
    )
