"""Truncated backpropagation against the definition, window by window, and against full
backpropagation; its memory.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets import recurrent as R
from tests.nets.recurrent.recurrent_oracles import CELLS, close, draw

STEPS = 13


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def loss(y, target):
    return ((y - target) ** 2).sum()


def example(kind):
    params, carry, xs = draw(kind, steps=STEPS, batch=(2,))
    return params, carry, xs, np.sin(np.arange(STEPS * 10.0)).reshape(STEPS, 2, 5)


def by_definition(cell, params, carry, xs, ys, k1, k2):
    """Williams and Peng (1990): after every k1 steps, the newest losses through the last k2 steps,
    older carries constant.
    """
    carries = [carry]
    for x in xs:
        carries.append(cell(params, carries[-1], x)[0])
    total, grads = 0.0, jax.tree.map(jnp.zeros_like, params)
    for newest in range(0, STEPS, k1):
        end = min(newest + k1, STEPS)
        first = max(0, end - k2)

        def window(params, newest=newest, end=end, first=first):
            state, losses = carries[first], 0.0
            for t in range(first, end):
                state, y = cell(params, state, xs[t])
                losses += loss(y, ys[t]) if t >= newest else 0.0
            return losses

        value, g = jax.value_and_grad(window)(params)
        total, grads = total + value, jax.tree.map(jnp.add, grads, g)
    return (total, carries[-1]), grads


@pytest.mark.parametrize("k1, k2", [(1, 1), (1, 4), (3, 5), (5, 5), (4, 20), (13, 13), (20, 30)])
@pytest.mark.parametrize("kind", ("rnn", "lstm"))
def test_equals_the_definition(kind, k1, k2):
    args = example(kind)
    ours = jax.jit(R.tbptt(CELLS[kind], loss, k1=k1, k2=k2))(*args)
    close(ours, by_definition(CELLS[kind], *args, k1, k2), 1e-11)


@pytest.mark.parametrize("k1", (1, 4, 13))
@pytest.mark.parametrize("kind", ("rnn", "lstm", "gru"))
def test_going_back_to_the_start_is_full_backpropagation(kind, k1):
    args = example(kind)
    full = jax.jit(R.chunk_gradient(CELLS[kind], loss))(*args)
    for k2 in (13, 50):
        close(jax.jit(R.tbptt(CELLS[kind], loss, k1=k1, k2=k2))(*args), full, 1e-11)


def test_nothing_comes_back_from_beyond_k2():
    """The last step's loss alone, and a parameter that acts at one step alone: no gradient from
    more than k2 steps back.
    """
    params, carry, xs, _ = example("rnn")

    def cell(params, h, inputs):
        x, here = inputs
        h = jnp.tanh(x @ params["p"].wx + h @ params["p"].wh + here * params["bump"])
        return h, h

    last = np.arange(STEPS) == STEPS - 1
    full = jax.jit(R.tbptt(cell, lambda y, counts: counts * y.sum(), k1=1, k2=STEPS))
    for k2 in (1, 3, 6):
        truncated = jax.jit(R.tbptt(cell, lambda y, counts: counts * y.sum(), k1=1, k2=k2))
        for t in range(STEPS):
            inputs = (xs, (np.arange(STEPS) == t).astype(float))
            args = ({"p": params, "bump": np.ones(5)}, carry, inputs, last.astype(float))
            bump = truncated(*args)[1]["bump"]
            if t < STEPS - k2:
                assert not bump.any()
            else:
                close(bump, full(*args)[1]["bump"])


def test_chunks_of_a_stream_add_up():
    cell = R.gru_cell
    params, carry, xs, ys = example("gru")
    xs, ys = xs[:10], ys[:10]
    (total, end), grads = jax.jit(R.tbptt(cell, loss, k1=5, k2=5))(params, carry, xs, ys)
    summed, state, loss_sum = jax.tree.map(np.zeros_like, params), carry, 0.0
    for first in range(0, 10, 5):
        part = slice(first, first + 5)
        (value, state), g = R.chunk_gradient(cell, loss)(params, state, xs[part], ys[part])
        summed, loss_sum = jax.tree.map(np.add, summed, g), loss_sum + value
    close(((total, end), grads), ((loss_sum, state), summed))


def test_memory_does_not_grow_with_the_sequence():
    params, carry, xs, ys = example("lstm")

    def temporary(gradient, steps):
        long = [jax.ShapeDtypeStruct((steps, *a.shape[1:]), a.dtype) for a in (xs, ys)]
        return (
            jax.jit(gradient)
            .lower(params, carry, *long)
            .compile()
            .memory_analysis()
            .temp_size_in_bytes
        )

    truncated = [temporary(R.tbptt(R.lstm_cell, loss, k1=2, k2=8), n) for n in (100, 1000, 10000)]
    full = [temporary(R.chunk_gradient(R.lstm_cell, loss), n) for n in (100, 1000, 10000)]
    assert truncated[0] == truncated[1] == truncated[2] < full[0]
    assert full[2] > 50 * full[0]


def test_integer_targets_and_trees():
    params, carry, xs, _ = example("rnn")
    targets = np.arange(STEPS * 2).reshape(STEPS, 2) % 5

    def nll(y, label):
        return -jnp.take_along_axis(jax.nn.log_softmax(y), label[:, None], 1).sum()

    (total, _), _ = R.tbptt(R.rnn_cell, nll, k1=2, k2=6)(params, carry, xs, targets)
    (full, _), _ = R.chunk_gradient(R.rnn_cell, nll)(params, carry, xs, targets)
    close(total, full)


@pytest.mark.parametrize("k1, k2", [(0, 1), (1, 0), (4, 3), (-1, 2)])
def test_impossible_truncations(k1, k2):
    with pytest.raises(ValueError, match=f"k1={k1} and k2={k2}, but 1 <= k1 <= k2"):
        R.tbptt(R.rnn_cell, loss, k1=k1, k2=k2)


def test_sequences_of_different_length():
    params, carry, xs, ys = example("rnn")
    for gradient in (R.tbptt(R.rnn_cell, loss, k1=1, k2=2), R.chunk_gradient(R.rnn_cell, loss)):
        for a, b in ((xs, ys[:-1]), (xs[:0], ys[:0])):
            with pytest.raises(
                ValueError, match=r"must be \(T, \.\.\.\) with the same T of at least 1"
            ):
                gradient(params, carry, a, b)
