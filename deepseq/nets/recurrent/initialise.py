"""Initialisation of the recurrent cells."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.recurrent.cells import GRU, LSTM, RNN

__all__ = ["Draw", "gru_init", "identity", "lstm_init", "orthogonal", "rnn_init", "uniform"]

Draw = Callable[[Array, tuple[int, int]], Array]  # (key, shape) -> weights


def uniform(bound: float) -> Draw:
    """Draws from U(-bound, bound)."""
    return lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)


def orthogonal(radius: float = 1.0) -> Draw:
    """A random orthogonal matrix times ``radius``: every eigenvalue and singular value has this
    modulus (Saxe et al. 2014).
    """
    return lambda key, shape: radius * jax.random.orthogonal(key, shape[0])


def identity(radius: float = 1.0) -> Draw:
    """The identity times ``radius`` (Le, Jaitly, Hinton 2015, arXiv 1504.00941, the IRNN)."""
    return lambda key, shape: radius * jnp.eye(shape[0])


def rnn_init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    inputs: Draw | None = None,
    recurrence: Draw | None = None,
) -> RNN:
    """Parameters of an RNN.

    Args:
      key: PRNG key.
      input_size, hidden_size: D and H.
      inputs: draws wx, (D, H); None takes torch's U(-1/sqrt(H), 1/sqrt(H)).
      recurrence: draws wh, (H, H), for example ``orthogonal(0.9)`` or ``identity()``; None takes
        torch's uniform.

    Returns:
      RNN, float32. The bias is torch's uniform where both weights are, and zero otherwise.
    """
    wx, wh = _weights(key, input_size, hidden_size, 1, inputs, recurrence)
    return RNN(wx, wh, _bias(key, hidden_size, 1, inputs, recurrence, 2))


def lstm_init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    forget_bias: float | None = None,
    inputs: Draw | None = None,
    recurrence: Draw | None = None,
) -> LSTM:
    """Parameters of an LSTM, its four blocks drawn one by one; arguments as for ``rnn_init``.

    Args:
      forget_bias: the bias of every forget gate (Gers et al. 2000; 1 in Jozefowicz et al. 2015);
        None leaves it as drawn.
    """
    wx, wh = _weights(key, input_size, hidden_size, 4, inputs, recurrence)
    b = _bias(key, hidden_size, 4, inputs, recurrence, 2)
    if forget_bias is not None:
        b = b.at[hidden_size : 2 * hidden_size].set(forget_bias)
    return LSTM(wx, wh, b)


def gru_init(
    key: Array,
    input_size: int,
    hidden_size: int,
    *,
    inputs: Draw | None = None,
    recurrence: Draw | None = None,
) -> GRU:
    """Parameters of a GRU, its three blocks drawn one by one; arguments as for ``rnn_init``."""
    wx, wh = _weights(key, input_size, hidden_size, 3, inputs, recurrence)
    biases = (
        _bias(jax.random.fold_in(key, which), hidden_size, 3, inputs, recurrence, 1)
        for which in (0, 1)
    )
    return GRU(wx, wh, *biases)


def _weights(key, d, h, blocks, inputs, recurrence) -> tuple[Array, Array]:
    if d < 1 or h < 1:
        raise ValueError(f"input_size {d} and hidden_size {h} must be at least 1")
    usual = uniform(h**-0.5)
    drawn = []
    for part, draw, rows in zip(jax.random.split(key), (inputs, recurrence), (d, h), strict=True):
        if draw is None:
            drawn.append(usual(part, (rows, blocks * h)))
        else:
            drawn.append(
                jnp.concatenate(
                    [draw(k, (rows, h)) for k in jax.random.split(part, blocks)], axis=1
                )
            )
    return tuple(drawn)


def _bias(key, h, blocks, inputs, recurrence, count) -> Array:
    """The sum of ``count`` of torch's biases; zeros for weights that are not torch's."""
    if inputs is not None or recurrence is not None:
        return jnp.zeros(blocks * h)
    return uniform(h**-0.5)(jax.random.fold_in(key, 2), (count, blocks * h)).sum(0)
