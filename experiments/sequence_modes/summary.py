"""From the log of the study on the four modes to its numbers, verdicts and deviations."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.data import digits, transduction
from deepseq.lab.records import Record
from deepseq.lab.verdicts import About, Above, Claim, Within, deviations, judge, mean_interval
from experiments.sequence_modes.records import NETS, Runs

MODES = "claim C-S17"
SCHUSTER = "Schuster, Paliwal 1997"


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; seeds that are not finished
    are left out.
    """
    runs, metrics, claims = Runs(config, records), {}, []
    if runs.seeds:
        metrics = {
            "accuracy": {
                net: {measure: _mean(runs.final(net, measure)) for measure in ("answers", "whole")}
                for net in NETS
            },
            "longest parity": _mean(runs.longest()),
            "diverged": runs.diverged(),
        }
        claims = [*modes(config, runs), *directions(config, runs)]
    return {
        "metrics": metrics,
        "claims": claims,
        "comparison": [],
        "deviations": deviations(
            (
                "images are described by sentences, and sentences translated",
                "images of digits are written as words, and sequences of random symbols said"
                " backwards",
                "each mode by itself, on a task whose right answer is known",
            ),
            (
                "a random part of the data is held out",
                f"the same {10 * digits.TEST_PER_CLASS} images are held out from every seed",
                "neighbours in the file can be from one hand; the interval is over trainings, not"
                " over test images",
            ),
        ),
    }


def chances(config: ConfigDict) -> dict[str, float]:
    """The best expected score, by group of the config, of an answer that does not depend on what
    was read.
    """
    reversal = config.reversal
    return {
        "image": 1 / 10,
        "parity": 1 / 2,
        # one symbol and no more: the likeliest of all sequences
        "reversal": 1 / (reversal.longest * reversal.symbols),
        "tagging": transduction.tagging_chance(config.tagging.symbols),
    }


def modes(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-S17: each mode against its threshold."""
    parity, reversal = config.parity, config.reversal
    rows = (
        (
            "vec-seq",
            "An image goes in and a sequence comes out: the word for a held-out digit",
            "share of held-out images whose word is written without a mistake, greedily",
            runs.final("image", "whole"),
            config.image.threshold,
            {"letters": runs.final("image", "answers")},
        ),
        (
            "seq-vec",
            "A sequence goes in and one answer comes out: the parity of up to"
            f" {parity.longest} bits",
            "share of new strings whose parity is right, all lengths alike",
            runs.final("parity", "answers"),
            parity.threshold,
            {f"strings of exactly {parity.longest} bits": runs.longest()},
        ),
        (
            "seq-vec-seq",
            f"A sequence becomes a vector, and that a sequence: up to {reversal.longest} of"
            f" {reversal.symbols} symbols, backwards",
            "share of new sequences that are said backwards without a mistake, greedily",
            runs.final("reversal", "whole"),
            reversal.threshold,
            {"symbols": runs.final("reversal", "answers")},
        ),
        (
            "seq-seq",
            "A sequence goes in and an answer comes out for each of its steps",
            "share of new sequences of which no tag is wrong, read both ways",
            runs.final("bidirectional", "whole"),
            config.tagging.whole,
            {},
        ),
    )
    return [
        judge(
            About(f"C-S17 {mode}", text, statistic, MODES, "holds"),
            values,
            Above(threshold),
            measured={"mean": values, **more},
        )
        for mode, text, statistic, values, threshold, more in rows
    ]


def directions(config: ConfigDict, runs: Runs) -> list[Claim]:
    """C-A3: tags that need what is still to come, read one way and both ways."""
    tagging, chance = config.tagging, chances(config)["tagging"]
    guess = runs.final("unidirectional", "answers") - chance
    both = runs.final("bidirectional", "answers")
    return [
        judge(
            About(
                "C-A3 one way",
                f"Read one way, a tag that needs the symbol {tagging.ahead} steps later can only be"
                " guessed",
                f"accuracy of tags minus {chance:g}, the best that is possible",
                SCHUSTER,
                "holds",
            ),
            guess,
            Within(tagging.margin),
            measured={"mean": guess, "accuracy": float(guess.mean() + chance)},
        ),
        judge(
            About(
                "C-A3 both ways",
                "Read both ways by as many units, it is known",
                "accuracy of tags",
                SCHUSTER,
                "holds",
            ),
            both,
            Above(tagging.threshold),
            measured={"mean": both},
        ),
    ]


def _mean(values: np.ndarray) -> dict:
    return {"mean": float(values.mean()), "interval": mean_interval(values)}
