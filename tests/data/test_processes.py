"""The floors of the processes against enumeration by hand, closed forms and scipy's multivariate
normal.
"""

import itertools
import math

import numpy as np
import pytest
from scipy.linalg import solve_discrete_lyapunov
from scipy.stats import multivariate_normal

from deepseq.data import processes as P

RNG = np.random.default_rng(0)
TABLES = {order: P.random_table(np.random.default_rng(order), 3, order, 0.5) for order in (1, 2, 3)}
SOURCES = {f"order {order}": P.markov(table) for order, table in TABLES.items()}
SOURCES |= {"copy": P.delayed_copy(3, 0.1), "even": P.even(0.3), "hidden": P.hidden(0.9, 0.8)}
AR4 = P.from_reflections((0.6, -0.5, 0.3, 0.6), 1.7)


def entropy(p):
    return -sum(q * math.log(q) for q in np.ravel(p) if q > 0)


def by_hand(source, word):
    """p(word) as the sum over all paths of states."""
    symbols, states = source.moves.shape[:2]
    first, total = P.stationary(source), 0.0
    for path in itertools.product(range(states), repeat=len(word) + 1):
        p = first[path[0]]
        for x, s, t in zip(word, path, path[1:], strict=False):
            p *= source.moves[x, s, t]
        total += p
    return total


@pytest.mark.parametrize("name", SOURCES)
def test_stationary_and_normalised(name):
    source = SOURCES[name]
    weights = P.stationary(source)
    np.testing.assert_allclose(source.moves.sum((0, 2)), 1)
    np.testing.assert_allclose(weights @ source.moves.sum(0), weights, atol=1e-12)
    joint = P.joint(source, 4)
    np.testing.assert_allclose(joint.sum(), 1)
    # the same wherever the window stands
    np.testing.assert_allclose(joint.sum(0), joint.sum(-1), atol=1e-12)


@pytest.mark.parametrize("name", ["order 1", "even", "hidden"])
def test_joint_is_the_sum_over_paths(name):
    source = SOURCES[name]
    joint = P.joint(source, 4)
    for word in itertools.product(range(len(source.moves)), repeat=4):
        assert joint[word] == pytest.approx(by_hand(source, word), abs=1e-14)


def test_joint_of_a_chain_is_the_product_of_its_table():
    table, source = TABLES[2], SOURCES["order 2"]
    joint = P.joint(source, 5)
    pair = P.joint(source, 2)
    for word in itertools.product(range(3), repeat=5):
        product = pair[word[:2]] * math.prod(table[word[k : k + 3]] for k in range(3))
        assert joint[word] == pytest.approx(product, abs=1e-14)


def test_entropy_of_a_chain_falls_to_its_order_and_stays():
    for order in (1, 2, 3):
        floors = [P.conditional_entropy(SOURCES[f"order {order}"], tau) for tau in range(6)]
        assert (np.diff(floors[: order + 1]) < -1e-3).all()
        past = P.joint(SOURCES[f"order {order}"], order)
        rate = sum(past[w] * entropy(TABLES[order][w]) for w in np.ndindex(past.shape))
        np.testing.assert_allclose(floors[order:], rate, atol=1e-12)


def test_conditional_entropy_is_that_of_the_enumerated_conditionals():
    source = SOURCES["hidden"]
    joint = P.joint(source, 4)
    past = joint.sum(-1)
    expected = sum(past[w] * entropy(joint[w] / past[w]) for w in np.ndindex(past.shape))
    assert P.conditional_entropy(source, 3) == pytest.approx(expected, abs=1e-12)


def test_closed_forms():
    flip = entropy([0.1, 0.9])
    found = [P.conditional_entropy(SOURCES["copy"], tau) for tau in range(6)]
    np.testing.assert_allclose(found, [math.log(2)] * 3 + [flip] * 3, atol=1e-12)
    rate = entropy([0.3, 0.7]) / 1.3  # of the state in which there is a choice
    np.testing.assert_allclose(P.entropy_bounds(SOURCES["even"], 1)[0], rate, atol=1e-12)
    clear = P.hidden(0.9, 1.0)  # the state is seen: a Markov chain
    np.testing.assert_allclose(P.entropy_bounds(clear, 6), [entropy([0.1, 0.9])] * 2, atol=1e-12)
    # nothing lasts
    assert P.conditional_entropy(P.hidden(0.5, 0.7), 4) == pytest.approx(math.log(2))


def test_bounds_close_in_on_the_entropy_rate():
    source = SOURCES["hidden"]
    bounds = np.array([P.entropy_bounds(source, n) for n in range(1, 9)])
    assert (np.diff(bounds[:, 0]) > 0).all() and (np.diff(bounds[:, 1]) < 0).all()
    assert 0 < bounds[-1, 1] - bounds[-1, 0] < 1e-3
    for name in ("order 2", "copy", "even"):  # the first state and the past tell the state
        lows = [P.entropy_bounds(SOURCES[name], n)[0] for n in (1, 3, 5)]
        np.testing.assert_allclose(lows, lows[0], atol=1e-12)


@pytest.mark.parametrize("tau", [0, 1, 2, 4])
def test_no_model_passes_its_floor(tau):
    source = SOURCES["order 2"]
    joint = P.joint(source, tau + 1)
    best = np.log(joint / joint.sum(-1, keepdims=True))
    floor = P.conditional_entropy(source, tau)
    assert P.cross_entropy(source, best) == pytest.approx(floor, abs=1e-12)
    for _ in range(5):
        other = best + 0.3 * RNG.standard_normal(best.shape)
        assert P.cross_entropy(source, other - np.log(np.exp(other).sum(-1, keepdims=True))) > floor


