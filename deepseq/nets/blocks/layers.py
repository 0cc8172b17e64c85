"""The layers every image net is built of: convolution with a bias, batch normalisation, dense,
dropout, mean of the pixels.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from deepseq.nets.blocks.conv import Pads, conv2d
from deepseq.nets.blocks.inside import Probes
from deepseq.nets.blocks.net import Classifier, check_floats

__all__ = [
    "BNConv",
    "BatchNorm",
    "Conv",
    "ConvBN",
    "Dense",
    "EPSILON",
    "Moments",
    "batch_norm",
    "check_images",
    "check_rate",
    "conv",
    "conv_bn",
    "dense",
    "dropout",
    "global_average_pool",
    "part",
    "pooled_classifier",
    "relu_conv",
]

EPSILON = 1e-5  # of normalisations, where nothing else is said, as in Caffe's and torch's


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


class ConvBN(NamedTuple):
    """A convolution and the batch normalisation of its output; in moments, those take its place."""

    w: Array  # (k, k, C_in, C_out)
    bn: BatchNorm  # over C_out


class BNConv(NamedTuple):
    """A convolution of what is normalised and rectified before it."""

    bn: BatchNorm  # over C_in
    w: Array  # (k, k, C_in, C_out)


def conv(
    params: Conv, x: Array, *, stride: int = 1, padding: str | Pads = "SAME", groups: int = 1
) -> Array:
    """``conv2d`` and a bias: (B, H, W, C_in) -> (B, H', W', C_out)."""
    return conv2d(x, params.w, stride=stride, padding=padding, groups=groups) + params.b


def relu_conv(params: Conv, x: Array, **options: Any) -> Array:
    """``conv`` and a ReLU."""
    return jax.nn.relu(conv(params, x, **options))


@functools.partial(jax.jit, static_argnames=("stride", "epsilon"))  # traced once for all of a shape
def conv_bn(
    params: ConvBN, x: Array, running: Any, *, stride: int = 1, epsilon: float = EPSILON
) -> tuple[Array, Moments]:
    """A convolution, padded by half its kernel, then ``batch_norm``: its output and moments."""
    pad = params.w.shape[0] // 2
    y = conv2d(x, params.w, stride=stride, padding=((pad, pad), (pad, pad)))
    return batch_norm(params.bn, y, running, epsilon=epsilon)


def dense(params: Dense, x: Array) -> Array:
    """x W + b: (..., D_in) -> (..., D_out)."""
    if x.ndim < 1 or x.shape[-1] != params.w.shape[0]:
        raise ValueError(
            f"dense: x {x.shape} does not end in the {params.w.shape[0]} inputs of w"
            f" {params.w.shape}"
        )
    return x @ params.w + params.b


def dropout(
    rate: float, key: Array | None, x: Array, *, shape: tuple[int, ...] | None = None
) -> Array:
    """x with a fraction ``rate`` of its numbers 0 and the others scaled by 1 / (1 - rate).

    (Srivastava et al. 2014, scaled in training rather than in use.)

    Args:
      rate: from 0 to below 1.
      key: PRNG key; None drops nothing.
      x: of any shape.
      shape: of the draw, which is broadcast to x's; None draws for every number by itself.

    Raises:
      ValueError: a rate outside 0..1, or x that are no floats.
    """
    check_rate("dropout", rate)
    check_floats("dropout", x)
    if key is None or not rate:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, x.shape if shape is None else shape)
    return jnp.where(keep, x / (1 - rate), 0).astype(x.dtype)


def check_rate(name: str, rate: float) -> None:
    """ValueError for a dropout rate outside 0..1."""
    if not 0 <= rate < 1:
        raise ValueError(f"{name}: the rate is {rate}, but must be from 0 to below 1")


def part(running: Any, *path: str | int) -> Any:
    """Running moments of a part, as ``part(running, "blocks", 3)``; None where there are none."""
    for step in path:
        if running is None:
            return None
        running = running[step] if isinstance(step, int) else getattr(running, step)
    return running


def check_images(
    name: str, x: Array, channels: int, smallest: int, size: int | None = None
) -> None:
    """ValueError unless x is (B, H, W, channels), H and W of ``size``, or at least ``smallest``."""
    if x.ndim != 4 or x.shape[-1] != channels:
        raise ValueError(f"{name}: x {x.shape} must be images (B, H, W, C) of {channels} channels")
    if min(x.shape[1:3]) < smallest:
        raise ValueError(
            f"{name}: images of {x.shape[1]} x {x.shape[2]}, but it takes no smaller ones than"
            f" {smallest} x {smallest}"
        )
    if size is not None and x.shape[1:3] != (size, size):
        raise ValueError(
            f"{name}: images of {x.shape[1]} x {x.shape[2]}, but it was made with image_size={size}"
        )


@jax.jit  # has a name in a net's jaxpr
def global_average_pool(x: Array) -> Array:
    """Means over the pixels: (B, H, W, C) -> (B, C)."""
    if x.ndim != 4:
        raise ValueError(f"global_average_pool: x has shape {x.shape}, but images are (B, H, W, C)")
    return x.mean(axis=(1, 2))


def pooled_classifier(init: Callable, features: Callable) -> Classifier:
    """The Classifier of the means over the last maps' pixels and a dense layer, ``params.head``."""

    def apply(params: Any, x: Array, *, running, key: Array | None, probes: Probes | None = None):
        maps, moments = features(params, x, running=running, key=key, probes=probes)
        return dense(params.head, global_average_pool(maps)), moments

    return Classifier(init, apply, features)


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
      ValueError: gamma or beta does not fit x, or x are no floats.
    """
    check_floats("batch_norm", x)
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
    # as in the forward pass, so that XLA computes it once; d - rest is centred
    d = x.astype(shift.dtype) - shift
    dy = dy.astype(shift.dtype)
    dbeta = dy.sum(axes)
    dgamma = ((dy * d).sum(axes) - rest * dbeta) * inverse
    # dL/dx of the paper's section 3, its three sums over the batch gathered into one factor of x
    # and one constant
    slope = (2 * dvar - gamma * inverse * inverse * dgamma) / n
    dx = (gamma * inverse) * dy + slope * d + ((dmean - gamma * inverse * dbeta) / n - slope * rest)
    return dx.astype(x.dtype), dgamma.astype(gamma.dtype), dbeta.astype(beta.dtype)


_normalise.defvjp(_normalise_fwd, _normalise_bwd)
