"""Terms that are added to a loss, or to its gradient."""

import jax.numpy as jnp
from jax import Array

__all__ = ["error_growth"]


def error_growth(
    wh: Array, slopes: Array, errors: Array, *, vanished: float = 1e-10
) -> tuple[Array, Array]:
    """By how much an RNN's error grows on its way one step back: |dE/dh_(k+1) dh_(k+1)/dh_k| /
    |dE/dh_(k+1)|.

    What the regulariser Omega of Pascanu, Mikolov and Bengio (2013, arXiv 1211.5063, equation 9)
    wants to be 1. They take its derivative with respect to ``wh`` alone, errors and states held
    constant (equation 10).

    Args:
      wh: (H, H) recurrent weights; dh_(k+1)/dh_k of a row vector h is diag(slopes_(k+1)) wh^T.
      slopes: (T, B, H) derivatives of the activation, for a tanh 1 - h^2.
      errors: (T, B, H) dE/dh through all later steps.
      vanished: a norm of the error below which the ratio means nothing.

    Returns:
      The ratios (T, B), 1 where they mean nothing, and where they mean something, (T, B) bool.
    """
    after = jnp.sum(jnp.square(errors), axis=-1)
    before = jnp.sum(jnp.square((errors * slopes) @ wh.T), axis=-1)
    # where, not a product: the root has no derivative at 0
    counts = (after >= vanished**2) & (before > 0)
    return jnp.sqrt(jnp.where(counts, before, 1.0) / jnp.where(counts, after, 1.0)), counts
