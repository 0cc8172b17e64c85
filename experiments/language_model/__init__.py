"""Do recurrent nets predict text better than counting does, and which cell does best?

A language model says how probable every next character or word is, given all before it. Zaremba,
Sutskever and Vinyals (2014) trained a small, a medium and a large LSTM on the Penn Treebank, with
dropout on the connections that are not recurrent: the paper tier is their recipe. Elsewhere an
LSTM, a GRU and a plain RNN of equally many parameters are trained alike on the same chunks of text,
so that their differences are paired by seed.

Beside them stand n-gram models that only count, smoothed as well as counts can be (modified
Kneser-Ney, Chen and Goodman 1999): a net that does not beat them has learned nothing that lasts.
The validation text chooses their order; the test text is only measured.
"""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.lab import rules
from deepseq.lab.jobs import Job
from deepseq.lab.workdir import write_json
from experiments.language_model.corpora import count_ngrams, describe, read_corpus
from experiments.language_model.figures import draw
from experiments.language_model.nets import CELLS, SIZES, recipe
from experiments.language_model.summary import summarize
from experiments.language_model.training import VOCABULARY, Trainer, trained

__all__ = ["draw", "plan", "summarize", "trained"]


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """The text, the models that count, and a training for each net and seed.

    Raises:
      UsageError: the config names a net or a unit that does not exist, or numbers that do not fit
        together.
      DataError: the text cannot be read. The jobs raise Diverged, Interrupted and OSError as
        ``deepseq.train.loop.fit`` says.
    """
    check(config)
    corpus = read_corpus(config)
    sizes = len(corpus.train), len(corpus.vocabulary)
    trainers = {name: Trainer(config, corpus, recipe(config, name, *sizes)) for name in config.nets}
    # written last: a text that is refused leaves nothing behind
    write_json(workdir / VOCABULARY, corpus.vocabulary)
    jobs = [Job({"corpus": ...}, lambda session: {"corpus": describe(corpus)})]
    jobs += [
        Job({"ngram": order}, functools.partial(_count, corpus, order)) for order in config.ngrams
    ]
    return jobs + [
        Job({"net": name, "seed": seed}, trainers[name].train, trainers[name].recipe.steps)
        for seed in config.seeds
        for name in config.nets
    ]


def _count(corpus, order: int, session) -> dict:
    return count_ngrams(corpus, order)


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    rules.choose(config, ("characters", "words"), "corpus.unit")
    rules.choose(config, tuple(CELLS) if "net" in config else tuple(SIZES), "nets")
    orders = all(order >= 1 for order in config.ngrams)
    rules.check(
        config,
        rules.distinct("nets"),
        rules.that("ngrams", orders, "orders of at least 1"),
        rules.at_least(1, "measure.streams"),
        rules.above(0, "measure.margin"),
        rules.at_least(2, "corpus.held_out"),
    )
    if "net" in config:
        rules.check(
            config,
            rules.at_least(1, "net.hidden", "net.embedding", "net.layers"),
            rules.rate("net.dropout"),
            rules.above(0, "train.updates", "train.batch_size", "train.unroll", "train.clip"),
            rules.between(1, config.train.updates, "measure.every"),
            rules.above(0, *(f"train.rate.{name}" for name in config.nets)),
        )
    else:
        keys = ("rate", "clip", "unroll", "epochs", "decay", "batch_size")
        rules.check(config, rules.above(0, *(f"{n}.{key}" for n in config.nets for key in keys)))
