"""The attention study's numbers, verdicts and deviations."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record
from deepseq.lab.verdicts import deviations, mean_interval
from experiments.what_attention_is.claims import claims
from experiments.what_attention_is.cost import LAYERS
from experiments.what_attention_is.order import DISTURBED, NETS
from experiments.what_attention_is.records import Runs


def summarize(config: ConfigDict, records: Sequence[Record]) -> dict:
    """The study's metrics, verdicts and deviations, from its log alone.

    Seeds that are not finished are left out.
    """
    runs = Runs(config, records)
    return {
        "metrics": metrics(runs) if runs.seeds else {},
        "claims": claims(config, runs) if runs.seeds else [],
        "comparison": [],
        "deviations": deviations(
            (
                "learns to translate",
                "random weights, and one layer trained on a made-up task",
                "the claims are about what attention can and cannot do",
            )
        ),
    }


def metrics(runs: Runs) -> dict:
    """Accuracies on the order task, slopes of the costs, and the scores at every key size."""

    def over(values: np.ndarray) -> dict:
        return {"mean": float(values.mean()), "interval": mean_interval(values)}

    columns = [name for name in runs.part("scores")[0][0] if name != "key_size"]
    return {
        "order": {net: {n: over(runs.accuracy(net, n)) for n in DISTURBED} for net in NETS},
        "slopes": {
            f"{layer}, {measure}": over(runs.slopes(layer, measure))
            for layer in LAYERS
            for measure in ("bytes", "operations", "depth")
        },
        "scores": {name: runs.scores(name).mean(0) for name in columns},
    }
