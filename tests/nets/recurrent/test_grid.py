"""The two-dimensional recurrence against a double loop in NumPy, forward and backward, and its
causality.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from deepseq.nets import recurrent as R
from deepseq.nets.recurrent import grid

SIZES = [(1, 1), (1, 6), (5, 1), (3, 5), (5, 3), (4, 4)]
NETS = {"rnn": (grid.grid_rnn_init, grid.grid_rnn), "lstm": (grid.grid_lstm_init, grid.grid_lstm)}
B, D, H = 2, 3, 4


def drawn(name, size, seed=0):
    params = NETS[name][0](jax.random.key(seed), D, H)
    keys = jax.random.split(jax.random.key(seed + 1), 2)
    params = params._replace(b=params.b + 0.3 * jax.random.normal(keys[1], params.b.shape))
    return params, jax.random.normal(keys[0], (*size, B, D))


def rnn_by_hand(params, xs, weights):
    """The loss sum(weights * h) and its gradients, by the equations of forward and backward pass in
    two loops each.
    """
    wx, wl, wa, b = (np.float64(p) for p in params)
    xs, (rows, columns) = np.float64(xs), xs.shape[:2]
    h = np.zeros((rows + 1, columns + 1, B, H))  # a border of zeros above and to the left
    for r in range(rows):
        for c in range(columns):
            h[r + 1, c + 1] = np.tanh(xs[r, c] @ wx + h[r + 1, c] @ wl + h[r, c + 1] @ wa + b)
    dh, dx = np.zeros_like(h), np.zeros_like(xs)
    dwx, dwl, dwa, db = (np.zeros_like(p) for p in (wx, wl, wa, b))
    for r in reversed(range(rows)):
        for c in reversed(range(columns)):
            da = (dh[r + 1, c + 1] + weights[r, c]) * (1 - h[r + 1, c + 1] ** 2)
            dwx, dwl, dwa = (
                dwx + xs[r, c].T @ da,
                dwl + h[r + 1, c].T @ da,
                dwa + h[r, c + 1].T @ da,
            )
            db, dx[r, c] = db + da.sum(0), da @ wx.T
            dh[r + 1, c] += da @ wl.T
            dh[r, c + 1] += da @ wa.T
    return h[1:, 1:], (dwx, dwl, dwa, db), dx


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lstm_by_hand(params, xs):
    wx, wl, wa, b = (np.float64(p) for p in params)
    rows, columns = xs.shape[:2]
    h, c = np.zeros((2, rows + 1, columns + 1, B, H))
    for r in range(rows):
        for k in range(columns):
            a = np.float64(xs[r, k]) @ wx + h[r + 1, k] @ wl + h[r, k + 1] @ wa + b
            i, fl, fa, g, o = np.split(a, 5, -1)
            c[r + 1, k + 1] = (
                sigmoid(fl) * c[r + 1, k] + sigmoid(fa) * c[r, k + 1] + sigmoid(i) * np.tanh(g)
            )
            h[r + 1, k + 1] = sigmoid(o) * np.tanh(c[r + 1, k + 1])
    return h[1:, 1:]


@pytest.mark.parametrize("size", SIZES)
def test_rnn_is_the_double_loop_in_values_and_gradients(size):
    params, xs = drawn("rnn", size)
    weights = np.random.default_rng(0).standard_normal((*size, B, H))
    ys, dparams, dxs = rnn_by_hand(params, xs, weights)
    np.testing.assert_allclose(grid.grid_rnn(params, xs), ys, rtol=1e-4, atol=1e-6)
    found = jax.jit(
        jax.grad(lambda p, x: jnp.sum(jnp.float32(weights) * grid.grid_rnn(p, x)), argnums=(0, 1))
    )(params, xs)
    for one, expected in zip(found[0], dparams, strict=True):
        np.testing.assert_allclose(one, expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found[1], dxs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("size", SIZES[1:5])
def test_lstm_is_the_double_loop_in_values_and_gradients(size):
    params, xs = drawn("lstm", size)
    np.testing.assert_allclose(
        grid.grid_lstm(params, xs), lstm_by_hand(params, xs), rtol=1e-4, atol=1e-6
    )
    weights = np.random.default_rng(0).standard_normal((*size, B, H))
    found = jax.grad(lambda p: jnp.sum(jnp.float32(weights) * grid.grid_lstm(p, xs)))(params)
    for (
        field
    ) in params._fields:  # central differences of the loop, in float64, along a random direction
        direction = np.random.default_rng(1).standard_normal(getattr(params, field).shape)
        ends = [
            np.sum(
                weights
                * lstm_by_hand(
                    params._replace(**{field: getattr(params, field) + s * direction}), xs
                )
            )
            for s in (np.float64(1e-4), np.float64(-1e-4))
        ]
        expected = (ends[0] - ends[1]) / 2e-4
        assert float(np.sum(direction * np.float64(getattr(found, field)))) == pytest.approx(
            expected, rel=2e-2, abs=2e-2
        )


@pytest.mark.parametrize("name", NETS)
def test_a_place_depends_on_its_upper_left_quadrant_alone(name):
    params, xs = drawn(name, (4, 5))
    jacobian = jax.jacobian(lambda xs: NETS[name][1](params, xs).sum((2, 3)))(xs)
    reach = np.abs(jacobian).sum((4, 5))  # (r, c, r', c')
    for r, c in np.ndindex(4, 5):
        before = np.zeros((4, 5), bool)
        before[: r + 1, : c + 1] = True
        assert (reach[r, c][before] > 0).all() and (reach[r, c][~before] == 0).all()


def test_one_row_is_an_rnn_and_one_column_too():
    params, xs = drawn("rnn", (1, 7))
    along = R.rnn(R.RNN(params.wx, params.wl, params.b), xs[0])[1]
    np.testing.assert_allclose(grid.grid_rnn(params, xs)[0], along, rtol=1e-5, atol=1e-6)
    params, xs = drawn("rnn", (7, 1))
    down = R.rnn(R.RNN(params.wx, params.wa, params.b), xs[:, 0])[1]
    np.testing.assert_allclose(grid.grid_rnn(params, xs)[:, 0], down, rtol=1e-5, atol=1e-6)


def test_one_row_of_the_lstm_is_an_lstm():
    params, xs = drawn("lstm", (1, 6))
    columns = np.r_[0 : 2 * H, 3 * H : 5 * H]  # without the forget gate of above
    plain = R.LSTM(params.wx[:, columns], params.wl[:, columns], params.b[columns])
    np.testing.assert_allclose(
        grid.grid_lstm(params, xs)[0], R.lstm(plain, xs[0])[1], rtol=1e-5, atol=1e-6
    )


def test_images_of_a_batch_do_not_meet():
    params, xs = drawn("rnn", (3, 4))
    np.testing.assert_allclose(
        grid.grid_rnn(params, xs)[:, :, 1:], grid.grid_rnn(params, xs[:, :, 1:]), rtol=1e-6
    )
    other = xs.at[:, :, 0].set(jnp.nan)
    np.testing.assert_array_equal(
        grid.grid_rnn(params, other)[:, :, 1], grid.grid_rnn(params, xs)[:, :, 1]
    )


def test_the_state_outside_is_what_is_given():
    params, xs = drawn("rnn", (2, 3))
    outside = jnp.full((B, H), 0.7)
    ys = grid.scan_grid(grid.grid_rnn_cell, params, outside, xs)
    first = jnp.tanh(xs[0, 0] @ params.wx + outside @ (params.wl + params.wa) + params.b)
    np.testing.assert_allclose(ys[0, 0], first, rtol=1e-5)
    below = jnp.tanh(xs[1, 0] @ params.wx + outside @ params.wl + first @ params.wa + params.b)
    np.testing.assert_allclose(ys[1, 0], below, rtol=1e-5)


@pytest.mark.parametrize("name, blocks", [("rnn", 1), ("lstm", 5)])
def test_parameters(name, blocks):
    params, _ = drawn(name, (1, 1))
    assert sum(p.size for p in params) == blocks * (D * H + 2 * H * H + H)
    fresh = NETS[name][0](jax.random.key(0), D, H)
    bound = (2 * H) ** -0.5
    assert all(0.5 * bound < np.abs(p).max() <= bound for p in fresh[:3]) and not fresh.b.any()


def test_forget_biases():
    params = grid.grid_lstm_init(jax.random.key(0), D, H, forget_bias=1.0)
    np.testing.assert_array_equal(params.b, [0.0] * H + [1.0] * 2 * H + [0.0] * 2 * H)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda p, x: (p, x[..., :2]), "grids .* of 3 inputs"),
        (lambda p, x: (p, x[0]), "must be grids"),
        (lambda p, x: (p, x[:, :0]), "none of them empty"),
        (lambda p, x: (p._replace(wa=p.wl[:2]), x), "do not fit each other"),
    ],
)
def test_mistakes_are_told(change, words):
    for name in NETS:
        with pytest.raises(ValueError, match=words):
            NETS[name][1](*change(*drawn(name, (3, 4))))
    with pytest.raises(ValueError, match="at least 1"):
        grid.grid_rnn_init(jax.random.key(0), 0, 3)


@pytest.mark.parametrize("name", NETS)
def test_exports_for_every_platform(name):
    params, xs = drawn(name, (3, 4))
    gradient = jax.jit(jax.grad(lambda p, x: jnp.sum(NETS[name][1](p, x) ** 2)))
    assert jax.export.export(gradient, platforms=["cpu", "cuda", "tpu"])(params, xs).platforms == (
        "cpu",
        "cuda",
        "tpu",
    )
