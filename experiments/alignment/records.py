"""The log of the alignment study by task, net and seed."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records
from experiments.alignment.nets import FIXED, names
from experiments.alignment.tasks import TASKS


class AlignmentRecords(Records):
    """The records of a log; ``seeds`` are those for which all is trained."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        tags = [{"task": task, "net": net} for task in TASKS for net in names(config, task)]
        super().__init__(records, tags, config.seeds)

    def lengths(self, task: str) -> np.ndarray:
        """(L,) lengths of the sources that are tested."""
        return self.values("lengths", task=task, net=FIXED)[0]

    def accuracy(self, task: str, net: str, measure: str = "tokens") -> np.ndarray:
        """(S, L): the share of ``tokens`` that are right, or of ``whole`` sequences."""
        return self.values(measure, task=task, net=net)

    def mass(self, net: str, measure: str = "mass", when: str = "alignment") -> np.ndarray:
        """(S, N): weight of each head on the symbol to be said, the mean over all lengths."""
        return self.values(when, measure, task="reversal", net=net).mean(-1)


def slope(lengths: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least-squares slope of every row of values (S, L) over ten steps of the length: (S,)."""
    x = (lengths - lengths.mean()) / 10
    return values @ x / (x @ x)
