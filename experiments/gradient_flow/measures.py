"""What the gradient-flow study measures: Jacobians and their product, clipping, and Pascanu's
regulariser.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.flatten_util import ravel_pytree

from deepseq.nets.recurrent import unroll, with_carries
from deepseq.train.regularisers import error_growth

# a singular value this much smaller than the largest is rounding error, and left out
ROUNDING = 1e-13


def jacobians(cell: Callable, params: Any, carry: Any, xs: Array) -> Array:
    """ds_t/ds_(t-1) of every step, (T, N, N), along one sequence xs (T, D); s is the whole carry as
    one vector.

    The carry of an LSTM is s = (h, c), N = 2H; that of an RNN or GRU is s = h.
    """
    start, restore = ravel_pytree(carry)

    def step(s: Array, x: Array) -> Array:
        return ravel_pytree(cell(params, restore(s), x)[0])[0]

    _, (carries, _) = unroll(with_carries(cell), params, carry, xs)
    states = jax.vmap(lambda c: ravel_pytree(c)[0])(carries)
    before = jnp.concatenate([start[None], states[:-1]])
    return jax.vmap(jax.jacrev(step))(before, xs)


def products(
    factors: np.ndarray, lags: Sequence[int]
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """The Jacobian ds_T/ds_(T-lag) of several nets, in float64 and free of over- and underflow.

    Args:
      factors: (nets, T, N, N) the Jacobian of every step.
      lags: increasing, from 0 to T.

    Yields:
      (lag, P (nets, N, N), e (nets,)): the Jacobian is P times 10^e.
    """
    nets, steps, n, _ = factors.shape
    product, exponent = np.broadcast_to(np.eye(n), (nets, n, n)), np.zeros(nets)
    for lag in range(max(lags) + 1):
        if lag:
            product = product @ factors[:, steps - lag].astype(np.float64)
            size = np.abs(product).max(axis=(1, 2))
            size[size == 0] = 1.0  # every path is cut: the Jacobian is and stays 0
            product, exponent = product / size[:, None, None], exponent + np.log10(size)
        if lag in lags:
            yield lag, product, exponent


def flow(
    factors: np.ndarray, direction: np.ndarray, lags: Sequence[int], block: slice | None = None
) -> dict[str, np.ndarray]:
    """How much of the gradient is left, by lag, of several nets.

    Args:
      factors: (nets, T, N, N) the Jacobian of every step.
      direction: (N,) dL/ds_T, of norm 1.
      lags: increasing, from 0 to T.
      block: of the state, an LSTM's c; if given, also how much of it reaches itself.

    Returns:
      log10 of, each (nets, lags): "gradient" |dL/ds_(T-lag)|; "largest" and "median" singular value
      of ds_T/ds_(T-lag), the median NaN where rounding hides it; the norm of "whole", the Jacobian
      of the block with respect to itself, and of "direct", its part that never leaves the block:
      for c, the product of the forget gates. -inf where nothing is left.
    """
    names = ("gradient", "largest", "median", *(("whole", "direct") if block else ()))
    rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
    direct = products(factors[:, :, block, block], lags) if block else ()
    with np.errstate(divide="ignore"):
        for (_, product, exponent), alone in itertools.zip_longest(products(factors, lags), direct):
            singular = np.linalg.svd(product, compute_uv=False)
            largest, median = singular[:, 0], np.median(singular, axis=1)
            hidden = (median < ROUNDING * largest) & (median > 0)
            found = {"gradient": np.linalg.norm(direction @ product, axis=-1), "largest": largest}
            found["median"] = np.where(hidden, np.nan, median)
            if block:
                found["whole"] = np.linalg.norm(product[:, block, block], ord=2, axis=(1, 2))
            for name, values in found.items():
                rows[name].append(np.log10(values) + exponent)
            if block:
                rows["direct"].append(
                    np.log10(np.linalg.norm(alone[1], ord=2, axis=(1, 2))) + alone[2]
                )
    return {name: np.stack(values, axis=1) for name, values in rows.items()}


def spectral_radius(matrix: np.ndarray) -> float:
    """The largest modulus of an eigenvalue; NaN where the matrix is not finite."""
    return (
        float(np.abs(np.linalg.eigvals(matrix)).max())
        if np.isfinite(matrix).all()
        else float("nan")
    )


def gaussian(rng: np.random.Generator, size: int) -> np.ndarray:
    """A matrix of independent normal numbers, scaled to a spectral radius of 1: (size, size)
    float32.
    """
    matrix = rng.standard_normal((size, size))
    return (matrix / spectral_radius(matrix)).astype(np.float32)


def clip(gradient: Any, threshold: Array | float) -> tuple[Any, Array]:
    """The gradient scaled to a norm of ``threshold`` where it is longer (Pascanu et al. 2013,
    Algorithm 1), and its norm.
    """
    norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradient)))
    scale = jnp.where(norm > threshold, threshold / norm, 1.0)
    return jax.tree.map(lambda g: scale * g, gradient), norm


def omega(wh: Array, slopes: Array, gradients: Array) -> Array:
    """Pascanu's regulariser: sum_k (|dL/dh_(k+1) dh_(k+1)/dh_k| / |dL/dh_(k+1)| - 1)^2, mean over
    the batch (equation 9).

    Arguments as for ``error_growth``, at steps 1 to T; a step whose ratio means nothing is left
    out."""
    ratio, _ = error_growth(wh, slopes, gradients)
    return jnp.square(ratio - 1).sum(axis=0).mean()
