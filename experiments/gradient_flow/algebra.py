"""The exact part of the gradient-flow study: identities of the cells and of backpropagation through
time, on random nets.

Each function returns what the claims compare; none of them trains anything.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from deepseq.nets.recurrent import (
    GRU,
    LSTM,
    RNN,
    LSTMState,
    gru_cell,
    gru_gates,
    lstm_cell,
    lstm_gates,
    rnn_cell,
    unroll,
)

Found = dict[str, Array]
D, H, ROWS, STEPS = 5, 7, 64, 6
SCALAR_STEPS = 50
SATURATED = 1000.0  # a bias at which float32's sigmoid is exactly 1, and 0 at its negative
SIGMOID_W = (1.0, 3.9, 4.5)
RELU_W = (0.9, 1.0, 1.1)


class Draws(NamedTuple):
    """The random numbers of one seed."""

    rnn: RNN
    lstm: LSTM
    gru: GRU
    xs: Array  # (T, B, D)
    targets: Array  # (T, B, H)
    h: Array  # (B, H), in (-1, 1)
    c: Array  # (B, H)


def draw(seed: int) -> Draws:
    """Weights from torch's U(-1/sqrt(H), 1/sqrt(H)), inputs and states from a normal distribution,
    all float32.
    """
    rng = np.random.default_rng([seed, 1])

    def weights(*shape: int) -> np.ndarray:
        return rng.uniform(-(H**-0.5), H**-0.5, shape).astype(np.float32)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape, np.float32)

    return Draws(
        RNN(weights(D, H), weights(H, H), weights(H)),
        LSTM(weights(D, 4 * H), weights(H, 4 * H), weights(4 * H)),
        GRU(weights(D, 3 * H), weights(H, 3 * H), weights(3 * H), weights(3 * H)),
        normal(STEPS, ROWS, D),
        normal(STEPS, ROWS, H),
        np.tanh(normal(ROWS, H)),
        normal(ROWS, H),
    )


def identities(draws: Draws) -> dict[str, Found]:
    """Everything below, by the name of its function."""
    parts = (
        shared_weights,
        two_gradients,
        sigmoid_unit,
        relu_unit,
        determinant,
        lstm_signature,
        lstm_gates_shut,
        lstm_as_rnn,
        gru_as_rnn,
        gru_between,
        gate_ranges,
        gate_shapes,
    )
    return {part.__name__: part(draws) for part in parts}


def shared_weights(draws: Draws) -> Found:
    """One net over T steps is a feed-forward net of T layers with the same weights (C-S7)."""
    params, xs, target = draws.rnn, draws.xs, draws.targets[-1]

    def layered(layers: list[RNN]) -> Array:
        """T layers, each with weights of its own, as a feed-forward net without any loop."""
        h = jnp.zeros((ROWS, H))
        for layer, x in zip(layers, xs, strict=True):
            h = rnn_cell(layer, h, x)[0]
        return h

    def looped(params):
        return unroll(rnn_cell, params, jnp.zeros((ROWS, H)), xs)[0]

    by_layer = jax.grad(lambda layers: jnp.vdot(layered(layers), target))([params] * STEPS)
    shared = jax.grad(lambda params: jnp.vdot(looped(params), target))(params)
    summed = jax.tree.map(lambda *layers: sum(layers), *by_layer)
    return {
        "output": _difference(layered([params] * STEPS), looped(params)),
        "gradient": (
            jnp.stack([_difference(a, b) for a, b in zip(summed, shared, strict=True)]).max()
        ),
        "one_layer": _difference(by_layer[0].wh, shared.wh),
        "parameters": jnp.array(sum(p.size for p in params)),
    }


def two_gradients(draws: Draws) -> Found:
    """dL/dh_t = (dh_(t+1)/dh_t)^T dL/dh_(t+1) + dl_t/dh_t, where the loss L is a sum of one l_t per
    step (C-S8).
    """
    params, xs, targets = draws.rnn, draws.xs, draws.targets
    hs = unroll(rnn_cell, params, jnp.zeros((ROWS, H)), xs)[1]

    def cell(params, h, inputs):
        x, nudge = inputs
        h = rnn_cell(params, h, x)[0] + nudge  # dL/d(nudge_t) is dL/dh_t
        return h, h

    def loss(nudges):
        ys = unroll(cell, params, jnp.zeros((ROWS, H)), (xs, nudges))[1]
        return 0.5 * jnp.sum(jnp.square(ys - targets))

    total = jax.grad(loss)(jnp.zeros_like(hs))
    output = hs - targets
    following = [
        jax.vjp(lambda h, x=x: rnn_cell(params, h, x)[0], h)[1](g)[0]
        for h, x, g in zip(hs[:-1], xs[1:], total[1:], strict=True)
    ]
    following = jnp.stack([*following, jnp.zeros_like(hs[0])])
    return {
        "sum": _difference(total, output + following),
        "output_only": _difference(total, output),
        "following_only": _difference(total, following),
        "last_step": _difference(total[-1], output[-1]),
    }


def sigmoid_unit(draws: Draws) -> Found:
    """|dh_t/dh_0| of h' = sigmoid(W h - W/2), by t: started at 1/2, where it rests and the slope is
    1/4, and at 0.6 (C-S12).
    """
    del draws
    w = jnp.array([*SIGMOID_W, SIGMOID_W[-1]])
    start = jnp.array([*[0.5] * len(SIGMOID_W), 0.6])
    by_step = jax.vmap(functools.partial(_unit, jax.nn.sigmoid))(w, -w / 2, start)
    return {"at_half": by_step[:-1], "off_half": by_step[-1]}


def relu_unit(draws: Draws) -> Found:
    """|dh_t/dh_0| of h' = relu(W h) from h_0 = 1, by t (C-S13)."""
    del draws
    w = jnp.array(RELU_W)
    return {
        "gradient": jax.vmap(functools.partial(_unit, jax.nn.relu))(
            w, jnp.zeros_like(w), jnp.ones_like(w)
        )
    }


