"""The log of the translation study, read back."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records
from experiments.translation.nets import NETS

MEASURES = {"dates": "exact", "multi30k": "bleu"}  # what a corpus is judged by


class Runs(Records):
    """The records of a log by net, for the seeds of which both nets are trained."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        super().__init__(records, [{"net": net} for net in NETS], config.seeds)
        self.measure = MEASURES[config.corpus]
        self.corpus = next((r["corpus"] for r in records if "corpus" in r), None)

    def test(self, net: str, decoder: str, measure: str) -> np.ndarray:
        """(S,) on the test after the last update; the decoder is "greedy" or "beam"."""
        return self.values("test", decoder, measure, net=net)

    def quality(self, net: str) -> tuple[np.ndarray, np.ndarray]:
        """Updates (N,), and what the corpus is judged by on the validation part (S, N)."""
        return self.curve("validation", self.measure, net=net)

    def validation_loss(self, net: str) -> tuple[np.ndarray, np.ndarray]:
        """Updates (N,) and the loss on the validation part (S, N), nats per answer."""
        return self.curve("validation", "loss", net=net)

    def shown(self, net: str) -> list[Mapping]:
        """The recorded translations of the first seed."""
        return self.end(net=net)["shown"]
