"""The log of the attention study, read back."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from experiments.what_attention_is.cost import slope


class Found:
    """The records of a log by part, in the order of the seeds that have all parts."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self._parts = {(r["part"], r["seed"]): r["found"] for r in records}
        needed = ("algebra", "scores", "order", "blindness", "cost")
        self.seeds = [
            seed for seed in config.seeds if all((part, seed) in self._parts for part in needed)
        ]
        self.lengths = list(config.cost.lengths)

    def part(self, name: str) -> list:
        """What a part found, one entry per seed."""
        return [self._parts[name, seed] for seed in self.seeds]

    def exact(self, name: str) -> list[float]:
        """A measurement of the algebra part, by seed."""
        return [found[name] for found in self.part("algebra")]

    def accuracy(self, kind: str, disturbed: str = "intact") -> np.ndarray:
        """(S,) of the order task."""
        return np.array([found[kind]["accuracy"][disturbed] for found in self.part("order")])

    def cost(self, kind: str, measure: str) -> np.ndarray:
        """(S, lengths) of a layer."""
        return np.array(
            [
                [
                    row[measure]
                    for row in sorted(rows, key=lambda r: r["steps"])
                    if row["layer"] == kind
                ]
                for rows in self.part("cost")
            ]
        )

    def slopes(self, kind: str, measure: str) -> np.ndarray:
        """(S,) of log cost against log n."""
        return np.array([slope(self.lengths, row) for row in self.cost(kind, measure)])

    def scores(self, column: str) -> np.ndarray:
        """(S, key sizes) of the part on scores."""
        return np.array([[row[column] for row in rows] for rows in self.part("scores")])
