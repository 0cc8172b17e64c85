"""The four modes as tasks: what is read, what is to be answered, and the net that does it.

Whatever its mode, a task has one form: a batch holds what is read and the T answers for each of its
rows. A writer is taught given the right answers so far, and tested by what it writes itself; a
reader answers the same way in both.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from deepseq.data import digits, transduction
from deepseq.nets import recurrent
from deepseq.nets.blocks.conv import conv2d
from deepseq.nets.blocks.initialise import he_normal, weight
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.blocks.net import Seq2Seq
from deepseq.nets.sequences.decoding import greedy
from deepseq.nets.sequences.language_model import GRU
from deepseq.nets.sequences.seq2seq import dense_init, encoder_decoder, look_up, table_init
from deepseq.train.augment import normalise
from deepseq.train.teaching import TeachingBatch, teach, teaching_batch

CONTENT = transduction.CONTENT


class Task(NamedTuple):
    """A mode at work."""

    init: Callable  # key -> params
    teach: Callable  # (params, batch) -> logits (B, T, K)
    answer: Callable  # (params, batch) -> (B, T) ints, without having seen the right ones
    draw: Callable  # (rng, rows, longest) -> batch for training
    # rng -> {name: batch}, multiples of the first: "curve" for learning curves, "final" for
    # verdicts, others
    tests: Callable
    stages: tuple  # values of ``longest``, one after the other; (None,) where nothing grows
    config: ConfigDict  # its group of the study's


class Eye(NamedTuple):
    """Parameters of a small convolutional encoder of 8x8 images."""

    conv1: Array  # (3, 3, 1, C)
    conv2: Array  # (3, 3, C, 2C), stride 2
    out: Dense  # (4 4 2C, H)


class Captioner(NamedTuple):
    """Parameters of a net that writes what it sees."""

    eye: Eye
    writer: tuple  # of an encoder-decoder, of which nothing but the decoder is used


class Tagger(NamedTuple):
    """Parameters of a net that reads symbols and classifies every step's state, or the last one."""

    embedding: Array  # (V, E)
    layer: tuple  # a GRU, or one for each direction
    readout: Dense  # (H, K)


def captioner(
    vocabulary: int, scaled: Callable[[Array], Array], *, channels: int, embedding: int, hidden: int
) -> Seq2Seq:
    """Two convolutions and a GRU that starts from what they saw; the source is images (B, 8, 8, 1),
    first to be ``scaled``.
    """
    net = encoder_decoder(1, vocabulary, GRU, embedding=embedding, hidden=hidden)

    def init(key: Array) -> Captioner:
        a, b, c = jax.random.split(key, 3)
        conv1, conv2 = he_normal(
            a, (weight(3, 3, 1, channels), weight(3, 3, channels, 2 * channels))
        )
        return Captioner(
            Eye(conv1, conv2, dense_init(b, 4 * 4 * 2 * channels, hidden)), net.init(c)
        )

    def encode(
        params: Captioner, source: Array, *, lengths: Array | None, key: Array | None
    ) -> tuple[Array]:
        del lengths, key
        h = jax.nn.relu(conv2d(scaled(source), params.eye.conv1))
        h = jax.nn.relu(conv2d(h, params.eye.conv2, stride=2))
        # the carry of the decoder's one level
        return (jnp.tanh(dense(params.eye.out, h.reshape(len(h), -1))),)

    return Seq2Seq(
        init,
        encode,
        lambda params, *rest: net.decode(params.writer, *rest),
        lambda params, *rest: net.start(params.writer, *rest),
        lambda params, *rest, key: net.teach(params.writer, *rest, key=key),
    )


def image(config: ConfigDict) -> Task:
    """Vector to sequence: the word for a handwritten digit."""
    group, data = config.image, digits.load()
    words, lengths = transduction.written_digits()

    def batch(pixels: np.ndarray, labels: np.ndarray) -> TeachingBatch:
        return teaching_batch(
            pixels, np.ones(len(labels), np.int32), words[labels], lengths[labels]
        )

    def draw(rng: np.random.Generator, rows: int, longest: None) -> TeachingBatch:
        which = rng.integers(0, len(data.train.labels), rows)
        return batch(shifted(data.train.pixels[which], group.shift, rng), data.train.labels[which])

    def scaled(pixels: Array) -> Array:
        return normalise(pixels, data.scale, data.mean)

    sizes = {"channels": group.channels, "embedding": group.embedding, "hidden": group.hidden}
    net = captioner(len(transduction.LETTERS), scaled, **sizes)
    return _writer(
        net, draw, lambda rng: dict.fromkeys(("curve", "final"), batch(*data.test)), group
    )


