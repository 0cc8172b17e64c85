"""One training of the translation study: a net, its updates, and what it writes on the way and at
the end.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from deepseq.data.transduction import BEGIN, END, Pairs
from deepseq.nets.blocks.net import Seq2Seq
from deepseq.nets.sequences import decoding
from deepseq.nets.sequences.attentive import alignments as attentive_alignments
from deepseq.nets.sequences.transformer import alignments as transformer_alignments
from deepseq.train.devices import data_parallel
from deepseq.train.losses import smoothed_cross_entropy
from deepseq.train.optimizers import noam
from deepseq.train.sequences import clipped, sequence_step
from deepseq.train.state import TrainState, init_state
from experiments.translation.batches import Batch, Shape, in_order, rows_of, shapes, take
from experiments.translation.corpora import Corpus, until_end
from experiments.translation.nets import parameters


class Course(NamedTuple):
    """All that is compiled for one net, whatever the seed."""

    initial: Callable[[Array], TrainState]
    step: Callable
    shapes: list[Shape]  # of the batches that are learned from
    observe: Callable[
        [Any, Corpus], dict
    ]  # (params, corpus) -> what each point of the curves records
    conclude: Callable[[Any, Corpus], dict]  # and the end


def optimizer(config: ConfigDict, rate: float) -> optax.GradientTransformation:
    """Adam as Vaswani et al. 2017 set it, its rate along their schedule, but with a peak of its
    own; clipped.
    """
    shape, warmup = noam(1, config.train.warmup), config.train.warmup
    return clipped(
        optax.adam(lambda n: rate * warmup**0.5 * shape(n), b2=0.98, eps=1e-9), config.train.clip
    )


def taught(net: Seq2Seq, params: Any, batch: Batch, key: Array | None) -> Array:
    """Logits (B, T, V) of a batch; without a key nothing is dropped."""
    read, write = (None, None) if key is None else jax.random.split(key)
    memory = net.encode(params, batch.source, lengths=batch.lengths, key=read)
    return net.teach(params, memory, batch.given, key=write)


def mean_loss(
    net: Seq2Seq, params: Any, batch: Batch, smoothing: float
) -> tuple[Array, dict[str, Array]]:
    """The smoothed loss per answer that counts, in nats."""
    logits = taught(net, params, batch, batch.key)
    losses = smoothed_cross_entropy(
        logits.reshape(-1, logits.shape[-1]), batch.answers.reshape(-1), smoothing
    )
    return jnp.where(batch.counted.reshape(-1), losses, 0).sum() / batch.counted.sum(), {}


def course(config: ConfigDict, name: str, net: Seq2Seq, corpus: Corpus) -> Course:
    """The training of one net on corpora of one kind, and what is measured."""
    train, measure = config.train, config.measure
    adam = optimizer(config, config[name].rate)
    steps = (
        corpus.train.targets.shape[1] - 1
    )  # that are written at most: as many as the longest that was learned from
    found = shapes(corpus.train, train.edges, train.tokens)
    marks = {"begin": BEGIN, "end": END, "steps": steps}

    def loss(params: Any, batch: Batch) -> tuple[Array, dict[str, Array]]:
        return mean_loss(net, params, batch, train.smoothing)

    @jax.jit
    def losses(params: Any, batch: Batch) -> Array:
        return mean_loss(net, params, batch, 0.0)[0] * batch.counted.sum()

    @jax.jit
    def greedy(params: Any, source: Array, lengths: Array) -> Array:
        return decoding.greedy(
            net, params, net.encode(params, source, lengths=lengths, key=None), **marks
        )

    @jax.jit
    def beam(params: Any, source: Array, lengths: Array) -> Array:
        memory = net.encode(params, source, lengths=lengths, key=None)
        how = {"beam": measure.beam, "length_penalty": measure.length_penalty}
        return decoding.beam_search(net, params, memory, **marks, **how)[0][:, 0]

    @jax.jit
    def look(params: Any, source: Array, lengths: Array, tokens: Array) -> Array:
        return looked(
            name, net, params, net.encode(params, source, lengths=lengths, key=None), tokens
        )

    def observe(params: Any, corpus: Corpus) -> dict:
        pairs = corpus.validation
        parts = [
            losses(params, take(pairs, rows, shape))
            for rows, shape in in_order(pairs, wide(found, pairs, train.tokens))
        ]
        mean = float(
            np.sum(jax.device_get(parts), dtype=np.float64) / (pairs.target_lengths - 1).sum()
        )
        said = written(greedy, params, pairs, found, train.tokens)
        return {"validation": {"loss": mean, **corpus.score("validation", said)}}

    def conclude(params: Any, corpus: Corpus) -> dict:
        ways = {"greedy": greedy, "beam": beam}
        said = {
            way: written(by, params, corpus.test, found, train.tokens) for way, by in ways.items()
        }
        test = {way: corpus.score("test", rows) for way, rows in said.items()}
        shown = examples(corpus, said, measure.shown, functools.partial(look, params))
        return {"parameters": parameters(net), "test": test, "shown": shown}

    initial = jax.jit(lambda key: init_state(net.init(key), adam))
    return Course(initial, data_parallel(sequence_step(loss, adam)), found, observe, conclude)


def wide(found: Sequence[Shape], pairs: Pairs, tokens: int) -> list[Shape]:
    """Shapes into which all pairs fit: one more where a pair is longer than all that was learned
    from.
    """
    source, target = pairs.lengths.max(), (pairs.target_lengths - 1).max()
    if source <= found[-1].source and target <= found[-1].target:
        return list(found)
    source, target = max(int(source), found[-1].source), max(int(target), found[-1].target)
    return [*found, Shape(rows_of(tokens, max(source, target)), source, target)]


def written(
    by: Callable, params: Any, pairs: Pairs, found: Sequence[Shape], tokens: int
) -> np.ndarray:
    """What a net writes for each source (N, T); sources are batched by their own lengths, whatever
    their translations'.
    """
    anything = Pairs(
        pairs.source,
        pairs.lengths,
        np.zeros((len(pairs.lengths), 2), np.int32),
        np.full_like(pairs.lengths, 2),
    )
    rows, parts = [], []
    for some, shape in in_order(anything, wide(found, anything, tokens)):
        batch = take(anything, some, shape._replace(target=1))
        rows.append(some)
        parts.append(np.asarray(by(params, batch.source, batch.lengths))[: len(some)])
    return np.concatenate(parts)[np.argsort(np.concatenate(rows))]


def examples(corpus: Corpus, said: dict[str, np.ndarray], count: int, look: Callable) -> list[dict]:
    """The first pairs of the test, their translations, and where the net looked while it wrote the
    greedy one.
    """
    pairs, found = Pairs(*(array[:count] for array in corpus.test)), []
    given = np.pad(said["greedy"][:count], ((0, 0), (1, 0)), constant_values=BEGIN)
    weights = np.asarray(look(pairs.source, pairs.lengths, given), np.float64)
    for n, (source, length) in enumerate(zip(pairs.source, pairs.lengths, strict=True)):
        words = until_end(said["greedy"][n])
        found.append(
            {
                "source": corpus.text(source[:length]),
                "reference": corpus.text(pairs.targets[n, 1:]),
                **{way: corpus.text(rows[n]) for way, rows in said.items()},
                "read": corpus.shown(source[:length]),
                "wrote": [*corpus.shown(words), "<end>"],
                "weights": weights[n, : len(words) + 1, :length].round(3),
            }
        )
    return found


def looked(name: str, net: Seq2Seq, params: Any, memory: Any, tokens: Array) -> Array:
    """Attention (B, T, S) to the sources: the RNN's, and of the Transformer the mean over its
    decoder's last level's heads.
    """
    if name == "rnn":
        return attentive_alignments(params, memory, tokens)
    return transformer_alignments(net, params, memory, tokens)[-1].mean(1)
