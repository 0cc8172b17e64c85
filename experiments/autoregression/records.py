"""The log of the autoregression study by part, with an array over seeds for everything measured."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from experiments.autoregression.symbols import COPY, EVEN, HIDDEN, alphabet, names


class Runs:
    """The records of a log; a part has all seeds or is not there."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self.config = config
        self.seeds = list(config.seeds)
        self.orders = list(config.chain.orders)
        self.order = len(config.real.reflections)  # of the Gaussian process
        self.sources = names(config)
        self._parts = {(record["part"], record["of"]): record for record in records}

    def has(self, part: str, *of: str) -> bool:
        """Whether the parts of these sources or models are logged."""
        return all((part, one) in self._parts for one in of or ("",))

    def get(self, part: str, of: str, *keys: str) -> np.ndarray:
        """A value of a part, seeds first."""
        value = self._parts[part, of]
        for key in keys:
            value = value[key]
        return np.asarray(value, float)

    def record(self, part: str, of: str = "") -> Mapping:
        """A part as it was logged."""
        return self._parts[part, of]

    def taus(self, source: str) -> range:
        """The windows that were fitted to a source."""
        return range(alphabet(self.config, source)[1] + 1)

    def rate(self, source: str) -> np.ndarray:
        """(S,) entropy rate of a source, the middle of its bounds."""
        return self.get("table", source, "rate").mean(1)

    def floors(self, source: str) -> np.ndarray:
        """(S, tau) exact least loss of AR(tau)."""
        return self.get("table", source, "floors")

    def windows(self, source: str, form: str = "table") -> np.ndarray:
        """(S, tau) expected loss of AR(tau), fitted as a "table" or as the net of a "window"."""
        return self.get(form, source, "loss")

    def latent(self, source: str) -> np.ndarray:
        """(S,) loss of the recurrent net: the entropy rate and what it loses beyond the true model
        on the same series.
        """
        return self.rate(source) + self.get("latent", source, "excess")

    def disturbances(self, order: int, model: str) -> dict[str, np.ndarray]:
        """(S,) loss on the test series of a chain, intact and disturbed, of "AR" or "RNN"."""
        return {
            how: np.asarray(values, float)
            for how, values in self.record("latent", f"order {order}")["disturbed"][model].items()
        }

    def bits(self, arm: str) -> np.ndarray:
        """(S,) bits per pixel of a model of images."""
        return self.get("pixels", arm, "bits")

    def arms(self) -> list[str]:
        """The models of images there are."""
        return [of for part, of in self._parts if part == "pixels"]

    def unfinite(self) -> int:
        """How many of the nets' trainings met a number that was not finite."""
        values = [
            np.asarray(value, bool)
            for record in self._parts.values()
            for key, value in record.items()
            if key.endswith("finite")
        ]
        return int(sum((~value).sum() for value in values))


ENDLESS = (EVEN, HIDDEN)  # chains of no finite order
TITLES = {COPY: "delayed copy", EVEN: "runs of even length", HIDDEN: "hidden Markov"}
