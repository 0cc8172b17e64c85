"""The log of the language-model study, read back."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from deepseq.lab.records import Record, Records


class Runs(Records):
    """The records of a log by net and seed; ``nets`` are those that every seed has finished."""

    def __init__(self, config: ConfigDict, records: Sequence[Record]):
        finished = {(r["net"], r["seed"]) for r in records if r.get("final")}
        self.nets = [n for n in config.nets if all((n, s) in finished for s in config.seeds)]
        super().__init__(records, [{"net": net} for net in self.nets], config.seeds)
        self.corpus = next((r["corpus"] for r in records if "corpus" in r), None)
        self.ngrams = {r["ngram"]: r for r in records if "ngram" in r}
        self.words = config.corpus.unit == "words"
        self.unit = "perplexity per word" if self.words else "bits per character"

    def shown(self, nats: float) -> float:
        """A score as its field prints it: perplexity of words, bits per character."""
        if not self.words:
            return nats / math.log(2)
        return math.exp(nats) if nats < 700 else math.inf

    def score(self, net: str, part: str) -> np.ndarray:
        """(S,) final scores of a net on the "validation" or "test" text, nats per token."""
        return self.values(part, net=net).astype(float)

    def shown_scores(self, net: str, part: str) -> np.ndarray:
        """(S,) the same as its field prints it."""
        return np.array([self.shown(nats) for nats in self.score(net, part)])

    def learning(self, net: str, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Passes over the text (N,) and the shown "loss" or "validation" score (S, N)."""
        steps, nats = self.curve(measure, net=net)
        return steps / self.end(net=net)["epoch"], np.vectorize(self.shown)(nats)

    def best_ngram(self) -> Mapping | None:
        """The record of the order that the validation text chooses; None where none was counted."""
        return min(self.ngrams.values(), key=lambda r: r["validation"], default=None)
