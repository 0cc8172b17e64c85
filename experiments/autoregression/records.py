"""The log of the autoregression study by part, with an array over seeds for everything measured."""

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records
from experiments.autoregression.sources import names


def tags(config: ConfigDict) -> list[dict]:
    """Of the jobs in the order of the log: what is done, and to which source or by which model."""
    sources = names(config)
    parts = {"chain rule": [""], "table": sources, "window": sources, "latent": sources}
    parts |= {"linear": [""], "real latent": [""], "echo": [""], "pixels": config.pixels.arms}
    return [{"part": part, "of": of} for part, every in parts.items() for of in every]


class Runs(Records):
    """The records of a log; each is of a whole part, for all seeds of the config."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        super().__init__(records, tags(config))
        self.config = config
        self.sources = names(config)
        self.chains = {f"order {order}": order for order in config.chain.orders}
        self.order = len(config.real.reflections)  # of the Gaussian process

    def ended(self, part: str, *of: str) -> bool:
        """Whether the parts of these sources or models are logged."""
        return all(self.has(part=part, of=one) for one in of or ("",))

    def get(self, part: str, of: str, *path: str) -> np.ndarray:
        """A value of a part, seeds first."""
        return self.values(*path, part=part, of=of)

    def rate(self, source: str) -> np.ndarray:
        """(S,) entropy rate of a source, the middle of its bounds."""
        return self.get("table", source, "rate").mean(1)

    def latent(self, source: str) -> np.ndarray:
        """(S,) loss of the recurrent net: the entropy rate and what it loses beyond it."""
        return self.rate(source) + self.get("latent", source, "excess")

    def disturbances(self, chain: str, model: str) -> dict[str, np.ndarray]:
        """(S,) loss on the test series of a chain, intact and disturbed, of "AR" or "RNN"."""
        losses = self.end(part="latent", of=chain)["disturbed"][model]
        return {kind: np.array(values) for kind, values in losses.items()}

    def arms(self) -> list[str]:
        """The models of images there are."""
        return [arm for arm in self.config.pixels.arms if self.ended("pixels", arm)]

    def unfinite(self) -> int:
        """How many of the nets' trainings met a number that was not finite."""
        return sum(
            int((~np.array(value)).sum())
            for record in self.all
            for key, value in record.items()
            if key.endswith("finite")
        )
