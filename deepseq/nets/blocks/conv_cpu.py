"""A convolution and its two gradients, each as an operation that XLA:CPU does well, inside loops
and out.

XLA:CPU's own weight gradient fuses whatever computes its operands into a strided transposition,
repeats that work for every channel, and falls back to a naive loop inside ``scan``. What each form
gained is in ``benchmarks/NOTES.md``."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

__all__ = ["forward", "input_gradient", "weight_gradient", "xla"]

# of Python 3.11: many convolutions on one core, barriers do not stop fusion
_BEFORE_0_11 = jax.__version_info__ < (0, 11)
# numbers copied for one block of the crossed weight gradient, 4 MB, so that they stay in cache
_BLOCK = 2**20
_IMAGES = 16  # and the most images in it
# multiply-adds below which the crossed form gains nothing and only takes longer to compile
_WORK = 2**26


def xla(x, w, stride, pads, dilation=1, groups=1):
    """The convolution as XLA has it."""
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        pads,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


def _pointwise(size, pads) -> bool:
    """Whether a convolution is a matrix product at every pixel, which XLA:CPU does twice as fast as
    one.
    """
    return size == (1, 1) and pads == ((0, 0), (0, 0))


def _wide(x):
    return jnp.promote_types(x.dtype, jnp.float32)


def forward(x, w, stride, pads):
    """y (B, H', W', C_out) of x (B, H, W, C_in) and w (kh, kw, C_in, C_out), padded by ``pads``
    pixels.
    """
    if _pointwise(w.shape[:2], pads):
        return jnp.dot(x[:, ::stride, ::stride], w[0, 0], preferred_element_type=_wide(x)).astype(
            x.dtype
        )
    sizes = list(zip(x.shape[1:3], w.shape[:2], pads, strict=True))
    if any(n < k for n, k, _ in sizes) and all(
        (n + sum(pad) - k) // stride + 1 <= n for n, k, pad in sizes
    ):
        return _im2col(x, w, stride, pads)
    if not (_BEFORE_0_11 and stride == 1 and w.shape[0] > 1 and min(w.shape[2:]) >= 32):
        return xla(x, w, stride, pads)
    # jax 0.10 sends these to a kernel that runs on one core, unless the padding exceeds the kernel:
    # ask for more rows of output than wanted.
    (top, bottom), across = pads
    rows = max(w.shape[0] - (top + bottom), 0)
    return xla(x, w, 1, ((top + rows, bottom), across))[:, rows:]


def _im2col(x, w, stride, pads):
    """All windows in one matmul: for images smaller than the kernel XLA takes a naive loop, some 10
    to 100 times slower.
    """
    kh, kw, c_in, c_out = w.shape
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    b, height, width, _ = x.shape
    h, v = (height - kh) // stride + 1, (width - kw) // stride + 1
    rows = np.arange(h)[:, None, None, None] * stride + np.arange(kh)[:, None]
    columns = np.arange(v)[:, None, None] * stride + np.arange(kw)
    windows = jnp.take(
        x.reshape(b, -1, c_in), (rows * width + columns).ravel(), axis=1, mode="clip"
    )
    wide = _wide(x)
    y = jnp.dot(windows.reshape(b * h * v, -1), w.reshape(-1, c_out), preferred_element_type=wide)
    return y.reshape(b, h, v, c_out).astype(x.dtype)


def input_gradient(g, w, size, stride, pads):
    """dL/dx (B, H, W, C_in) of g = dL/dy (B, H', W', C_out)."""
    kh, kw, c_in, c_out = w.shape
    if _pointwise((kh, kw), pads):
        dx = jnp.dot(g, w[0, 0].T, preferred_element_type=_wide(g)).astype(g.dtype)
        beyond = [
            (0, n - (m - 1) * stride - 1, stride - 1)
            for n, m in zip(size, g.shape[1:3], strict=True)
        ]
        return (
            lax.pad(dx, jnp.zeros((), g.dtype), [(0, 0, 0), *beyond, (0, 0, 0)])
            if stride > 1
            else dx
        )
    if stride == 1:  # the correlation of g with the flipped kernel
        flipped = tuple(
            (k - 1 - lo, n + k - 1 - m - (k - 1 - lo))
            for k, n, m, (lo, _) in zip((kh, kw), size, g.shape[1:3], pads, strict=True)
        )
        if min(min(flipped)) >= 0:
            return forward(g, jnp.flip(w, (0, 1)).swapaxes(2, 3), 1, flipped)
    if stride == 1 or c_in >= 32:
        x = jax.ShapeDtypeStruct((g.shape[0], *size, c_in), g.dtype)
        return jax.linear_transpose(lambda x: xla(x, w, stride, pads), x)(g)[0]
    # Pixels of one remainder modulo the stride see the same taps: correlate for all remainders at
    # once, as channels, and interleave. XLA's own form dilates g with zeros, and takes a naive loop
    # for few channels.
    th, tw = -(-kh // stride), -(-kw // stride)
    taps = jnp.pad(w, ((0, th * stride - kh), (0, tw * stride - kw), (0, 0), (0, 0)))
    taps = jnp.flip(taps.reshape(th, stride, tw, stride, c_in, c_out), (0, 2)).transpose(
        0, 2, 5, 1, 3, 4
    )
    y = xla(g, taps.reshape(th, tw, c_out, -1), 1, ((th - 1, th - 1), (tw - 1, tw - 1)))
    b, h, v, _ = y.shape
    dx = (
        y.reshape(b, h, v, stride, stride, c_in)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(b, h * stride, v * stride, c_in)
    )
    (top, _), (left, _) = pads
    short = [max(lo + n - m, 0) for lo, n, m in zip((top, left), size, dx.shape[1:3], strict=True)]
    # pixels that no window reached
    dx = jnp.pad(dx, ((0, 0), (0, short[0]), (0, short[1]), (0, 0)))
    return dx[:, top : top + size[0], left : left + size[1]]


def weight_gradient(x, g, size, stride, pads):
    """dL/dw (kh, kw, C_in, C_out) of x and g = dL/dy."""
    if _pointwise(size, pads):
        x = x[:, ::stride, ::stride].reshape(-1, x.shape[3])
        return jnp.dot(x.T, g.reshape(-1, g.shape[3]), preferred_element_type=_wide(x)).astype(
            x.dtype
        )[None, None]
    wide = _wide(x)
    work = g.size * size[0] * size[1] * x.shape[3]  # multiply-adds
    form = _crossed if _BEFORE_0_11 and max(size) <= 5 and work >= _WORK else _transposed
    return form(x.astype(wide), g.astype(wide), size, stride, pads).astype(x.dtype)


def _transposed(x, g, size, stride, pads):
    """dw as a forward convolution, channels for images and images for channels, in XLA's own order
    of axes.

    XLA would come to the same from its transposed convolution, but not inside a loop; and the
    barrier keeps the work that computes x and g out of the transposition."""
    x, g = lax.optimization_barrier((x, g))
    upto = [
        (m - 1) * stride + k - n - lo
        for m, k, n, (lo, _) in zip(g.shape[1:3], size, x.shape[1:3], pads, strict=True)
    ]
    dw = lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        g.transpose(1, 2, 0, 3),
        (1, 1),
        [(lo, hi) for (lo, _), hi in zip(pads, upto, strict=True)],
        rhs_dilation=(stride, stride),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return dw.transpose(1, 2, 0, 3)


def _crossed(x, g, size, stride, pads):
    """dw as matmuls over blocks of images: kw columns of x side by side against kh rows of g, hence
    every tap at once.

    dw[i, j] = sum_{r, v} x[r, stride v + j] g[(r - i) / stride, v], r the padded rows: x is copied
    kw times and g kh / stride times, where im2col copies x kh kw times."""
    (kh, kw), (b, h, v, c_out), c_in = size, g.shape, x.shape[3]
    taps_of = [
        len(range(first, kh, stride)) for first in range(min(stride, kh))
    ]  # of each remainder modulo the stride
    most = taps_of[0]
    per_image = (h + most - 1) * v * (kw * c_in * min(stride, kh) + kh * c_out)
    n = min(b, _IMAGES, 1 << max(0, (_BLOCK // per_image).bit_length() - 1))
    blocks = -(-b // n)
    if blocks * n > b:
        x, g = (_pad(a, (0, blocks * n - b), (0, 0), (0, 0), (0, 0)) for a in (x, g))

    def block(k, sums):
        # Sliced, not scanned over as (blocks, n, ...): of x in another shape XLA would compute a
        # second copy.
        x_k, g_k = (lax.dynamic_slice_in_dim(a, k * n, n) for a in (x, g))
        x_k = _pad(x_k, (0, 0), *pads, (0, 0))
        g_k = _pad(g_k, (0, 0), (most - 1, most - 1), (0, 0), (0, 0))
        products = []
        for first, taps in enumerate(taps_of):
            rows, columns = h + taps - 1, (v - 1) * stride + 1
            x_rows = x_k[:, first : first + (rows - 1) * stride + 1 : stride]
            xs = _side_by_side([x_rows[:, :, j : j + columns : stride] for j in range(kw)])
            gs = _side_by_side([g_k[:, most - 1 - t : most - 1 - t + rows] for t in range(taps)])
            products.append(xs.reshape(-1, kw * c_in).T @ gs.reshape(-1, taps * c_out))
        return [dw + product for dw, product in zip(sums, products, strict=True)]

    zeros = [jnp.zeros((kw * c_in, taps * c_out), x.dtype) for taps in taps_of]
    sums = lax.fori_loop(0, blocks, block, zeros)
    dw = [
        part.reshape(kw, c_in, taps, c_out).transpose(2, 0, 1, 3)
        for part, taps in zip(sums, taps_of, strict=True)
    ]
    return dw[0] if stride == 1 else jnp.stack([dw[i % stride][i // stride] for i in range(kh)])


def _side_by_side(parts):
    """Concatenation along channels as a sum of padded parts: XLA:CPU's own takes longer, to compile
    even twice as long.
    """
    c, n = parts[0].shape[3], len(parts)
    padded = [
        _pad(part, (0, 0), (0, 0), (0, 0), (i * c, (n - 1 - i) * c)) for i, part in enumerate(parts)
    ]
    return functools.reduce(lax.add, padded)


def _pad(x, *widths):
    """``jnp.pad`` with zeros, for a program of fewer operations: it is compiled once a block of a
    net.
    """
    return lax.pad(x, np.zeros((), x.dtype), [(lo, hi, 0) for lo, hi in widths])
