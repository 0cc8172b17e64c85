"""The log of the truncation study by task, lag, k and carry."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records
from experiments.truncated_bptt.training import KEPT, RESET

LN2 = math.log(2)
TEXT = ("text", 0)
Task = tuple[str, int]  # "echo" or "text", and the lag


class Runs(Records):
    """The records of a log; ``finished`` are the tasks that have all trainings and measurements."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        self.ks, self.steps = tuple(config.truncations), config.train.steps
        tasks = [*(("echo", lag) for lag in config.echo.lags), TEXT]
        trainings = [
            {"task": task, "lag": lag, "k": k, "carry": carry}
            for task, lag in tasks
            for carry in (RESET, KEPT)
            for k in self.ks
        ]
        measured = [{"task": task, "lag": lag, "measured": ...} for task, lag in tasks]
        super().__init__(records, trainings + measured)
        self.seeds = list(config.seeds)
        self.finished = [
            task
            for task in tasks
            if all(self.has(**tag) for tag in self.tags if (tag["task"], tag["lag"]) == task)
        ]

    def final(self, task: Task, k: int, carry: str) -> np.ndarray:
        """(S,) final losses, nats; a run that diverged counts as infinite."""
        record = self.end(task=task[0], lag=task[1], k=k, carry=carry)
        ends = {run["seed"]: run["final"] for run in record["runs"]}
        return np.array([math.inf if ends[s] is None else ends[s] for s in self.seeds], float)

    def measured(self, task: Task) -> Mapping:
        """What was measured beside the trainings of a task."""
        return self.end(task=task[0], lag=task[1], measured=...)["measured"]


def guess(lag: int, k: int) -> float:
    """The exact least loss of an echo without a carry, nats: ln 2 for each bit of another chunk."""
    return LN2 * min(1, lag / k)
