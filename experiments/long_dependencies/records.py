"""The log of the long-dependencies study by task, lag, arm and seed."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records
from experiments.long_dependencies.tasks import TASKS

SGD = ("sgd", "sgd-slow", "sgd-c", "sgd-cr")  # the ways of training that the clipping part compares
Place = tuple[str, int]  # task and lag


class Runs(Records):
    """The records of a log; a training has all seeds or is not there."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        names = [{key: r[key] for key in ("task", "lag", "arm")} for r in records]
        super().__init__(records, names)
        self.seeds, self.steps = list(config.seeds), dict(config.train.steps)
        self.clipping_steps = config.clipping.steps
        self.places = [(task, lag) for task in TASKS for lag in config.lags[task]]
        self.clipping = [("order", lag) for lag in config.clipping.lags]

    def arms(self) -> list[str]:
        """The cells, in the order of the log."""
        return [
            arm for arm in dict.fromkeys(arm for _, _, arm in self.trainings()) if arm not in SGD
        ]

    def trained(self, *arms: str, places: Sequence[Place] | None = None) -> bool:
        """Whether these arms have been trained at these places, or at all of the cells' places."""
        where = self.places if places is None else places
        return all(self.has(task=task, lag=lag, arm=arm) for task, lag in where for arm in arms)

    def trainings(self) -> list[tuple[str, int, str]]:
        """(task, lag, arm) of every training there is, in the order of the log."""
        return [(tag["task"], tag["lag"], tag["arm"]) for tag in self.tags]

    def training(self, place: Place, arm: str) -> Mapping:
        """The record of one training."""
        return self.end(task=place[0], lag=place[1], arm=arm)

    def runs(self, place: Place, arm: str) -> list[Mapping]:
        """Its runs, one per seed in the config's order."""
        by_seed = {run["seed"]: run for run in self.training(place, arm)["runs"]}
        return [by_seed[seed] for seed in self.seeds]

    def shortfall(self, place: Place, arm: str) -> np.ndarray:
        """(S,) last point of the loss over the baseline, at most 1: who answers without memory can
        do that well.

        So a run that diverged, or got worse than the baseline, counts 1.
        """
        baseline = self.training(place, arm)["baseline"]
        ends = [
            run["loss"][-1] / baseline if run["end"] != "diverged" else 1.0
            for run in self.runs(place, arm)
        ]
        return np.array([min(end, 1.0) if math.isfinite(end) else 1.0 for end in ends])

    def solved(self, place: Place, arm: str) -> np.ndarray:
        """(S,) 1 where the run solved its task, else 0."""
        return np.array([float(run["end"] == "solved") for run in self.runs(place, arm)])

    def cost(self, place: Place, arm: str) -> np.ndarray:
        """(S,) steps until the task was solved; all steps there were for a run that never got
        there.
        """
        most = self.clipping_steps if arm in SGD else self.steps[place[0]]
        return np.array(
            [run["steps"] if run["end"] == "solved" else most for run in self.runs(place, arm)],
            float,
        )

    def diverged(self, arm: str) -> int:
        """How many runs of an arm diverged."""
        runs = [run for record in self.all if record["arm"] == arm for run in record["runs"]]
        return sum(run["end"] == "diverged" for run in runs)

    def mean_shortfall(self, arm: str) -> np.ndarray:
        """(S,) mean of ``shortfall`` over all tasks and lags."""
        return np.mean([self.shortfall(place, arm) for place in self.places], axis=0)

    def mean_log_cost(self, arm: str, places: Sequence[Place] | None = None) -> np.ndarray:
        """(S,) mean of log2 of ``cost`` over places, all of the cells' by default."""
        return np.mean(
            [
                np.log2(self.cost(place, arm))
                for place in (self.places if places is None else places)
            ],
            axis=0,
        )

    def rise(self, arm: str, task: str) -> np.ndarray:
        """(S,) ``shortfall`` at the longest lag of a task minus that at its shortest."""
        lags = [lag for name, lag in self.places if name == task]
        return self.shortfall((task, lags[-1]), arm) - self.shortfall((task, lags[0]), arm)

    def tasks(self) -> list[str]:
        """The tasks with two lags or more."""
        names = [task for task, _ in self.places]
        return [task for task in TASKS if names.count(task) > 1]

    def longest(self, task: str) -> Place | None:
        """A task at its longest lag, if it has any."""
        return max(
            (place for place in self.places if place[0] == task),
            key=lambda place: place[1],
            default=None,
        )
