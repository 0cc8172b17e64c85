"""The regulariser of Pascanu, Mikolov and Bengio (2013, arXiv 1211.5063, section 3.3) against
vanishing gradients.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.recurrent import RNN, rnn_cell, unroll
from deepseq.train.regularisers import error_growth


def omega(wh: Array, hs: Array, deltas: Array) -> Array:
    """How far the recurrent Jacobian is from keeping the norm of the error along the error's own
    direction (equation 9).

        Omega = mean over k of (|dE/dh_(k+1) dh_(k+1)/dh_k| / |dE/dh_(k+1)| - 1)^2,
        dh_(k+1)/dh_k = W_h diag(1 - h_(k+1)^2)

    The equation sums over k; here, as in its authors' program, terms are averaged over steps and
    sequences, and those whose error has vanished altogether do not count.

    Args:
      wh: (H, H), of a tanh RNN.
      hs: (T, B, H), h_1 to h_T.
      deltas: (T, B, H), dE/dh_t through all later steps.

    Returns:
      () at least 0; 0 where no term counts.
    """
    # the step before the first is no state of the sequence
    ratio, counts = error_growth(wh, 1 - hs[1:] ** 2, deltas[1:])
    return jnp.sum((ratio - 1) ** 2) / jnp.maximum(jnp.sum(counts), 1)


def regularised(
    cost: Callable[[Any, Array, Any], tuple[Array, dict[str, Array]]], weight: float | Array
) -> Callable[[Any, tuple[Array, Any]], tuple[tuple[Array, dict[str, Array]], Any]]:
    """The gradient of a tanh RNN's cost plus ``weight`` times the immediate derivative of Omega to
    the recurrent weights.

    The immediate derivative takes h and dE/dh as constants (equation 10), so it costs about one
    more matrix product a step.

    Args:
      cost: ``(readout, hs (T, B, H), targets) -> (scalar, metrics)``.
      weight: of Omega; 0 leaves the gradient of the cost.

    Returns:
      ``f((rnn, readout), (xs (T, B, D), targets)) -> ((cost, {**metrics, "omega"}), gradient)``,
      for ``deepseq.train.sequences.gradient_step``.
    """

    def gradient(params: tuple[RNN, Any], batch: tuple[Array, Any]):
        (rnn, _), (xs, targets) = params, batch
        h0 = jnp.zeros((xs.shape[1], rnn.wh.shape[0]), xs.dtype)
        nothing = jnp.zeros((*xs.shape[:2], rnn.wh.shape[0]), xs.dtype)  # its gradient is dE/dh_t

        def total(params, added):
            rnn, readout = params

            def cell(rnn, h, inputs):
                x, e = inputs
                h = rnn_cell(rnn, h, x)[0] + e
                return h, h

            hs = unroll(cell, rnn, h0, (xs, added))[1]
            value, metrics = cost(readout, hs, targets)
            return value, (metrics, hs)

        (value, (metrics, hs)), (grads, deltas) = jax.value_and_grad(
            total, argnums=(0, 1), has_aux=True
        )(params, nothing)
        term, dwh = jax.value_and_grad(omega)(rnn.wh, hs, deltas)
        drnn, dreadout = grads
        return (value, {**metrics, "omega": term}), (
            drnn._replace(wh=drnn.wh + weight * dwh),
            dreadout,
        )

    return gradient
