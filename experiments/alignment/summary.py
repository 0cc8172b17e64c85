"""From the log of the alignment study to its numbers, verdicts and deviations."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import mean_interval
from experiments.alignment.claims import bottleneck, gaps, learned_alignment
from experiments.alignment.nets import LOOKING
from experiments.alignment.records import Found

HALF = 0.5  # of the sequences of a length: it counts as reached


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; seeds that are not finished
    are left out.
    """
    found = Found(config, records)
    deviations = [
        {
            "paper": "sentences are translated, BLEU is measured",
            "here": (
                "symbols are said backwards and dates rewritten; the share of right tokens is"
                " measured"
            ),
            "reason": "one answer is right, the length is a dial and the place to look at is known",
        },
        {
            "paper": (
                "the Transformer's norms follow its sums, with dropout and label smoothing;"
                " Adadelta trains the RNN"
            ),
            "here": "its norms go first, nothing is dropped or smoothed, and Adam trains all",
            "reason": (
                "it learns within minutes; data are drawn anew, so that there is nothing to overfit"
                " but the dates"
            ),
        },
        {
            "paper": "each net is trained until it no longer gets better",
            "here": "all nets get the same batches, as many as the attentive one needs",
            "reason": (
                "minutes: a vector of a fixed size might hold more after a longer training, and"
                " nothing here denies it"
            ),
        },
    ]
    if not found.seeds:
        return {"metrics": {}, "claims": [], "comparison": [], "deviations": deviations}
    metrics = {
        "accuracy": {f"{task}, {net}": _accuracy(found, task, net) for task, net in found.runs},
        "mass of each head": {net: found.mass(net).mean(0).tolist() for net in LOOKING},
        "diverged": found.diverged(),
    }
    rows = bottleneck(config, found) + gaps(config, found) + learned_alignment(config, found)
    return {"metrics": metrics, "claims": rows, "comparison": [], "deviations": deviations}


def _accuracy(found: Found, task: str, net: str) -> dict:
    lengths, whole = found.lengths(task), found.accuracy(task, net, "whole").mean(0)
    enough = lengths[whole >= HALF]
    tokens = found.accuracy(task, net)
    return {
        "parameters": found.parameters(task, net),
        "tokens": dict(zip(map(str, lengths), tokens.mean(0).tolist(), strict=True)),
        "whole": dict(zip(map(str, lengths), whole.tolist(), strict=True)),
        "over all lengths": {
            "mean": float(tokens.mean()),
            "interval": mean_interval(np.mean(tokens, 1)),
        },
        "longest of which half are whole": int(enough.max()) if len(enough) else 0,
    }
