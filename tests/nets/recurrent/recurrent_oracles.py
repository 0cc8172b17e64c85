"""NumPy loops written from the papers' equations, in float64, and weights to compare on."""

import operator

import chex
import jax
import numpy as np

from deepseq.nets import recurrent as R


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn_step(p, h, x):
    h = np.tanh(x @ p.wx + h @ p.wh + p.b)
    return h, h


def lstm_step(p, state, x):
    i, f, g, o = np.split(x @ p.wx + state.h @ p.wh + p.b, 4, axis=-1)
    c = sigmoid(f) * state.c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return R.LSTMState(h, c), h


def gru_step(p, h, x):
    ax, ah = np.split(x @ p.wx + p.bx, 3, -1), np.split(h @ p.wh + p.bh, 3, -1)
    r, z = sigmoid(ax[0] + ah[0]), sigmoid(ax[1] + ah[1])
    h = (1 - z) * np.tanh(ax[2] + r * ah[2]) + z * h
    return h, h


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}
CELLS = {"rnn": R.rnn_cell, "lstm": R.lstm_cell, "gru": R.gru_cell}
LAYERS = {"rnn": R.rnn, "lstm": R.lstm, "gru": R.gru}
INITS = {"rnn": R.rnn_init, "lstm": R.lstm_init, "gru": R.gru_init}


def loop(kind, params, carry, xs, lengths=None, reverse=False, reset=None):
    """Every sequence of a (T, B, D) batch on its own, step by step."""
    steps, batch = xs.shape[:2]
    lengths = np.full(batch, steps) if lengths is None else lengths
    ends, ys = [], np.zeros((steps, batch, params.wh.shape[0]))
    for b in range(batch):
        state = jax.tree.map(operator.itemgetter(b), carry)
        order = range(lengths[b])
        for t in reversed(order) if reverse else order:
            if reset is not None and reset[t, b]:
                state = jax.tree.map(np.zeros_like, state)
            state, ys[t, b] = STEPS[kind](params, state, xs[t, b])
        ends.append(state)
    return jax.tree.map(lambda *s: np.stack(s), *ends), ys


def draw(kind, steps=11, batch=(4,), inputs=3, hidden=5, dtype=np.float64):
    """(params, carry, xs) in NumPy."""
    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(lambda key: INITS[kind](key, inputs, hidden), jax.random.key(0))
    params = jax.tree.map(lambda p: (rng.standard_normal(p.shape) * 0.7).astype(dtype), shapes)
    h, c = (rng.standard_normal((*batch, hidden)).astype(dtype) for _ in "hc")
    return (
        params,
        R.LSTMState(h, c) if kind == "lstm" else h,
        rng.standard_normal((steps, *batch, inputs)).astype(dtype),
    )


def weights(ys):
    return np.cos(np.arange(ys.size)).reshape(ys.shape)


def scalar(out):
    """A number on which every output has a different influence."""
    return sum((y * weights(y)).sum() for y in jax.tree.leaves(out))


def close(a, b, tolerance=1e-12):
    chex.assert_trees_all_close(a, b, rtol=tolerance, atol=tolerance)
