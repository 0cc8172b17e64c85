"""What the gradient-flow study measures, against closed forms, plain loops and automatic
differentiation.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.gradient_flow import get_config
from deepseq.data import tasks
from deepseq.nets.recurrent import (
    LSTMState,
    gru_cell,
    gru_init,
    lstm_cell,
    lstm_init,
    rnn_cell,
    rnn_init,
    unroll,
)
from experiments import gradient_flow
from experiments.gradient_flow import algebra, measures, nets, training


@pytest.mark.parametrize("kind", ["rnn", "gru", "lstm"])
def test_products_of_jacobians_are_the_gradient(kind):
    """v^T ds_T/ds_t of the study against automatic differentiation through the whole loop."""
    cell, init = {
        "rnn": (rnn_cell, rnn_init),
        "gru": (gru_cell, gru_init),
        "lstm": (lstm_cell, lstm_init),
    }[kind]
    params, xs = init(jax.random.key(0), 3, 4), jax.random.normal(jax.random.key(1), (9, 3))
    h = 0.3 * jax.random.normal(jax.random.key(2), (2, 4))
    carry = LSTMState(h[0], h[1]) if kind == "lstm" else h[0]
    factors = np.asarray(measures.jacobians(cell, params, carry, xs))[None]
    v = np.random.default_rng(3).standard_normal(factors.shape[-1])
    v /= np.linalg.norm(v)
    found = measures.flow(factors, v, [0, 4, 9])

    def loss(carry, first):
        last, _ = unroll(cell, params, carry, xs[first:])
        return jnp.concatenate(jax.tree.leaves(last)) @ v

    for lag, left, largest in zip(
        [4, 9], found["gradient"][0, 1:], found["largest"][0, 1:], strict=True
    ):
        before = unroll(cell, params, carry, xs[: 9 - lag])[0]
        gradient = jnp.concatenate(jax.tree.leaves(jax.grad(loss)(before, 9 - lag)))
        np.testing.assert_allclose(10**left, np.linalg.norm(gradient), rtol=1e-5)
        assert left <= largest + 1e-9
    assert found["gradient"][0, 0] == pytest.approx(0, abs=1e-12) and found["median"][0, 0] == 0


def test_products_neither_underflow_nor_overflow():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    factors = np.stack([1e-3 * turn, 1e3 * turn, 0 * turn])[:, None].repeat(300, axis=1)
    found = measures.flow(factors, np.eye(5)[0], [0, 150, 300])
    expected = np.array([[0, -450, -900], [0, 450, 900], [0, -np.inf, -np.inf]])
    for quantity in ("gradient", "largest", "median"):
        np.testing.assert_allclose(found[quantity], expected, atol=1e-6)


def test_what_rounding_hides_is_left_out():
    factors = np.diag([1.0, 1e-9, 1e-9])[None, None].repeat(3, axis=1)
    found = measures.flow(factors, np.array([0.6, 0.8, 0]), [0, 1, 2, 3])
    np.testing.assert_allclose(found["largest"][0], 0, atol=1e-12)
    np.testing.assert_allclose(found["median"][0, :2], [0, -9])
    assert np.isnan(found["median"][0, 2:]).all()
    np.testing.assert_allclose(found["gradient"][0, 1:], np.log10(0.6))


def test_the_belt_is_the_product_of_the_forget_gates():
    params, xs = (
        lstm_init(jax.random.key(0), 2, 4, forget_bias=1.0),
        jax.random.normal(jax.random.key(1), (6, 2)),
    )
    zero = jnp.zeros(4)
    factors = np.asarray(measures.jacobians(lstm_cell, params, LSTMState(zero, zero), xs))[None]
    found = measures.flow(factors, np.eye(8)[0], [0, 6], block=slice(4, 8))

    def step(state, x):
        f = jax.nn.sigmoid(x @ params.wx + state.h @ params.wh + params.b)[4:8]
        return lstm_cell(params, state, x)[0], f

    f = jax.lax.scan(step, LSTMState(zero, zero), xs)[1]
    np.testing.assert_allclose(10 ** found["direct"][0, -1], np.prod(f, axis=0).max(), rtol=1e-5)
    whole = jax.jacrev(lambda c: unroll(lstm_cell, params, LSTMState(zero, c), xs)[0].c)(zero)
    np.testing.assert_allclose(10 ** found["whole"][0, -1], np.linalg.norm(whole, ord=2), rtol=1e-5)


@pytest.fixture
def backward():
    """(wh, slopes, gradients) of a tiny backward pass."""
    rng = np.random.default_rng(0)
    return (
        rng.standard_normal((3, 3)),
        rng.uniform(0.2, 1, (4, 2, 3)),
        rng.standard_normal((4, 2, 3)),
    )


def omega_by_hand(wh, slopes, gradients):
    """Equation 9 as a loop over sequences and steps."""
    total = 0.0
    for b in range(gradients.shape[1]):
        for k in range(gradients.shape[0]):
            jacobian = np.diag(slopes[k, b]) @ wh.T  # dL/dh_(k+1) times it is what reaches h_k
            arrived = gradients[k, b] @ jacobian
            total += (np.linalg.norm(arrived) / np.linalg.norm(gradients[k, b]) - 1) ** 2
    return total / gradients.shape[1]


def test_omega_is_equation_9(backward):
    wh, slopes, gradients = backward
    assert measures.omega(*map(jnp.asarray, backward)) == pytest.approx(
        omega_by_hand(*backward), rel=1e-5
    )
    found = jax.grad(measures.omega)(*(jnp.asarray(a, jnp.float32) for a in backward))
    for i, j in np.ndindex(3, 3):
        nudge = np.zeros((3, 3))
        nudge[i, j] = 1e-5
        slope = (
            omega_by_hand(wh + nudge, slopes, gradients)
            - omega_by_hand(wh - nudge, slopes, gradients)
        ) / 2e-5
        np.testing.assert_allclose(found[i, j], slope, rtol=1e-4, atol=1e-4)


def test_omega_where_nothing_is_left(backward):
    """Steps whose gradient has vanished, or whose units are all saturated, count nothing and have
    no derivative.
    """
    wh, slopes, gradients = (jnp.asarray(a, jnp.float32) for a in backward)
    kept = measures.omega(wh, slopes[1:], gradients[1:])
    for cut in ((slopes, gradients.at[0].set(0)), (slopes.at[0].set(0), gradients)):
        value, slope = jax.value_and_grad(measures.omega)(wh, *cut)
        np.testing.assert_allclose(value, kept, rtol=1e-6)
        np.testing.assert_allclose(
            slope, jax.grad(measures.omega)(wh, slopes[1:], gradients[1:]), rtol=1e-5
        )


def test_the_jacobian_in_omega_is_that_of_the_cell():
    params = rnn_init(jax.random.key(0), 2, 3)
    h, x, g = (
        jax.random.normal(jax.random.key(n), (1, size)) for n, size in ((1, 3), (2, 2), (3, 3))
    )
    new, back = jax.vjp(lambda h: rnn_cell(params, h, x)[0], h)
    ratio = jnp.linalg.norm(back(g)[0]) / jnp.linalg.norm(g)
    found = measures.omega(params.wh, 1 - jnp.square(new)[None], g[None])
    assert found == pytest.approx(float(ratio - 1) ** 2, rel=1e-5)


def test_clip_is_algorithm_1():
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    for threshold, factor in ((1.0, 0.2), (5.0, 1.0), (10.0, 1.0), (np.inf, 1.0)):
        clipped, norm = measures.clip(gradient, threshold)
        assert norm == 5
        np.testing.assert_allclose(clipped["b"], [[4 * factor]])
        np.testing.assert_allclose(clipped["a"], [3 * factor, 0])


def test_gaussian_has_a_spectral_radius_of_1():
    w = measures.gaussian(np.random.default_rng(0), 20)
    assert (
        measures.spectral_radius(w) == pytest.approx(1, rel=1e-5) and np.linalg.norm(w, ord=2) > 1.2
    )
    assert np.isnan(measures.spectral_radius(np.full((2, 2), np.inf)))


def test_a_leaky_net_lies_between_the_rnn_and_a_copy():
    rnn = rnn_init(jax.random.key(0), 2, 3)
    h, x = (
        jax.random.normal(jax.random.key(1), (4, 3)),
        jax.random.normal(jax.random.key(2), (4, 2)),
    )
    np.testing.assert_array_equal(
        nets.leaky_cell(nets.Leaky(rnn, 0.0), h, x)[1], rnn_cell(rnn, h, x)[1]
    )
    np.testing.assert_array_equal(nets.leaky_cell(nets.Leaky(rnn, 1.0), h, x)[1], h)


def test_the_gates_with_a_bias_keep_the_old_state():
    h, x = (
        jax.random.normal(jax.random.key(1), (4, 3)),
        jax.random.normal(jax.random.key(2), (4, 2)),
    )
    gru = nets.with_keep_bias(gru_init(jax.random.key(0), 2, 3), 1000.0)
    np.testing.assert_allclose(gru_cell(gru, h, x)[1], h, rtol=1e-6)
    lstm = nets.with_keep_bias(lstm_init(jax.random.key(0), 2, 3), 1000.0)
    through = jax.jacrev(lambda c: lstm_cell(lstm, LSTMState(h[0], c), x[0])[0].c)(h[1])
    np.testing.assert_array_equal(through, np.eye(3))


@pytest.mark.parametrize("cell", nets.CELLS)
def test_every_net_has_the_radius_of_its_tag(cell):
    config = get_config("smoke")
    draws = nets.draw(config, 0)
    stack, tags, h = nets.stack(config, cell, draws), nets.tags(config, cell), config.flow.hidden
    wh = stack.rnn.wh if cell == "leaky" else stack.wh
    assert len(wh) == len(tags)
    for w, tag in zip(wh, tags, strict=True):
        if "radius" not in tag:
            continue
        assert w.shape[1] % h == 0
        for block in np.split(w, w.shape[1] // h, axis=1):
            assert measures.spectral_radius(block) == pytest.approx(tag["radius"], rel=1e-4)
        theory = nets.theory(cell, tag, draws)
        if cell in nets.SLOPES:
            largest = np.linalg.norm(w, ord=2) * {"tanh": 1, "relu": 1, "sigmoid": 0.25}[cell]
            assert 10 ** theory["bound"] == pytest.approx(largest, rel=1e-4)
            assert 10 ** theory["det"] == pytest.approx(abs(np.linalg.det(w)), rel=1e-3)
        else:
            assert theory == {}


def test_the_scalar_cases_by_the_chain_rule():
    """The notes' unit in float64: the product of slopes W s (1 - s)."""
    found = jax.device_get(jax.jit(algebra.sigmoid_unit)(None))
    ends = [*found["at_half"][:, -1], found["off_half"][-1]]
    for w, start, last in zip([1.0, 3.9, 4.5, 4.5], [0.5] * 3 + [0.6], ends, strict=True):
        h, gradient = start, 1.0
        for _ in range(50):
            h = 1 / (1 + np.exp(-(w * h - w / 2)))
            gradient *= w * h * (1 - h)
        assert last == pytest.approx(gradient, rel=1e-3)
    np.testing.assert_allclose(ends, [7.9e-31, 0.282, 361, 1.15e-4], rtol=5e-3)
    np.testing.assert_allclose(
        algebra.relu_unit(None)["gradient"][:, -1], np.array([0.9, 1.0, 1.1]) ** 50, rtol=1e-4
    )


