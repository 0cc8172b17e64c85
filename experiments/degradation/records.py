"""The log of the degradation study by net and seed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records


class Runs(Records):
    """The records of a log; ``seeds`` are those of the config whose four nets have all finished."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        depths = self.shallow, self.deep = config.net.shallow, config.net.deep
        # plain_s, plain_d, res_s, res_d
        self.nets = [f"{kind}-{depth}" for kind in ("plain", "resnet") for depth in depths]
        super().__init__(records, [{"net": net} for net in self.nets], config.seeds)

    def finals(self, net: str) -> list[Mapping]:
        """What was measured after the last iteration, with the last point of the curve."""
        ends = zip(self.seeds, self.ends(net=net), strict=True)
        return [self.points(seed, net=net)[-1] | end for seed, end in ends]

    def looks(self, net: str, seed: int) -> list[Mapping]:
        """What was seen inside: at initialisation, on the way, at the end."""
        return [point["inside"] for point in self.points(seed, net=net) if "inside" in point]

    def look(self, net: str, n: int, measure: Callable[[Mapping], float]) -> np.ndarray:
        """``measure`` of the n-th look of every seed, (S,)."""
        return np.array([measure(self.looks(net, seed)[n]) for seed in self.seeds])

    def each(self, net: str, measure: Callable[[Mapping], float]) -> np.ndarray:
        """``measure`` of the final record of every seed, (S,)."""
        return np.array([measure(final) for final in self.finals(net)])

    def gap(self, kind: str, measure: Callable[[Mapping], float]) -> np.ndarray:
        """``measure`` of the deep net minus that of the shallow one, (S,); "plain" or "resnet"."""
        return self.each(f"{kind}-{self.deep}", measure) - self.each(
            f"{kind}-{self.shallow}", measure
        )


def train_loss(final: Mapping) -> float:
    """Mean cross-entropy over the whole training set, nats."""
    return final["train"]["loss"]


def train_error(final: Mapping) -> float:
    """Error over the whole training set, %."""
    return 100 * final["train"]["error"]


def test_error(final: Mapping) -> float:
    """Error over the whole test set, %."""
    return 100 * final["test"]["error"]


def generalisation_gap(final: Mapping) -> float:
    """Test error minus training error, points."""
    return test_error(final) - train_error(final)
