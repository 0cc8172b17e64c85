"""The four modes as tasks: what is read, what is to be answered, and the net that does it.

Whatever its mode, a task has one form: a batch holds what is read and the T answers for each of its
rows. A writer is taught given the right answers so far, and tested by what it writes itself; a
reader answers the same way in both."""

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

CONTENT = transduction.CONTENT


class Batch(NamedTuple):
    """B rows of a task, each with T answers."""

    source: Array  # (B, S) ints, or images (B, 8, 8, 1), their pixels as in the file
    lengths: Array  # (B,) ints
    # (B, T) ints: what a writer is told before each answer when it is taught; zeros for a reader
    given: Array
    answers: Array  # (B, T) ints
    counted: Array  # (B, T) bool: not the padding


class Task(NamedTuple):
    """A mode at work."""

    init: Callable  # key -> params
    teach: Callable  # (params, Batch) -> logits (B, T, K)
    answer: Callable  # (params, Batch) -> (B, T) ints, without having seen the right ones
    draw: Callable  # (rng, rows, longest) -> Batch for training
    # rng -> {name: Batch}, multiples of the first: "curve" for learning curves, "final" for
    # verdicts, others
    tests: Callable
    stages: tuple  # values of ``longest``, one after the other; (None,) where nothing grows
    own: ConfigDict  # of the config


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
    """Parameters of a net that reads symbols: every step's state, or the last one, is classified."""

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
        return (
            jnp.tanh(dense(params.eye.out, h.reshape(len(h), -1))),
        )  # the carry of the decoder's one level

    return Seq2Seq(
        init,
        encode,
        lambda params, *rest: net.decode(params.writer, *rest),
        lambda params, *rest: net.start(params.writer, *rest),
        lambda params, *rest, key: net.teach(params.writer, *rest, key=key),
    )