def test_gradients_of_the_trained_net_by_a_plain_loop():
    config = get_config("smoke")
    state = training.initial(config)(jax.random.key(0), training.recipe(config, "SGD"))
    batch = tasks.order(0, 3, config.train.lag)
    seen, gradient = jax.jit(training.see)(state.params, batch)

    def losses(nudge, t):
        """Sum over the sequences, with a nudge added to every state of step t."""
        h = jnp.zeros((3, config.train.hidden))
        for step, x in enumerate(jax.nn.one_hot(batch.xs, tasks.ORDER_SYMBOLS)):
            h = rnn_cell(state.params.rnn, h, x)[0] + (nudge if step == t else 0)
        logits = h @ state.params.w + state.params.b
        return -jax.nn.log_softmax(logits)[jnp.arange(3), batch.targets].sum()

    for t in (0, 4, config.train.lag - 1):
        nudged = jax.grad(losses)(jnp.zeros(config.train.hidden), t)
        np.testing.assert_allclose(seen.gradients[t].sum(0), nudged, rtol=1e-4, atol=1e-6)
    assert seen.loss == pytest.approx(float(losses(0.0, 0)) / 3, rel=1e-5)
    assert gradient.rnn.wh.shape == state.params.rnn.wh.shape


def test_the_arms_differ_in_clip_and_regulariser_alone():
    config = get_config("smoke")
    config.train.clip = 1e-3  # below any gradient of an untrained net
    batch, initial, step = (
        tasks.order(0, 5, config.train.lag),
        training.initial(config),
        jax.jit(training.step(config)),
    )
    moved, norms = {}, {}
    for arm in training.ARMS:
        state = initial(jax.random.key(0), training.recipe(config, arm))
        after, _ = step(state, batch)
        moved[arm] = jax.tree.map(jnp.subtract, state.params, after.params)
        norms[arm] = float(after.norms[0])
    seen, gradient = training.see(state.params, batch)
    rate = config.train.learning_rate
    for found, expected in zip(
        jax.tree.leaves(moved["SGD"]), jax.tree.leaves(gradient), strict=True
    ):
        np.testing.assert_allclose(found, rate * expected, rtol=1e-3, atol=1e-7)
    assert norms["SGD"] == norms["SGD-C"] > config.train.clip
    for arm in ("SGD-C", "SGD-CR"):
        length = np.sqrt(sum(float(jnp.sum(jnp.square(m))) for m in jax.tree.leaves(moved[arm])))
        assert length == pytest.approx(rate * config.train.clip, rel=1e-2)
    towards = jax.grad(training.omega)(state.params.rnn.wh, seen)
    added = gradient.rnn.wh + config.train.alpha * towards
    scale = jnp.linalg.norm(moved["SGD-CR"].rnn.wh) / jnp.linalg.norm(added)
    np.testing.assert_allclose(
        moved["SGD-CR"].rnn.wh, scale * added, rtol=1e-2, atol=0.01 * scale * jnp.abs(added).max()
    )
    assert (
        jnp.linalg.norm(moved["SGD-CR"].rnn.wh - moved["SGD-C"].rnn.wh)
        > 0.05 * rate * config.train.clip
    )


def test_lags_are_even_and_end_at_both_ends():
    config = get_config("laptop")
    lags = gradient_flow.lags(config)
    assert lags[0] == 0 and lags[-1] == config.flow.steps and len(lags) == config.flow.points