def determinant(draws: Draws) -> Found:
    """A linear RNN with W = diag(2, 0.1): what its gradient does along either axis, and what the
    determinant says (C-S14).
    """
    del draws
    w = jnp.diag(jnp.array([2.0, 0.1]))
    params = RNN(jnp.zeros((1, 2)), w, jnp.zeros(2))
    linear = functools.partial(rnn_cell, activation=lambda a: a)

    def last(h):
        return unroll(linear, params, h, jnp.zeros((20, 1)))[0]

    product = jax.jacrev(last)(jnp.ones(2))
    return {
        "determinant": w[0, 0] * w[1, 1] - w[0, 1] * w[1, 0],
        "along_axes": jnp.abs(product).max(axis=0),
    }


def lstm_signature(draws: Draws) -> Found:
    """What h' and c' of an LSTM depend on: the smallest norm of their six Jacobians with respect to
    x, h and c (C-G2).
    """
    params, state, x = draws.lstm, LSTMState(draws.h, draws.c), draws.xs[0]

    def step(x, h, c):
        return lstm_cell(params, LSTMState(h, c), x)[0]

    blocks = jax.tree.leaves(jax.jacrev(step, argnums=(0, 1, 2))(x[0], state.h[0], state.c[0]))
    after, y = lstm_cell(params, state, x)
    return {
        "inputs": jnp.array(len(blocks) // len(after)),
        "outputs": jnp.array(len(after)),
        "weakest": jnp.stack([jnp.linalg.norm(block) for block in blocks]).min(),
        "y_minus_h": jnp.abs(y - after.h).max(),
    }


def lstm_gates_shut(draws: Draws) -> Found:
    """Largest |dc'/dc| with f = 0, and |dc'/dx| with i = 0: through the candidate, and through all
    gates (C-G3).
    """
    params, state, x = draws.lstm, LSTMState(draws.h, draws.c), draws.xs[0]

    def cell_state(params, c, x):
        return lstm_cell(params, LSTMState(state.h[0], c), x)[0].c

    no_forget = _held(params, f=-SATURATED)
    no_input = _held(params, i=-SATURATED)
    constant_f = _held(no_input, f=0.0)
    through_all = jax.jacrev(cell_state, argnums=2)(no_input, state.c[0], x[0])
    return {
        "old_memory": jnp.abs(jax.jacrev(cell_state, argnums=1)(no_forget, state.c[0], x[0])).max(),
        "new_input": jnp.abs(jax.jacrev(cell_state, argnums=2)(constant_f, state.c[0], x[0])).max(),
        "through_forget_gate": jnp.abs(through_all).max(),
    }


def lstm_as_rnn(draws: Draws) -> Found:
    """An LSTM with i = 1, f = 0, o = 1 against the RNN of its candidate: one step, and T of them
    (C-G4).
    """
    params, state, x = draws.lstm, LSTMState(draws.h, draws.c), draws.xs[0]
    params = _held(params, i=SATURATED, f=-SATURATED, o=SATURATED)
    g = slice(2 * H, 3 * H)
    rnn = RNN(params.wx[:, g], params.wh[:, g], params.b[g])
    one, elman = lstm_cell(params, state, x)[1], rnn_cell(rnn, state.h, x)[1]
    zero = jnp.zeros((ROWS, H))
    many = unroll(lstm_cell, params, LSTMState(zero, zero), draws.xs)[1]
    return {
        "squashed": jnp.abs(one - jnp.tanh(elman)).max(),
        "plain": jnp.abs(one - elman).max(),
        "over_time": jnp.abs(many - jnp.tanh(unroll(rnn_cell, rnn, zero, draws.xs)[1])).max(),
    }


def gru_as_rnn(draws: Draws) -> Found:
    """A GRU with r = 1, z = 0 against the RNN of its candidate, where z keeps the old state and
    where it lets it go (C-G5).
    """
    params, h, x = draws.gru, draws.h, draws.xs[0]
    bias = jnp.concatenate([jnp.full(H, SATURATED), jnp.full(H, -SATURATED), params.bx[2 * H :]])
    opened = params._replace(
        wx=params.wx.at[:, : 2 * H].set(0), wh=params.wh.at[:, : 2 * H].set(0), bx=bias
    )
    n = slice(2 * H, None)
    rnn = RNN(params.wx[:, n], params.wh[:, n], params.bx[n] + params.bh[n])
    elman = rnn_cell(rnn, h, x)[1]
    _, z, candidate = gru_gates(opened, h, x)
    chung = (1 - z) * h + z * candidate
    return {
        "cho": jnp.abs(gru_cell(opened, h, x)[1] - elman).max(),
        "chung": jnp.abs(chung - elman).max(),
        "chung_minus_old": jnp.abs(chung - h).max(),
    }


def gru_between(draws: Draws) -> Found:
    """By how much h' of a GRU leaves the interval between its candidate n and the old h (C-G7)."""
    params, h, x = draws.gru, draws.h, draws.xs[0]
    n = gru_gates(params, h, x).n
    new, y = gru_cell(params, h, x)
    outside = jnp.maximum(jnp.minimum(n, h) - new, new - jnp.maximum(n, h)).max()
    return {
        "outside": jnp.maximum(outside, 0),
        "y_minus_h": jnp.abs(y - new).max(),
        "largest_h": jnp.abs(new).max(),
    }


def gate_ranges(draws: Draws) -> Found:
    """The extremes of all gates and candidates of an LSTM and a GRU (C-G10)."""
    params, state, x = draws.lstm, LSTMState(draws.h, draws.c), draws.xs[0]
    i, f, g, o = lstm_gates(params, state, x)
    r, z, n = gru_gates(draws.gru, draws.h, x)
    gates = jnp.stack([i, f, o, r, z])
    return {
        "lowest_gate": gates.min(),
        "highest_gate": gates.max(),
        "largest_candidate": jnp.abs(jnp.stack([g, n])).max(),
    }


def gate_shapes(draws: Draws) -> Found:
    """The width of every gate of an LSTM, and of its states (C-G11)."""
    params, state, x = draws.lstm, LSTMState(draws.h, draws.c), draws.xs[0]
    arrays = (*lstm_gates(params, state, x), *lstm_cell(params, state, x)[0])
    return {"widths": jnp.array([a.shape[-1] for a in arrays])}


def _unit(activation, w: Array, b: Array, h: Array) -> Array:
    """|dh_t/dh_0| at t = 1 to T of one unit without inputs, by the cell and by automatic
    differentiation.
    """
    params = RNN(jnp.zeros((1, 1)), w[None, None], b[None])
    cell = functools.partial(rnn_cell, activation=activation)

    def states(h):
        return unroll(cell, params, h[None], jnp.zeros((SCALAR_STEPS, 1)))[1][:, 0]

    return jnp.abs(jax.jvp(states, (h,), (jnp.ones_like(h),))[1])


def _held(params: LSTM, **biases: float) -> LSTM:
    """The LSTM whose named gates have a constant pre-activation."""
    for name, bias in biases.items():
        block = slice("ifgo".index(name) * H, ("ifgo".index(name) + 1) * H)
        zeroed = (w.at[:, block].set(0) for w in (params.wx, params.wh))
        params = LSTM(*zeroed, params.b.at[block].set(bias))
    return params


def _difference(x: Array, y: Array) -> Array:
    """|x - y| / |y|."""
    return jnp.linalg.norm(x - y) / jnp.linalg.norm(y)
