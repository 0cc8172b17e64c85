"""The exact part of the gradient-flow study: identities of backpropagation through time, on random
nets.

Each function returns what the claims compare; none of them trains anything.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.recurrent import RNN, rnn_cell, unroll
from experiments.gradient_flow import gates
from experiments.gradient_flow.draws import ROWS, STEPS, Draws, H

SCALAR_STEPS = 50
SIGMOID_W = (1.0, 3.9, 4.5)
RELU_W = (0.9, 1.0, 1.1)


def identities(draws: Draws) -> dict[str, dict[str, Array]]:
    """Those below and those of the gated cells, by the name of their function."""
    parts = (
        shared_weights,
        two_gradients,
        sigmoid_unit,
        relu_unit,
        determinant,
        gates.lstm_signature,
        gates.lstm_gates_shut,
        gates.lstm_as_rnn,
        gates.gru_as_rnn,
        gates.gru_between,
        gates.gate_ranges,
        gates.gate_shapes,
    )
    return {part.__name__: part(draws) for part in parts}


def shared_weights(draws: Draws) -> dict[str, Array]:
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


def two_gradients(draws: Draws) -> dict[str, Array]:
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


def sigmoid_unit(draws: Draws) -> dict[str, Array]:
    """|dh_t/dh_0| of h' = sigmoid(W h - W/2), by t: started at 1/2, where it rests and the slope is
    1/4, and at 0.6 (C-S12).
    """
    del draws
    w = jnp.array([*SIGMOID_W, SIGMOID_W[-1]])
    start = jnp.array([*[0.5] * len(SIGMOID_W), 0.6])
    by_step = jax.vmap(functools.partial(_unit, jax.nn.sigmoid))(w, -w / 2, start)
    return {"at_half": by_step[:-1], "off_half": by_step[-1]}


def relu_unit(draws: Draws) -> dict[str, Array]:
    """|dh_t/dh_0| of h' = relu(W h) from h_0 = 1, by t (C-S13)."""
    del draws
    w = jnp.array(RELU_W)
    return {
        "gradient": jax.vmap(functools.partial(_unit, jax.nn.relu))(
            w, jnp.zeros_like(w), jnp.ones_like(w)
        )
    }


def determinant(draws: Draws) -> dict[str, Array]:
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


def _unit(activation, w: Array, b: Array, h: Array) -> Array:
    """|dh_t/dh_0| at t = 1 to T of one unit without inputs, by the cell and by automatic
    differentiation.
    """
    params = RNN(jnp.zeros((1, 1)), w[None, None], b[None])
    cell = functools.partial(rnn_cell, activation=activation)

    def states(h):
        return unroll(cell, params, h[None], jnp.zeros((SCALAR_STEPS, 1)))[1][:, 0]

    return jnp.abs(jax.jvp(states, (h,), (jnp.ones_like(h),))[1])


def _difference(x: Array, y: Array) -> Array:
    """|x - y| / |y|."""
    return jnp.linalg.norm(x - y) / jnp.linalg.norm(y)
