"""What the gradient-flow study measures, against closed forms, loops and automatic derivatives."""

import chex
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
from experiments.gradient_flow import algebra, measures, nets, training, views

pytestmark = pytest.mark.usefixtures("compiled_quickly")

OMEGA = jax.jit(jax.value_and_grad(measures.omega))
SEE = jax.jit(training.see)


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@pytest.mark.parametrize(
    ("cell", "init"), [(rnn_cell, rnn_init), (gru_cell, gru_init), (lstm_cell, lstm_init)]
)
def test_products_of_jacobians_are_the_gradient(cell, init):
    """v^T ds_T/ds_t of the study against automatic differentiation through the whole loop."""
    params, xs, h = init(jax.random.key(0), 3, 4), normal(1, 9, 3), 0.3 * normal(2, 2, 4)
    carry, n = (LSTMState(h[0], h[1]), 8) if cell is lstm_cell else (h[0], 4)
    jacobians = jax.jit(lambda *arrays: measures.jacobians(cell, *arrays))
    factors = np.asarray(jacobians(params, carry, xs))[None]
    chex.assert_shape(factors, (1, 9, n, n))
    v = normal(3, n).astype(np.float64)
    v /= np.linalg.norm(v)
    left = measures.flow(factors, v, [0, 4, 9])

    def loss(carry, first):
        last, _ = unroll(cell, params, carry, xs[first:])
        return jnp.concatenate(jax.tree.leaves(last)) @ v

    for column, lag in ((1, 4), (2, 9)):
        before = unroll(cell, params, carry, xs[: 9 - lag])[0]
        gradient = jax.jit(jax.grad(loss), static_argnums=1)(before, 9 - lag)
        norm = np.linalg.norm(jnp.concatenate(jax.tree.leaves(gradient)))
        np.testing.assert_allclose(10 ** left["gradient"][0, column], norm, rtol=1e-5)
        assert left["gradient"][0, column] <= left["largest"][0, column] + 1e-9
    assert left["gradient"][0, 0] == pytest.approx(0, abs=1e-12) and left["median"][0, 0] == 0


def test_products_neither_underflow_nor_overflow():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    factors = np.stack([1e-3 * turn, 1e3 * turn, 0 * turn])[:, None].repeat(300, axis=1)
    left = measures.flow(factors, np.eye(5)[0], [0, 150, 300])
    expected = np.array([[0, -450, -900], [0, 450, 900], [0, -np.inf, -np.inf]])
    for quantity in ("gradient", "largest", "median"):
        np.testing.assert_allclose(left[quantity], expected, atol=1e-6)


def test_what_rounding_hides_is_left_out():
    factors = np.diag([1.0, 1e-9, 1e-9])[None, None].repeat(3, axis=1)
    left = measures.flow(factors, np.array([0.6, 0.8, 0]), [0, 1, 2, 3])
    np.testing.assert_allclose(left["largest"][0], 0, atol=1e-12)
    np.testing.assert_allclose(left["median"][0, :2], [0, -9])
    assert np.isnan(left["median"][0, 2:]).all()
    np.testing.assert_allclose(left["gradient"][0, 1:], np.log10(0.6))


def test_the_belt_is_the_product_of_the_forget_gates():
    params, xs = lstm_init(jax.random.key(0), 2, 4, forget_bias=1.0), normal(1, 6, 2)
    zero = jnp.zeros(4)
    jacobians = jax.jit(lambda *arrays: measures.jacobians(lstm_cell, *arrays))
    factors = np.asarray(jacobians(params, LSTMState(zero, zero), xs))[None]
    left = measures.flow(factors, np.eye(8)[0], [0, 6], block=slice(4, 8))

    def step(state, x):
        f = jax.nn.sigmoid(x @ params.wx + state.h @ params.wh + params.b)[4:8]
        return lstm_cell(params, state, x)[0], f

    f = jax.lax.scan(step, LSTMState(zero, zero), xs)[1]
    np.testing.assert_allclose(10 ** left["direct"][0, -1], np.prod(f, axis=0).max(), rtol=1e-5)
    last = jax.jit(lambda c: unroll(lstm_cell, params, LSTMState(zero, c), xs)[0].c)
    whole = jax.jacrev(last)(zero)
    np.testing.assert_allclose(10 ** left["whole"][0, -1], np.linalg.norm(whole, ord=2), rtol=1e-5)


