"""One training of the translation study: a net, its updates, and what it writes on the way and at
the end.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import optax
from jax import Array
from ml_collections import ConfigDict

from deepseq.data.transduction import BEGIN, END, Pairs
from deepseq.lab.jobs import Session
from deepseq.nets.blocks.net import Seq2Seq, parameters
from deepseq.nets.sequences import decoding
from deepseq.nets.sequences.attentive import alignments as attentive_alignments
from deepseq.nets.sequences.transformer import alignments as transformer_alignments
from deepseq.train.devices import data_parallel
from deepseq.train.losses import smoothed_cross_entropy
from deepseq.train.optimizers import noam
from deepseq.train.sequences import clipped, sequence_step
from deepseq.train.state import init_state
from deepseq.train.teaching import TeachingBatch, teach, teaching_loss
from experiments.translation.batches import (
    Shape,
    batch_shapes,
    in_order,
    per_epoch,
    rows_of,
    shuffled,
    take,
)
from experiments.translation.corpora import Corpus, until_end


class Trainer:
    """Trains one net from any seed and tests it; its programs are compiled once."""

    def __init__(self, config: ConfigDict, name: str, net: Seq2Seq, corpus: Corpus):
        """``corpus`` is one of those that will be learned from: it has their sizes."""
        self.config, self.net, train, measure = config, net, config.train, config.measure
        self.shapes = batch_shapes(corpus.train, train.edges, train.tokens)
        optimizer = adam(config, config[name].rate)
        # written at most: as many steps as the longest that was learned from
        marks = {"begin": BEGIN, "end": END, "steps": corpus.train.targets.shape[1] - 1}
        search = {"beam": measure.beam, "length_penalty": measure.length_penalty}

        def encode(params: Any, source: Array, lengths: Array) -> Any:
            return net.encode(params, source, lengths=lengths, key=None)

        def loss(params: Any, batch: TeachingBatch) -> tuple[Array, dict[str, Array]]:
            return mean_loss(net, params, batch, train.smoothing), {}

        def losses(params: Any, batch: TeachingBatch) -> Array:
            return mean_loss(net, params, batch, 0.0) * batch.counted.sum()

        def greedy(params: Any, source: Array, lengths: Array) -> Array:
            return decoding.greedy(net, params, encode(params, source, lengths), **marks)

        def beam(params: Any, source: Array, lengths: Array) -> Array:
            memory = encode(params, source, lengths)
            return decoding.beam_search(net, params, memory, **marks, **search)[0][:, 0]

        def alignments(params: Any, source: Array, lengths: Array, tokens: Array) -> Array:
            memory = encode(params, source, lengths)
            if name == "rnn":
                return attentive_alignments(params, memory, tokens)
            # the mean over the heads of the decoder's last level
            return transformer_alignments(net, params, memory, tokens)[-1].mean(1)

        self.init_state = jax.jit(lambda key: init_state(net.init(key), optimizer))
        self.step = data_parallel(sequence_step(loss, optimizer))
        self.losses, self.alignments = jax.jit(losses), jax.jit(alignments)
        self.decoders = {"greedy": jax.jit(greedy), "beam": jax.jit(beam)}

    def train(self, corpus: Corpus, session: Session) -> dict:
        """One net from one seed: its quality after every epoch, and the test after the last."""
        epoch = per_epoch(corpus.train, self.shapes)
        state = session.fit(
            self.step,
            self.init_state(jax.random.key(session.seed)),
            shuffled(corpus.train, self.shapes, session.seed),
            steps=self.config.train.epochs * epoch,
            every=epoch,
            save_every=epoch,
            observe=lambda state: self.validate(state.params, corpus),
        )
        return self.test(state.params, corpus)

    def validate(self, params: Any, corpus: Corpus) -> dict:
        """What each point of the curves records."""
        pairs, tokens = corpus.validation, self.config.train.tokens
        parts = [
            self.losses(params, take(pairs, rows, shape))
            for rows, shape in in_order(pairs, wide(self.shapes, pairs, tokens))
        ]
        total, count = np.sum(jax.device_get(parts), dtype=np.float64), pairs.target_lengths - 1
        written = write(self.decoders["greedy"], params, pairs, self.shapes, tokens)
        score = corpus.score("validation", written)
        return {"validation": {"loss": float(total / count.sum()), **score}}

    def test(self, params: Any, corpus: Corpus) -> dict:
        """What the end records."""
        tokens, shown = self.config.train.tokens, self.config.measure.shown
        written = {
            name: write(decoder, params, corpus.test, self.shapes, tokens)
            for name, decoder in self.decoders.items()
        }
        alignments = functools.partial(self.alignments, params)
        return {
            "parameters": parameters(self.net),
            "test": {name: corpus.score("test", rows) for name, rows in written.items()},
            "shown": examples(corpus, written, shown, alignments),
        }


def adam(config: ConfigDict, rate: float) -> optax.GradientTransformation:
    """Adam as Vaswani et al. 2017 set it, its rate along their schedule, but with a peak of its
    own; clipped.
    """
    shape, warmup = noam(1, config.train.warmup), config.train.warmup
    return clipped(
        optax.adam(lambda n: rate * warmup**0.5 * shape(n), b2=0.98, eps=1e-9), config.train.clip
    )


def mean_loss(net: Seq2Seq, params: Any, batch: TeachingBatch, smoothing: float) -> Array:
    """The smoothed loss per answer that counts, in nats."""
    loss = functools.partial(smoothed_cross_entropy, smoothing=smoothing)
    return teaching_loss(teach(net, params, batch), batch, loss)


def wide(shapes: Sequence[Shape], pairs: Pairs, tokens: int) -> list[Shape]:
    """Shapes into which all pairs fit: one more where a pair is longer than all that was learned
    from.
    """
    source, target = pairs.lengths.max(), (pairs.target_lengths - 1).max()
    if source <= shapes[-1].source and target <= shapes[-1].target:
        return list(shapes)
    source, target = max(int(source), shapes[-1].source), max(int(target), shapes[-1].target)
    return [*shapes, Shape(rows_of(tokens, max(source, target)), source, target)]


def write(
    decoder: Callable, params: Any, pairs: Pairs, shapes: Sequence[Shape], tokens: int
) -> np.ndarray:
    """What a net writes for each source (N, T); sources are batched by their own lengths, whatever
    their translations'.
    """
    sources = Pairs(
        pairs.source,
        pairs.lengths,
        np.zeros((len(pairs.lengths), 2), np.int32),
        np.full_like(pairs.lengths, 2),
    )
    rows, parts = [], []
    for chosen, shape in in_order(sources, wide(shapes, sources, tokens)):
        batch = take(sources, chosen, shape._replace(target=1))
        rows.append(chosen)
        parts.append(np.asarray(decoder(params, batch.source, batch.lengths))[: len(chosen)])
    return np.concatenate(parts)[np.argsort(np.concatenate(rows))]


def examples(
    corpus: Corpus, written: dict[str, np.ndarray], count: int, alignments: Callable
) -> list[dict]:
    """The first pairs of the test, their translations, and where the net looked while it wrote the
    greedy one.
    """
    pairs, shown = Pairs(*(array[:count] for array in corpus.test)), []
    given = np.pad(written["greedy"][:count], ((0, 0), (1, 0)), constant_values=BEGIN)
    weights = np.asarray(alignments(pairs.source, pairs.lengths, given), np.float64)
    for n, (source, length) in enumerate(zip(pairs.source, pairs.lengths, strict=True)):
        words = until_end(written["greedy"][n])
        shown.append(
            {
                "source": corpus.text(source[:length]),
                "reference": corpus.text(pairs.targets[n, 1:]),
                **{decoder: corpus.text(rows[n]) for decoder, rows in written.items()},
                "read": corpus.shown(source[:length]),
                "wrote": [*corpus.shown(words), "<end>"],
                "weights": weights[n, : len(words) + 1, :length].round(3),
            }
        )
    return shown
