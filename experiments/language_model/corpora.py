"""The texts of the language-model study, and models of them that count."""

import numpy as np
from ml_collections import ConfigDict

from deepseq.data import ptb, text
from deepseq.data.text import Corpus
from deepseq.lab.errors import UsageError
from deepseq.nets.sequences.ngram import log_probabilities


def read_corpus(config: ConfigDict) -> Corpus:
    """The text of the config: Python's documentation, the Penn Treebank or a file."""
    wanted = config.corpus
    if wanted.text == "ptb":
        return ptb.load(wanted.unit)
    if wanted.text != "python":
        return text.from_file(wanted.text, wanted.unit)
    if wanted.unit != "characters":
        raise UsageError(
            "--config.corpus.unit=words: Python's documentation is read as characters; give a text"
            " of words"
        )
    try:
        return text.load_distinct(wanted.held_out, wanted.held_out)
    except ValueError as error:
        raise UsageError(
            f"--config.corpus.held_out={wanted.held_out} is too large: {error}"
        ) from error


def describe(corpus: Corpus) -> dict:
    """What the log says of a text."""
    sizes = {part: len(getattr(corpus, part)) for part in ("train", "validation", "test")}
    return {
        **sizes,
        "vocabulary": len(corpus.vocabulary),
        "unit": corpus.unit,
        "origin": corpus.origin,
    }


def count_ngrams(corpus: Corpus, order: int) -> dict[str, float]:
    """Nats per token of the Kneser-Ney model of one order; like the nets, it is not asked for a
    text's first token.
    """
    scores = {}
    for part in ("validation", "test"):
        logs = log_probabilities(corpus.train, getattr(corpus, part), len(corpus.vocabulary), order)
        scores[part] = -float(np.mean(logs[1:]))
    return scores
