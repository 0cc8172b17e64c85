"""The log of the gradient-flow study by part, seed, net and arm."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from deepseq.data import tasks
from deepseq.lab.jobs import carries
from deepseq.lab.records import Record, Records
from experiments.gradient_flow.nets import CELLS
from experiments.gradient_flow.training import ARMS

CHANCE = 1 - 1 / tasks.ORDER_CLASSES  # share of wrong answers of a guess


class Runs(Records):
    """The records of a log; ``seeds`` are those of the config whose three parts have all ended."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        tags = [{"part": "algebra"}, *({"part": "flow", "cell": cell} for cell in CELLS)]
        super().__init__(records, tags + [{"arm": arm} for arm in ARMS], config.seeds)
        self.lags = np.array(next((r["lags"] for r in records if "lags" in r), []))

    def identity(self, part: str, name: str) -> np.ndarray:
        """What an identity came to, for every seed: (seeds, ...)."""
        return self.values("found", part, name, part="algebra").astype(np.float64)

    def worst(self, part: str, name: str) -> float:
        """The largest value over the seeds."""
        return float(self.identity(part, name).max())

    def variants(self, cell: str, **wanted: Any) -> list[dict[str, Any]]:
        """What tells the nets of one cell apart, of those that have what is ``wanted``."""
        names = ("recurrence", "radius", "driven", "keep")
        nets = self.end(part="flow", cell=cell)["nets"]
        variants = [{name: net[name] for name in names if name in net} for net in nets]
        return [variant for variant in variants if carries(variant, wanted)]

    def flow(self, cell: str, quantity: str, **variant: Any) -> np.ndarray:
        """A quantity of the one net of this variant, (seeds, lags), or (seeds,) if not by lag."""
        values = []
        for record in self.ends(part="flow", cell=cell):
            (net,) = [net for net in record["nets"] if carries(net, variant)]
            values.append(net[quantity])
        return np.array(values, np.float64)

    def slope(self, cell: str, quantity: str, **variant: Any) -> np.ndarray:
        """Decades per step, (seeds,): the line fitted from a quarter of the longest lag on.

        NaN where nothing is left.
        """
        later = self.lags >= self.lags[-1] / 4
        rows = self.flow(cell, quantity, **variant)[:, later]
        fitted = (
            _least_squares(self.lags[later], row) if np.isfinite(row).all() else np.nan
            for row in rows
        )
        return np.array(list(fitted))

    def training(self, arm: str, seed: int) -> list[Mapping]:
        """The points of the training curve in order of iteration."""
        return [point for point in self.points(seed, arm=arm) if "loss" in point]

    def looks(self, arm: str, seed: int) -> list[tuple[int, Mapping]]:
        """(iteration, what held-out sequences showed), from before the first to the last."""
        return [(p["step"], p["look"]) for p in self.points(seed, arm=arm) if "look" in p]

    def diverged(self, arm: str) -> list[int | None]:
        """The iteration at which the loss was no longer finite, for every seed."""
        return [end.get("diverged") for end in self.ends(arm=arm)]

    def held_out(self, arm: str, measure: str, diverged: float) -> np.ndarray:
        """(seeds,) "error" or "omega" on held-out sequences at the end, ``diverged`` for such."""
        ends = zip(self.seeds, self.diverged(arm), strict=True)
        return np.array([diverged if at else self.looks(arm, s)[-1][1][measure] for s, at in ends])

    def error(self, arm: str) -> np.ndarray:
        """Wrong answers on held-out sequences at the end, %, (seeds,); a diverged run guesses."""
        return 100 * self.held_out(arm, "error", CHANCE)


def _least_squares(xs: np.ndarray, ys: np.ndarray) -> float:
    """The slope of the least-squares line, its sums exactly rounded, by any NumPy and LAPACK."""
    centre = math.fsum(xs) / len(xs)
    away = [x - centre for x in map(float, xs)]
    products = math.fsum(d * y for d, y in zip(away, map(float, ys), strict=True))
    return products / math.fsum(d * d for d in away)