def image(config: ConfigDict) -> Task:
    """Vector to sequence: the word for a handwritten digit."""
    own, data = config.image, digits.load()
    words, lengths = transduction.written_digits()

    def batch(pixels: np.ndarray, labels: np.ndarray) -> Batch:
        return _written(pixels, np.ones(len(labels), np.int32), words[labels], lengths[labels])

    def draw(rng: np.random.Generator, rows: int, longest: None) -> Batch:
        which = rng.integers(0, len(data.train.labels), rows)
        return batch(shifted(data.train.pixels[which], own.shift, rng), data.train.labels[which])

    def scaled(pixels: Array) -> Array:
        return normalise(pixels, data.scale, data.mean)

    sizes = {"channels": own.channels, "embedding": own.embedding, "hidden": own.hidden}
    net = captioner(len(transduction.LETTERS), scaled, **sizes)
    return _writer(net, draw, lambda rng: dict.fromkeys(("curve", "final"), batch(*data.test)), own)


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
    own = config.parity
    stages = [2]
    while stages[-1] < own.longest:
        stages.append(min(own.longest, stages[-1] + max(1, stages[-1] // 2)))

    def batch(rng: np.random.Generator, rows: int, longest: int, shortest: int = 1) -> Batch:
        data = transduction.parity(rng, rows, longest, shortest)
        source = np.pad(
            data.source, ((0, 0), (0, own.longest - longest))
        )  # one shape, one compilation
        return _read(source, data.lengths, data.labels[:, None])

    def tests(rng: np.random.Generator) -> dict[str, Batch]:
        drawn = _new(config, lambda rng, rows: batch(rng, rows, own.longest), rng)
        return drawn | {"longest": batch(rng, config.final, own.longest, own.longest)}

    def init(key: Array) -> Tagger:
        a, b, c = jax.random.split(key, 3)
        layer = recurrent.gru_init(b, own.embedding, own.hidden)
        return Tagger(
            table_init(a, CONTENT + 2, own.embedding), layer, dense_init(c, own.hidden, 2)
        )

    def teach(params: Tagger, batch: Batch) -> Array:
        xs = look_up(params.embedding, batch.source, "BS").swapaxes(0, 1)
        last, _ = recurrent.gru(params.layer, xs, lengths=batch.lengths)
        return dense(params.readout, last)[:, None]

    return _reader(init, teach, batch, tests, own)._replace(stages=tuple(stages))


def reversal(config: ConfigDict) -> Task:
    """Sequence to vector to sequence: the same symbols backwards, out of the encoder's last state."""
    own = config.reversal

    def batch(rng: np.random.Generator, rows: int, longest: None = None) -> Batch:
        data = transduction.reversal(rng, rows, (1, own.longest), own.symbols)
        return _written(*data)

    vocabulary = CONTENT + own.symbols
    net = encoder_decoder(
        vocabulary, vocabulary, embedding=own.embedding, hidden=own.hidden
    )  # of LSTMs
    return _writer(net, batch, lambda rng: _new(config, batch, rng), own)


def bidirectional(config: ConfigDict) -> Task:
    """Sequence to sequence: tags that need what is still to come, by a net that reads both ways."""
    own = config.tagging
    half = own.hidden // 2

    def layer_init(key: Array) -> tuple:
        return tuple(recurrent.gru_init(k, own.embedding, half) for k in jax.random.split(key))

    return _tagging(config, layer_init, recurrent.bidirectional(recurrent.gru))


def unidirectional(config: ConfigDict) -> Task:
    """The same tags by a net of as many units that reads one way, and has not seen what they need."""
    own = config.tagging
    return _tagging(
        config, lambda key: recurrent.gru_init(key, own.embedding, own.hidden), recurrent.gru
    )


def _tagging(config: ConfigDict, layer_init: Callable, layer: Callable) -> Task:
    own = config.tagging

    def batch(rng: np.random.Generator, rows: int, longest: None = None) -> Batch:
        data = transduction.tagging(rng, rows, own.steps, symbols=own.symbols, ahead=own.ahead)
        return _read(*data)

    def init(key: Array) -> Tagger:
        a, b, c = jax.random.split(key, 3)
        readout = dense_init(c, own.hidden, own.symbols)
        return Tagger(table_init(a, CONTENT + own.symbols, own.embedding), layer_init(b), readout)

    def teach(params: Tagger, batch: Batch) -> Array:
        xs = look_up(params.embedding, batch.source, "BS").swapaxes(0, 1)
        return dense(
            params.readout, layer(params.layer, xs)[1].swapaxes(0, 1)[:, : own.steps - own.ahead]
        )

    return _reader(init, teach, batch, lambda rng: _new(config, batch, rng), own)


def _new(config: ConfigDict, draw: Callable, rng: np.random.Generator) -> dict[str, Batch]:
    return {"curve": draw(rng, config.test), "final": draw(rng, config.final)}


def _reader(
    init: Callable, teach: Callable, draw: Callable, tests: Callable, own: ConfigDict
) -> Task:
    return Task(
        init,
        teach,
        lambda params, batch: teach(params, batch).argmax(-1),
        draw,
        tests,
        (None,),
        own,
    )


def _writer(net: Seq2Seq, draw: Callable, tests: Callable, own: ConfigDict) -> Task:
    def teach(params, batch: Batch) -> Array:
        memory = net.encode(params, batch.source, lengths=batch.lengths, key=None)
        return net.teach(params, memory, batch.given, key=None)

    def answer(params, batch: Batch) -> Array:
        memory = net.encode(params, batch.source, lengths=batch.lengths, key=None)
        begin, end = transduction.BEGIN, transduction.END
        return greedy(net, params, memory, begin=begin, end=end, steps=batch.answers.shape[1])

    return Task(net.init, teach, answer, draw, tests, (None,), own)


def _written(
    source: np.ndarray, lengths: np.ndarray, targets: np.ndarray, target_lengths: np.ndarray
) -> Batch:
    answers = targets[:, 1:]
    return Batch(
        source,
        lengths,
        targets[:, :-1],
        answers,
        np.arange(answers.shape[1]) < target_lengths[:, None] - 1,
    )


def _read(source: np.ndarray, lengths: np.ndarray, answers: np.ndarray) -> Batch:
    return Batch(source, lengths, np.zeros_like(answers), answers, np.ones(answers.shape, bool))


TASKS = {f.__name__: f for f in (image, parity, reversal, bidirectional, unidirectional)}
