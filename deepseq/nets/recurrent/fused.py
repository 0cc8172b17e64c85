"""Whole sequences through an RNN, LSTM or GRU, with a gradient of their own: what practice runs.

The same functions as ``unroll`` of the cell, arranged for speed. The forward loop keeps the
activations of the gates; the backward loop turns them into derivatives with a few multiplications
and one product with W_h^T a step, and leaves the gradients of the weights and inputs to be taken
after it, for all steps at once, as a few large matrix products. Every gate is an array of its own
in the loops: XLA:CPU vectorises a kernel that reads one step of an array, not one that reads a part
of it."""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

from deepseq.nets.recurrent import cells
from deepseq.nets.recurrent.cells import GRU, LSTM, RNN, LSTMState
from deepseq.nets.recurrent.unroll import sequence_shape, step_mask

__all__ = ["Gates", "gru", "lstm", "rnn"]

Gates = tuple[Array, ...]  # (B, H) each

_IN_CACHE = 2**19  # numbers in W_x, 2 MB, up to which x W_x is best taken in the loop


@dataclasses.dataclass(frozen=True)
class _Step:
    """One step of a recurrent net, and its derivative, between the products with the weights."""

    biases: Callable  # params -> (b_x, b_h); None for no such bias
    # (gates of x W_x + b_x, gates of h W_h + b_h, carry) -> carry', what pull needs of it
    update: Callable
    # (this, carry, dL/dcarry') -> dL/d(gates of x), dL/d(gates of h), dL/dcarry but for its part
    # through W_h
    pull: Callable
    hidden: Callable  # carry -> h
    with_hidden: Callable  # (carry, h) -> carry


def rnn(
    params: RNN,
    xs: Array,
    carry: Array | None = None,
    *,
    lengths: Array | None = None,
    reverse: bool = False,
    activation: Callable[[Array], Array] = jnp.tanh,
) -> tuple[Array, Array]:
    """An Elman network over a batch of sequences: ``unroll(rnn_cell, ...)``, faster.

    Args:
      params: RNN of D inputs and H units.
      xs: (T, *batch, D) floats, any number of batch dimensions.
      carry: h before the first step, (*batch, H); None for zeros.
      lengths, reverse: as for ``unroll``.
      activation: a function of one array, elementwise.

    Returns:
      (h after the last step, ys (T, *batch, H)). Reverse-mode derivatives of any order; for forward
      mode take ``unroll``.

    Raises:
      ValueError: shapes, dtypes or lengths that do not fit, in one line.
    """
    return _run(_rnn_step(activation), params, xs, carry, lengths, reverse)


def lstm(
    params: LSTM,
    xs: Array,
    carry: LSTMState | None = None,
    *,
    lengths: Array | None = None,
    reverse: bool = False,
) -> tuple[LSTMState, Array]:
    """An LSTM over a batch of sequences: ``unroll(lstm_cell, ...)``, faster; arguments and errors
    as for ``rnn``.
    """
    return _run(_LSTM_STEP, params, xs, carry, lengths, reverse)


def gru(
    params: GRU,
    xs: Array,
    carry: Array | None = None,
    *,
    lengths: Array | None = None,
    reverse: bool = False,
) -> tuple[Array, Array]:
    """A GRU over a batch of sequences: ``unroll(gru_cell, ...)``, faster; arguments and errors as
    for ``rnn``.
    """
    return _run(_GRU_STEP, params, xs, carry, lengths, reverse)


def _rnn_update(activation, ax, ah, h):
    del h
    h, slope = jax.vjp(activation, ax[0] + ah[0])
    return h, slope(jnp.ones_like(h))


def _rnn_pull(saved, h, dh):
    (slope,) = saved
    da = (dh * slope,)
    return da, da, jnp.zeros_like(h)


@functools.cache  # one object per activation, so that jit sees the same function again
def _rnn_step(activation) -> _Step:
    return _Step(
        lambda p: (p.b, None),
        functools.partial(_rnn_update, activation),
        _rnn_pull,
        lambda h: h,
        lambda _, h: h,
    )


def _lstm_update(ax, ah, state):
    i, f, g, o = map(jnp.add, ax, ah)
    gates = cells.LSTMGates(jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o))
    return cells.lstm_update(gates, state.c), gates


def _lstm_pull(gates, state, d):
    i, f, g, o = gates
    t = jnp.tanh(f * state.c + i * g)
    dc = d.c + d.h * o * (1 - t * t)
    da = (
        dc * g * i * (1 - i),
        dc * state.c * f * (1 - f),
        dc * i * (1 - g * g),
        d.h * t * o * (1 - o),
    )
    return da, da, LSTMState(jnp.zeros_like(d.h), dc * f)


def _gru_update(ax, ah, h):
    (rx, zx, nx), (rh, zh, nh) = ax, ah
    r, z = jax.nn.sigmoid(rx + rh), jax.nn.sigmoid(zx + zh)
    gates = cells.GRUGates(r, z, jnp.tanh(nx + r * nh))
    return cells.gru_update(gates, h), (*gates, nh)


def _gru_pull(saved, h, dh):
    r, z, n, nh = saved
    dn = dh * (1 - z) * (1 - n * n)
    dr, dz = dn * nh * r * (1 - r), dh * (h - n) * z * (1 - z)
    return (dr, dz, dn), (dr, dz, dn * r), dh * z


