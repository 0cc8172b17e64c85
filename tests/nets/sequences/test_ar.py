"""Autoregressive models against enumeration, NumPy's least squares, scipy's densities and loops."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from deepseq.data import processes
from deepseq.nets import recurrent as R
from deepseq.nets.sequences import ar

pytestmark = pytest.mark.usefixtures("compiled_quickly")

RNG = np.random.default_rng(0)
WORDS = np.array(list(itertools.product(range(3), repeat=5)), np.int32).T  # (5, 243)
LAYERS = {
    "rnn": (R.rnn_init, R.rnn, R.rnn_cell),
    "gru": (R.gru_init, R.gru, R.gru_cell),
    "lstm": (R.lstm_init, R.lstm, R.lstm_cell),
}


def series(steps=40, batch=5, symbols=3):
    return RNG.integers(0, symbols, (steps, batch)).astype(np.int32)


def latent(name, symbols=3, hidden=6):
    init, layer, _ = LAYERS[name]
    return ar.latent(lambda key: init(key, symbols, hidden), layer, hidden, symbols)


def test_windows_hold_the_last_values():
    xs = series()
    past = np.asarray(ar.windows(xs, 3, ar.ABSENT))
    for t, k in itertools.product(range(40), range(1, 4)):
        np.testing.assert_array_equal(past[t, :, k - 1], xs[t - k] if t >= k else -np.ones(5))
    assert ar.windows(xs, 0).shape == (40, 5, 0) and ar.windows(xs[:2], 5).shape == (2, 5, 5)


@pytest.mark.parametrize("tau", [0, 1, 3])
def test_counts_are_those_of_a_loop(tau):
    xs = series()
    xs[7, 2] = -1  # no symbol: whatever it belongs to is not counted
    expected = np.zeros((3,) * (tau + 1), int)
    for t, b in itertools.product(range(tau, 40), range(5)):
        word = tuple(xs[t - tau : t + 1, b])
        if -1 not in word:
            expected[word] += 1
    np.testing.assert_array_equal(ar.counts(xs, tau, 3), expected)


def test_counts_of_less_are_sums():
    xs = series()
    np.testing.assert_array_equal(ar.counts(xs, 3, 3).sum(0), ar.counts(xs[1:], 2, 3))


def test_a_table_is_of_greatest_likelihood():
    counted = ar.counts(series(200), 2, 3)
    logs = np.asarray(ar.table(counted))
    np.testing.assert_allclose(np.exp(logs).sum(-1), 1, rtol=1e-6)
    best = np.sum(np.asarray(counted) * logs)
    for _ in range(20):
        other = logs + 0.05 * RNG.standard_normal(logs.shape)
        assert (
            np.sum(np.asarray(counted) * (other - np.log(np.exp(other).sum(-1, keepdims=True))))
            < best
        )


def test_a_table_of_what_was_never_seen():
    counted = jnp.array([[3, 1, 0], [0, 0, 0], [0, 2, 2]])
    np.testing.assert_allclose(
        np.exp(ar.table(counted)), [[0.75, 0.25, 0], [1 / 3] * 3, [0, 0.5, 0.5]], rtol=1e-6
    )
    smoothed = np.exp(ar.table(counted, 0.5))
    np.testing.assert_allclose(smoothed[0], [3.5 / 5.5, 1.5 / 5.5, 0.5 / 5.5], rtol=1e-6)
    assert np.isneginf(ar.table(counted)[0, 2])


def test_tables_multiply_to_the_enumerated_joint():
    source = processes.markov(processes.random_table(np.random.default_rng(1), 3, 2, 0.5))
    exact = tuple(ar.table(jnp.float32(processes.joint(source, tau + 1))) for tau in range(3))
    logs = ar.table_log_likelihood(exact, WORDS)
    np.testing.assert_allclose(
        np.exp(logs.sum(0)), processes.joint(source, 5).reshape(-1), rtol=2e-5
    )
    only = ar.table_log_likelihood(exact[:1], WORDS)  # AR(0): independent symbols
    np.testing.assert_allclose(only, np.asarray(exact[0])[WORDS])
    np.testing.assert_allclose(
        ar.table_log_likelihood(exact, WORDS[:1]), np.asarray(exact[0])[WORDS[:1]]
    )


def test_a_chain_is_recovered_from_its_samples():
    table = processes.random_table(np.random.default_rng(2), 3, 1, 1.0)
    xs = processes.sample(processes.markov(table), np.random.default_rng(3), 50, 4000)
    np.testing.assert_allclose(np.exp(ar.table(ar.counts(xs, 1, 3))), table, atol=0.01)


def test_window_net_is_its_equation():
    net = ar.window(3, 4, 5)
    params = net.init(jax.random.key(0))
    past = RNG.integers(-1, 3, (7, 2, 4))
    hidden = np.asarray(params.b) + sum(
        np.where(past[..., k : k + 1] >= 0, np.asarray(params.embed)[k][past[..., k]], 0)
        for k in range(4)
    )
    logits = np.tanh(hidden) @ np.asarray(params.readout.w) + np.asarray(params.readout.b)
    np.testing.assert_allclose(net.apply(params, jnp.asarray(past)), logits, rtol=1e-5, atol=1e-6)


def test_absent_symbols_make_a_smaller_model():
    net = ar.window(3, 4, 5)
    params = net.init(jax.random.key(0))
    small = params._replace(embed=params.embed[:2])
    past = RNG.integers(0, 3, (7, 4))
    past[:, 2:] = ar.ABSENT
    np.testing.assert_allclose(
        net.apply(params, past), ar.window(3, 2, 5).apply(small, past[:, :2]), rtol=1e-6
    )
    gradient = jax.grad(lambda p: net.apply(p, past)[:, 0].sum())(params).embed
    assert (gradient[2:] == 0).all() and (gradient[:2] != 0).any()


@pytest.mark.parametrize("tau", [0, 1, 4])
def test_least_squares_is_numpys(tau):
    process = processes.from_reflections((0.6, -0.5, 0.3, 0.6))
    xs = processes.sample_gaussian(process, np.random.default_rng(5), 30, 60) + np.float32(7)
    fitted = ar.fit_linear(xs, tau)
    past = (
        np.asarray(ar.windows(xs, tau), float)[tau:].reshape(-1, tau)
        if tau
        else np.zeros((30 * 60, 0))
    )
    a = np.concatenate([past, np.ones((len(past), 1))], 1)
    y = xs[tau:].reshape(-1).astype(float)
    solved, *_ = np.linalg.lstsq(a, y, rcond=None)
    np.testing.assert_allclose(np.append(fitted.w, fitted.b), solved, rtol=2e-3, atol=2e-4)
    assert float(fitted.variance) == pytest.approx(np.mean((y - a @ solved) ** 2), rel=1e-4)
    np.testing.assert_allclose(
        ar.predict_linear(fitted, jnp.float32(past)), a @ solved, rtol=1e-4, atol=2e-3
    )


def test_log_normal_is_scipys():
    x, mean, variance = RNG.standard_normal((3, 8)).astype(np.float32)
    variance = np.exp(variance)
    np.testing.assert_allclose(
        ar.log_normal(x, mean, variance),
        norm(mean, np.sqrt(variance)).logpdf(x),
        rtol=1e-4,
        atol=1e-5,
    )


def test_linear_models_multiply_to_the_multivariate_normal():
    """Each value by the model of all before it: the exact likelihood of a Gaussian AR(4)."""
    process = processes.from_reflections((0.6, -0.5, 0.3, 0.6), 1.7)
    xs, logs = RNG.standard_normal((7, 3)), 0.0
    for t in range(7):
        weights, variance = processes.best_linear(process, t)
        model = ar.Linear(jnp.float32(weights), jnp.float32(0), jnp.float32(variance))
        past = ar.windows(jnp.float32(xs), t)[t]
        logs += ar.log_normal(jnp.float32(xs[t]), ar.predict_linear(model, past), model.variance)
    whole = multivariate_normal(np.zeros(7), processes.covariance(process, 7)).logpdf(xs.T)
    np.testing.assert_allclose(logs, whole, rtol=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_a_latent_model_is_a_distribution_over_series(name):
    net = latent(name)
    params = net.init(jax.random.key(1))

    def probability(words):
        logits, _ = net.apply(params, jax.nn.one_hot(words, 3), carry=None)
        return np.exp(np.float64(ar.log_likelihood(logits, words).sum(0)))

    words, shorter = probability(WORDS), probability(WORDS[:4, ::3])
    assert words.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(words.reshape(-1, 3).sum(1), shorter, rtol=1e-4)


@pytest.mark.parametrize("name", LAYERS)
def test_a_latent_model_sees_the_past_alone(name):
    net = latent(name)
    params = net.init(jax.random.key(1))
    xs = jnp.asarray(RNG.standard_normal((6, 1, 3)), jnp.float32)
    jacobian = jax.jacobian(lambda xs: net.apply(params, xs, carry=None)[0].sum((1, 2)))(xs)
    reach = np.abs(jacobian).sum((2, 3))
    assert (reach[np.triu_indices(6)] == 0).all() and (reach[np.tril_indices(6, -1)] > 0).all()


@pytest.mark.parametrize("name", LAYERS)
def test_a_series_in_two_parts_is_the_whole(name):
    net = latent(name)
    params = net.init(jax.random.key(2))
    xs = jax.nn.one_hot(series(9, 4), 3)
    whole, end = net.apply(params, xs, carry=None)
    first, carry = net.apply(params, xs[:5], carry=None)
    second, last = net.apply(params, xs[5:], carry=carry)
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, rtol=1e-5, atol=1e-6)
    chex.assert_trees_all_close(last, end, rtol=1e-5, atol=1e-6)


def test_states_are_those_of_the_cell():
    init, layer, cell = LAYERS["gru"]
    params = latent("gru").init(jax.random.key(3))
    xs, h = jax.nn.one_hot(series(5, 2), 3), jnp.zeros((2, 6))
    hs, _ = ar.states(layer, params, xs, carry=None)
    for t in range(5):
        np.testing.assert_allclose(hs[t], h, rtol=1e-5, atol=1e-6)
        h, _ = cell(params.cell, h, xs[t])


def test_a_linear_model_fed_back_is_its_closed_form():
    weights, bias, past = np.array([0.5, -0.2, 0.3]), 0.4, RNG.standard_normal((6, 3))

    def step(window, x):
        window = jnp.concatenate([x[:, None], window[:, :-1]], 1)
        return window, ar.predict_linear(
            ar.Linear(jnp.float32(weights), jnp.float32(bias), jnp.float32(1)), window
        )

    carry, first = step(jnp.float32(np.roll(past, -1, 1)), jnp.float32(past[:, 0]))
    rows, biases = processes.forecasts(weights, bias, 7)
    np.testing.assert_allclose(
        ar.free_run(step, carry, first, 7), (past @ rows.T + biases).T, rtol=1e-4, atol=1e-5
    )
    assert ar.free_run(step, carry, first, 1).shape == (1, 6)


def test_a_recurrent_model_fed_back_is_a_loop():
    params = latent("lstm").init(jax.random.key(4))
    zero = R.LSTMState(jnp.zeros((2, 6)), jnp.zeros((2, 6)))

    def step(carry, x):
        carry, h = R.lstm_cell(params.cell, carry, x)
        return carry, jax.nn.softmax(ar.dense(params.readout, h))

    said = ar.free_run(step, zero, jnp.ones((2, 3)) / 3, 4)
    carry, x = zero, jnp.ones((2, 3)) / 3
    for t in range(4):
        np.testing.assert_allclose(said[t], x, rtol=1e-5)
        carry, x = step(carry, x)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: ar.windows(series(), -1), "windows: tau is -1"),
        (lambda: ar.counts(series(3), 3, 3), "longer than tau = 3"),
        (lambda: ar.fit_linear(jnp.zeros((2, 4)), 2), "longer than tau = 2"),
        (
            lambda: ar.window(3, 4, 5).apply(
                ar.window(3, 4, 5).init(jax.random.key(0)), series(3, 2)
            ),
            "last 4 symbols",
        ),
    ],
)
def test_mistakes_are_told(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("name", LAYERS)
def test_exports_for_every_platform(name):
    net = latent(name)
    params = net.init(jax.random.key(0))

    def gradient(params, xs):
        return jax.grad(
            lambda p: (
                -ar.log_likelihood(net.apply(p, jax.nn.one_hot(xs, 3), carry=None)[0], xs).mean()
            )
        )(params)

    exported = jax.export.export(jax.jit(gradient), platforms=["cpu", "cuda", "tpu"])(
        params, jnp.zeros((4, 2), jnp.int32)
    )
    assert exported.platforms == ("cpu", "cuda", "tpu")
