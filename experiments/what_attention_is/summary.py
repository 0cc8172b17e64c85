"""From the log of the attention study to its numbers, verdicts and deviations."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.verdicts import mean_interval
from experiments.what_attention_is.claims import algebra
from experiments.what_attention_is.claims_measured import costs, order, scores
from experiments.what_attention_is.cost import KINDS
from experiments.what_attention_is.order import DISTURBED
from experiments.what_attention_is.order import KINDS as NETS
from experiments.what_attention_is.records import Found


def summarize(config: ConfigDict, records: Sequence[Mapping]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone; seeds that are not finished
    are left out.
    """
    found = Found(config, records)
    deviations = [
        {
            "paper": "learns to translate",
            "here": "random weights, and one layer trained on a made-up task",
            "reason": "the claims are about what attention can and cannot do",
        }
    ]
    if not found.seeds:
        return {"metrics": {}, "claims": [], "comparison": [], "deviations": deviations}
    metrics = {
        "order": {
            net: {name: _over(found.accuracy(net, name)) for name in DISTURBED} for net in NETS
        },
        "slopes": {
            f"{kind}, {m}": _over(found.slopes(kind, m))
            for kind in KINDS
            for m in ("bytes", "operations", "depth")
        },
        "scores": {
            c: found.scores(c).mean(0) for c in found.part("scores")[0][0] if c != "key_size"
        },
    }
    return {
        "metrics": metrics,
        "claims": (
            algebra(config, found) + scores(config, found) + order(config, found) + costs(found)
        ),
        "comparison": [],
        "deviations": deviations,
    }


def _over(values: np.ndarray) -> dict:
    return {"mean": float(values.mean()), "interval": mean_interval(values)}