_LSTM_STEP = _Step(
    lambda p: (p.b, None), _lstm_update, _lstm_pull, lambda s: s.h, lambda s, h: s._replace(h=h)
)
_GRU_STEP = _Step(lambda p: (p.bx, p.bh), _gru_update, _gru_pull, lambda h: h, lambda _, h: h)


def _run(form: _Step, params, xs, carry, lengths, reverse):
    if xs.ndim < 2:
        raise ValueError(
            f"{type(params).__name__}: xs has shape {xs.shape}, but sequences are (T, *batch, D)"
        )
    if carry is None:
        zeros = jnp.zeros((*xs.shape[1:-1], params.wh.shape[-2]), jnp.result_type(xs, params.wh))
        carry = LSTMState(zeros, zeros) if isinstance(params, LSTM) else zeros
    cells.check(params, carry, jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype))
    steps, batch = sequence_shape(xs, carry)
    mask = step_mask(lengths, steps, batch)
    if steps == 0:
        return carry, jnp.zeros((0, *form.hidden(carry).shape), form.hidden(carry).dtype)
    xs = xs.reshape(steps, -1, xs.shape[-1])
    flat = jax.tree.map(lambda s: s.reshape(-1, s.shape[-1]), carry)
    if mask is not None:
        mask = mask.reshape(steps, -1, 1)
        xs = jnp.where(mask, xs, 0)
    if reverse:
        xs, mask = jnp.flip(xs, 0), None if mask is None else jnp.flip(mask, 0)
    flat, ys = _scan(form, params, xs, flat, mask)
    if reverse:
        ys = jnp.flip(ys, 0)
    return jax.tree.map(lambda new, old: new.reshape(old.shape), flat, carry), ys.reshape(
        steps, *batch, -1
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _scan(form, params, xs, carry, mask):
    return _forward(form, params, xs, carry, mask, lambda before, y, saved: y)


def _scan_fwd(form, params, xs, carry, mask):
    last, (ys, *kept) = _forward(
        form, params, xs, carry, mask, lambda before, y, saved: (y, before, saved)
    )
    return (last, ys), (params, xs, mask, *kept)


def _forward(form, params, xs, carry, mask, keep):
    """The last carry, and what is to be kept of every step: of the carry before it, its output and
    what ``pull`` needs.
    """
    bx, bh = form.biases(params)
    blocks = params.wx.shape[1] // params.wh.shape[0]
    inside = params.wx.size <= _IN_CACHE

    def gates(x, w, b):
        parts = jnp.split(x @ w, blocks, axis=-1)
        return tuple(parts if b is None else map(jnp.add, parts, jnp.split(b, blocks)))

    def step(carry, inputs):
        x, valid = inputs
        ax = gates(x, params.wx, bx) if inside else x
        new, saved = form.update(ax, gates(form.hidden(carry), params.wh, bh), carry)
        y = form.hidden(new)
        if valid is not None:
            y, saved = jax.tree.map(lambda a: jnp.where(valid, a, 0), (y, saved))
            new = jax.tree.map(lambda new, old: jnp.where(valid, new, old), new, carry)
        return new, keep(carry, y, saved)

    return lax.scan(step, carry, (xs if inside else gates(xs, params.wx, bx), mask))


def _scan_bwd(form, kept, cotangents):
    params, xs, mask, before, saved = kept
    dlast, dys = cotangents
    # once: a product with a transposed operand in the loop transposes it at every step
    wht = params.wh.T

    def step(d, inputs):
        saved, before, dy, valid = inputs
        if valid is not None:
            dy = jnp.where(valid, dy, 0)
        d = form.with_hidden(d, form.hidden(d) + dy)
        # padding passes all of d on
        felt = d if valid is None else jax.tree.map(lambda d: jnp.where(valid, d, 0), d)
        dax, dah, dbefore = form.pull(saved, before, felt)
        shared = dax is dah
        dax, dah = jnp.concatenate(dax, -1), jnp.concatenate(dah, -1)
        dbefore = form.with_hidden(dbefore, form.hidden(dbefore) + dah @ wht)
        if valid is not None:
            dbefore = jax.tree.map(lambda d, through: jnp.where(valid, d, through), dbefore, d)
        return dbefore, (dah,) if shared else (dax, dah)

    dfirst, da = lax.scan(step, dlast, (saved, before, dys, mask), reverse=True)
    dax, dah = (a.reshape(-1, a.shape[-1]) for a in (da[0], da[-1]))
    biases = [dax.sum(0)] if len(da) == 1 else [dax.sum(0), dah.sum(0)]
    dparams = type(params)(_weights(xs, dax), _weights(form.hidden(before), dah), *biases)
    return dparams, (dax @ params.wx.T).reshape(xs.shape), dfirst, None


_scan.defvjp(_scan_fwd, _scan_bwd)


def _weights(x: Array, da: Array) -> Array:
    """dL/dW of a = x W over all steps and sequences at once, its sums in float32 or wider."""
    x = x.reshape(-1, x.shape[-1])
    return lax.dot_general(
        x,
        da,
        (((0,), (0,)), ((), ())),
        preferred_element_type=jnp.promote_types(x.dtype, jnp.float32),
    ).astype(x.dtype)
