"""The recurrent cells: Elman's RNN, the LSTM and the GRU, each as one step of ``jax.lax.scan``.

A cell is ``(params, carry, x) -> (carry, y)``. Its equations read here as the papers print them;
``deepseq.nets.recurrent`` runs them over sequences. The gate order and the biases are torch's, so
its weights load by transposition:

    RNN(wx=weight_ih.T, wh=weight_hh.T, b=bias_ih + bias_hh), LSTM likewise,
    GRU(wx=weight_ih.T, wh=weight_hh.T, bx=bias_ih, bh=bias_hh)
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

__all__ = [
    "GATES",
    "GRU",
    "GRUGates",
    "LSTM",
    "LSTMGates",
    "LSTMState",
    "ProjectedLSTM",
    "RNN",
    "check",
    "gru_activations",
    "gru_cell",
    "gru_gates",
    "gru_update",
    "lstm_activations",
    "lstm_cell",
    "lstm_gates",
    "lstm_update",
    "projected_lstm_cell",
    "rnn_cell",
]


class RNN(NamedTuple):
    """Parameters of Elman's network."""

    wx: Array  # (D, H)
    wh: Array  # (H, H)
    b: Array  # (H,)


class LSTM(NamedTuple):
    """Parameters of a long short-term memory; the four blocks of columns are i, f, g, o."""

    wx: Array  # (D, 4H)
    wh: Array  # (H, 4H)
    b: Array  # (4H,)


class GRU(NamedTuple):
    """Parameters of a gated recurrent unit; the three blocks of columns are r, z, n."""

    wx: Array  # (D, 3H)
    wh: Array  # (H, 3H)
    bx: Array  # (3H,)
    bh: Array  # (3H,)


class ProjectedLSTM(NamedTuple):
    """Parameters of an LSTM with a projected hidden state."""

    wx: Array  # (D, 4H)
    wh: Array  # (P, 4H)
    b: Array  # (4H,)
    wr: Array  # (H, P)


class LSTMState(NamedTuple):
    """What an LSTM carries."""

    h: Array  # (..., H) hidden state, the output
    c: Array  # (..., H) cell state


class LSTMGates(NamedTuple):
    """Activations of an LSTM's gates, each (..., H)."""

    i: Array  # input gate, in (0, 1)
    f: Array  # forget gate, in (0, 1)
    g: Array  # candidate, in (-1, 1)
    o: Array  # output gate, in (0, 1)


class GRUGates(NamedTuple):
    """Activations of a GRU's gates, each (..., H)."""

    r: Array  # reset gate, in (0, 1)
    z: Array  # update gate, in (0, 1)
    n: Array  # candidate, in (-1, 1)


def rnn_cell(
    params: RNN, carry: Array, x: Array, *, activation: Callable[[Array], Array] = jnp.tanh
) -> tuple[Array, Array]:
    """h' = tanh(x W_x + h W_h + b), and y = h' (Elman 1990).

    Args:
      params: RNN of D inputs and H units.
      carry: h, (..., H).
      x: (..., D).
      activation: in place of tanh.

    Returns:
      (h', h'), each (..., H). ValueError where shapes or dtypes do not fit.
    """
    check(params, carry, x)
    h = activation(x @ params.wx + carry @ params.wh + params.b)
    return h, h


def lstm_cell(params: LSTM, carry: LSTMState, x: Array) -> tuple[LSTMState, Array]:
    """c' = f c + i g, h' = o tanh(c'), and y = h' (Hochreiter, Schmidhuber 1997; Gers et al. 2000).

    Args:
      params: LSTM of D inputs and H units.
      carry: LSTMState of h and c, each (..., H).
      x: (..., D).

    Returns:
      (LSTMState(h', c'), h'). ValueError where shapes or dtypes do not fit.
    """
    state = lstm_update(lstm_gates(params, carry, x), carry.c)
    return state, state.h


def gru_cell(params: GRU, carry: Array, x: Array) -> tuple[Array, Array]:
    """h' = (1 - z) n + z h, and y = h' (Cho et al. 2014, equation 7; r acts after the matmul, as in
    torch).

    Args:
      params: GRU of D inputs and H units.
      carry: h, (..., H).
      x: (..., D).

    Returns:
      (h', h'), each (..., H). ValueError where shapes or dtypes do not fit.
    """
    h = gru_update(gru_gates(params, carry, x), carry)
    return h, h


