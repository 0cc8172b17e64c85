"""The log of the alignment study, read back."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from experiments.alignment.nets import ATTENTIVE, LOOKING, names
from experiments.alignment.tasks import TASKS


class Found:
    """The records of a log by task and net, in the order of the seeds for which all is trained."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self.runs = [(task, net) for task in TASKS for net in names(config, task)]
        self._records = {
            (record["task"], record["net"], record["seed"]): record for record in records
        }
        self.seeds = [
            seed for seed in config.seeds if all((*run, seed) in self._records for run in self.runs)
        ]

    def net(self, task: str, net: str) -> list[Mapping]:
        """The records of a net on a task, one per seed."""
        return [self._records[task, net, seed] for seed in self.seeds]

    def lengths(self, task: str) -> np.ndarray:
        """(L,) lengths of the sources that are tested."""
        return np.array(self.net(task, ATTENTIVE)[0]["lengths"])

    def accuracy(self, task: str, net: str, measure: str = "tokens") -> np.ndarray:
        """(S, L) by seed and length: the share of ``tokens`` that are right, or of ``whole``
        sequences.
        """
        return np.array([record[measure] for record in self.net(task, net)])

    def parameters(self, task: str, net: str) -> int:
        """Numbers in the net's parameters."""
        return self.net(task, net)[0]["parameters"]

    def mass(self, net: str, measure: str = "mass", when: str = "alignment") -> np.ndarray:
        """(S, N) by seed and head: weight on the symbol to be said, the mean over all lengths of
        reversal.
        """
        return np.array(
            [np.mean(record[when][measure], axis=-1) for record in self.net("reversal", net)]
        )

    def sums(self) -> np.ndarray:
        """(S,): the largest distance from 1 of any row of weights."""
        rows = [
            [record["alignment"]["sum"] for record in self.net(task, net)]
            for task in TASKS
            for net in LOOKING
        ]
        return np.max(rows, axis=0)

    def slopes(self, net: str) -> np.ndarray:
        """(S, 2): a slope of the loss by backpropagation, and by finite differences."""
        return np.array(
            [
                [record["slope"][way] for way in ("gradient", "differences")]
                for record in self.net("reversal", net)
            ]
        )

    def diverged(self) -> int:
        """Trainings with a loss or a gradient that was not finite."""
        return sum(record["ended"] is not None for run in self.runs for record in self.net(*run))


def slope(lengths: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Least-squares slope of every row of values (S, L) over ten steps of the length: (S,)."""
    x = (lengths - lengths.mean()) / 10
    return values @ x / (x @ x)
