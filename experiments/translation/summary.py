"""From the log of the translation study to its numbers, verdicts and deviations."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import (
    UNDECIDED,
    About,
    Above,
    Claim,
    compare,
    deviations,
    judge,
    over_seeds,
)
from experiments.translation.nets import NETS
from experiments.translation.records import Runs

NAMES = {"rnn": "RNN with attention", "transformer": "Transformer"}
# BLEU of Multi30k's test, German to English, with other tokens than here
COMMUNITY = {"rnn": 28.22, "transformer": 35.73}
LEAST = {"exact": 0.05, "bleu": 1.0}  # that one of the nets must reach: equally bad is not as good
SOURCE = "Vaswani et al. 2017, section 6.1 and Table 2"


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; seeds that are not finished
    are left out.
    """
    runs = Runs(config, records)
    metrics, claims, comparison = {"corpus": runs.corpus}, [], []
    if runs.seeds:
        # how BLEU was counted
        metrics["signature"] = runs.end(net=NETS[0])["test"]["greedy"].get("signature")
        metrics |= {net: _measured(runs, net) for net in NETS}
        claims = _claims(config, runs)
    if runs.seeds and config.corpus == "multi30k":
        comparison = [_beside_others(runs, net) for net in NETS]
    return {
        "metrics": metrics,
        "claims": claims,
        "comparison": comparison,
        "deviations": departures(config),
    }


def _claims(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-T12: the Transformer is at most a margin behind; of dates, at the end and on the way."""
    passes = f"{config.train.epochs} passes over the pairs"
    if config.corpus == "multi30k":
        about = _about(
            "C-T12 Multi30k",
            "From German into English a Transformer translates as well as an RNN with attention and"
            " as many parameters",
            f"BLEU on the test of 2016, beam of {config.measure.beam}, after {passes}",
        )
        return [_claim(config, runs, about, [runs.test(net, "beam", "bleu") for net in NETS])]
    share = "share of dates of held-out days that are written without a mistake, greedily"
    end = _about(
        "C-T12",
        f"After {passes} a Transformer writes dates as well as an RNN with attention and as many"
        " parameters",
        f"{share}, after {passes}",
    )
    on_the_way = _about(
        "C-T12 on the way",
        "On the way there it does so too",
        f"{share}, mean over the ends of {passes}",
    )
    means = [runs.quality(net)[1].mean(1) for net in NETS]
    return [
        _claim(config, runs, end, [runs.test(net, "greedy", "exact") for net in NETS]),
        _claim(config, runs, on_the_way, means),
    ]


def _about(id: str, text: str, statistic: str) -> About:
    return About(
        id, text, f"{statistic}: Transformer minus RNN, paired by seed", SOURCE, "not behind"
    )


def _claim(config: ConfigDict, runs: Runs, about: About, values: Sequence[np.ndarray]) -> Claim:
    rnn, transformer = values
    difference = transformer - rnn
    row = judge(
        about,
        difference,
        Above(-config[config.corpus].margin),
        measured={"Transformer": transformer, "RNN": rnn, "difference": difference},
    )
    learned = max(rnn.mean(), transformer.mean()) >= LEAST[runs.measure]
    return row if learned else row | {"verdict": UNDECIDED}


def _measured(runs: Runs, net: str) -> dict:
    """Everything on the test, and how it went on the validation part."""
    measures = ("exact", "tokens") if runs.measure == "exact" else ("bleu",)
    end = runs.end(net=net)
    return {
        "parameters": end["parameters"],
        "updates": end["step"],
        "test": {
            decoder: {m: over_seeds(runs.test(net, decoder, m)) for m in measures}
            for decoder in ("greedy", "beam")
        },
        "validation": {
            "mean over the epochs": over_seeds(runs.quality(net)[1].mean(1)),
            "loss": over_seeds(runs.validation_loss(net)[1][:, -1]),
        },
    }


def _beside_others(runs: Runs, net: str) -> dict:
    return compare(
        f"{NAMES[net]}, test of 2016",
        runs.test(net, "beam", "bleu"),
        paper=COMMUNITY[net],
        source="community implementations, German to English",
        unit="BLEU",
        remark=(
            "other tokens and sizes, which move BLEU by several points: only the order can"
            " be compared"
        ),
    )


def departures(config: ConfigDict) -> list[dict]:
    """What is done otherwise than in the papers."""
    dates = config.corpus == "dates"
    return deviations(
        (
            "Adam's rate peaks where the size and the warm-up say (Vaswani et al. 2017)",
            "the same rise and fall for both nets, each with a peak of its own, and gradients"
            " clipped",
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
        (
            "sentences are translated",
            "dates are rewritten",
            "takes minutes, and what is right is known exactly",
            dates,
        ),
        (
            "4.5 million pairs",
            "29 000 pairs",
            "the corpus that two CPU cores can learn from",
            not dates,
        ),
        (
            "several runs",
            f"{len(config.seeds)} seed(s)",
            "time: without an interval there is no verdict",
            not dates,
        ),
    )
