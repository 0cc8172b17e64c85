"""Pooling and local response normalisation: loops over windows, PyTorch, ties, and sizes that do
not fit.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets.blocks import pool

CASES = [  # size, stride, padding, height, width
    (2, None, "VALID", 8, 8),
    (3, 2, "VALID", 13, 12),
    (3, 2, "CEIL", 12, 13),
    (3, 2, ((1, 1), (1, 1)), 9, 8),
    (3, 1, ((1, 1), (1, 1)), 5, 5),
    (3, 3, "CEIL", 7, 8),
    (1, 3, "CEIL", 5, 4),
    (5, 3, ((2, 2), (2, 2)), 11, 6),
    (4, 4, "VALID", 4, 4),
]
IMAGES = np.random.default_rng(0).standard_normal((2, 13, 13, 3), np.float32)
BOTH = {"max": (pool.max_pool, np.max), "average": (pool.average_pool, np.mean)}


def windows(x, size, stride, padding):
    """The pixels of each window that lie in the image."""
    (top, bottom), (left, right) = ((0, 0), (0, 0)) if isinstance(padding, str) else padding
    starts = []
    for n, lo, hi in ((x.shape[1], top, bottom), (x.shape[2], left, right)):
        last = n + hi - 1 if padding == "CEIL" else n + hi - size
        count = 1 + (
            -(-(n - size) // stride) if padding == "CEIL" else (n + lo + hi - size) // stride
        )
        starts.append([i for i in range(-lo, last + 1, stride)][:count])
    for a, i in enumerate(starts[0]):
        for b, j in enumerate(starts[1]):
            yield a, b, x[:, max(i, 0) : i + size, max(j, 0) : j + size]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("size", "stride", "padding", "height", "width"), CASES)
def test_equals_a_loop_over_windows(kind, size, stride, padding, height, width):
    ours, of = BOTH[kind]
    x = IMAGES[:, :height, :width]
    y = ours(x, size, stride=stride, padding=padding)
    seen = set()
    for a, b, window in windows(x, size, stride or size, padding):
        np.testing.assert_allclose(y[:, a, b], of(window, axis=(1, 2)), rtol=1e-6, atol=1e-6)
        seen.add((a, b))
    assert len(seen) == y.shape[1] * y.shape[2]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize(("size", "stride", "padding", "height", "width"), CASES)
def test_equals_torch(kind, size, stride, padding, height, width):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    x = np.round(IMAGES[:, :height, :width])  # ties
    pad = 0 if isinstance(padding, str) else padding[0][0]
    how = {"stride": stride, "padding": pad, "ceil_mode": padding == "CEIL"}
    own = {"max": torch.nn.functional.max_pool2d, "average": torch.nn.functional.avg_pool2d}[kind]
    how |= {"count_include_pad": False} if kind == "average" else {}
    theirs_x = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    theirs = own(theirs_x, size, **how)
    weigh = np.random.default_rng(1).standard_normal(theirs.shape).astype(np.float32)
    (theirs * torch.from_numpy(weigh)).sum().backward()

    def loss(x):
        y = BOTH[kind][0](x, size, stride=stride, padding=padding)
        return (y * weigh.transpose(0, 2, 3, 1)).sum(), y

    (_, ours), gradient = jax.value_and_grad(loss, has_aux=True)(x)
    np.testing.assert_allclose(
        ours, theirs.detach().numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        gradient, theirs_x.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-6
    )


def test_a_maximum_keeps_nan_and_integers():
    x = jnp.zeros((1, 4, 4, 1)).at[0, 1, 2].set(jnp.nan)
    np.testing.assert_array_equal(
        jnp.isnan(pool.max_pool(x, 2))[0, ..., 0], [[False, True], [False, False]]
    )
    whole = jnp.arange(-8, 8).reshape(1, 4, 4, 1)
    np.testing.assert_array_equal(
        pool.max_pool(whole, 3, stride=2, padding="CEIL")[0, ..., 0], [[2, 3], [6, 7]]
    )


@pytest.mark.parametrize("size", [1, 3, 5])
def test_local_response_norm(size):
    how = {"k": 2.0, "alpha": 0.5, "beta": 0.75}
    x, weigh = IMAGES[:, :2, :2].repeat(3, -1) * np.arange(1, 10), IMAGES[:, :2, :2].repeat(3, -1)

    def loop(x):
        b = np.zeros_like(x)
        for i in range(x.shape[-1]):
            near = x[..., max(0, i - size // 2) : i + size // 2 + 1]
            b[..., i] = x[..., i] / (how["k"] + how["alpha"] * (near**2).sum(-1)) ** how["beta"]
        return b

    ours = functools.partial(pool.local_response_norm, size=size, **how)
    np.testing.assert_allclose(ours(x), loop(x), rtol=1e-5)
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    theirs_x = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
    theirs = torch.nn.functional.local_response_norm(
        theirs_x, size, alpha=how["alpha"] * size, beta=how["beta"], k=how["k"]
    )
    (theirs * torch.from_numpy(weigh.transpose(0, 3, 1, 2).copy())).sum().backward()
    gradient = jax.grad(lambda x: (ours(x) * weigh).sum())(x)
    np.testing.assert_allclose(
        gradient, theirs_x.grad.numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pool.max_pool(IMAGES, 14),
            "windows of 14 pixels do not fit into images of 13 x 13",
        ),
        (
            lambda: pool.average_pool(IMAGES, 0),
            r"average_pool: x .* the window 0 and the stride 0 at least 1",
        ),
        (lambda: pool.max_pool(IMAGES[0], 2), r"max_pool: x \(13, 13, 3\) must be \(B, H, W, C\)"),
        (lambda: pool.max_pool(IMAGES, 2, padding="SAME"), "no padding 'SAME'"),
        (lambda: pool.max_pool(IMAGES, 2, padding=((2, 0), (0, 0))), "each below 2"),
        (
            lambda: pool.local_response_norm(IMAGES, size=4),
            "a window of 4 channels, but it must be odd",
        ),
    ],
)
def test_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


ADAPTIVE = [
    (14, 14, 4),
    (4, 4, 4),
    (5, 9, 4),
    (2, 1, 4),
    (7, 7, 1),
    (13, 12, 5),
]  # height, width, size


@pytest.mark.parametrize(("height", "width", "size"), ADAPTIVE)
def test_adaptive_pooling_equals_a_loop_over_windows(height, width, size):
    x = np.random.default_rng(1).standard_normal((2, height, width, 3), np.float32)
    rows, columns = (
        [(i * n // size, -(-(i + 1) * n // size)) for i in range(size)] for n in (height, width)
    )
    y = pool.adaptive_average_pool(jnp.asarray(x), size)
    assert y.shape == (2, size, size, 3)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            np.testing.assert_allclose(
                y[:, i, j], x[:, top:bottom, left:right].mean((1, 2)), rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize(("height", "width", "size"), ADAPTIVE)
def test_adaptive_pooling_equals_torch(height, width, size):
    torch = pytest.importorskip("torch", reason="parity with PyTorch needs torch")
    rng = np.random.default_rng(2)
    x, dy = (
        rng.standard_normal((2, h, w, 3), np.float32) for h, w in ((height, width), (size, size))
    )
    y, pull = jax.vjp(lambda x: pool.adaptive_average_pool(x, size), jnp.asarray(x))
    theirs = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    out = torch.nn.functional.adaptive_avg_pool2d(theirs, size)
    out.backward(torch.from_numpy(dy.transpose(0, 3, 1, 2).copy()))
    for ours, expected in ((y, out.detach()), (pull(jnp.asarray(dy))[0], theirs.grad)):
        np.testing.assert_allclose(
            ours, expected.numpy().transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(
    ("x", "size"), [(np.ones((2, 3, 3)), 2), (np.ones((2, 0, 3, 1)), 2), (np.ones((2, 3, 3, 1)), 0)]
)
def test_adaptive_pooling_refuses(x, size):
    with pytest.raises(ValueError, match="adaptive_average_pool: x"):
        pool.adaptive_average_pool(jnp.asarray(x), size)
