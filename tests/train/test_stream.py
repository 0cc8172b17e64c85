"""Training on a stream: the carry goes on, the gradient does not, and the loss falls."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from deepseq.data import tasks
from deepseq.nets import recurrent as R
from deepseq.train.state import StreamState, init_state
from deepseq.train.stream import stream_step


class Chunk(NamedTuple):
    inputs: np.ndarray
    targets: np.ndarray


def gradient(params, carry, chunk):
    """Of the mean over a chunk's steps."""
    (total, carry), direction = R.chunk_gradient(cell, loss)(params, carry, *chunk)
    steps = len(chunk.inputs)
    return (total / steps, carry), jax.tree.map(lambda g: g / steps, direction)


def cell(params, carry, x):
    carry, h = R.gru_cell(params["cell"], carry, x)
    return carry, h @ params["w"]


def loss(logits, bits):
    return optax.sigmoid_binary_cross_entropy(logits[:, 0], bits).mean()


def start(optimizer, hidden=16, batch=8):
    params = {
        "cell": R.gru_init(jax.random.key(0), 1, hidden),
        "w": jax.random.normal(jax.random.key(1), (hidden, 1)),
    }
    return init_state(params, optimizer, StreamState, carry=jnp.zeros((batch, hidden)))


def chunks(count, steps, lag=2):
    data = tasks.echo(0, 8, count * steps, lag)
    return Chunk(
        *(a.reshape(count, steps, *a.shape[1:]) for a in (data.xs, data.targets.astype(np.float32)))
    )


def test_a_step_is_the_update_by_hand():
    optimizer = optax.sgd(0.5)
    state = start(optimizer)
    step = jax.jit(stream_step(gradient, optimizer))
    data = chunks(2, 6)
    one, metrics = step(state, jax.tree.map(lambda a: a[0], data))
    two, _ = step(one, jax.tree.map(lambda a: a[1], data))

    def mean(params, carry, chunk):
        carry, logits = R.unroll(cell, params, carry, chunk.inputs)
        return jnp.stack([loss(logits[t], chunk.targets[t]) for t in range(6)]).mean(), carry

    params, carry = state.params, state.carry
    for n, ours in enumerate((one, two)):
        (value, carry), g = jax.value_and_grad(mean, has_aux=True)(
            params, carry, jax.tree.map(lambda a, n=n: a[n], data)
        )
        params = jax.tree.map(lambda p, d: p - 0.5 * d, params, g)
        theirs = params, carry
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
            (ours.params, ours.carry),
            theirs,
        )
        if n == 0:
            np.testing.assert_allclose(metrics["loss"], value, rtol=1e-6)
            np.testing.assert_allclose(metrics["gradient_norm"], optax.tree.norm(g), rtol=1e-5)
    assert int(two.step) == 2


def test_learns_an_echo_across_the_stream():
    optimizer = optax.adam(1e-2)
    step = stream_step(gradient, optimizer)
    _, metrics = jax.jit(lambda state, data: jax.lax.scan(step, state, data))(
        start(optimizer), chunks(300, 10)
    )
    # ln 2 is guessing
    assert metrics["loss"][:10].mean() > 0.6 and metrics["loss"][-10:].mean() < 0.1