def projected_lstm_cell(
    params: ProjectedLSTM, carry: LSTMState, x: Array
) -> tuple[LSTMState, Array]:
    """An LSTM whose hidden state is projected down: h' = (o tanh(c')) W_r (Sak et al. 2014; torch's
    proj_size).

    Args:
      params: ProjectedLSTM of D inputs, H cells and P projected units.
      carry: LSTMState of h (..., P) and c (..., H).
      x: (..., D).

    Returns:
      (LSTMState(h', c'), h').
    """
    wx, wh, b, wr = params
    if (
        wh.shape != (wr.shape[1], 4 * wr.shape[0])
        or wx.shape[1:] != wh.shape[1:]
        or b.shape != wh.shape[1:]
    ):
        raise ValueError(
            f"ProjectedLSTM: wx {wx.shape}, wh {wh.shape}, b {b.shape} and wr {wr.shape} do not"
            " fit; they are (D, 4H), (P, 4H), (4H,) and (H, P)"
        )
    if x.shape[-1:] != wx.shape[:1] or carry.h.shape != (*x.shape[:-1], wr.shape[1]):
        raise ValueError(
            f"ProjectedLSTM: x {x.shape} and h {carry.h.shape} do not fit wx {wx.shape} and wr"
            f" {wr.shape}"
        )
    state = lstm_update(lstm_activations(x @ wx + carry.h @ wh + b), carry.c)
    state = state._replace(h=state.h @ wr)
    return state, state.h


def lstm_gates(params: LSTM, carry: LSTMState, x: Array) -> LSTMGates:
    """The gates of one step of ``lstm_cell``: i, f, o = sigmoid(.), g = tanh(.) of x W_x + h W_h +
    b.
    """
    check(params, carry, x)
    return lstm_activations(x @ params.wx + carry.h @ params.wh + params.b)


def gru_gates(params: GRU, carry: Array, x: Array) -> GRUGates:
    """The gates of one step: r, z = sigmoid(.), n = tanh(W_n x + b_n + r (U_n h + c_n))."""
    check(params, carry, x)
    return gru_activations(x @ params.wx + params.bx, carry @ params.wh + params.bh)


def lstm_activations(a: Array) -> LSTMGates:
    """Gates of their pre-activations (..., 4H)."""
    i, f, g, o = jnp.split(a, 4, axis=-1)
    return LSTMGates(jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o))


def lstm_update(gates: LSTMGates, c: Array) -> LSTMState:
    """The new state from the gates and the old cell state."""
    i, f, g, o = gates
    c = f * c + i * g
    return LSTMState(o * jnp.tanh(c), c)


def gru_activations(ax: Array, ah: Array) -> GRUGates:
    """Gates of what input and hidden state contribute to them, each (..., 3H)."""
    (rx, zx, nx), (rh, zh, nh) = jnp.split(ax, 3, axis=-1), jnp.split(ah, 3, axis=-1)
    r = jax.nn.sigmoid(rx + rh)
    return GRUGates(r, jax.nn.sigmoid(zx + zh), jnp.tanh(nx + r * nh))


def gru_update(gates: GRUGates, h: Array) -> Array:
    """The new state from the gates and the old state."""
    _, z, n = gates
    return (1 - z) * n + z * h


GATES = {RNN: 1, LSTM: 4, GRU: 3}  # blocks of columns


def check(params: RNN | LSTM | GRU, carry: Array | LSTMState, x: Array) -> None:
    """Raises ValueError where one step's parameters, carry (..., H) and input (..., D) do not fit,
    in one line.
    """
    name, (d, columns), h = type(params).__name__, params.wx.shape[-2:], params.wh.shape[-2]
    blocks = GATES[type(params)]
    biases = [b.shape[-1] for b in params[2:]]
    if columns != blocks * h or params.wh.shape[-1] != columns or any(b != columns for b in biases):
        raise ValueError(
            f"{name}: wx {params.wx.shape}, wh {params.wh.shape} and biases {biases} do not fit; "
            f"they are (D, {blocks}H), (H, {blocks}H) and ({blocks}H,)"
        )
    if isinstance(params, LSTM) != isinstance(carry, LSTMState):
        raise ValueError(
            f"{name}: the carry is"
            f" {'LSTMState(h, c)' if isinstance(params, LSTM) else 'the array h'}, not"
            f" {type(carry).__name__}"
        )
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        raise ValueError(
            f"{name}: x is {x.dtype}, but must be of floats; embed token ids first, or cast"
        )
    if x.ndim < 1 or x.shape[-1] != d:
        raise ValueError(
            f"{name}: x {x.shape} does not end in the {d} inputs of wx {params.wx.shape}"
        )
    if 0 in x.shape[:-1]:
        raise ValueError(f"{name}: x {x.shape} is an empty batch")
    dtype = jnp.result_type(x.dtype, *(p.dtype for p in params))
    for state in jax.tree.leaves(carry):
        if state.dtype != dtype:
            mixed = f"x {x.dtype} and weights {params.wh.dtype}"
            raise ValueError(f"{name}: the carry is {state.dtype}, but {mixed} make it {dtype}")
        if state.shape != (*x.shape[:-1], h):
            needs = (*x.shape[:-1], h)
            raise ValueError(
                f"{name}: a carry of shape {state.shape} does not fit x {x.shape}, which needs"
                f" {needs}"
            )