@pytest.fixture
def backward():
    """(wh, slopes, gradients) of a tiny backward pass."""
    return normal(0, 3, 3), np.random.default_rng(1).uniform(0.2, 1, (4, 2, 3)), normal(2, 4, 2, 3)


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
    value, gradient = OMEGA(*map(np.float32, backward))
    chex.assert_shape(gradient, (3, 3))
    assert value == pytest.approx(omega_by_hand(*backward), rel=1e-5)
    for i, j in np.ndindex(3, 3):
        nudge = np.zeros((3, 3))
        nudge[i, j] = 1e-5
        above, below = (omega_by_hand(w, slopes, gradients) for w in (wh + nudge, wh - nudge))
        slope = (above - below) / 2e-5
        np.testing.assert_allclose(gradient[i, j], slope, rtol=1e-4, atol=1e-4)


def test_omega_where_nothing_is_left(backward):
    """Steps whose gradient has vanished, or whose units are all saturated, count nothing and have
    no derivative.
    """
    wh, slopes, gradients = (jnp.asarray(a, jnp.float32) for a in backward)
    kept = OMEGA(wh, slopes[1:], gradients[1:])
    for cut in ((slopes, gradients.at[0].set(0)), (slopes.at[0].set(0), gradients)):
        chex.assert_trees_all_close(OMEGA(wh, *cut), kept, rtol=1e-5)


def test_the_jacobian_in_omega_is_that_of_the_cell():
    params = rnn_init(jax.random.key(0), 2, 3)
    h, x, g = normal(1, 1, 3), normal(2, 1, 2), normal(3, 1, 3)
    new, back = jax.vjp(jax.jit(lambda h: rnn_cell(params, h, x)[0]), h)
    ratio = np.linalg.norm(back(g)[0]) / np.linalg.norm(g)
    regulariser, _ = OMEGA(params.wh, 1 - np.square(new)[None], g[None])
    assert regulariser == pytest.approx(float(ratio - 1) ** 2, rel=1e-5)


def test_clip_is_algorithm_1():
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([[4.0]])}
    for threshold, factor in ((1.0, 0.2), (5.0, 1.0), (10.0, 1.0), (np.inf, 1.0)):
        clipped, norm = measures.clip(gradient, threshold)
        assert norm == 5
        np.testing.assert_allclose(clipped["b"], [[4 * factor]])
        np.testing.assert_allclose(clipped["a"], [3 * factor, 0])


def test_gaussian_has_a_spectral_radius_of_1():
    w = measures.gaussian(np.random.default_rng(0), 20)
    assert measures.spectral_radius(w) == pytest.approx(1, rel=1e-5)
    assert np.linalg.norm(w, ord=2) > 1.2
    assert np.isnan(measures.spectral_radius(np.full((2, 2), np.inf)))


def test_a_leaky_net_lies_between_the_rnn_and_a_copy():
    rnn = rnn_init(jax.random.key(0), 2, 3)
    h, x = normal(1, 4, 3), normal(2, 4, 2)
    for keep, expected in ((0.0, rnn_cell(rnn, h, x)[1]), (1.0, h)):
        y = nets.leaky_cell(nets.Leaky(rnn, keep), h, x)[1]
        np.testing.assert_array_equal(y, expected)


def test_the_gates_with_a_bias_keep_the_old_state():
    h, x = normal(1, 4, 3), normal(2, 4, 2)
    gru = nets.with_keep_bias(gru_init(jax.random.key(0), 2, 3), 1000.0)
    np.testing.assert_allclose(gru_cell(gru, h, x)[1], h, rtol=1e-6)
    lstm = nets.with_keep_bias(lstm_init(jax.random.key(0), 2, 3), 1000.0)
    through = jax.jacrev(jax.jit(lambda c: lstm_cell(lstm, LSTMState(h[0], c), x[0])[0].c))(h[1])
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
    unit = jax.device_get(jax.jit(algebra.sigmoid_unit)(None))
    ends = [*unit["at_half"][:, -1], unit["off_half"][-1]]
    for w, start, last in zip([1.0, 3.9, 4.5, 4.5], [0.5] * 3 + [0.6], ends, strict=True):
        h, gradient = start, 1.0
        for _ in range(50):
            h = 1 / (1 + np.exp(-(w * h - w / 2)))
            gradient *= w * h * (1 - h)
        assert last == pytest.approx(gradient, rel=1e-3)
    np.testing.assert_allclose(ends, [7.9e-31, 0.282, 361, 1.15e-4], rtol=5e-3)
    relu = algebra.relu_unit(None)["gradient"][:, -1]
    np.testing.assert_allclose(relu, np.array([0.9, 1.0, 1.1]) ** 50, rtol=1e-4)


@pytest.fixture(scope="module")
def start(compiled_quickly):
    """(config, arm) -> the state before training, of the sizes of the smoke tier."""
    state = training.start(get_config("smoke"))
    return lambda config, arm: state(jax.random.key(0), training.recipe(config, arm))