@pytest.mark.parametrize("name", SOURCES)
def test_forward_algorithm_multiplies_to_the_joint(name):
    source = SOURCES[name]
    joint = P.joint(source, 5)
    words = [word for word in np.ndindex(joint.shape) if joint[word] > 0]
    logs = P.log_conditionals(source, np.array(words).T)
    np.testing.assert_allclose(np.exp(logs.sum(0)), [joint[word] for word in words], rtol=1e-12)


@pytest.mark.parametrize("name", ["order 2", "copy", "even", "hidden"])
def test_samples_are_of_the_source(name):
    source, count = SOURCES[name], 40_000
    xs = P.sample(source, np.random.default_rng(1), 7, count)
    assert xs.dtype == np.int32 and xs.shape == (7, count)
    joint = P.joint(source, 4)
    for first in (0, 3):  # stationary from the start
        seen = np.zeros(joint.shape)
        np.add.at(seen, tuple(xs[first : first + 4]), 1 / count)
        assert (np.abs(seen - joint) <= 5 * np.sqrt(joint * (1 - joint) / count)).all()
    assert not (xs == P.sample(source, np.random.default_rng(2), 7, count)).all()


def test_reflections_are_partial_autocorrelations():
    for tau, kappa in enumerate((0.6, -0.5, 0.3, 0.6), 1):
        assert P.best_linear(AR4, tau)[0][-1] == pytest.approx(kappa)
    gamma0 = P.autocovariance(AR4, 1)[0]
    shrinks = gamma0 * np.cumprod([1, *(1 - np.square((0.6, -0.5, 0.3, 0.6))), 1])
    np.testing.assert_allclose([P.best_linear(AR4, tau)[1] for tau in range(6)], shrinks)
    weights, variance = P.best_linear(AR4, 6)
    np.testing.assert_allclose(weights, [*AR4.weights, 0, 0], atol=1e-12)
    assert variance == pytest.approx(1.7) and P.normal_entropy(2.0) == pytest.approx(
        0.5 * math.log(4 * math.pi * math.e)
    )


def test_covariance_is_that_of_the_state_space():
    companion, noise = np.zeros((4, 4)), np.zeros((4, 4))
    companion[0], companion[1:, :3], noise[0, 0] = AR4.weights, np.eye(3), 1.7
    np.testing.assert_allclose(
        P.covariance(AR4, 4), solve_discrete_lyapunov(companion, noise), rtol=1e-9
    )
    gamma = P.autocovariance(AR4, 9)
    for k in (5, 8):
        assert gamma[k] == pytest.approx(AR4.weights @ gamma[k - 4 : k][::-1])


@pytest.mark.parametrize("steps", [1, 3, 4, 9])
def test_conditional_densities_multiply_to_the_multivariate_normal(steps):
    xs = 2 * RNG.standard_normal((steps, 3))
    whole = multivariate_normal(np.zeros(steps), P.covariance(AR4, steps)).logpdf(xs.T)
    np.testing.assert_allclose(P.log_densities(AR4, xs).sum(0), whole, rtol=1e-9)


def test_gaussian_samples():
    xs = P.sample_gaussian(AR4, np.random.default_rng(3), 10, 200_000).astype(float)
    for first in (0, 6):
        np.testing.assert_allclose(
            xs[first : first + 4] @ xs[first : first + 4].T / 200_000,
            P.covariance(AR4, 4),
            atol=0.08,
        )
    assert -P.log_densities(AR4, xs)[4:].mean() == pytest.approx(P.normal_entropy(1.7), abs=0.005)


def test_forecasts():
    np.testing.assert_allclose(
        P.forecast_errors(AR4, AR4.weights, 0.0, 12), P.forecast_floor(AR4, 12)
    )
    assert P.forecast_floor(AR4, 400)[-1] == pytest.approx(P.autocovariance(AR4, 1)[0])
    weights, bias = np.array([0.5, -0.2]), 0.3
    rows, biases = P.forecasts(weights, bias, 4)
    past = [1.3, -0.7]  # the latest first
    for row, offset in zip(rows, biases, strict=True):
        assert row @ [1.3, -0.7] + offset == pytest.approx(weights @ past[:2] + bias)
        past.insert(0, weights @ past[:2] + bias)
    xs = P.sample_gaussian(AR4, np.random.default_rng(4), 6, 200_000).astype(float)
    errors = P.forecast_errors(AR4, weights, bias, 4)
    for k in range(4):
        said = rows[k] @ xs[1::-1] + biases[k]
        assert np.mean((xs[2 + k] - said) ** 2) == pytest.approx(errors[k], rel=0.02)
    assert P.forecast_errors(AR4, np.zeros(0), 0.5, 2) == pytest.approx(
        [P.autocovariance(AR4, 1)[0] + 0.25] * 2
    )


def test_bad_tables_and_reflections():
    with pytest.raises(ValueError, match=r"markov: a table of shape \(2, 3\)"):
        P.markov(np.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match="sum to 1"):
        P.markov(np.full((2, 2), 0.4))
    with pytest.raises(ValueError, match="between -1 and 1"):
        P.from_reflections((0.5, 1.0))
