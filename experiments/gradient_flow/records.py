"""The log of the gradient-flow study by part, seed, net and arm."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from deepseq.data import tasks
from experiments.gradient_flow.nets import CELLS
from experiments.gradient_flow.training import ARMS

CHANCE = 1 - 1 / tasks.ORDER_CLASSES  # share of wrong answers of a guess


class Runs:
    """The records of a log; ``seeds`` are those of the config whose three parts have all finished."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self._algebra: dict[int, Mapping] = {}
        self._flow: dict[tuple[str, int], Mapping] = {}
        self._arms: dict[tuple[str, int], list[Mapping]] = {}
        for record in records:
            seed = record["seed"]
            if "arm" in record:
                self._arms.setdefault((record["arm"], seed), []).append(record)
            elif record["part"] == "algebra":
                self._algebra[seed] = record["found"]
            else:
                self._flow[record["cell"], seed] = record
        self.seeds = [seed for seed in config.seeds if self._finished(seed)]
        self.lags = np.array(next(iter(self._flow.values()))["lags"] if self._flow else [])

    def found(self, part: str, name: str) -> np.ndarray:
        """What an identity came to, for every seed: (seeds, ...)."""
        return np.array([self._algebra[seed][part][name] for seed in self.seeds], np.float64)

    def worst(self, part: str, name: str) -> float:
        """The largest value over the seeds."""
        return float(self.found(part, name).max())

    def tags(self, cell: str, **wanted: Any) -> list[dict[str, Any]]:
        """The tags of the nets of one cell that have what is wanted, for example
        ``recurrence="orthogonal"``.
        """
        names = ("recurrence", "radius", "driven", "keep")
        found = [
            {name: net[name] for name in names if name in net}
            for net in self._nets(cell, self.seeds[0])
        ]
        return [
            tag
            for tag in found
            if all(name in tag and tag[name] == value for name, value in wanted.items())
        ]

    def flow(self, cell: str, quantity: str, **tag: Any) -> np.ndarray:
        """A quantity of the one net with this tag, for every seed: (seeds, lags) for those by lag,
        else (seeds,).
        """
        return np.array([self._net(cell, seed, tag)[quantity] for seed in self.seeds], np.float64)

    def slope(self, cell: str, quantity: str, **tag: Any) -> np.ndarray:
        """Decades per step, for every seed: the line fitted from a quarter of the longest lag on;
        NaN where nothing is left.
        """
        later = self.lags >= self.lags[-1] / 4
        values = self.flow(cell, quantity, **tag)[:, later]
        return np.array(
            [
                _least_squares(self.lags[later], row) if np.isfinite(row).all() else np.nan
                for row in values
            ]
        )

    def curve(self, arm: str, seed: int) -> list[Mapping]:
        """The points of the training curve in order of iteration."""
        return [record for record in self._arms[arm, seed] if "loss" in record]

    def looks(self, arm: str, seed: int) -> list[tuple[int, Mapping]]:
        """(iteration, what held-out sequences showed): at initialisation, on the way, and at the
        end unless it diverged.
        """
        return [
            (record["step"], record["look"]) for record in self._arms[arm, seed] if "look" in record
        ]

    def diverged(self, arm: str, seed: int) -> int | None:
        """The iteration at which the loss was no longer finite."""
        return self._arms[arm, seed][-1].get("diverged")

    def error(self, arm: str) -> np.ndarray:
        """Wrong answers on held-out sequences at the end, %, for every seed; a diverged run
        guesses.
        """
        ends = [
            CHANCE if self.diverged(arm, seed) else self.looks(arm, seed)[-1][1]["error"]
            for seed in self.seeds
        ]
        return 100 * np.array(ends)

    def omega(self, arm: str) -> np.ndarray:
        """Pascanu's regulariser on held-out sequences at the end, for every seed; NaN where the run
        diverged.
        """
        ends = [
            np.nan if self.diverged(arm, seed) else self.looks(arm, seed)[-1][1]["omega"]
            for seed in self.seeds
        ]
        return np.array(ends)

    def _nets(self, cell: str, seed: int) -> list[Mapping]:
        return self._flow[cell, seed]["nets"]

    def _net(self, cell: str, seed: int, tag: Mapping) -> Mapping:
        (net,) = [
            n
            for n in self._nets(cell, seed)
            if all(name in n and n[name] == value for name, value in tag.items())
        ]
        return net

    def _finished(self, seed: int) -> bool:
        looked = seed in self._algebra and all((cell, seed) in self._flow for cell in CELLS)
        return looked and all(self._arms.get((arm, seed), [{}])[-1].get("final") for arm in ARMS)


def _least_squares(xs: np.ndarray, ys: np.ndarray) -> float:
    """The slope of the least-squares line; its sums are exactly rounded, so that every version of
    LAPACK and NumPy gives it.
    """
    centre = math.fsum(xs) / len(xs)
    away = [x - centre for x in map(float, xs)]
    return math.fsum(d * y for d, y in zip(away, map(float, ys), strict=True)) / math.fsum(
        d * d for d in away
    )
