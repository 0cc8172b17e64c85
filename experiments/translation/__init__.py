"""Which translates better, an RNN with attention or a Transformer, with as many parameters and the
same pairs to learn from?

Bahdanau, Cho and Bengio (2015) let a recurrent net look at all of the source before every word that
it writes; Vaswani et al. (2017) kept the looking and left out the recurrence. Here both have
equally many parameters, and for one seed see the same batches in the same order.

The corpus is either dates, as people write them, to be written as ISO 8601 has them, whose right
answer is known exactly; or Multi30k, captions of photographs, from German into English, measured by
BLEU on the official test.
"""

import functools
from pathlib import Path

from ml_collections import ConfigDict

from deepseq.data.subwords import LEAST
from deepseq.lab import rules
from deepseq.lab.jobs import Job
from experiments.translation.corpora import load
from experiments.translation.figures import draw
from experiments.translation.nets import NETS, build
from experiments.translation.summary import summarize
from experiments.translation.training import Trainer

__all__ = ["draw", "plan", "summarize"]

MOST = 8000  # pieces in a vocabulary
FEWEST = 100_000  # pairs that there are of any part of the dates
WIDEST = 32  # beam: the vocabulary of the dates has more tokens


def plan(config: ConfigDict, workdir: Path) -> list[Job]:
    """What the corpus is, and a training for each seed and net.

    Raises:
      UsageError: the config names a corpus that does not exist, or numbers that do not fit
        together.
      DataError: the corpus cannot be read. The jobs raise Diverged, Interrupted and OSError as
        ``deepseq.train.loop.fit`` says.
    """
    check(config)
    corpus_of = functools.cache(lambda seed: load(config, seed, workdir))
    first = corpus_of(config.seeds[0])
    nets = build(config, first.vocabulary)
    trainers = {name: Trainer(config, name, net, first) for name, net in nets.items()}
    return [
        Job({"corpus": ...}, lambda session: {"corpus": first.about}),
        *(
            Job(
                {"net": name, "seed": seed},
                functools.partial(_train, trainers[name], corpus_of),
                config.train.epochs,
            )
            for seed in config.seeds
            for name in NETS
        ),
    ]


def _train(trainer: Trainer, corpus_of, session) -> dict:
    return trainer.train(corpus_of(session.seed), session)


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    rules.choose(config, ("dates", "multi30k"), "corpus")
    edges = all(type(edge) is int for edge in config.train.edges)
    rules.check(
        config,
        rules.between(1, FEWEST, "dates.pairs", "dates.validation", "dates.test"),
        rules.at_least(0, "dates.margin", "multi30k.margin", "measure.length_penalty"),
        rules.between(LEAST, MOST, "multi30k.vocabulary"),  # from the bytes and marks on
        rules.at_least(8, "multi30k.longest"),
        rules.at_least(1, *(f"transformer.{key}" for key in ("layers", "size", "feed_forward"))),
        rules.divides("transformer.heads", "transformer.size"),
        rules.at_least(1, "rnn.embedding", "measure.shown"),
        rules.rate("train.smoothing", *(f"{net}.dropout" for net in NETS)),
        rules.above(0, "train.clip", *(f"{net}.rate" for net in NETS)),
        rules.at_least(1, "train.epochs", "train.tokens", "train.warmup"),
        rules.that("train.edges", edges, "lengths, integers"),
        rules.increasing("train.edges", least=1, empty=True),
        rules.between(1, WIDEST, "measure.beam"),
    )
