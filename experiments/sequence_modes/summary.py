"""From the log of the study on the four modes to its numbers, verdicts and deviations."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.data import digits, transduction
from deepseq.lab.verdicts import above, claim, mean_interval, within
from experiments.sequence_modes.records import NETS, Found

NOTES = "the notes on sequences"
SCHUSTER = "Schuster, Paliwal 1997; the notes on sequences"


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; seeds that are not finished
    are left out.
    """
    found = Found(config, records)
    deviations = [
        {
            "paper": "images are described by sentences, and sentences translated",
            "here": (
                "images of digits are written as words, and sequences of random symbols said"
                " backwards"
            ),
            "reason": "each mode by itself, on a task whose right answer is known",
        },
        {
            "paper": "a random part of the data is held out",
            "here": f"the same {10 * digits.TEST_PER_CLASS} images are held out from every seed",
            "reason": (
                "neighbours in the file can be from one hand; the interval is over trainings, not"
                " over test images"
            ),
        },
    ]
    if not found.seeds:
        return {"metrics": {}, "claims": [], "comparison": [], "deviations": deviations}
    metrics = {
        "accuracy": {
            net: {measure: _over(found.final(net, measure)) for measure in ("answers", "whole")}
            for net in NETS
        },
        "longest parity": _over(found.longest()),
        "diverged": found.diverged(),
    }
    rows = modes(config, found) + directions(config, found)
    return {"metrics": metrics, "claims": rows, "comparison": [], "deviations": deviations}


def chances(config: ConfigDict) -> dict[str, float]:
    """The best expected score, by group of the config, of an answer that does not depend on what
    was read.
    """
    own = config.reversal
    return {
        "image": 1 / 10,
        "parity": 1 / 2,
        "reversal": (
            1 / (own.longest * own.symbols)
        ),  # one symbol and no more: the likeliest of all sequences
        "tagging": transduction.tagging_chance(config.tagging.symbols),
    }


def modes(config: ConfigDict, found: Found) -> list[dict]:
    """C-S17: each mode against its threshold."""
    longest = f"strings of exactly {config.parity.longest} bits"
    own = config.reversal
    return [
        _row(
            found,
            "C-S17 vec-seq",
            "An image goes in and a sequence comes out: the word for a held-out digit",
            found.final("image", "whole"),
            config.image.threshold,
            "share of held-out images whose word is written without a mistake, greedily",
            NOTES,
            letters=found.final("image", "answers"),
        ),
        _row(
            found,
            "C-S17 seq-vec",
            "A sequence goes in and one answer comes out: the parity of up to"
            f" {config.parity.longest} bits",
            found.final("parity", "answers"),
            config.parity.threshold,
            "share of new strings whose parity is right, all lengths alike",
            NOTES,
            **{longest: found.longest()},
        ),
        _row(
            found,
            "C-S17 seq-vec-seq",
            f"A sequence becomes a vector, and that a sequence: up to {own.longest} of"
            f" {own.symbols} symbols, backwards",
            found.final("reversal", "whole"),
            own.threshold,
            "share of new sequences that are said backwards without a mistake, greedily",
            NOTES,
            symbols=found.final("reversal", "answers"),
        ),
        _row(
            found,
            "C-S17 seq-seq",
            "A sequence goes in and an answer comes out for each of its steps",
            found.final("bidirectional", "whole"),
            config.tagging.whole,
            "share of new sequences of which no tag is wrong, read both ways",
            NOTES,
        ),
    ]


def directions(config: ConfigDict, found: Found) -> list[dict]:
    """C-A3: tags that need what is still to come, read one way and both ways."""
    own, chance = config.tagging, chances(config)["tagging"]
    guess = found.final("unidirectional", "answers") - chance
    return [
        claim(
            "C-A3 one way",
            f"Read one way, a tag that needs the symbol {own.ahead} steps later can only be"
            " guessed",
            within(mean_interval(guess), own.margin),
            statistic=f"accuracy of tags minus {chance:g}, the best that is possible",
            measured={"mean": float(guess.mean()), "accuracy": float(guess.mean() + chance)},
            interval=mean_interval(guess),
            n=len(found.seeds),
            expected=f"within {own.margin:g} of 0",
            source=SCHUSTER,
        ),
        _row(
            found,
            "C-A3 both ways",
            "Read both ways by as many units, it is known",
            found.final("bidirectional", "answers"),
            own.threshold,
            "accuracy of tags",
            SCHUSTER,
        ),
    ]


def _row(
    found: Found,
    id: str,
    text: str,
    values: np.ndarray,
    threshold: float,
    statistic: str,
    source: str,
    **more: np.ndarray,
) -> dict:
    return claim(
        id,
        text,
        above(mean_interval(values), threshold),
        statistic=statistic,
        measured={"mean": float(values.mean())}
        | {name: float(other.mean()) for name, other in more.items()},
        interval=mean_interval(values),
        n=len(found.seeds),
        expected=f"above {threshold:g}",
        source=source,
    )


def _over(values: np.ndarray) -> dict:
    return {"mean": float(values.mean()), "interval": mean_interval(values)}
