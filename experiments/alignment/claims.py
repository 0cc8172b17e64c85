"""The claims of the alignment study: each from the records to a row of the verdict table."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import About, Above, Below, Claim, Criterion, exact, judge
from experiments.alignment.nets import ATTENDING, ATTENTIVE, FIXED, REVERSED, TRANSFORMER, vectors
from experiments.alignment.records import AlignmentRecords, slope
from experiments.alignment.tasks import TASKS

CONTENT = {"reversal": "symbols said backwards", "dates": "dates"}
BAHDANAU = "Bahdanau et al. 2015"


def claims(config: ConfigDict, runs: AlignmentRecords) -> list[Claim]:
    """Every row, in the order of the table."""
    bottleneck = About(
        "C-A1",
        "A vector of a fixed size is a bottleneck: the longer the source, the fewer tokens are"
        " right",
        "slope of the share of right tokens per ten steps of length, least squares",
        f"{BAHDANAU}, Figure 2",
        "holds; there, BLEU falls from sentences of 20 words on",
    )
    attention = About(
        "C-A2",
        "Attention mends it: its lead over one vector grows with the length",
        "slope of the difference of the shares of right tokens per ten steps of length, paired by"
        " seed",
        f"{BAHDANAU}, Figure 2",
        "holds; there, BLEU does not fall up to 50 words",
    )
    transformer = attention._replace(
        id="C-A2 Transformer",
        text="So does attention without recurrence",
        source="Vaswani et al. 2017, section 4",
        prediction="holds",
    )
    return [
        *against_length(runs, FIXED, bottleneck, Below(0)),
        width(config, runs),
        *against_length(runs, ATTENTIVE, attention, Above(0)),
        *against_length(runs, TRANSFORMER, transformer, Above(0)),
        *backwards(runs),
        anti_diagonal(config, runs),
        *means(config, runs),
    ]


def against_length(
    runs: AlignmentRecords, net: str, about: About, criterion: Criterion
) -> list[Claim]:
    """For each task: one vector's accuracy against the length, or a net's lead over it."""
    rows = []
    for task in TASKS:
        lengths, values = runs.lengths(task), runs.accuracy(task, net)
        name, more = net, {}
        if net != FIXED:
            values = values - runs.accuracy(task, FIXED)
            name, more = "lead", {"mean lead": values}
        slopes = slope(lengths, values)
        ends = {f"{name} at {lengths[n]}": values[:, n] for n in (0, -1)}
        measured = {"mean": slopes, **ends, **more}
        rows.append(judge(_of_task(about, task), slopes, criterion, measured=measured))
    return rows


def width(config: ConfigDict, runs: AlignmentRecords) -> Claim:
    """C-A1: what one vector holds, against its size."""
    nets = vectors(config)
    values = np.stack([runs.accuracy("reversal", net).mean(1) for net in nets.values()], 1)
    octaves = np.log2(list(nets)) - np.log2(list(nets)).mean()
    slopes = values @ octaves / (octaves @ octaves)
    by_width = {f"{width} units": column for width, column in zip(nets, values.T, strict=True)}
    about = About(
        "C-A1 width",
        "A wider vector holds more",
        "slope of the share of right tokens, the mean over all lengths, per doubling of the units",
        f"{BAHDANAU}, section 1",
        "holds",
    )
    return judge(about, slopes, Above(0), measured={"mean": slopes, **by_width})


def backwards(runs: AlignmentRecords) -> list[Claim]:
    """C-A2: what one vector gains from reading backwards."""
    about = About(
        "C-A2 backwards",
        "One vector serves better when the source is read backwards",
        "difference of the shares of right tokens, means over all lengths, paired by seed",
        "Sutskever et al. 2014, section 3.3 and Table 1",
        "open; there, a source reversed lies closer to its target, and BLEU rises from 26.17 to"
        " 30.59",
    )
    rows = []
    for task in TASKS:
        ahead, back = (runs.accuracy(task, net).mean(1) for net in (FIXED, REVERSED))
        measured = {"mean": back - ahead, "forwards": ahead, "backwards": back}
        rows.append(judge(_of_task(about, task), back - ahead, Above(0), measured=measured))
    return rows


def anti_diagonal(config: ConfigDict, runs: AlignmentRecords) -> Claim:
    """C-A4: where the weights lie."""
    mass = runs.mass(ATTENTIVE)[:, 0]
    return judge(
        About(
            "C-A4",
            "Attention learns which symbol of the source belongs to which of the output: reversal,"
            " the anti-diagonal",
            "weight on the symbol that is to be said, mean over symbols, sequences and lengths",
            f"{BAHDANAU}, Figure 3",
            "holds",
        ),
        mass,
        Above(config.limits.mass),
        measured={
            "mean": mass,
            "before training": runs.mass(ATTENTIVE, when="start")[:, 0],
            "there or one beside": runs.mass(ATTENTIVE, "near")[:, 0],
            "share of symbols with the largest weight": runs.mass(ATTENTIVE, "largest")[:, 0],
            "the Transformer's best head": runs.mass(TRANSFORMER).max(1),
        },
    )


def means(config: ConfigDict, runs: AlignmentRecords) -> list[Claim]:
    """C-A5: that the weights are those of a mean, and that backpropagation moves them."""
    limits, seeds = config.limits, len(runs.seeds)
    attending = [tag for tag in runs.tags if tag["net"] in ATTENDING]
    largest = max(runs.values("alignment", "sum", **tag).max() for tag in attending)
    gradient, differences = (
        np.concatenate([runs.values("slope", w, task="reversal", net=net) for net in ATTENDING])
        for w in ("gradient", "differences")
    )
    error = np.abs(gradient - differences) / np.abs(differences)
    unity = About(
        "C-A5 sum",
        "The weights of a token sum to 1",
        "largest distance of a sum from 1, both nets that attend, both tasks, all tests",
        f"{BAHDANAU}, equation (6)",
        "holds",
    )
    learned = About(
        "C-A5 learned",
        "They are learned by backpropagation: the gradient goes through the softmax to what decides"
        " the weights",
        "relative difference of the slope of the loss along a partly random direction of the"
        " scores' parameters, by backpropagation and by finite differences, in float64 before"
        " training",
        f"{BAHDANAU}, section 3.1",
        "holds",
    )
    one, same = f"below {limits.sum:g}", f"below {limits.slope:g}, of a slope that is not 0"
    equal = bool((error < limits.slope).all() and (gradient != 0).all())
    slopes = {"largest": error.max(), "least slope": np.abs(gradient).min()}
    sums = {"largest distance": largest}
    return [
        exact(unity, bool(largest < limits.sum), seeds, criterion=one, measured=sums),
        exact(learned, equal, seeds, criterion=same, measured=slopes),
    ]


def _of_task(about: About, task: str) -> About:
    return about._replace(id=f"{about.id} {task}", text=f"{about.text} ({CONTENT[task]})")
