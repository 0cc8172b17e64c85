"""Autoregressive models, p(x_1, ..., x_T) = prod_t p(x_t | past), by what they keep of the past.

AR(tau) keeps the last tau values: as a table of counts, as a net of the window, or, for real
numbers, as a linear map. The Markov model is AR(1). A latent autoregressive model keeps a state h_t
= g(h_(t-1), x_(t-1)), from which x_t is predicted. Series are time-major (T, B, ...); what stands
at t has seen x_1, ..., x_(t-1), so that the sum of the log-probabilities over t is that of the
whole series. ``free_run`` feeds predictions back in place of values."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.inside import Probes, probe
from deepseq.nets.blocks.layers import Dense, dense
from deepseq.nets.blocks.net import Net
from deepseq.nets.recurrent.cells import LSTMState

__all__ = [
    "ABSENT",
    "Latent",
    "Linear",
    "Window",
    "counts",
    "fit_linear",
    "free_run",
    "latent",
    "log_likelihood",
    "log_normal",
    "predict_linear",
    "states",
    "table",
    "table_log_likelihood",
    "window",
    "windows",
]

ABSENT = -1  # the symbol of a step before the first


class Window(NamedTuple):
    """Parameters of a net of the last tau symbols."""

    embed: Array  # (tau, K, H)
    b: Array  # (H,)
    readout: Dense  # H -> K


class Linear(NamedTuple):
    """Parameters of a linear AR(tau) with normal noise."""

    w: Array  # (tau,), of x_(t-1) first
    b: Array  # ()
    variance: Array  # ()


class Latent(NamedTuple):
    """Parameters of a latent autoregressive model."""

    cell: Any  # of the recurrent net g
    readout: Dense  # H -> outputs


def windows(xs: Array, tau: int, absent: float = 0) -> Array:
    """The last tau values before every step, the latest first: (T, ...) -> (T, ..., tau);
    ``absent`` stands before x_1.
    """
    if tau < 0 or xs.ndim < 1:
        raise ValueError(
            f"windows: tau is {tau} and xs {xs.shape}; give at least 0, and series (T, ...)"
        )
    before = jnp.concatenate([jnp.full((tau, *xs.shape[1:]), absent, xs.dtype), xs])
    past = [before[tau - k : tau - k + len(xs)] for k in range(1, tau + 1)]
    return jnp.stack(past, -1) if past else jnp.zeros((*xs.shape, 0), xs.dtype)


def counts(xs: Array, tau: int, symbols: int) -> Array:
    """How often each symbol follows each window of tau, all within the series: (T, B) ints -> (K,)
    * (tau + 1), oldest first.

    Summed over its first axis, this is the count for tau - 1 at the same steps. Symbols outside
    0..K-1 are not counted."""
    if xs.ndim != 2 or not 0 <= tau < len(xs):
        raise ValueError(f"counts: xs {xs.shape} must be series (T, B) longer than tau = {tau}")
    word, known = jnp.zeros((len(xs) - tau, xs.shape[1]), jnp.int32), True
    for k in range(tau + 1):
        x = xs[k : len(xs) - tau + k]
        word, known = word * symbols + x, known & (x >= 0) & (x < symbols)
    size = symbols ** (tau + 1)
    return (
        jnp.zeros(size, jnp.int32)
        .at[jnp.where(known, word, size)]
        .add(1, mode="drop")
        .reshape((symbols,) * (tau + 1))
    )


def table(counted: Array, prior: float = 0.0) -> Array:
    """Log-probabilities of AR(tau) from its counts: (K,) * (tau + 1) -> the same shape.

    Args:
      counted: what ``counts`` returns.
      prior: added to every count. 0 is maximum likelihood, with -inf for what was never seen; 1/2
        is Krichevsky and Trofimov's (1981). A window that was never seen gets equal probabilities.
    """
    symbols, n = counted.shape[-1], counted + prior
    total = n.sum(-1, keepdims=True)
    return jnp.log(jnp.where(total > 0, n / jnp.where(total > 0, total, 1), 1 / symbols))


def table_log_likelihood(tables: tuple[Array, ...], xs: Array) -> Array:
    """log p(x_t | last tau) at every step: (T, B) -> (T, B).

    Args:
      tables: of AR(0), AR(1), ..., AR(tau); a step with fewer than tau before it uses the model of
        what it has.
      xs: (T, B) ints.
    """
    symbols, tau = tables[0].shape[0], len(tables) - 1
    word, logs = jnp.zeros(xs.shape[1:], jnp.int32), []
    for t in range(min(tau, len(xs))):
        logs.append(tables[t].reshape(-1, symbols)[word, xs[t]])
        word = word * symbols + xs[t]
    past = windows(xs, tau)[tau:]
    word = jnp.sum(past * symbols ** jnp.arange(tau), -1)
    return (
        jnp.concatenate([jnp.stack(logs), tables[tau].reshape(-1, symbols)[word, xs[tau:]]])
        if logs
        else (tables[0][xs])
    )


def window(symbols: int, tau: int, hidden: int) -> Net:
    """AR(tau) as a net of one hidden layer, logits = W tanh(sum_k E_k[x_(t-k)] + b) + c (Bengio et
    al. 2003, without sharing).

    Returns:
      Net whose ``apply(params, past, *, probes=None)`` takes windows (..., tau) of ints, the latest
      first, to logits (..., K). Where the past holds ``ABSENT``, nothing is added: a window whose
      older symbols are absent makes it a smaller model. ``probes`` sees "hidden", the tanh.
    """

    def init(key: Array) -> Window:
        inside, out = jax.random.split(key)
        embed = jax.random.normal(inside, (tau, symbols, hidden)) / math.sqrt(max(tau, 1))
        w = jax.random.normal(out, (hidden, symbols)) / math.sqrt(hidden)
        return Window(embed, jnp.zeros(hidden), Dense(w, jnp.zeros(symbols)))

    def apply(params: Window, past: Array, *, probes: Probes | None = None) -> Array:
        if past.shape[-1] != tau:
            raise ValueError(f"window: the past {past.shape} must end in the last {tau} symbols")
        shown = jax.nn.one_hot(past, symbols, dtype=params.embed.dtype)  # ABSENT is a row of zeros
        a = shown.reshape(*past.shape[:-1], tau * symbols) @ params.embed.reshape(
            tau * symbols, hidden
        )
        return dense(params.readout, probe(probes, "hidden", jnp.tanh(a + params.b)))

    return Net(init, apply)


def fit_linear(xs: Array, tau: int) -> Linear:
    """AR(tau) of greatest likelihood given each series' first tau values: least squares in closed
    form; xs (T, B) floats.
    """
    if xs.ndim != 2 or len(xs) <= tau:
        raise ValueError(f"fit_linear: xs {xs.shape} must be series (T, B) longer than tau = {tau}")
    past = windows(xs, tau)[tau:].reshape((len(xs) - tau) * xs.shape[1], tau)
    centre, x = xs.mean(), xs[tau:].reshape(-1)
    # about the mean, so that the equations stay well conditioned wherever the series lies
    a = jnp.concatenate([past - centre, jnp.ones((len(past), 1), xs.dtype)], 1)
    solved = jnp.linalg.solve(a.T @ a, a.T @ (x - centre))
    variance = jnp.mean((x - centre - a @ solved) ** 2)
    return Linear(solved[:tau], solved[tau] + centre * (1 - solved[:tau].sum()), variance)


def predict_linear(params: Linear, past: Array) -> Array:
    """b + sum_k w_k x_(t-k): windows (..., tau), the latest first -> (...)."""
    return past @ params.w + params.b


def log_normal(x: Array, mean: Array, variance: Array) -> Array:
    """log N(x; mean, variance), elementwise."""
    return -0.5 * (jnp.log(2 * math.pi * variance) + (x - mean) ** 2 / variance)


def log_likelihood(logits: Array, xs: Array) -> Array:
    """log softmax(logits)[x], elementwise: (..., K), (...) ints -> (...)."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), xs[..., None], -1, mode="fill")[..., 0]


