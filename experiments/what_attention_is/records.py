"""The log of the attention study by part and seed."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records
from experiments.what_attention_is.cost import slope

PARTS = ("algebra", "scores", "order", "blindness", "cost")  # in the order of the log


class Runs(Records):
    """The records of a log; ``seeds`` are those of the config that have all parts."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        super().__init__(records, [{"part": part} for part in PARTS], config.seeds)
        self.lengths = list(config.cost.lengths)

    def part(self, name: str) -> list:
        """What was measured in a part, one entry for each seed."""
        return [record["found"] for record in self.ends(part=name)]

    def exact(self, name: str) -> np.ndarray:
        """(S, ...) a measurement of the algebra part."""
        return self.values("found", name, part="algebra")

    def accuracy(self, net: str, disturbed: str = "intact") -> np.ndarray:
        """(S,) of the order task."""
        return self.values("found", net, "accuracy", disturbed, part="order")

    def scores(self, column: str) -> np.ndarray:
        """(S, key sizes) of the part on scores."""
        return np.array([[row[column] for row in rows] for rows in self.part("scores")])

    def cost(self, layer: str, measure: str) -> np.ndarray:
        """(S, lengths) of a layer."""
        return np.array(
            [[row[measure] for row in rows if row["layer"] == layer] for rows in self.part("cost")]
        )

    def slopes(self, layer: str, measure: str) -> np.ndarray:
        """(S,) of log cost against log n."""
        return np.array([slope(self.lengths, row) for row in self.cost(layer, measure)])
