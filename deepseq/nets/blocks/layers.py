"""The layers every image net is built of: convolution with a bias, batch normalisation, dense,
dropout, mean of the pixels.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.conv import Pads, conv2d

EPSILON = 1e-5  # of normalisations, where nothing else is said, as in Caffe's and torch's


class Net(NamedTuple):
    """A network as a pair of pure functions."""

    init: Callable  # key -> params
    apply: Callable  # (params, inputs, ...) -> (outputs, ...)


class Moments(NamedTuple):
    """Mean and biased variance of each channel."""

    mean: Array  # (C,) float32
    var: Array  # (C,) float32


class BatchNorm(NamedTuple):
    """Parameters of a batch normalisation."""

    gamma: Array  # (C,)
    beta: Array  # (C,)


class Dense(NamedTuple):
    """Parameters of an affine map."""

    w: Array  # (D_in, D_out)
    b: Array  # (D_out,)


class Conv(NamedTuple):
    """Parameters of a convolution with a bias."""

    w: Array  # (kh, kw, C_in / groups, C_out)
    b: Array  # (C_out,)


def conv(
    params: Conv, x: Array, *, stride: int = 1, padding: str | Pads = "SAME", groups: int = 1
) -> Array:
    """``conv2d`` and a bias: (B, H, W, C_in) -> (B, H', W', C_out)."""
    return conv2d(x, params.w, stride=stride, padding=padding, groups=groups) + params.b


def dense(params: Dense, x: Array) -> Array:
    """x W + b: (..., D_in) -> (..., D_out)."""
    if x.ndim < 1 or x.shape[-1] != params.w.shape[0]:
        raise ValueError(
            f"dense: x {x.shape} does not end in the {params.w.shape[0]} inputs of w"
            f" {params.w.shape}"
        )
    return x @ params.w + params.b


def dropout(rate: float, key: Array | None, x: Array) -> Array:
    """x with a fraction ``rate`` of its numbers 0 and the others scaled by 1 / (1 - rate); key None
    drops nothing.

    (Srivastava et al. 2014, scaled in training rather than in use.) ValueError for a rate outside
    0..1."""
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: the rate is {rate}, but must be from 0 to below 1")
    if key is None or not rate:
        return x
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0).astype(
        x.dtype
    )


def check_images(name: str, x: Array, channels: int, smallest: int) -> None:
    """ValueError for x that is not (B, H, W, channels) with H and W of at least ``smallest``."""
    if x.ndim != 4 or x.shape[-1] != channels:
        raise ValueError(f"{name}: x {x.shape} must be images (B, H, W, C) of {channels} channels")
    if min(x.shape[1:3]) < smallest:
        raise ValueError(
            f"{name}: images of {x.shape[1]} x {x.shape[2]}, but it takes no smaller ones than"
            f" {smallest} x {smallest}"
        )


@jax.jit  # has a name in a net's jaxpr
def global_average_pool(x: Array) -> Array:
    """Means over the pixels: (B, H, W, C) -> (B, C)."""
    if x.ndim != 4:
        raise ValueError(f"global_average_pool: x has shape {x.shape}, but images are (B, H, W, C)")
    return x.mean(axis=(1, 2))


def batch_norm(
    params: BatchNorm, x: Array, running: Moments | None, *, epsilon: float = EPSILON
) -> tuple[Array, Moments]:
    """Batch normalisation over all axes but the last: (..., C) -> (..., C) (Ioffe, Szegedy 2015,
    Algorithm 1).

    Args:
      params: gamma and beta, (C,).
      x: (B, C) or (B, H, W, C).
      running: moments to normalise by, or None for those of the batch.
      epsilon: added to the variance.

    Returns:
      y = gamma (x - mean) / sqrt(var + epsilon) + beta in x's dtype, and the moments used (float32,
      biased variance); reverse-mode gradients flow through both. The moments stay exact far from
      zero: var within 1e-4 at mean 1000 and deviation 0.01.

    Raises:
      ValueError: gamma or beta does not fit x.
    """
    if x.ndim < 2 or params.gamma.shape != x.shape[-1:] or params.beta.shape != x.shape[-1:]:
        raise ValueError(
            f"batch_norm: gamma {params.gamma.shape} and beta {params.beta.shape} do not fit x"
            f" {x.shape}, whose last axis is the channels"
        )
    if running is None:
        y, mean, var = _normalise(x, params.gamma, params.beta, epsilon)
        return y, Moments(mean, var)
    scale = params.gamma * jax.lax.rsqrt(running.var + epsilon)
    return ((x - running.mean) * scale + params.beta).astype(x.dtype), running


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def _normalise(x, gamma, beta, epsilon):
    return _normalise_fwd(x, gamma, beta, epsilon)[0]


def _normalise_fwd(x, gamma, beta, epsilon):
    axes = tuple(range(x.ndim - 1))
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # The first mean carries the rounding of a long sum of large numbers; d is small, and its mean
    # is what is left to correct.
    shift = wide.mean(axes)
    d = wide - shift
    rest = d.mean(axes)
    var = jnp.maximum((d * d).mean(axes) - rest * rest, 0)
    inverse = jax.lax.rsqrt(var + epsilon)
    y = (d - rest) * (gamma * inverse) + beta
    return (y.astype(x.dtype), shift + rest, var), (x, shift, rest, inverse, gamma, beta)


def _normalise_bwd(epsilon, saved, cotangents):
    del epsilon
    x, shift, rest, inverse, gamma, beta = saved
    dy, dmean, dvar = cotangents
    axes, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    d = (
        x.astype(shift.dtype) - shift
    )  # as in the forward pass, so that XLA computes it once; d - rest is centred
    dy = dy.astype(shift.dtype)
    dbeta = dy.sum(axes)
    dgamma = ((dy * d).sum(axes) - rest * dbeta) * inverse
    # dL/dx of the paper's section 3, its three sums over the batch gathered into one factor of x
    # and one constant
    slope = (2 * dvar - gamma * inverse * inverse * dgamma) / n
    dx = (gamma * inverse) * dy + slope * d + ((dmean - gamma * inverse * dbeta) / n - slope * rest)
    return dx.astype(x.dtype), dgamma.astype(gamma.dtype), dbeta.astype(beta.dtype)


_normalise.defvjp(_normalise_fwd, _normalise_bwd)
