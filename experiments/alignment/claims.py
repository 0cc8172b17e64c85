"""The verdicts of the alignment study."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import above, below, claim, exact, mean_interval
from experiments.alignment.nets import ATTENTIVE, FIXED, LOOKING, REVERSED, TRANSFORMER, width_name
from experiments.alignment.records import Found, slope
from experiments.alignment.tasks import TASKS

BAHDANAU = "Bahdanau, Cho, Bengio 2015 (arXiv 1409.0473)"
SUTSKEVER = "Sutskever, Vinyals, Le 2014 (arXiv 1409.3215)"
VASWANI = "Vaswani et al. 2017 (arXiv 1706.03762)"
WHAT = {"reversal": "symbols said backwards", "dates": "dates"}


def bottleneck(config: ConfigDict, found: Found) -> list[dict]:
    """C-A1: what one vector of a fixed size holds, against the length and against the size."""
    rows = []
    for task in TASKS:
        lengths, values = found.lengths(task), found.accuracy(task, FIXED)
        falls = slope(lengths, values)
        rows.append(
            _row(
                found,
                f"C-A1 {task}",
                "A vector of a fixed size is a bottleneck: the longer the source, the fewer tokens"
                f" are right ({WHAT[task]})",
                falls,
                below,
                "slope of the share of right tokens per ten steps of length, least squares",
                _ends(lengths, values, FIXED),
                BAHDANAU,
            )
        )
    widths = (*config.fixed.widths, config.fixed.hidden)
    nets = (*map(width_name, config.fixed.widths), FIXED)
    values = np.stack([found.accuracy("reversal", net).mean(1) for net in nets], 1)
    octaves = np.log2(widths) - np.log2(widths).mean()
    rows.append(
        _row(
            found,
            "C-A1 width",
            "A wider vector holds more",
            values @ octaves / (octaves @ octaves),
            above,
            "slope of the share of right tokens, the mean over all lengths, per doubling of the"
            " units",
            {
                f"{width} units": float(column.mean())
                for width, column in zip(widths, values.T, strict=True)
            },
            BAHDANAU,
        )
    )
    return rows


def gaps(config: ConfigDict, found: Found) -> list[dict]:
    """C-A2: what attention gains over one vector, against the length, and what reading backwards
    gains.
    """
    rows = []
    for id, net, text, source in (
        (
            "C-A2",
            ATTENTIVE,
            "Attention mends it: its lead over one vector grows with the length",
            BAHDANAU,
        ),
        ("C-A2 Transformer", TRANSFORMER, "So does attention without recurrence", VASWANI),
    ):
        for task in TASKS:
            lengths, gap = (
                found.lengths(task),
                found.accuracy(task, net) - found.accuracy(task, FIXED),
            )
            rows.append(
                _row(
                    found,
                    f"{id} {task}",
                    f"{text} ({WHAT[task]})",
                    slope(lengths, gap),
                    above,
                    "slope of the difference of the shares of right tokens per ten steps of length,"
                    " paired by seed",
                    _ends(lengths, gap, "lead") | {"mean lead": float(gap.mean())},
                    source,
                )
            )
    for task in TASKS:
        values = {net: found.accuracy(task, net).mean(1) for net in (FIXED, REVERSED)}
        rows.append(
            _row(
                found,
                f"C-A2 backwards {task}",
                f"One vector serves better when the source is read backwards ({WHAT[task]})",
                values[REVERSED] - values[FIXED],
                above,
                "difference of the shares of right tokens, means over all lengths, paired by seed",
                {
                    "forwards": float(values[FIXED].mean()),
                    "backwards": float(values[REVERSED].mean()),
                },
                SUTSKEVER,
            )
        )
    return rows


def learned_alignment(config: ConfigDict, found: Found) -> list[dict]:
    """C-A4 and C-A5: where the weights lie, that they are means, and that backpropagation moves
    them.
    """
    limits = config.limits
    mass, best = found.mass(ATTENTIVE)[:, 0], found.mass(TRANSFORMER).max(1)
    measured = {
        "mean": mass,
        "before training": found.mass(ATTENTIVE, when="start")[:, 0],
        "there or one beside": found.mass(ATTENTIVE, "near")[:, 0],
        "share of symbols with the largest weight": found.mass(ATTENTIVE, "largest")[:, 0],
        "the Transformer's best head": best,
    }
    sums, slopes = found.sums(), np.concatenate([found.slopes(net) for net in LOOKING])
    error = np.abs(slopes[:, 0] - slopes[:, 1]) / np.abs(slopes[:, 1])
    return [
        claim(
            "C-A4",
            "Attention learns which symbol of the source belongs to which of the output: reversal,"
            " the anti-diagonal",
            above(mean_interval(mass), limits.mass),
            statistic=(
                "weight on the symbol that is to be said, mean over symbols, sequences and lengths"
            ),
            measured={name: float(np.mean(values)) for name, values in measured.items()},
            interval=mean_interval(mass),
            n=len(found.seeds),
            expected=f"above {limits.mass:g}",
            source=BAHDANAU,
        ),
        claim(
            "C-A5 sum",
            "The weights of a token sum to 1",
            exact(bool((sums < limits.sum).all())),
            statistic=(
                "largest distance of a sum from 1, both nets that attend, both tasks, all tests"
            ),
            measured={"largest distance": float(sums.max())},
            interval=None,
            n=len(found.seeds),
            expected=f"below {limits.sum:g}",
            source=BAHDANAU,
        ),
        claim(
            "C-A5 learned",
            "They are learned by backpropagation: the gradient goes through the softmax to what"
            " decides the weights",
            exact(bool((error < limits.slope).all() and (slopes[:, 0] != 0).all())),
            statistic=(
                "relative difference of the slope of the loss along a partly random direction of"
                " the scores' parameters, by backpropagation and by finite differences, in float64"
                " before training"
            ),
            measured={
                "largest": float(error.max()),
                "least slope": float(np.abs(slopes[:, 0]).min()),
            },
            interval=None,
            n=len(found.seeds),
            expected=f"below {limits.slope:g}, of a slope that is not 0",
            source=BAHDANAU,
        ),
    ]


def _ends(lengths: np.ndarray, values: np.ndarray, name: str) -> dict[str, float]:
    """The means over seeds at the shortest and at the longest length."""
    return {f"{name} at {lengths[n]}": float(values[:, n].mean()) for n in (0, -1)}


def _row(
    found: Found,
    id: str,
    text: str,
    values: np.ndarray,
    side,
    statistic: str,
    measured: dict,
    source: str,
) -> dict:
    return claim(
        id,
        text,
        side(mean_interval(values)),
        statistic=statistic,
        measured={"mean": float(values.mean())} | measured,
        interval=mean_interval(values),
        n=len(found.seeds),
        expected=f"{side.__name__} 0",
        source=source,
    )
