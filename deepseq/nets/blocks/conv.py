"""Two-dimensional convolution that owns its gradient on CPU.

CPU takes the forms of ``conv_cpu``; GPU and TPU get XLA's convolutions and nothing else.
"""

import functools

import jax
import numpy as np
from jax import Array, lax

from deepseq.nets.blocks.conv_cpu import forward, input_gradient, weight_gradient, xla

__all__ = ["Pads", "conv2d", "conv2d_plain"]

Pads = tuple[tuple[int, int], tuple[int, int]]


def conv2d(
    x: Array,
    w: Array,
    *,
    stride: int = 1,
    padding: str | Pads = "SAME",
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlates images with kernels: (B, H, W, C_in) and (kh, kw, C_in / groups, C_out) ->
    (B, H', W', C_out).

    Args:
      x: images, NHWC.
      w: kernels, HWIO, in x's dtype.
      stride: of the output grid, both ways.
      padding: "SAME" (H' = ceil(H / stride), the odd pixel at the bottom and right), "VALID" or
        ((top, bottom), (left, right)) zeros.
      dilation: spacing of the kernel's taps, both ways.
      groups: the channels fall into this many groups, each with its own kernels.

    Returns:
      y in x's dtype. Reverse-mode derivatives of any order; for forward mode (``jax.jvp``) take
      ``conv2d_plain``.

    Raises:
      ValueError: shapes, dtypes, padding, stride, dilation or groups that do not fit, in one line.
    """
    x, pads = _fitted(x, w, stride, padding, dilation, groups)
    if dilation != 1 or groups != 1 or 0 in x.shape or 0 in w.shape:
        return xla(x, w, stride, pads, dilation, groups)
    return _conv(x, w, stride, pads)


def conv2d_plain(
    x: Array,
    w: Array,
    *,
    stride: int = 1,
    padding: str | Pads = "SAME",
    dilation: int = 1,
    groups: int = 1,
) -> Array:
    """The same function through XLA alone, which forward-mode differentiation can go through."""
    x, pads = _fitted(x, w, stride, padding, dilation, groups)
    return xla(x, w, stride, pads, dilation, groups)


def _fitted(x, w, stride, padding, dilation, groups) -> tuple[Array, Pads]:
    """The images and the padding in pixels, so that the last windows end where the padding does.

    Padding as wide as the kernel is added here, and pixels that no window reaches are cut off:
    either would give XLA a gradient with negative padding, and on CPU it reads foreign memory then.
    """
    pads = _check(x, w, stride, padding, dilation, groups)
    fitted, edges = [], []
    for n, k, (low, high) in zip(x.shape[1:3], w.shape[:2], pads, strict=True):
        span = (k - 1) * dilation + 1
        high = (n + low + high - span) // stride * stride + span - n - low
        inside = 0 <= low < span and 0 <= high < span
        fitted.append((low, high) if inside else (0, 0))
        edges.append((0, 0, 0) if inside else (low, high, 0))
    if any(any(edge) for edge in edges):
        x = lax.pad(x, np.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])
    return x, tuple(fitted)


def _check(x, w, stride, padding, dilation, groups) -> Pads:
    """The padding in pixels, once the arguments fit together."""
    if x.ndim != 4:
        raise ValueError(f"conv2d: x has shape {x.shape}, but images are (B, H, W, C)")
    if w.ndim != 4:
        raise ValueError(
            f"conv2d: w has shape {w.shape}, but kernels are (kh, kw, C_in / groups, C_out)"
        )
    if x.dtype != w.dtype:
        raise ValueError(f"conv2d: x is {x.dtype} but w is {w.dtype}; cast one of them")
    for name, value in (("stride", stride), ("dilation", dilation), ("groups", groups)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(
                f"conv2d: {name} is {value!r}, but it must be an integer of at least 1"
            )
    if x.shape[3] % groups or w.shape[3] % groups:
        raise ValueError(
            f"conv2d: {groups} groups do not divide {x.shape[3]} channels in and {w.shape[3]} out"
        )
    if w.shape[2] * groups != x.shape[3]:
        takes = w.shape[2] * groups
        raise ValueError(
            f"conv2d: x has {x.shape[3]} channels, but w {w.shape} with {groups} group(s) takes"
            f" {takes}"
        )
    sizes, spans = x.shape[1:3], [(k - 1) * dilation + 1 for k in w.shape[:2]]
    pads = _pads(padding, sizes, spans, stride)
    for axis, n, span, pad in zip(("high", "wide"), sizes, spans, pads, strict=True):
        if n + sum(pad) < span:
            raise ValueError(
                f"conv2d: the kernel is {span} pixels {axis}, but the padded image only"
                f" {n + sum(pad)}"
            )
    return pads


def _pads(padding, sizes, spans, stride) -> Pads:
    if isinstance(padding, str) and padding == "VALID":
        return (0, 0), (0, 0)
    if isinstance(padding, str) and padding == "SAME":
        totals = [
            max((-(-n // stride) - 1) * stride + span - n, 0)
            for n, span in zip(sizes, spans, strict=True)
        ]
        return tuple((total // 2, total - total // 2) for total in totals)
    pads = np.asarray(padding) if not isinstance(padding, str) else np.array(-1)
    if pads.shape != (2, 2) or pads.dtype.kind not in "iu" or pads.min() < 0:
        raise ValueError(
            f'conv2d: unknown padding {padding!r}; take "SAME", "VALID" or ((top, bottom), (left,'
            " right)), all >= 0"
        )
    return tuple(tuple(int(p) for p in pair) for pair in pads)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x, w, stride, pads):
    cpu = functools.partial(forward, stride=stride, pads=pads)
    return _per_platform(cpu, functools.partial(xla, stride=stride, pads=pads), x, w)


def _conv_fwd(x, w, stride, pads):
    return _conv(x, w, stride, pads), (x, w)


def _conv_bwd(stride, pads, saved, g):
    x, w = saved
    kwargs = {"stride": stride, "pads": pads}
    dx = _per_platform(
        functools.partial(input_gradient, size=x.shape[1:3], **kwargs),
        lambda g, w: jax.linear_transpose(lambda x: xla(x, w, **kwargs), x)(g)[0],
        g,
        w,
    )
    dw = _per_platform(
        functools.partial(weight_gradient, size=w.shape[:2], **kwargs),
        lambda x, g: jax.linear_transpose(lambda w: xla(x, w, **kwargs), w)(g)[0],
        x,
        g,
    )
    return dx, dw


_conv.defvjp(_conv_fwd, _conv_bwd)


def _per_platform(cpu, default, *args):
    return lax.platform_dependent(*args, cpu=cpu, default=default)