def latent(init_cell: Callable, layer: Callable, hidden: int, outputs: int) -> Net:
    """The latent autoregressive model h_t = g(h_(t-1), x_(t-1)), x_t ~ p(. | W h_t + c).

    Args:
      init_cell: key -> the cell's parameters.
      layer: g over a series, such as ``recurrent.rnn``, ``lstm`` or ``gru``.
      hidden, outputs: H and the number of outputs.

    Returns:
      Net whose ``apply(params, xs (T, B, D), *, carry, probes=None) -> ((T, B, outputs), carry)``
      predicts x_t at t, the first of them from the carry alone; the carry after x_T predicts what
      follows. ``carry=None`` is the zero state; ``probes`` sees "states", the h_t (T, B, H).
    """

    def init(key: Array) -> Latent:
        inside, out = jax.random.split(key)
        w = jax.random.normal(out, (hidden, outputs)) / math.sqrt(hidden)
        return Latent(init_cell(inside), Dense(w, jnp.zeros(outputs)))

    def apply(
        params: Latent, xs: Array, *, carry: Any, probes: Probes | None = None
    ) -> tuple[Array, Any]:
        hs, carry = states(layer, params, xs, carry=carry)
        return dense(params.readout, probe(probes, "states", hs)), carry

    return Net(init, apply)


def states(layer: Callable, params: Latent, xs: Array, *, carry: Any) -> tuple[Array, Any]:
    """h_1, ..., h_T of a latent model, each of which has seen x_1, ..., x_(t-1) alone: (T, B, H),
    and the carry after x_T.
    """
    last, hs = layer(params.cell, xs, carry)
    first = (
        jnp.zeros_like(hs[:1])
        if carry is None
        else (carry.h if isinstance(carry, LSTMState) else carry)[None]
    )
    return jnp.concatenate([first, hs[:-1]]), last


def free_run(step: Callable, carry: Any, first: Array, steps: int) -> Array:
    """Feeds predictions back: what the model says of x_t stands for x_t when x_(t+1) is predicted.

    Args:
      step: ``(carry, x) -> (carry, prediction of the next x)``, a scan's.
      carry: after the last value that was observed.
      first: the prediction made from observed values alone, (B, ...).
      steps: of the whole prediction, at least 1.

    Returns:
      (steps, B, ...), ``first`` included.
    """

    def again(state, _):
        carry, x = step(*state)
        return (carry, x), x

    return jnp.concatenate([first[None], jax.lax.scan(again, (carry, first), length=steps - 1)[1]])
