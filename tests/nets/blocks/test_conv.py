"""conv2d equals jax.lax's, torch's and a six-loop NumPy convolution, values and gradients, and says
what is wrong.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from deepseq.nets.blocks import conv, conv_cpu

SEED = 20151210


@pytest.fixture(params=[False, True], ids=["transposed", "crossed"])
def form(request, monkeypatch):
    """Both forms of the CPU code, whichever this version of JAX would choose."""
    monkeypatch.setattr(conv_cpu, "_BEFORE_0_11", request.param)
    monkeypatch.setattr(conv_cpu, "_WORK", 0)
    monkeypatch.setattr(conv_cpu, "_BLOCK", 4000)  # several blocks, also for small images
    jax.clear_caches()
    return request.param


def draw(*shapes, seed=SEED):
    rng = np.random.default_rng(seed)
    return [
        rng.standard_normal(shape).astype(np.float32) / np.sqrt(np.prod(shape[:-1]) or 1)
        for shape in shapes
    ]


def value_and_grads(f, x, w):
    def loss(x, w):
        y = f(x, w)
        return (y * jnp.cos(jnp.arange(y.size).reshape(y.shape))).sum(), y

    (_, y), grads = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(x, w)
    return (y, *grads)


def assert_equal(ours, theirs, tolerance=1e-5):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1e-3))


def six_loops(x, w, stride, pads, dilation=1, groups=1):
    """The definition."""
    x = np.pad(x, ((0, 0), *pads, (0, 0))).astype(np.float64)
    kh, kw, c_group, c_out = w.shape
    rows = (x.shape[1] - (kh - 1) * dilation - 1) // stride + 1
    columns = (x.shape[2] - (kw - 1) * dilation - 1) // stride + 1
    y = np.zeros((len(x), rows, columns, c_out))
    for r in range(rows):
        for v in range(columns):
            for o in range(c_out):
                first = o // (c_out // groups) * c_group
                for i in range(kh):
                    for j in range(kw):
                        for c in range(c_group):
                            pixels = x[
                                :, r * stride + i * dilation, v * stride + j * dilation, first + c
                            ]
                            y[:, r, v, o] += pixels * w[i, j, c, o]
    return y


@pytest.mark.parametrize(
    "stride, pads, dilation, groups",
    [
        (1, ((1, 1), (1, 1)), 1, 1),
        (2, ((0, 2), (1, 0)), 1, 1),
        (3, ((0, 0), (0, 0)), 1, 2),
        (1, ((2, 1), (0, 2)), 2, 1),
    ],
)
def test_equals_six_loops(stride, pads, dilation, groups):
    x, w = draw((2, 7, 6, 4), (3, 2, 4 // groups, 4))
    y = conv.conv2d(x, w, stride=stride, padding=pads, dilation=dilation, groups=groups)
    np.testing.assert_allclose(y, six_loops(x, w, stride, pads, dilation, groups), atol=1e-6)


CASES = [
    # batch, height, width, c_in, c_out, kernel, stride, padding
    (5, 8, 8, 3, 16, (3, 3), 1, "SAME"),
    (7, 9, 6, 4, 8, (3, 3), 2, "SAME"),
    (3, 8, 11, 4, 5, (3, 3), 2, ((1, 1), (1, 1))),
    (3, 13, 8, 2, 3, (5, 3), 3, "VALID"),
    (2, 14, 14, 2, 3, (11, 11), 4, "SAME"),
    (4, 6, 6, 8, 4, (1, 1), 1, "VALID"),
    (4, 7, 7, 8, 4, (1, 1), 2, "SAME"),
    (4, 9, 9, 3, 2, (2, 2), 4, "VALID"),
    (3, 8, 8, 33, 32, (3, 3), 1, "SAME"),
    (3, 5, 6, 32, 40, (3, 3), 1, ((0, 2), (2, 0))),
    (2, 9, 9, 32, 33, (3, 3), 2, ((1, 1), (1, 1))),
    (2, 5, 5, 2, 2, (4, 2), 3, ((3, 5), (4, 0))),
    (1, 12, 12, 2, 2, (7, 7), 1, ((6, 6), (0, 8))),
    (3, 3, 3, 2, 4, (3, 3), 1, "VALID"),
    (6, 2, 2, 5, 7, (3, 3), 1, ((1, 1), (1, 1))),  # smaller than the kernel
    (4, 2, 5, 3, 4, (3, 3), 2, "SAME"),
    (3, 1, 4, 2, 3, (3, 5), 1, "SAME"),
    (3, 2, 2, 2, 3, (3, 3), 1, ((3, 3), (2, 2))),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_equals_lax(form, case):
    b, h, v, c_in, c_out, size, stride, padding = case
    x, w = draw((b, h, v, c_in), (*size, c_in, c_out))
    ours, plain = (
        value_and_grads(functools.partial(f, stride=stride, padding=padding), x, w)
        for f in (conv.conv2d, conv.conv2d_plain)
    )
    lax = jax.lax.conv_general_dilated(
        x, w, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    assert_equal(ours, plain)
    assert_equal(plain[:1], [lax])


@pytest.mark.parametrize("seed", range(6))
def test_equals_lax_on_random_shapes(form, seed):
    rng = np.random.default_rng(seed)
    size, stride = rng.integers(1, 6, 2), int(rng.integers(1, 5))
    pads = tuple(map(tuple, rng.integers(0, 4, (2, 2)).tolist()))
    b, c_in, c_out = rng.integers(1, 7, 3)
    x, w = draw((b, *rng.integers(6, 12, 2), c_in), (*size, c_in, c_out), seed=seed)
    ours, plain = (
        value_and_grads(functools.partial(f, stride=stride, padding=pads), x, w)
        for f in (conv.conv2d, conv.conv2d_plain)
    )
    assert_equal(ours, plain)


@pytest.mark.parametrize(
    "stride, padding, dilation, groups",
    [
        (1, 1, 1, 1),
        (2, 1, 1, 1),
        (3, 0, 1, 1),
        (4, 2, 1, 1),
        (1, 1, 1, 2),
        (2, 2, 2, 4),
        (1, 2, 3, 1),
    ],
)
def test_equals_torch(form, stride, padding, dilation, groups):
    torch = pytest.importorskip("torch")
    x, w = draw((3, 9, 8, 8), (3, 3, 8 // groups, 4))
    pads = ((padding, padding), (padding, padding))
    ours = value_and_grads(
        functools.partial(
            conv.conv2d, stride=stride, padding=pads, dilation=dilation, groups=groups
        ),
        x,
        w,
    )
    tx = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    tw = torch.tensor(w.transpose(3, 2, 0, 1), requires_grad=True)
    ty = torch.nn.functional.conv2d(tx, tw, None, stride, padding, dilation, groups)
    weights = np.cos(np.arange(ours[0].size)).reshape(ours[0].shape).astype(np.float32)
    (ty * torch.tensor(weights.transpose(0, 3, 1, 2))).sum().backward()
    theirs = (
        ty.detach().numpy().transpose(0, 2, 3, 1),
        tx.grad.numpy().transpose(0, 2, 3, 1),
        tw.grad.numpy().transpose(2, 3, 1, 0),
    )
    assert_equal(ours, theirs, 1e-5)


def test_gradient_of_gradient_equals_lax(form):
    x, w = draw((3, 6, 6, 3), (3, 3, 3, 4))

    def penalty(f, x, w):
        dx, dw = jax.grad(lambda x, w: (f(x, w, stride=2) ** 3).sum(), (0, 1))(x, w)
        return (dx**2).sum() + (dw**2).sum()

    ours, plain = (
        jax.grad(functools.partial(penalty, f), (0, 1))(x, w)
        for f in (conv.conv2d, conv.conv2d_plain)
    )
    assert_equal(ours, plain, 1e-4)


def test_vmap_remat_and_scan_change_nothing(form):
    x, w = draw((4, 2, 6, 6, 3), (3, 3, 3, 3))
    one = jax.jit(jax.grad(lambda w, x: (conv.conv2d(x, w) ** 2).sum()))
    each = np.stack([one(w, image) for image in x])
    np.testing.assert_allclose(jax.vmap(one, (None, 0))(w, x), each, atol=1e-5)
    remat = jax.grad(lambda w, x: (jax.checkpoint(conv.conv2d)(x, w) ** 2).sum())
    np.testing.assert_allclose(remat(w, x[0]), each[0], atol=1e-5)
    total, _ = jax.lax.scan(
        lambda total, image: (total + one(w, image), None), jnp.zeros_like(w), x
    )
    np.testing.assert_allclose(total, each.sum(0), atol=1e-5)


def test_bfloat16_is_accumulated_in_float32(form):
    """The error is that of rounding the inputs and the result, not that of summing 4608 terms in 8
    bits.
    """
    x, w = (a.astype(jnp.bfloat16) for a in draw((8, 24, 24, 4), (3, 3, 4, 4)))
    low = value_and_grads(conv.conv2d, x, w)
    high = value_and_grads(conv.conv2d, x.astype(jnp.float32), w.astype(jnp.float32))
    assert [a.dtype for a in low] == [jnp.bfloat16] * 3
    assert_equal([a.astype(jnp.float32) for a in low], high, 0.02)


def test_finite_differences(form):
    x, w = draw((2, 6, 7, 2), (3, 3, 2, 3))
    f = functools.partial(conv.conv2d, stride=2)
    check_grads(f, (x, w), order=2, modes=["rev"], atol=0.02, rtol=0.02)


def test_forward_mode_goes_through_the_plain_one():
    x, w = draw((2, 6, 6, 2), (3, 3, 2, 3))
    y, tangent = jax.jvp(conv.conv2d_plain, (x, w), (x, w))
    np.testing.assert_allclose(tangent, 2 * y, atol=1e-5)  # bilinear


def test_gradient_exports_for_every_platform():
    x, w = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((4, 8, 8, 16), (3, 3, 16, 16)))
    step = jax.jit(jax.grad(lambda w, x: conv.conv2d(x, w, stride=2).sum()))
    exported = jax.export.export(step, platforms=("cpu", "cuda", "tpu"))(w, x)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    for platform in ("cuda", "tpu"):  # alone, it is XLA's transposed convolution and no more
        text = jax.export.export(step, platforms=(platform,))(w, x).mlir_module()
        assert "while" not in text and "gather" not in text and "optimization_barrier" not in text


X, W = (
    jax.ShapeDtypeStruct((2, 8, 8, 4), jnp.float32),
    jax.ShapeDtypeStruct((3, 3, 4, 6), jnp.float32),
)


@pytest.mark.parametrize(
    "x, w, kwargs, message",
    [
        (X.update(shape=(8, 8, 4)), W, {}, r"images are \(B, H, W, C\)"),
        (X, W.update(shape=(3, 3, 4)), {}, "kernels are"),
        (X, W.update(dtype=jnp.bfloat16), {}, "float32 but w is bfloat16"),
        (X, W.update(shape=(3, 3, 5, 6)), {}, "x has 4 channels"),
        (X, W.update(shape=(3, 3, 1, 6)), {"groups": 3}, "3 groups do not divide 4 channels in"),
        (X, W, {"groups": 2}, "with 2 group"),
        (X, W, {"stride": 0}, "stride is 0"),
        (X, W, {"stride": 1.5}, "stride is 1.5"),
        (X, W, {"dilation": -1}, "dilation is -1"),
        (X, W, {"padding": "same"}, "unknown padding 'same'"),
        (X, W, {"padding": 1}, "unknown padding 1"),
        (X, W, {"padding": ((-1, 0), (0, 0))}, "all >= 0"),
        (
            X,
            W.update(shape=(9, 3, 4, 6)),
            {"padding": "VALID"},
            "9 pixels high, but the padded image only 8",
        ),
        (X, W, {"padding": "VALID", "dilation": 4}, "9 pixels high"),
    ],
)
def test_says_what_is_wrong(x, w, kwargs, message):
    with pytest.raises(ValueError, match=message) as error:
        jax.eval_shape(functools.partial(conv.conv2d, **kwargs), x, w)
    assert "\n" not in str(error.value)
