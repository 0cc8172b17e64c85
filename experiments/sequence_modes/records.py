"""The log of the study on the four modes, read back."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

NETS = ("image", "parity", "reversal", "bidirectional", "unidirectional")


class Found:
    """The records of a log by net, in the order of the seeds for which all nets are trained."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self._records = {(record["net"], record["seed"]): record for record in records}
        self.seeds = [
            seed for seed in config.seeds if all((net, seed) in self._records for net in NETS)
        ]

    def net(self, name: str) -> list[Mapping]:
        """The records of a net, one per seed."""
        return [self._records[name, seed] for seed in self.seeds]

    def curve(self, name: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Updates (N,) and the accuracy after them (S, N): of single answers, or of a whole row of
        them.
        """
        values = np.array([record["curve"][measure] for record in self.net(name)])
        return self.net(name)[0]["every"] * np.arange(1, values.shape[1] + 1), values

    def final(self, name: str, measure: str) -> np.ndarray:
        """(S,), after the last update, on a test of its own."""
        return np.array([record["final"][measure] for record in self.net(name)])

    def longest(self) -> np.ndarray:
        """(S,): parity of strings of the largest length alone."""
        return np.array([record["longest"]["answers"] for record in self.net("parity")])

    def diverged(self) -> int:
        """Trainings with a loss or a gradient that was not finite."""
        return sum(record["ended"] is not None for name in NETS for record in self.net(name))
