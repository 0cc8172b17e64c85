"""The log of the degradation study by net and seed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict


class Runs:
    """The records of a log; ``seeds`` are those of the config whose four nets have all finished."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self.shallow, self.deep = config.net.shallow, config.net.deep
        self.nets = [
            f"{kind}-{depth}" for kind in ("plain", "resnet") for depth in (self.shallow, self.deep)
        ]
        self._records: dict[tuple[str, int], list[Mapping]] = {}
        for record in records:
            self._records.setdefault((record["net"], record["seed"]), []).append(record)
        self.seeds = [
            seed for seed in config.seeds if all(self._finished(net, seed) for net in self.nets)
        ]

    def start(self, net: str, seed: int) -> Mapping:
        """The look before the first iteration."""
        return self._records[net, seed][0]

    def curve(self, net: str, seed: int) -> list[Mapping]:
        """The points of the training curve in order of iteration."""
        return [r for r in self._records.get((net, seed), []) if r["step"] and not r.get("final")]

    def final(self, net: str, seed: int) -> Mapping:
        """What was measured after the last iteration, with the last point of the curve."""
        return self.curve(net, seed)[-1] | self._records[net, seed][-1]

    def looks(self, net: str, seed: int) -> list[tuple[int, Mapping]]:
        """(iteration, what was seen inside): at initialisation, on the way, at the end."""
        return [(r["step"], r["inside"]) for r in self._records[net, seed] if "inside" in r]

    def each(self, net: str, measure: Callable[[Mapping], float]) -> np.ndarray:
        """``measure(final record)`` of every seed."""
        return np.array([measure(self.final(net, seed)) for seed in self.seeds])

    def gap(self, kind: str, measure: Callable[[Mapping], float]) -> np.ndarray:
        """``measure`` of the deep net minus that of the shallow one, for every seed; kind is
        "plain" or "resnet".
        """
        return self.each(f"{kind}-{self.deep}", measure) - self.each(
            f"{kind}-{self.shallow}", measure
        )

    def _finished(self, net: str, seed: int) -> bool:
        return bool(self._records.get((net, seed), [{}])[-1].get("final"))


def train_loss(record: Mapping) -> float:
    """Mean cross-entropy over the whole training set, nats."""
    return record["train"]["loss"]


def train_error(record: Mapping) -> float:
    """Error over the whole training set, %."""
    return 100 * record["train"]["error"]


def test_error(record: Mapping) -> float:
    """Error over the whole test set, %."""
    return 100 * record["test"]["error"]


def generalisation_gap(record: Mapping) -> float:
    """Test error minus training error, points."""
    return test_error(record) - train_error(record)
