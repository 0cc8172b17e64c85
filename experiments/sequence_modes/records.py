"""The log of the study on the four modes, read back."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records

NETS = ("image", "parity", "reversal", "bidirectional", "unidirectional")


class Runs(Records):
    """The records of a log by net, for the seeds of which all nets are trained."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        super().__init__(records, [{"net": net} for net in NETS], config.seeds)

    def learning(self, net: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Updates (N,) and the accuracy after them (S, N): of single "answers", or of a "whole" row
        of them.
        """
        values = self.values("curve", measure, net=net)
        return self.end(net=net)["every"] * np.arange(1, values.shape[1] + 1), values

    def final(self, net: str, measure: str) -> np.ndarray:
        """(S,), after the last update, on a test of its own."""
        return self.values("final", measure, net=net)

    def longest(self) -> np.ndarray:
        """(S,): parity of strings of the largest length alone."""
        return self.values("longest", "answers", net="parity")

    def diverged(self) -> int:
        """Trainings with a loss or a gradient that was not finite."""
        return sum(end["ended"] is not None for net in NETS for end in self.ends(net=net))

    def shown(self, net: str) -> Mapping:
        """What the net of the first seed read and answered."""
        return self.end(net=net)["shown"]
