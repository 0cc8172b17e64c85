"""From the log of the translation study to its numbers, verdicts and deviations."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import UNDECIDED, above, claim, mean_interval
from experiments.translation.nets import NETS
from experiments.translation.records import Found

NAMES = {"rnn": "RNN with attention", "transformer": "Transformer"}
COMMUNITY = {
    "rnn": 28.22,
    "transformer": 35.73,
}  # BLEU of Multi30k's test, German to English, with other tokens than here
LEAST = {"exact": 0.05, "bleu": 1.0}  # that one of the nets must reach: equally bad is not as good
SOURCE = "Vaswani et al. 2017 (arXiv 1706.03762); the notes on the Transformer"


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; seeds that are not finished
    are left out.
    """
    found, deviations = Found(config, records), _deviations(config)
    if not found.seeds:
        return {
            "metrics": {"corpus": found.corpus},
            "claims": [],
            "comparison": [],
            "deviations": deviations,
        }
    metrics = {"corpus": found.corpus, "signature": found.signature()}
    metrics |= {net: _measured(found, net) for net in NETS}
    comparison = _compare(found) if config.corpus == "multi30k" else []
    return {
        "metrics": metrics,
        "claims": _claims(config, found),
        "comparison": comparison,
        "deviations": deviations,
    }


def _claims(config: ConfigDict, found: Found) -> list[dict]:
    """C-T12: the Transformer is at most a margin behind; of dates, at the end and on the way."""
    passes = f"{config.train.epochs} passes over the pairs"
    if config.corpus == "multi30k":
        text = (
            "From German into English a Transformer translates as well as an RNN with attention and"
            " as many parameters"
        )
        how = f"BLEU on the test of 2016, beam of {config.measure.beam}, after {passes}"
        return [
            _claim(
                config,
                found,
                "C-T12 Multi30k",
                text,
                how,
                [found.test(net, "beam", "bleu") for net in NETS],
            )
        ]
    share = "share of dates of held-out days that are written without a mistake, greedily"
    text = (
        f"After {passes} a Transformer writes dates as well as an RNN with attention and as many"
        " parameters"
    )
    way = "On the way there it does so too"
    ends, means = (
        [found.test(net, "greedy", "exact") for net in NETS],
        [found.curve(net, "exact")[1].mean(1) for net in NETS],
    )
    return [
        _claim(config, found, "C-T12", text, f"{share}, after {passes}", ends),
        _claim(
            config,
            found,
            "C-T12 on the way",
            way,
            f"{share}, mean over the ends of {passes}",
            means,
        ),
    ]


def _claim(
    config: ConfigDict, found: Found, id: str, text: str, how: str, values: Sequence[np.ndarray]
) -> dict:
    (rnn, transformer), margin = values, config[config.corpus].margin
    interval = mean_interval(transformer - rnn)
    learned = max(rnn.mean(), transformer.mean()) >= LEAST[found.measure]
    measured = {"Transformer": transformer, "RNN": rnn, "difference": transformer - rnn}
    return claim(
        id,
        text,
        above(interval, -margin) if learned else UNDECIDED,
        statistic=f"{how}: Transformer minus RNN, paired by seed",
        measured={name: float(some.mean()) for name, some in measured.items()},
        interval=interval,
        n=len(found.seeds),
        expected=f"above -{margin:g}",
        source=SOURCE,
    )


def _measured(found: Found, net: str) -> dict:
    """Everything on the test, and how it went on the validation part."""
    measures = ("exact", "tokens") if found.measure == "exact" else ("bleu",)
    updates, curve = found.curve(net, found.measure)
    return {
        "parameters": found.parameters(net),
        "updates": found.updates(net),
        "test": {
            way: {m: _over(found.test(net, way, m)) for m in measures} for way in ("greedy", "beam")
        },
        "validation": {
            "mean over the epochs": _over(curve.mean(1)),
            "loss": _over(found.curve(net, "loss")[1][:, -1]),
        },
    }


def _over(values: np.ndarray) -> dict:
    return {
        "mean": float(values.mean()),
        "interval": mean_interval(values),
        "by_seed": values.tolist(),
    }


def _compare(found: Found) -> list[dict]:
    """Rows beside what others measured on the same sentences."""
    rows = []
    for net in NETS:
        values = found.test(net, "beam", "bleu")
        rows.append(
            {
                "quantity": f"{NAMES[net]}, test of 2016",
                "unit": "BLEU",
                "paper": COMMUNITY[net],
                "source": "community implementations, German to English",
                "ours": float(values.mean()),
                "interval": mean_interval(values),
                "n": len(found.seeds),
                "remark": (
                    "other tokens and sizes, which move BLEU by several points: only the order can"
                    " be compared"
                ),
            }
        )
    return rows


def _deviations(config: ConfigDict) -> list[dict]:
    rows = [
        (
            "Adam's rate peaks where the size and the warm-up say (Vaswani et al. 2017)",
            (
                "the same rise and fall for both nets, each with a peak of its own, and gradients"
                " clipped"
            ),
            "both are trained alike",
        ),
        (
            "Bahdanau et al. 2015 train by Adadelta, without dropout and label smoothing",
            "the RNN has what the Transformer has: Adam, dropout, smoothed labels",
            "both are trained alike",
        ),
        (
            "the last checkpoints are averaged (Vaswani et al. 2017)",
            "the last update's parameters are tested",
            "simpler",
        ),
    ]
    if config.corpus == "dates":
        rows.append(
            (
                "sentences are translated",
                "dates are rewritten",
                "takes minutes, and what is right is known exactly",
            )
        )
    else:
        rows += [
            ("4.5 million pairs", "29 000 pairs", "the corpus that two CPU cores can learn from"),
            (
                "several runs",
                f"{len(config.seeds)} seed(s)",
                "time: without an interval there is no verdict",
            ),
        ]
    return [dict(zip(("paper", "here", "reason"), row, strict=True)) for row in rows]
