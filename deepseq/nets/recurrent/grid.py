"""Recurrence in two dimensions: at every place of a grid, a state from those to its left and above
it.

Graves, Fernandez, Schmidhuber 2007 (arXiv 0705.2011), section 2, in two dimensions and one
direction. A place depends on all that is above and to the left of it, its own row and column
included, and on nothing else. Places of one anti-diagonal do not depend on each other, so a grid of
(R, C) takes R + C - 1 steps, not R C."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.recurrent.cells import LSTMState
from deepseq.nets.recurrent.initialise import uniform

__all__ = [
    "Cell",
    "GridLSTM",
    "GridRNN",
    "grid_lstm",
    "grid_lstm_cell",
    "grid_lstm_init",
    "grid_rnn",
    "grid_rnn_cell",
    "grid_rnn_init",
    "scan_grid",
]

Cell = Callable[
    [Any, Any, Any, Array], tuple[Any, Array]
]  # (params, state to the left, state above, x) -> (state, y)


class GridRNN(NamedTuple):
    """Parameters of a two-dimensional RNN."""

    wx: Array  # (D, H)
    wl: Array  # (H, H), of the state to the left
    wa: Array  # (H, H), of the state above
    b: Array  # (H,)


class GridLSTM(NamedTuple):
    """Parameters of a two-dimensional LSTM; the five blocks of columns are i, f of the left, f of
    above, g, o.
    """

    wx: Array  # (D, 5H)
    wl: Array  # (H, 5H)
    wa: Array  # (H, 5H)
    b: Array  # (5H,)


def grid_rnn_cell(params: GridRNN, left: Array, above: Array, x: Array) -> tuple[Array, Array]:
    """h = tanh(x W_x + h_left W_l + h_above W_a + b), and y = h; states (..., H), x (..., D)."""
    h = jnp.tanh(_sum(params, left, above, x))
    return h, h


def grid_lstm_cell(
    params: GridLSTM, left: LSTMState, above: LSTMState, x: Array
) -> tuple[LSTMState, Array]:
    """c = f_l c_left + f_a c_above + i g, h = o tanh(c), and y = h: a forget gate for each
    direction (no peepholes).
    """
    i, fl, fa, g, o = jnp.split(_sum(params, left.h, above.h, x), 5, axis=-1)
    c = jax.nn.sigmoid(fl) * left.c + jax.nn.sigmoid(fa) * above.c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return LSTMState(h, c), h


def grid_rnn_init(key: Array, input_size: int, hidden_size: int) -> GridRNN:
    """Parameters of a two-dimensional RNN of D inputs and H units, U(-1/sqrt(2H), 1/sqrt(2H)): two
    states come in.
    """
    return GridRNN(*_draw(key, input_size, hidden_size, 1))


def grid_lstm_init(
    key: Array, input_size: int, hidden_size: int, *, forget_bias: float = 0.0
) -> GridLSTM:
    """Parameters of a two-dimensional LSTM, drawn likewise, and the bias of both forget gates."""
    params = GridLSTM(*_draw(key, input_size, hidden_size, 5))
    return params._replace(b=params.b.at[hidden_size : 3 * hidden_size].set(forget_bias))


def grid_rnn(params: GridRNN, xs: Array) -> Array:
    """A two-dimensional RNN over a batch of grids: (R, C, B, D) -> (R, C, B, H)."""
    _check(params, xs, 1)
    return scan_grid(grid_rnn_cell, params, _zero(params, xs), xs)


def grid_lstm(params: GridLSTM, xs: Array) -> Array:
    """A two-dimensional LSTM over a batch of grids: (R, C, B, D) -> (R, C, B, H)."""
    _check(params, xs, 5)
    zero = _zero(params, xs)
    return scan_grid(grid_lstm_cell, params, LSTMState(zero, zero), xs)


def scan_grid(cell: Cell, params: Any, zero: Any, xs: Array) -> Array:
    """Applies a cell to every place of a batch of grids, an anti-diagonal at a time.

    Args:
      cell: ``(params, left, above, x) -> (state, y)``, for any leading dimensions.
      params: the cell's, the same at every place.
      zero: the state outside the grid, arrays (B, H).
      xs: (R, C, B, D).

    Returns:
      ys (R, C, B, H).
    """
    rows, columns = xs.shape[:2]
    # Row r moved r places to the right, so that column d holds the anti-diagonal r + c = d, and row
    # r of it is its place r.
    skewed = jnp.stack(
        [jnp.pad(xs[r], ((r, rows - 1 - r), *[(0, 0)] * (xs.ndim - 2))) for r in range(rows)], 1
    )
    # (d, r), false to the left of the grid
    begun = jnp.arange(rows + columns - 1)[:, None] >= jnp.arange(rows)

    outside = jax.tree.map(lambda z: jnp.broadcast_to(z, (rows, *z.shape)), zero)

    def step(left, inputs):
        x, here = inputs
        above = jax.tree.map(lambda s, z: jnp.concatenate([z[:1], s[:-1]]), left, outside)
        state, y = cell(params, left, above, x)
        inside = here.reshape(-1, 1, 1)
        # What lies to the right of the grid flows nowhere but further right, and is cut off below.
        return jax.tree.map(lambda s, z: jnp.where(inside, s, z), state, outside), y

    ys = jax.lax.scan(step, outside, (skewed, begun))[1]
    return jnp.stack([ys[r : r + columns, r] for r in range(rows)])


def _sum(params: GridRNN | GridLSTM, left: Array, above: Array, x: Array) -> Array:
    states = jnp.concatenate([x, left, above], -1)
    return states @ jnp.concatenate([params.wx, params.wl, params.wa]) + params.b


def _draw(key: Array, d: int, h: int, blocks: int) -> list[Array]:
    if d < 1 or h < 1:
        raise ValueError(f"input_size {d} and hidden_size {h} must be at least 1")
    draw = uniform((2 * h) ** -0.5)
    return [
        draw(k, (n, blocks * h)) for k, n in zip(jax.random.split(key, 3), (d, h, h), strict=True)
    ] + [jnp.zeros(blocks * h)]


def _zero(params: GridRNN | GridLSTM, xs: Array) -> Array:
    return jnp.zeros((xs.shape[2], params.wl.shape[0]), jnp.result_type(xs, params.wl))


def _check(params: GridRNN | GridLSTM, xs: Array, blocks: int) -> None:
    d, h = params.wx.shape[0], params.wl.shape[0]
    name = type(params).__name__
    if [p.shape for p in params] != [
        (d, blocks * h),
        (h, blocks * h),
        (h, blocks * h),
        (blocks * h,),
    ]:
        raise ValueError(
            f"{name}: parameters of shapes {[p.shape for p in params]} do not fit each other"
        )
    if xs.ndim != 4 or xs.shape[-1] != d or 0 in xs.shape:
        raise ValueError(
            f"{name}: xs {xs.shape} must be grids (R, C, B, D) of {d} inputs, none of them empty"
        )
