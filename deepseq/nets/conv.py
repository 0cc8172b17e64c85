"""Two-dimensional convolution that owns its gradient on CPU."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

Array = jax.Array
Padding = str | tuple[tuple[int, int], tuple[int, int]]


def conv2d(x: Array, w: Array, *, stride: int = 1, padding: Padding = "SAME", dilation: int = 1, groups: int = 1) -> Array:
    """Cross-correlates images with kernels: (B, H, W, C_in) and (kh, kw, C_in / groups, C_out) -> (B, H', W', C_out)."""
    pads = _check(x, w, stride, padding, dilation, groups)
    if dilation != 1 or groups != 1:
        return _lax(x, w, stride, pads, dilation, groups)
    return _conv(x, w, stride, pads)


def conv2d_plain(x: Array, w: Array, *, stride: int = 1, padding: Padding = "SAME", dilation: int = 1, groups: int = 1):
    """The same function through XLA alone, which forward-mode differentiation (``jax.jvp``) can go through."""
    return _lax(x, w, stride, _check(x, w, stride, padding, dilation, groups), dilation, groups)


def _check(x, w, stride, padding, dilation, groups):
    if x.ndim != 4:
        raise ValueError(f"conv2d: x has shape {x.shape}, but images are (B, H, W, C)")
    if w.ndim != 4:
        raise ValueError(f"conv2d: w has shape {w.shape}, but kernels are (kh, kw, C_in / groups, C_out)")
    for name, value in (("stride", stride), ("dilation", dilation), ("groups", groups)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"conv2d: {name} is {value!r}, but it must be an integer of at least 1")
    if x.shape[3] % groups or w.shape[3] % groups:
        raise ValueError(f"conv2d: {groups} groups divide not both {x.shape[3]} channels in and {w.shape[3]} out")
    if w.shape[2] * groups != x.shape[3]:
        raise ValueError(
            f"conv2d: x has {x.shape[3]} channels, but w of shape {w.shape} with {groups} groups takes {w.shape[2] * groups}"
        )
    spans = [(k - 1) * dilation + 1 for k in w.shape[:2]]
    if padding == "SAME":
        totals = [max((-(-n // stride) - 1) * stride + s - n, 0) for n, s in zip(x.shape[1:3], spans, strict=True)]
        pads = tuple((total // 2, total - total // 2) for total in totals)
    elif padding == "VALID":
        pads = ((0, 0), (0, 0))
    else:
        try:
            (top, bottom), (left, right) = padding
            pads = ((int(top), int(bottom)), (int(left), int(right)))
        except (TypeError, ValueError):
            pads = ((-1, 0), (0, 0))
        if isinstance(padding, str) or min(min(pads)) < 0:
            raise ValueError(
                f'conv2d: unknown padding {padding!r}; take "SAME", "VALID" or ((top, bottom), (left, right)), none negative'
            )
    for name, n, s, pad in zip(("high", "wide"), x.shape[1:3], spans, pads, strict=True):
        if n + sum(pad) < s:
            raise ValueError(f"conv2d: the kernel is {s} pixels {name} (dilated), the padded image only {n + sum(pad)}")
    return pads


def _lax(x, w, stride, pads, dilation=1, groups=1):
    return lax.conv_general_dilated(
        x,
        w,
        (stride, stride),
        pads,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv(x, w, stride, pads):
    return _lax(x, w, stride, pads)


def _conv_fwd(x, w, stride, pads):
    return _conv(x, w, stride, pads), (x, w)


def _conv_bwd(stride, pads, saved, g):
    x, w = saved
    (dx,) = jax.linear_transpose(lambda x: _lax(x, w, stride, pads), x)(g)
    dw = lax.platform_dependent(
        x,
        g,
        cpu=functools.partial(_weight_gradient, size=w.shape[:2], stride=stride, pads=pads),
        default=lambda x, g: jax.linear_transpose(lambda w: _lax(x, w, stride, pads), w)(g)[0],
    )
    return dx, dw.astype(w.dtype)


_conv.defvjp(_conv_fwd, _conv_bwd)

_IMAGES = 8


def _weight_gradient(x, g, size, stride, pads):
    (kh, kw), (b, h, w_out, c_out), c_in = size, g.shape, x.shape[3]
    n = min(_IMAGES, b)
    rest = -b % n
    x = jnp.pad(x, ((0, rest), *pads, (0, 0))).reshape(-1, n, *(s + sum(p) for s, p in zip(x.shape[1:3], pads, strict=True)), c_in)
    g = jnp.pad(g, ((0, rest), (0, 0), (0, 0), (0, 0))).reshape(-1, n * h * w_out, c_out)

    def add(dw, images):
        x, g = images
        patches = jnp.concatenate(
            [x[:, i : i + (h - 1) * stride + 1 : stride, j : j + (w_out - 1) * stride + 1 : stride]
             for i in range(kh) for j in range(kw)],
            axis=-1,
        ).reshape(n * h * w_out, -1)
        return dw + jnp.dot(patches.T, g, preferred_element_type=jnp.float32), None

    dw, _ = lax.scan(add, jnp.zeros((kh * kw * c_in, c_out), jnp.float32), (x, g))
    return dw.reshape(kh, kw, c_in, c_out).astype(x.dtype)
