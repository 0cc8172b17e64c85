"""The log of the translation study, read back."""

from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from experiments.translation.nets import NETS

MEASURES = {"dates": "exact", "multi30k": "bleu"}  # what a corpus is judged by


class Found:
    """The records of a log by net, in the order of the seeds for which both nets are trained."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self.measure = MEASURES[config.corpus]
        self.corpus = next((r["corpus"] for r in records if "corpus" in r), None)
        self._final = {(r["net"], r["seed"]): r for r in records if r.get("final")}
        self._curves: dict = {}
        for r in records:
            if "net" in r and not r.get("final"):
                self._curves.setdefault((r["net"], r["seed"]), []).append(r)
        self.seeds = [
            seed for seed in config.seeds if all((net, seed) in self._final for net in NETS)
        ]

    def test(self, net: str, way: str, measure: str) -> np.ndarray:
        """(S,), what was measured on the test after the last update; way is "greedy" or "beam"."""
        return np.array([self._final[net, seed]["test"][way][measure] for seed in self.seeds])

    def signature(self) -> str | None:
        """How BLEU was counted; None for a corpus without it."""
        return self._final[NETS[0], self.seeds[0]]["test"]["greedy"].get("signature")

    def parameters(self, net: str) -> int:
        """Numbers in the parameters of a net."""
        return self._final[net, self.seeds[0]]["parameters"]

    def updates(self, net: str) -> int:
        """Of one training."""
        return self._final[net, self.seeds[0]]["step"]

    def shown(self, net: str) -> list[Mapping]:
        """The recorded translations of the first seed."""
        return self._final[net, self.seeds[0]]["shown"]

    def curve(self, net: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Updates (N,) and values (S, N): "training loss", or "loss" or another measure on the
        validation part.
        """
        runs = [self._curves[net, seed] for seed in self.seeds]
        one = (
            (lambda r: r["loss"])
            if measure == "training loss"
            else lambda r: r["validation"][measure]
        )
        return np.array([r["step"] for r in runs[0]]), np.array(
            [[one(r) for r in run] for run in runs], float
        )