def test_gradients_of_the_trained_net_by_a_plain_loop(start):
    config = get_config("smoke")
    state = start(config, "SGD")
    batch = tasks.order(0, 3, config.train.lag)
    forward, gradient = SEE(state.params, batch)
    chex.assert_shape([forward.states, forward.gradients], (config.train.lag, 3, 8))
    chex.assert_trees_all_equal_shapes_and_dtypes(gradient, state.params)

    def losses(nudge, t):
        """Sum over the sequences, with a nudge added to every state of step t."""
        h = jnp.zeros((3, config.train.hidden))
        for step, x in enumerate(jax.nn.one_hot(batch.xs, tasks.ORDER_SYMBOLS)):
            h = rnn_cell(state.params.rnn, h, x)[0] + jnp.where(step == t, nudge, 0)
        logits = h @ state.params.w + state.params.b
        return -jax.nn.log_softmax(logits)[jnp.arange(3), batch.targets].sum()

    loss_and_gradient = jax.jit(jax.value_and_grad(losses))
    for t in (0, 4, config.train.lag - 1):
        loss, nudged = loss_and_gradient(jnp.zeros(config.train.hidden), t)
        np.testing.assert_allclose(forward.gradients[t].sum(0), nudged, rtol=1e-4, atol=1e-6)
    assert forward.loss == pytest.approx(float(loss) / 3, rel=1e-5)


def test_what_a_look_records(start):
    """By lag, from the last step back: the geometric mean over held-out sequences."""
    config = get_config("smoke")
    state = start(config, "SGD")
    record = training.look(config, seed=3)(state)
    held_out = tasks.order(np.random.default_rng([3, 3]), 32, config.train.lag)
    forward, _ = SEE(state.params, held_out)
    for lag in range(config.train.lag):
        norms = np.linalg.norm(forward.gradients[config.train.lag - 1 - lag], axis=-1)
        assert record["by_lag"][lag] == pytest.approx(np.mean(np.log10(norms)), abs=1e-3)
    slopes = 1 - np.square(forward.states)
    regulariser = omega_by_hand(state.params.rnn.wh, slopes, forward.gradients)
    assert record["omega"] == pytest.approx(regulariser, rel=1e-4)
    assert record["radius"] == pytest.approx(config.train.radius, rel=1e-5)
    logits = forward.states[-1] @ state.params.w + state.params.b
    assert record["error"] == np.mean(np.argmax(logits, axis=-1) != held_out.targets)


def test_the_arms_differ_in_clip_and_regulariser_alone(start):
    config = get_config("smoke")
    config.train.clip = 1e-3  # below any gradient of an untrained net
    batch = tasks.order(0, 3, config.train.lag)
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(training.step(config), n=1))
    moved, norms = {}, {}
    for arm in training.ARMS:
        state = start(config, arm)
        after, _ = step(state, batch)
        chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
        chex.assert_tree_all_finite(after.params)
        moved[arm] = jax.tree.map(jnp.subtract, state.params, after.params)
        norms[arm] = float(after.norms[0])
    forward, gradient = SEE(state.params, batch)
    rate = config.train.learning_rate
    expected = jax.tree.map(lambda g: rate * g, gradient)
    chex.assert_trees_all_close(moved["SGD"], expected, rtol=1e-3, atol=1e-7)
    assert norms["SGD"] == norms["SGD-C"] > config.train.clip
    for arm in ("SGD-C", "SGD-CR"):
        length = np.sqrt(sum(float(jnp.sum(jnp.square(m))) for m in jax.tree.leaves(moved[arm])))
        assert length == pytest.approx(rate * config.train.clip, rel=1e-2)
    towards = jax.jit(jax.grad(training.omega))(state.params.rnn.wh, forward)
    added = gradient.rnn.wh + config.train.alpha * towards
    scale = jnp.linalg.norm(moved["SGD-CR"].rnn.wh) / jnp.linalg.norm(added)
    near = 0.01 * scale * jnp.abs(added).max()
    np.testing.assert_allclose(moved["SGD-CR"].rnn.wh, scale * added, rtol=1e-2, atol=near)
    apart = jnp.linalg.norm(moved["SGD-CR"].rnn.wh - moved["SGD-C"].rnn.wh)
    assert apart > 0.05 * rate * config.train.clip


def test_lags_are_even_and_end_at_both_ends():
    config = get_config("laptop")
    lags = views.points(config)
    assert lags[0] == 0 and lags[-1] == config.flow.steps and len(lags) == config.flow.points
    assert set(np.diff(lags)) == {5}
