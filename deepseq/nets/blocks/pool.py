"""Pooling over windows of images, and the normalisation across channels beside it. NHWC."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from deepseq.nets.blocks.net import check_floats

__all__ = ["Pads", "adaptive_average_pool", "average_pool", "local_response_norm", "max_pool"]

Pads = tuple[tuple[int, int], tuple[int, int]]


@functools.partial(jax.jit, static_argnames=("size", "stride", "padding"))
def max_pool(
    x: Array, size: int, *, stride: int | None = None, padding: str | Pads = "VALID"
) -> Array:
    """The largest value of each window and channel: (B, H, W, C) -> (B, H', W', C).

    Args:
      x: images.
      size: of the square windows, in pixels.
      stride: of the windows; None is ``size``, which tiles the image. Smaller strides overlap
        (Krizhevsky et al. 2012, 3.4).
      padding: "VALID" (H' = floor((H - size) / stride) + 1), "CEIL" (as Caffe: rounded up, so that
        no pixel is left out, but no window begins beyond the image) or ((top, bottom), (left,
        right)); what is added never wins.

    Returns:
      (B, H', W', C); of equal values the first, in reading order, gets the gradient. ValueError for
      sizes that do not fit.
    """
    stride, pads = _check("max_pool", x, size, stride, padding)
    lowest = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)), constant_values=lowest)
    return _windows(_first_larger, x, size, stride)


@functools.partial(jax.jit, static_argnames=("size", "stride", "padding"))
def average_pool(
    x: Array, size: int, *, stride: int | None = None, padding: str | Pads = "VALID"
) -> Array:
    """The mean of each window and channel, over the pixels of it that lie in the image: (B, H, W,
    C) -> (B, H', W', C).

    Arguments, result and errors as for ``max_pool``, and ValueError for x that are no floats; the
    sums are taken at least in float32.
    """
    check_floats("average_pool", x)
    stride, pads = _check("average_pool", x, size, stride, padding)

    def total(x: Array) -> Array:
        return _windows(jnp.add, jnp.pad(x, ((0, 0), *pads, (0, 0))), size, stride)

    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (total(wide) / total(jnp.ones((1, *x.shape[1:3], 1), wide.dtype))).astype(x.dtype)


@functools.partial(jax.jit, static_argnames="size")
def adaptive_average_pool(x: Array, size: int) -> Array:
    """Means over size x size windows that cover the image, whatever its size: (B, H, W, C) -> (B,
    size, size, C).

    Window i of n pixels is floor(i n / size) to ceil((i + 1) n / size); neighbours overlap where
    ``size`` does not divide n. ValueError for images that are none, or a size below 1."""
    if x.ndim != 4 or 0 in x.shape or size < 1:
        raise ValueError(
            f"adaptive_average_pool: x {x.shape} must be (B, H, W, C), not empty, and the size"
            f" {size} at least 1"
        )
    check_floats("adaptive_average_pool", x)
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    rows, columns = (_window_means(n, size).astype(wide.dtype) for n in x.shape[1:3])
    return jnp.einsum("ih,bhwc,jw->bijc", rows, wide, columns).astype(x.dtype)


def _window_means(n: int, size: int) -> np.ndarray:
    """(size, n): row i takes the mean of window i."""
    first, pixels = np.arange(size)[:, None], np.arange(n)
    within = (pixels >= first * n // size) & (pixels < -(-(first + 1) * n // size))
    return within / within.sum(1, keepdims=True)


@functools.partial(jax.jit, static_argnames=("size", "k", "alpha", "beta"))
def local_response_norm(
    x: Array, *, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
) -> Array:
    """b_i = a_i / (k + alpha sum_j a_j^2)^beta over the ``size`` channels j around i (Krizhevsky et
    al. 2012, section 3.3).

    Args:
      x: a, (..., C).
      size: n, odd; channels beyond the ends count as 0.
      k, alpha, beta: the paper's defaults. Other than here, torch and Caffe divide alpha by n.

    Returns:
      (..., C), in the dtype of x, computed at least in float32. ValueError for an n that is not odd
      and positive, or x that are no floats.
    """
    if size < 1 or size % 2 == 0:
        raise ValueError(
            f"local_response_norm: a window of {size} channels, but it must be odd and positive"
        )
    check_floats("local_response_norm", x)
    near = [(0, 0)] * (x.ndim - 1) + [(size // 2, size // 2)]
    wide, channels = x.astype(jnp.promote_types(x.dtype, jnp.float32)), x.shape[-1]
    squares = jnp.pad(wide * wide, near)
    total = sum(squares[..., j : j + channels] for j in range(size))
    return (wide * (k + alpha * total) ** -beta).astype(x.dtype)


def _first_larger(a: Array, b: Array) -> Array:
    return jnp.where((b <= a) | jnp.isnan(a), a, b)


def _windows(combine: Callable, x: Array, size: int, stride: int) -> Array:
    """Columns first, then rows: 2 ``size`` strided slices, whose derivatives XLA:CPU does well,
    other than a window's.
    """
    for axis in (2, 1):
        last = x.shape[axis] - size
        x = functools.reduce(
            combine,
            (
                lax.slice_in_dim(x, j, j + last // stride * stride + 1, stride, axis)
                for j in range(size)
            ),
        )
    return x


def _check(
    name: str, x: Array, size: int, stride: int | None, padding: str | Pads
) -> tuple[int, Pads]:
    """The stride and the padding in pixels, once the arguments fit together."""
    stride = size if stride is None else stride
    if x.ndim != 4 or size < 1 or stride < 1:
        raise ValueError(
            f"{name}: x {x.shape} must be (B, H, W, C), the window {size} and the stride {stride}"
            " at least 1"
        )
    if padding == "VALID":
        pads = ((0, 0), (0, 0))
    elif padding == "CEIL":
        last = (min(-(-(n - size) // stride), (n - 1) // stride) * stride for n in x.shape[1:3])
        pads = tuple(
            (0, max(start + size - n, 0)) for start, n in zip(last, x.shape[1:3], strict=True)
        )
    elif isinstance(padding, str) or any(not 0 <= p < size for pair in padding for p in pair):
        raise ValueError(
            f'{name}: no padding {padding!r}; take "VALID", "CEIL" or ((top, bottom), (left,'
            f" right)), each below {size}"
        )
    else:
        pads = padding
    if any(n + sum(pad) < size for n, pad in zip(x.shape[1:3], pads, strict=True)):
        raise ValueError(
            f"{name}: windows of {size} pixels do not fit into images of {x.shape[1]} x"
            f" {x.shape[2]}"
        )
    return stride, pads
