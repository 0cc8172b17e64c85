"""Do recurrent nets predict text better than counting does, and which cell does best?

A language model says how probable every next character or word is, given all before it. Zaremba,
Sutskever and Vinyals (2014) trained a small, a medium and a large LSTM on the Penn Treebank, with
dropout on the connections that are not recurrent: the paper tier is their recipe. Elsewhere an
LSTM, a GRU and a plain RNN of equally many parameters are trained alike on the same chunks of text,
so that their differences are paired by seed.

Beside them stand n-gram models that only count, smoothed as well as counts can be (modified
Kneser-Ney, Chen and Goodman 1999): a net that does not beat them has learned nothing that lasts.
The validation text chooses their order; the test text is only measured."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from ml_collections import ConfigDict

from deepseq.data import ptb, text
from deepseq.data.text import Corpus
from deepseq.lab import progress
from deepseq.lab.command_line import UsageError, choose, require
from deepseq.lab.workdir import write_json
from deepseq.nets.blocks.net import Net
from deepseq.nets.sequences.ngram import log_probabilities
from deepseq.train import log
from deepseq.train.checkpoints import Checkpoints
from deepseq.train.devices import data_parallel
from deepseq.train.language import chunk_gradient, chunks, evaluate, zero_carry
from deepseq.train.loop import fit, interruption
from deepseq.train.state import StreamState, init_state
from deepseq.train.stream import stream_step
from experiments.language_model.figures import draw as draw
from experiments.language_model.nets import CELLS, SIZES, Recipe, parameters, recipe
from experiments.language_model.summary import summarize as summarize

VOCABULARY = (  # of a run's directory: what its nets' tokens mean, so that they need no text
    "vocabulary.json"
)
TOKENS_AT_ONCE = 500  # whose logits are in memory together while a text is scored


class Course(NamedTuple):
    """All that is compiled for one net, whatever the seed."""

    recipe: Recipe
    initial: Callable[[jax.Array], StreamState]
    step: Callable
    score: Callable[[StreamState, np.ndarray], float]  # nats per token of a text


def run(config: ConfigDict, workdir: Path) -> None:
    """Counts the n-grams, trains every net from every seed and logs to ``workdir``/metrics.jsonl;
    continues where it stopped.

    Raises:
      UsageError: the config names a net or a unit that does not exist, or numbers that do not fit
        together.
      DataError: the text cannot be read. Diverged, Interrupted, OSError: as ``fit`` says.
    """
    check(config)
    corpus = read_corpus(config)
    metrics = workdir / "metrics.jsonl"
    recipes = {
        name: recipe(config, name, len(corpus.train), len(corpus.vocabulary))
        for name in config.nets
    }
    records = log.read(metrics)
    finished = {(r["net"], r["seed"]) for r in records if r.get("final")}
    runs = [(name, seed) for seed in config.seeds for name in config.nets]
    done, courses = 0, functools.cache(lambda name: course(config, recipes[name]))
    with (
        interruption() as stopping,
        progress.bar(sum(recipes[name].steps for name, _ in runs)) as tick,
    ):
        if not any("corpus" in record for record in records):
            log.write(metrics, {"corpus": describe(corpus)})
        write_json(workdir / VOCABULARY, corpus.vocabulary)
        counted = {record["ngram"] for record in records if "ngram" in record}
        for order in config.ngrams:
            if order not in counted and not finished.issuperset(runs):
                log.write(metrics, {"ngram": order, **count_ngrams(corpus, order)})
        for name, seed in runs:
            report = functools.partial(_report, tick, f"{name}, seed {seed}", done)
            done += recipes[name].steps
            if (name, seed) in finished:
                report(recipes[name].steps)
                continue
            with Checkpoints(checkpoint_path(workdir, name, seed)) as checkpoints:
                _train(
                    courses(name),
                    corpus,
                    metrics,
                    {"net": name, "seed": seed},
                    checkpoints,
                    report,
                    stopping,
                )


def check(config: ConfigDict) -> None:
    """UsageError for the first key of the config that cannot be used."""
    choose("corpus.unit", config.corpus.unit, ("characters", "words"))
    for name in config.nets:
        choose("nets", name, tuple(CELLS) if "net" in config else tuple(SIZES))
    seeds, measure = config.seeds, config.measure
    rules = [
        (
            "seeds",
            len(set(seeds)) == len(seeds) and min(seeds, default=-1) >= 0,
            "different integers of at least 0",
        ),
        ("nets", 0 < len(config.nets) == len(set(config.nets)), "different nets, at least one"),
        ("ngrams", all(order >= 1 for order in config.ngrams), "orders of at least 1"),
        ("measure.streams", measure.streams >= 1, "at least 1"),
        ("measure.margin", measure.margin > 0, "above 0"),
        ("corpus.held_out", config.corpus.held_out >= 2, "at least 2"),
    ]
    if "net" in config:
        net, train = config.net, config.train
        rules += [
            (f"net.{key}", net[key] >= 1, "at least 1") for key in ("hidden", "embedding", "layers")
        ]
        rules += [
            ("net.dropout", 0 <= net.dropout < 1, "from 0 to below 1"),
            (
                "measure.every",
                1 <= measure.every <= train.updates,
                f"from 1 to train.updates={train.updates}",
            ),
            *(
                (f"train.{key}", train[key] > 0, "above 0")
                for key in ("updates", "batch_size", "unroll", "clip")
            ),
            *((f"train.rate.{name}", train.rate[name] > 0, "above 0") for name in config.nets),
        ]
    else:
        keys = ("rate", "clip", "unroll", "epochs", "decay", "batch_size")
        rules += [
            (f"{name}.{key}", config[name][key] > 0, "above 0")
            for name in config.nets
            for key in keys
        ]
    require(config, rules)


def read_corpus(config: ConfigDict) -> Corpus:
    """The text of the config: Python's documentation, the Penn Treebank or a file."""
    own = config.corpus
    if own.text == "ptb":
        return ptb.load(own.unit)
    if own.text != "python":
        return text.from_file(own.text, own.unit)
    if own.unit != "characters":
        raise UsageError(
            "--config.corpus.unit=words: Python's documentation is read as characters; give a text"
            " of words"
        )
    try:
        return text.load_distinct(own.held_out, own.held_out)
    except ValueError as error:
        raise UsageError(
            f"--config.corpus.held_out={own.held_out} is too large: {error}"
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


def course(config: ConfigDict, own: Recipe) -> Course:
    """The training of one net."""
    streams = config.measure.streams
    score = evaluate(own.net.apply, streams=streams, unroll=max(1, TOKENS_AT_ONCE // streams))

    @jax.jit
    def initial(key: jax.Array) -> StreamState:
        params = own.net.init(key)
        return init_state(
            params, own.optimizer, StreamState, carry=zero_carry(own.net.apply, params, own.batch)
        )

    step = data_parallel(stream_step(chunk_gradient(own.net.apply), own.optimizer), axis=1)
    return Course(own, initial, step, lambda state, symbols: score(state.params, symbols))


def checkpoint_path(workdir: Path, name: str, seed: int) -> Path:
    """Where the checkpoints of one training are."""
    return workdir / "checkpoints" / f"{name}-{seed}"


class Trained(NamedTuple):
    """A net to be asked for the next token."""

    net: Net
    params: tuple
    vocabulary: tuple[str, ...]
    unit: str


def trained(config: ConfigDict, workdir: Path, name: str, seed: int) -> Trained:
    """The net of a run as its last checkpoint has it, for ``experiments.sample``.

    Raises:
      UsageError: the run has no such net or seed, or no checkpoint of it.
    """
    for flag, value, there in (("net", name, config.nets), ("net_seed", seed, config.seeds)):
        if value not in there:
            raise UsageError(
                f"--{flag}={value} is not in {workdir}; take one of {', '.join(map(str, there))}"
            )
    path = checkpoint_path(workdir, name, seed)
    if path.is_dir() and (workdir / VOCABULARY).is_file():
        vocabulary = tuple(json.loads((workdir / VOCABULARY).read_bytes()))
        symbols = next(
            record["corpus"]["train"]
            for record in log.read(workdir / "metrics.jsonl")
            if "corpus" in record
        )
        own = course(config, recipe(config, name, symbols, len(vocabulary)))
        with Checkpoints(path) as checkpoints:
            state = checkpoints.restore(own.initial(jax.random.key(seed)))
        if state is not None:
            return Trained(own.recipe.net, state.params, vocabulary, config.corpus.unit)
    raise UsageError(
        f"{workdir} has no model: no checkpoint of {name}, seed {seed}; run the study in it first"
    )


def _train(own: Course, corpus, metrics, tag, checkpoints, report, stopping) -> None:
    """One net from one seed, and its score on all of the validation and test texts after the last
    step.
    """
    init_key, chunk_key = jax.random.split(jax.random.key(tag["seed"]))
    plan = own.recipe
    state = fit(
        own.step,
        own.initial(init_key),
        chunks(corpus.train, plan.batch, plan.unroll, chunk_key),
        steps=plan.steps,
        every=plan.every,
        save_every=plan.every,
        log=metrics,
        tag=tag,
        checkpoints=checkpoints,
        observe=lambda state: {"validation": own.score(state, corpus.validation)},
        tick=report,
        stopping=stopping,
    )
    scores = {part: own.score(state, getattr(corpus, part)) for part in ("validation", "test")}
    final = {
        "step": plan.steps,
        "final": True,
        "epoch": plan.epoch,
        "parameters": parameters(plan.net),
    }
    log.write(metrics, {**tag, **final, **scores})


def _report(tick: progress.Tick, label: str, before: int, step: int) -> None:
    tick(before + step, label)
