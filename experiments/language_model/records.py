"""The log of the language-model study, read back."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict


class Runs:
    """The records of a log by net and seed; only nets that every seed has finished are in ``nets``."""

    def __init__(self, config: ConfigDict, records: Sequence[Mapping]):
        self.seeds = list(config.seeds)
        self.corpus = next((r["corpus"] for r in records if "corpus" in r), None)
        self.ngrams = {r["ngram"]: r for r in records if "ngram" in r}
        self._final = {(r["net"], r["seed"]): r for r in records if r.get("final")}
        self._curves: dict = {}
        for r in records:
            if "net" in r and not r.get("final"):
                self._curves.setdefault((r["net"], r["seed"]), []).append(r)
        self.nets = [
            net for net in config.nets if all((net, seed) in self._final for seed in self.seeds)
        ]
        self.words = config.corpus.unit == "words"
        self.unit = "perplexity per word" if self.words else "bits per character"

    def shown(self, nats: float) -> float:
        """A score as its field prints it: perplexity of words, bits per character."""
        if not self.words:
            return nats / math.log(2)
        return math.exp(nats) if nats < 700 else math.inf

    def score(self, net: str, part: str) -> np.ndarray:
        """(S,) final scores of a net on the "validation" or "test" text, nats per token."""
        return np.array([self._final[net, seed][part] for seed in self.seeds], float)

    def curve(self, net: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Passes over the text (N,) and nats per token (S, N); measure is "loss" or "validation"."""
        runs = [self._curves[net, seed] for seed in self.seeds]
        epoch = self._final[net, self.seeds[0]]["epoch"]
        passes = np.array([record["step"] for record in runs[0]]) / epoch
        return passes, np.array([[record[measure] for record in run] for run in runs], float)

    def parameters(self, net: str) -> int:
        """Numbers in the parameters of a net."""
        return self._final[net, self.seeds[0]]["parameters"]

    def best_ngram(self) -> Mapping | None:
        """The record of the order that the validation text chooses; None where none was counted."""
        return min(self.ngrams.values(), key=lambda r: r["validation"], default=None)
