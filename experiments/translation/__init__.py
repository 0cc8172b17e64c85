"""Which translates better, an RNN with attention or a Transformer, with as many parameters and the
same pairs to learn from?

Bahdanau, Cho and Bengio (2015) let a recurrent net look at all of the source before every word that
it writes; Vaswani et al. (2017) kept the looking and left out the recurrence. Here both have
equally many parameters, and for one seed see the same batches in the same order.

The corpus is either dates, as people write them, to be written as ISO 8601 has them, whose right
answer is known exactly; or Multi30k, captions of photographs, from German into English, measured by
BLEU on the official test."""

import functools
from pathlib import Path

import jax
from ml_collections import ConfigDict

from deepseq.data.subwords import LEAST
from deepseq.lab import progress
from deepseq.lab.command_line import choose, require
from deepseq.train import log
from deepseq.train.checkpoints import Checkpoints
from deepseq.train.loop import fit, interruption
from experiments.translation.batches import per_epoch, shuffled
from experiments.translation.corpora import load
from experiments.translation.figures import draw as draw
from experiments.translation.nets import NETS, build
from experiments.translation.summary import summarize as summarize
from experiments.translation.training import course

MOST = 8000  # pieces in a vocabulary
FEWEST = 100_000  # pairs that there are of any part of the dates
WIDEST = 32  # beam: the vocabulary of the dates has more tokens


def run(config: ConfigDict, workdir: Path) -> None:
    """Trains both nets from every seed and logs to ``workdir``/metrics.jsonl; continues where it
    stopped.

    Raises:
      UsageError: the config names a corpus that does not exist, or numbers that do not fit
        together.
      DataError: the corpus cannot be read. Diverged, Interrupted, OSError: as ``fit`` says.
    """
    check(config)
    metrics = workdir / "metrics.jsonl"
    records = log.read(metrics)
    finished = {(r["net"], r["seed"]) for r in records if r.get("final")}
    plan = [(name, seed) for seed in config.seeds for name in NETS]
    if finished.issuperset(plan):
        return
    corpus_of = functools.cache(lambda seed: load(config, seed, workdir))
    first = corpus_of(config.seeds[0])
    nets = build(config, first.vocabulary)
    if not any("corpus" in record for record in records):
        log.write(metrics, {"corpus": first.about})
    course_of = functools.cache(
        lambda name: course(config, name, nets[name], first)
    )  # one compilation for all seeds
    done = 0
    with interruption() as stopping, progress.bar(config.train.epochs * len(plan)) as tick:
        for name, seed in plan:
            if (name, seed) not in finished:
                own, corpus = course_of(name), corpus_of(seed)
                epoch = per_epoch(corpus.train, own.shapes)
                report = functools.partial(_report, tick, f"{name}, seed {seed}", done, epoch)
                with Checkpoints(workdir / "checkpoints" / f"{name}-{seed}") as checkpoints:
                    train(
                        config,
                        own,
                        corpus,
                        metrics,
                        {"net": name, "seed": seed},
                        checkpoints,
                        report,
                        stopping,
                    )
            done += config.train.epochs
            tick(done, f"{name}, seed {seed}")


def train(config, own, corpus, metrics, tag, checkpoints, report, stopping) -> None:
    """One net from one seed: a record after every epoch, and the test after the last; errors as
    ``fit``.
    """
    epoch, seed = per_epoch(corpus.train, own.shapes), tag["seed"]
    state = fit(
        own.step,
        own.initial(jax.random.key(seed)),
        shuffled(corpus.train, own.shapes, seed),
        steps=config.train.epochs * epoch,
        every=epoch,
        save_every=epoch,
        log=metrics,
        tag=tag,
        checkpoints=checkpoints,
        observe=lambda state: own.observe(state.params, corpus),
        tick=report,
        stopping=stopping,
    )
    log.write(
        metrics,
        {
            **tag,
            "step": config.train.epochs * epoch,
            "final": True,
            **own.conclude(state.params, corpus),
        },
    )


def _report(tick: progress.Tick, label: str, before: int, epoch: int, step: int) -> None:
    tick(before + step / epoch, label)


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    choose("corpus", config.corpus, ("dates", "multi30k"))
    seeds, train, measure, least_one = config.seeds, config.train, config.measure, "at least 1"
    whole = all(type(edge) is int and edge >= 1 for edge in train.edges)
    rising, vocabulary = (
        whole and list(train.edges) == sorted(set(train.edges)),
        config.multi30k.vocabulary,
    )
    require(
        config,
        [
            (
                "seeds",
                len(set(seeds)) == len(seeds) and min(seeds, default=-1) >= 0,
                "different integers of at least 0",
            ),
            *(
                (f"dates.{part}", 1 <= config.dates[part] <= FEWEST, f"from 1 to {FEWEST}")
                for part in ("pairs", "validation", "test")
            ),
            ("dates.margin", config.dates.margin >= 0, "at least 0"),
            (
                "multi30k.vocabulary",
                LEAST <= vocabulary <= MOST,
                f"from {LEAST}, the bytes and marks, to {MOST}",
            ),
            ("multi30k.longest", config.multi30k.longest >= 8, "at least 8"),
            ("multi30k.margin", config.multi30k.margin >= 0, "at least 0"),
            *(
                (f"transformer.{key}", config.transformer[key] >= 1, least_one)
                for key in ("layers", "size", "feed_forward")
            ),
            (
                "transformer.heads",
                config.transformer.heads >= 1
                and config.transformer.size % config.transformer.heads == 0,
                f"at least 1 and divide transformer.size={config.transformer.size}",
            ),
            ("rnn.embedding", config.rnn.embedding >= 1, least_one),
            *(
                (f"{net}.dropout", 0 <= config[net].dropout < 1, "from 0 to below 1")
                for net in NETS
            ),
            *((f"{net}.rate", config[net].rate > 0, "above 0") for net in NETS),
            *(
                (f"train.{key}", train[key] >= 1, least_one)
                for key in ("epochs", "tokens", "warmup")
            ),
            ("train.edges", rising, "rising lengths of at least 1"),
            ("train.smoothing", 0 <= train.smoothing < 1, "from 0 to below 1"),
            ("train.clip", train.clip > 0, "above 0"),
            ("measure.beam", 1 <= measure.beam <= WIDEST, f"from 1 to {WIDEST}"),
            ("measure.length_penalty", measure.length_penalty >= 0, "at least 0"),
            ("measure.shown", measure.shown >= 1, least_one),
        ],
    )
