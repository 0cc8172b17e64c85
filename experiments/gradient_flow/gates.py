"""Identities of the gated cells: what their gates see, and which RNN they are with gates held open
or shut.
"""

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.recurrent import (
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
from experiments.gradient_flow.draws import ROWS, Draws, H

SATURATED = 1000.0  # a bias at which float32's sigmoid is exactly 1, and 0 at its negative


def lstm_signature(draws: Draws) -> dict[str, Array]:
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


def lstm_gates_shut(draws: Draws) -> dict[str, Array]:
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


def lstm_as_rnn(draws: Draws) -> dict[str, Array]:
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


def gru_as_rnn(draws: Draws) -> dict[str, Array]:
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


def gru_between(draws: Draws) -> dict[str, Array]:
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


def gate_ranges(draws: Draws) -> dict[str, Array]:
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


def gate_shapes(draws: Draws) -> dict[str, Array]:
    """The width of every gate of an LSTM, and of its states (C-G11)."""
    params, state, x = draws.lstm, LSTMState(draws.h, draws.c), draws.xs[0]
    arrays = (*lstm_gates(params, state, x), *lstm_cell(params, state, x)[0])
    return {"widths": jnp.array([a.shape[-1] for a in arrays])}


def _held(params: LSTM, **biases: float) -> LSTM:
    """The LSTM whose named gates have a constant pre-activation."""
    for name, bias in biases.items():
        block = slice("ifgo".index(name) * H, ("ifgo".index(name) + 1) * H)
        zeroed = (w.at[:, block].set(0) for w in (params.wx, params.wh))
        params = LSTM(*zeroed, params.b.at[block].set(bias))
    return params
