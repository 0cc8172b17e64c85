"""Chunks of a text, their gradient, and scores: each against a loop that is written out."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from deepseq.nets.sequences.language_model import GRU, LSTM, language_model
from deepseq.train.language import (
    Chunk,
    chunk_gradient,
    chunks,
    evaluate,
    steps_per_epoch,
    surprise,
    zero_carry,
)
from deepseq.train.state import StreamState, init_state
from deepseq.train.stream import stream_step

NET = language_model(7, GRU, embedding=3, hidden=5, layers=2)
PARAMS = jax.tree.map(lambda p: 2 * p, NET.init(jax.random.key(0)))
APPLY = jax.jit(functools.partial(NET.apply, key=None))
TEXT = np.random.default_rng(0).integers(0, 7, 101)


def nats_by_loop(params, symbols):
    """-log p of every symbol but the first, one symbol at a time."""
    carry, found = None, []
    for now, following in zip(symbols[:-1], symbols[1:], strict=True):
        logits, carry = APPLY(params, np.array([[now]]), carry=carry)
        found.append(-float(jax.nn.log_softmax(logits[0, 0])[following]))
    return np.array(found)


def test_chunks_walk_through_the_streams_and_begin_anew():
    epoch = steps_per_epoch(101, 4, 6)
    assert epoch == 4  # 25 symbols a stream, 24 to predict
    chunk = chunks(TEXT, 4, 6, jax.random.key(3))
    streams = [TEXT[25 * b : 25 * b + 25] for b in range(4)]
    for t in range(9):
        first = t % 4 * 6
        found = chunk(t)
        for b in range(4):
            np.testing.assert_array_equal(found.inputs[:, b], streams[b][first : first + 6])
            np.testing.assert_array_equal(found.targets[:, b], streams[b][first + 1 : first + 7])
        assert bool(found.fresh) == (t in (0, 4, 8))
        assert found.key == jax.random.fold_in(jax.random.key(3), t)


@pytest.mark.parametrize(
    ("symbols", "batch", "unroll"), [(10, 4, 3), (10, 0, 3), (10, 2, 0), (0, 1, 1), (10, 11, 1)]
)
def test_a_text_too_short(symbols, batch, unroll):
    with pytest.raises(ValueError, match="too few"):
        steps_per_epoch(symbols, batch, unroll)


def test_surprise_is_the_log_probability():
    logits = jax.random.normal(jax.random.key(0), (3, 2, 7))
    targets = jnp.array([[0, 6], [3, 3], [1, 2]])
    expected = -np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    found = surprise(logits, targets)
    for t in range(3):
        for b in range(2):
            np.testing.assert_allclose(found[t, b], expected[t, b, targets[t, b]], rtol=1e-5)


def test_chunk_gradient_is_of_the_sum_over_steps():
    chunk = chunks(TEXT, 4, 6, jax.random.key(0))(1)
    carry = jax.tree.map(lambda s: s + 0.3, zero_carry(NET.apply, PARAMS, 4))

    def by_hand(params):
        logits, _ = NET.apply(params, chunk.inputs, carry=carry, key=None)
        logs = jax.nn.log_softmax(logits)
        picked = [[logs[t, b, chunk.targets[t, b]] for b in range(4)] for t in range(6)]
        return -jnp.stack([jnp.stack(row) for row in picked]).sum() / 4

    (nats, after), direction = chunk_gradient(NET.apply)(PARAMS, carry, chunk)
    value, expected = jax.jit(jax.value_and_grad(by_hand))(PARAMS)
    np.testing.assert_allclose(nats, value / 6, rtol=1e-5)
    close = functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(close, direction, expected)
    jax.tree.map(close, after, NET.apply(PARAMS, chunk.inputs, carry=carry, key=None)[1])


def test_a_fresh_chunk_begins_at_zero():
    chunk = chunks(TEXT, 4, 6, jax.random.key(0))(0)
    noise = jax.tree.map(lambda s: s + 9.0, zero_carry(NET.apply, PARAMS, 4))
    fresh, zero, kept = (
        chunk_gradient(NET.apply)(PARAMS, carry, chunk._replace(fresh=np.asarray(flag)))[0][0]
        for carry, flag in (
            (noise, True),
            (zero_carry(NET.apply, PARAMS, 4), False),
            (noise, False),
        )
    )
    assert fresh == zero != kept


@pytest.mark.parametrize(("streams", "unroll"), [(1, 256), (1, 7), (3, 10), (4, 25), (100, 1)])
def test_evaluate_counts_every_symbol_once(streams, unroll):
    length = -(-100 // streams)
    pieces = [TEXT[first : first + length + 1] for first in range(0, 100, length)]
    expected = np.concatenate([nats_by_loop(PARAMS, piece) for piece in pieces])
    assert len(expected) == 100
    found = evaluate(NET.apply, streams=streams, unroll=unroll)(PARAMS, TEXT)
    np.testing.assert_allclose(found, expected.mean(), rtol=1e-5)


def test_evaluate_needs_something_to_predict():
    assert evaluate(NET.apply)(PARAMS, TEXT[:2]) == pytest.approx(
        nats_by_loop(PARAMS, TEXT[:2])[0], rel=1e-5
    )
    for short in (TEXT[:1], TEXT[:0]):
        with pytest.raises(ValueError, match="nothing to predict"):
            evaluate(NET.apply)(PARAMS, short)


def test_learns_a_periodic_text_to_its_entropy():
    """abcd abcd ...: after a first symbol, everything is known."""
    text = np.tile(np.arange(4), 100)
    net, optimizer = language_model(4, LSTM, embedding=4, hidden=8), optax.adam(3e-2)
    params = net.init(jax.random.key(0))
    state = init_state(params, optimizer, StreamState, carry=zero_carry(net.apply, params, 4))
    step, chunk = (
        jax.jit(stream_step(chunk_gradient(net.apply), optimizer)),
        chunks(text, 4, 10, jax.random.key(1)),
    )
    losses = []
    for t in range(120):
        state, metrics = step(state, chunk(t))
        losses.append(float(metrics["loss"]))
    assert losses[0] > 1.2 and losses[-1] < 0.02
    assert evaluate(net.apply)(state.params, text) < 0.02


def test_every_platform():
    optimizer = optax.sgd(1.0)
    state = jax.eval_shape(
        lambda p: init_state(p, optimizer, StreamState, carry=zero_carry(NET.apply, p, 4)), PARAMS
    )
    chunk = Chunk(
        *(jax.ShapeDtypeStruct((6, 4), jnp.int32) for _ in range(2)),
        jnp.array(True),
        jax.random.key(0),
    )
    step = jax.jit(stream_step(chunk_gradient(NET.apply), optimizer))
    assert jax.export.export(step, platforms=["cpu", "cuda", "tpu"])(state, chunk).platforms == (
        "cpu",
        "cuda",
        "tpu",
    )