def shifted(images: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """Each image (B, H, W, C) moved by up to ``most`` pixels down or up and right or left, what
    comes in being 0.
    """
    b, h, w, _ = images.shape
    padded = np.pad(images, ((0, 0), (most, most), (most, most), (0, 0)))
    top, left = rng.integers(0, 2 * most + 1, (2, b, 1))
    rows, columns = top + np.arange(h), left + np.arange(w)
    return padded[np.arange(b)[:, None, None], rows[:, :, None], columns[:, None, :]]


def parity(config: ConfigDict) -> Task:
    """Sequence to vector: whether the number of ones is odd, on strings that grow when they have
    been mastered.
    """
    group = config.parity
    stages = [2]
    while stages[-1] < group.longest:
        stages.append(min(group.longest, stages[-1] + max(1, stages[-1] // 2)))

    def batch(
        rng: np.random.Generator, rows: int, longest: int, shortest: int = 1
    ) -> TeachingBatch:
        data = transduction.parity(rng, rows, longest, shortest)
        # one shape, one compilation
        source = np.pad(data.source, ((0, 0), (0, group.longest - longest)))
        return _read(source, data.lengths, data.labels[:, None])

    def tests(rng: np.random.Generator) -> dict[str, TeachingBatch]:
        drawn = _new(config, lambda rng, rows: batch(rng, rows, group.longest), rng)
        return drawn | {"longest": batch(rng, config.final, group.longest, group.longest)}

    def init(key: Array) -> Tagger:
        a, b, c = jax.random.split(key, 3)
        layer = recurrent.gru_init(b, group.embedding, group.hidden)
        return Tagger(
            table_init(a, CONTENT + 2, group.embedding), layer, dense_init(c, group.hidden, 2)
        )

    def teach(params: Tagger, batch: TeachingBatch) -> Array:
        xs = look_up(params.embedding, batch.source, "BS").swapaxes(0, 1)
        last, _ = recurrent.gru(params.layer, xs, lengths=batch.lengths)
        return dense(params.readout, last)[:, None]

    return _reader(init, teach, batch, tests, group)._replace(stages=tuple(stages))


def reversal(config: ConfigDict) -> Task:
    """Sequence to vector to sequence: the symbols backwards, out of the encoder's last state."""
    group = config.reversal

    def batch(rng: np.random.Generator, rows: int, longest: None = None) -> TeachingBatch:
        data = transduction.reversal(rng, rows, (1, group.longest), group.symbols)
        return teaching_batch(*data)

    vocabulary = CONTENT + group.symbols
    sizes = {"embedding": group.embedding, "hidden": group.hidden}
    net = encoder_decoder(vocabulary, vocabulary, **sizes)  # of LSTMs
    return _writer(net, batch, lambda rng: _new(config, batch, rng), group)


def bidirectional(config: ConfigDict) -> Task:
    """Sequence to sequence: tags that need what is still to come, by a net that reads both ways."""
    group = config.tagging
    half = group.hidden // 2

    def layer_init(key: Array) -> tuple:
        return tuple(recurrent.gru_init(k, group.embedding, half) for k in jax.random.split(key))

    return _tagging(config, layer_init, recurrent.bidirectional(recurrent.gru))


def unidirectional(config: ConfigDict) -> Task:
    """The same tags by a net of as many units that reads one way, without what they need."""
    group = config.tagging
    return _tagging(
        config, lambda key: recurrent.gru_init(key, group.embedding, group.hidden), recurrent.gru
    )


def _tagging(config: ConfigDict, layer_init: Callable, layer: Callable) -> Task:
    group = config.tagging

    def batch(rng: np.random.Generator, rows: int, longest: None = None) -> TeachingBatch:
        data = transduction.tagging(
            rng, rows, group.steps, symbols=group.symbols, ahead=group.ahead
        )
        return _read(*data)

    def init(key: Array) -> Tagger:
        a, b, c = jax.random.split(key, 3)
        readout = dense_init(c, group.hidden, group.symbols)
        return Tagger(
            table_init(a, CONTENT + group.symbols, group.embedding), layer_init(b), readout
        )

    def teach(params: Tagger, batch: TeachingBatch) -> Array:
        xs = look_up(params.embedding, batch.source, "BS").swapaxes(0, 1)
        ys = layer(params.layer, xs)[1].swapaxes(0, 1)
        return dense(params.readout, ys[:, : group.steps - group.ahead])

    return _reader(init, teach, batch, lambda rng: _new(config, batch, rng), group)


def _new(config: ConfigDict, draw: Callable, rng: np.random.Generator) -> dict[str, TeachingBatch]:
    return {"curve": draw(rng, config.test), "final": draw(rng, config.final)}


def _reader(
    init: Callable, teach: Callable, draw: Callable, tests: Callable, config: ConfigDict
) -> Task:
    def answer(params, batch: TeachingBatch) -> Array:
        return teach(params, batch).argmax(-1)

    return Task(init, teach, answer, draw, tests, (None,), config)


def _writer(net: Seq2Seq, draw: Callable, tests: Callable, config: ConfigDict) -> Task:
    def answer(params, batch: TeachingBatch) -> Array:
        memory = net.encode(params, batch.source, lengths=batch.lengths, key=None)
        begin, end = transduction.BEGIN, transduction.END
        return greedy(net, params, memory, begin=begin, end=end, steps=batch.answers.shape[1])

    stages = (None,)
    return Task(net.init, functools.partial(teach, net), answer, draw, tests, stages, config)


def _read(source: np.ndarray, lengths: np.ndarray, answers: np.ndarray) -> TeachingBatch:
    """A batch of a reader, which is told nothing."""
    given, counted = np.zeros_like(answers), np.ones(answers.shape, bool)
    return TeachingBatch(source, lengths, given, answers, counted)


TASKS = {f.__name__: f for f in (image, parity, reversal, bidirectional, unidirectional)}
